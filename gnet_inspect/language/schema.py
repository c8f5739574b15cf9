"""The JSON Schema of a spec, made from the same table of layers that reads one.

Draft 7, which YAML language servers understand best. It completes and checks what a schema can; which names there are
(of blocks, parameters and layers), and everything about shapes, is `gnet-inspect validate`'s. A block that is called
like a class has that class's arguments here, because a schema cannot see that there is one.
"""

from typing import Any

from gnet_inspect.language.arithmetic import MAX_LENGTH
from gnet_inspect.language.layers import MAX_SOURCES
from gnet_inspect.language.names import NAME_PATTERN, NAME_WORD, VALUE_WORD
from gnet_inspect.language.parse import INPUT_DTYPES, MAX_INPUT, MAX_INPUTS, MAX_RANK, PAPER_KEYS
from gnet_inspect.language.published import (
    ACCURACY_COUNTS,
    ACCURACY_NUMBERS,
    MACS_ARE,
    MODES,
    OF_TOTALS,
    PARAMS_ARE,
    QUANTITIES,
    RATIOS,
    UNIT_PATTERN,
)
from gnet_inspect.ops import MERGES, VOCABULARY, Op
from gnet_inspect.ops.arguments import LARGEST_INTEGER
from gnet_inspect.ops.merging import MANY

REFERENCE = {"type": "string", "pattern": rf"^\$({NAME_WORD})(\.[0-9]{{1,4}})?$", "description": "a parameter"}
ARITHMETIC = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_$.+*/%() -]*\$[A-Za-z0-9_$.+*/%() -]*$",
    "maxLength": MAX_LENGTH,
    "description": "arithmetic on parameters: $width * 0.5, $out // 4",
}
ROUND: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["round"],
    "properties": {
        "round": {
            "type": "array",
            "items": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "maxLength": MAX_LENGTH}]},
            "minItems": 2,
            "maxItems": 2,
        }
    },
    "description": "a number, rounded to a multiple of another as make_divisible does: {round: [$out * $width, 8]}",
}
VALUE_NAME = {
    "type": "string",
    "pattern": f"^{VALUE_WORD}$",
    "description": "a layer or block before this one, by its name or path; with :1 behind it, its second output",
}
SOURCE = {"$ref": "#/definitions/source"}
FROM = {
    "anyOf": [SOURCE, {"type": "array", "items": SOURCE, "minItems": 1, "maxItems": MAX_SOURCES}],
    "description": "what the layer reads instead of the one before it",
}
TEXT = {"type": "string", "minLength": 1}
FIGURE = {"type": ["string", "number"], "description": "as it is printed: 2.7K"}
INPUT: dict[str, Any] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": MAX_INPUT},
    "minItems": 1,
    "maxItems": MAX_RANK,
    "description": "[channels, height, width], or another shape without the batch, which comes from --input",
}
WHEN = REFERENCE | {"description": "there only where this flag is true"}


def json_schema() -> dict[str, Any]:
    """The schema as plain data."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gnet-inspect spec",
        "description": "A convolutional network: stages of layers under torch.nn's class and keyword names.",
        "type": "object",
        "required": ["name", "stages"],
        "oneOf": [{"required": ["input"]}, {"required": ["inputs"]}],
        "additionalProperties": False,
        "properties": _top(),
        "definitions": _definitions(),
    }


def _object(properties: dict[str, Any], required: list[str], description: str = "") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        schema["required"] = required
    return schema | ({"description": description} if description else {})


def _name(value: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "type": ["object", "null"],
        "description": description,
        "propertyNames": {"pattern": NAME_PATTERN},
        "additionalProperties": value,
    }


def _several(value: dict[str, Any], description: str) -> dict[str, Any]:
    """One to MAX_INPUTS of them by their names."""
    bounds = {"type": "object", "minProperties": 1, "maxProperties": MAX_INPUTS}
    return _name(value, description) | bounds


def _given() -> dict[str, Any]:
    fields = {"shape": INPUT, "dtype": {"enum": list(INPUT_DTYPES), "default": INPUT_DTYPES[0]}}
    return {"anyOf": [INPUT, _object(fields, ["shape"])]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}"}


def _top() -> dict[str, Any]:
    return {
        "name": TEXT | {"description": "the model's name"},
        "title": TEXT | {"description": "the name as people write it"},
        "year": {"type": "integer", "minimum": 1900, "maximum": LARGEST_INTEGER},
        "family": TEXT | {"description": "the family `list` groups it in"},
        "paper": _object({key: {"type": ["string", "integer"]} for key in PAPER_KEYS}, [], "where it was published"),
        "notes": TEXT | {"description": "what a reader should know"},
        "input": INPUT,
        "inputs": _several(_given(), "the network's inputs in order, where there are several"),
        "outputs": _several(VALUE_NAME, "what the network returns, by its names; else what its last layer gives"),
        "params": _name({}, "parameters of the model and their values: $classes"),
        "blocks": _name(_ref("block"), "templates, used like a layer class"),
        "stages": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _ref("sequence"),
            "description": "groups of layers in order; they add no scope to the names",
        },
        "heads": _name(_ref("head"), "auxiliary classifiers, present in training only"),
        "published": {"type": ["array", "null"], "items": _ref("published")},
    }


def _definitions() -> dict[str, Any]:
    layers = {name: _arguments(cls) for name, cls in VOCABULARY.items()}
    bare = [name for name, cls in VOCABULARY.items() if not any(p.required for p in cls.parameters().values())]
    own = {
        **{name: _merge(cls) for name, cls in MERGES.items()},
        "repeat": _object(
            {"times": _open({"type": "integer", "minimum": 0}), "layer": _ref("layer")}, ["times", "layer"]
        ),
        "share": VALUE_NAME | {"description": "calls the layer or block of that name again, with its weights"},
    }
    keyed = {
        "type": "object",
        "properties": {**layers, **own, "when": WHEN, "from": FROM},
        # One key beside `when` and `from`: a class of the vocabulary, or a block, over its arguments.
        "minProperties": 1,
        "anyOf": [
            {"maxProperties": 1},
            {"maxProperties": 2, "anyOf": [{"required": ["when"]}, {"required": ["from"]}]},
            {"maxProperties": 3, "required": ["when", "from"]},
        ],
        "additionalProperties": {"type": ["object", "null"], "description": "a block's arguments"},
    }
    return {
        "reference": REFERENCE,
        "computed": {"anyOf": [REFERENCE, ARITHMETIC, ROUND]},
        "source": {"anyOf": [VALUE_NAME, REFERENCE]},
        "layer": {
            "anyOf": [
                {"type": "string", "enum": bare},
                {"type": "string", "pattern": rf"^\$?{NAME_WORD}$", "description": "a block or a parameter"},
                keyed,
                {"type": "array", "items": _ref("layer"), "description": "a nested sequence"},
            ]
        },
        "sequence": {
            "anyOf": [
                {"type": "object", "propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": _ref("layer")},
                {"type": "array", "items": _ref("layer")},
            ]
        },
        "branch": {
            "anyOf": [_ref("sequence"), {"type": "null"}, SOURCE],
            "description": "layers, the name of a layer before, or nothing: an empty branch is the identity",
        },
        "block": _object(
            {
                "params": {"type": ["array", "null"], "items": {"type": "string", "pattern": NAME_PATTERN}},
                "defaults": {"type": ["object", "null"]},
                "state_dict": {
                    "type": "array",
                    "items": TEXT,
                    "minItems": 2,
                    "description": "layers in the order of the state dict, where they run in another one",
                },
                "layers": _ref("sequence"),
            },
            ["layers"],
        ),
        "head": _object(
            {
                "from": TEXT | {"description": "the layer or block it reads"},
                "weight": {"type": "number", "minimum": 0, "description": "its weight in the loss"},
                "layers": _ref("sequence"),
            },
            ["from", "layers"],
        ),
        "published": _published(),
    }


def _merge(cls: type[Op]) -> dict[str, Any]:
    """Branches that meet, alone or beside the arguments of what joins them."""
    least, most = cls.arity
    branches = {"type": "array", "items": _ref("branch"), "minItems": least}
    if most < MANY:
        branches["maxItems"] = most
    given = {"branches": branches, **_properties(cls)}
    description = (cls.__doc__ or "").partition("\n")[0]
    return {"anyOf": [branches, _object(given, ["branches"])], "description": description}


def _arguments(cls: type[Op]) -> dict[str, Any]:
    required = [name for name, parameter in cls.parameters().items() if parameter.required]
    schema = _object(_properties(cls), required, (cls.__doc__ or "").partition("\n")[0])
    return schema if required else schema | {"type": ["object", "null"]}


def _properties(cls: type[Op]) -> dict[str, Any]:
    parameters = cls.parameters()
    properties = {}
    for name, parameter in parameters.items():
        schema = _open(parameter.kind.schema())
        if not parameter.required:
            default = parameter.default
            schema = schema | {"default": list(default) if isinstance(default, tuple) else default}
        properties[name] = schema
    return properties


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or a parameter, or for a number arithmetic on parameters; elements of a list may be these too."""
    options = _options(schema)
    opened = [
        option | {"items": _open(option["items"])} if option.get("type") == "array" else option for option in options
    ]
    is_number = any(option.get("type") in ("integer", "number") for option in options)
    return {"anyOf": [*opened, _ref("computed" if is_number else "reference")]}


def _options(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a schema leaves to choose from."""
    if set(schema) != {"anyOf"}:
        return [schema]
    return [option for item in schema["anyOf"] for option in _options(item)]


def _published() -> dict[str, Any]:
    figures = dict.fromkeys(QUANTITIES, FIGURE)
    said = {
        "erratum": TEXT | {"description": "why the printed figure is wrong"},
        "variant": TEXT | {"description": "which other network the printed figure is right for"},
        "note": TEXT,
    }
    output = {
        "type": "array",
        "items": {"type": "integer", "minimum": 1},
        "minItems": 1,
        "maxItems": 3,
        "description": "what the last of them gives: [channels, height, width] or [features]",
    }
    nodes = {"type": "array", "items": TEXT, "minItems": 1, "description": "layers or blocks the row covers"}
    network = _object(
        {"name": TEXT, "input": INPUT, "layers": _ref("sequence")}, ["name", "input", "layers"], "written out"
    )
    side = {"anyOf": [TEXT, network], "description": "a model of the catalogue, or a small network"}
    accuracy: dict[str, Any] = {"dataset": TEXT}
    accuracy |= {key: {"type": "number", "minimum": 0, "maximum": 100} for key in ACCURACY_NUMBERS}
    accuracy |= {key: {"type": "integer", "minimum": 1} for key in ACCURACY_COUNTS}
    return _object(
        {
            "source": TEXT,
            "units": {
                "type": "object",
                "propertyNames": {"pattern": f"^{UNIT_PATTERN}$"},
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
            "params_are": {"enum": list(PARAMS_ARE)},
            "macs_are": {"enum": list(MACS_ARE)},
            "with": {"type": "object", "minProperties": 1, "description": "edits by path, as --set takes them"},
            "mode": {"enum": list(MODES), "description": "train: of the network with its heads"},
            "input": INPUT | {"description": "[channels, height, width] that the figures are stated at"},
            "rows": {
                "type": "array",
                "items": _object({"nodes": nodes, "output": output, **figures, **said}, ["nodes"]),
            },
            "totals": _object({**figures, **dict.fromkeys(OF_TOTALS, FIGURE), **said}, []),
            "claims": {"type": "array", "items": {"anyOf": _claims(side, said)}},
            "accuracy": _object(accuracy, ["dataset"]),
            "note": TEXT,
        },
        ["source"],
        "what one source says of the model",
    )


def _claims(side: dict[str, Any], said: dict[str, Any]) -> list[dict[str, Any]]:
    """A ratio between networks, or a difference between what two sources say."""
    ratio = {"ratio": {"enum": list(RATIOS)}, "of": side, "to": side, "value": FIGURE}
    source = TEXT | {"description": "a source of this spec, in its own words"}
    difference = {"difference": {"enum": list(ACCURACY_NUMBERS)}, "of": source, "to": source, "value": FIGURE}
    return [_object({**claim, **said}, list(claim)) for claim in (ratio, difference)]
