"""The JSON Schema of a spec, made from the same table of layers that reads one.

Draft 7, which YAML language servers understand best. It completes and checks what a schema can; names of blocks and
parameters, and everything about shapes, is `gnet-inspect validate`'s.
"""

from typing import Any

from gnet_inspect.ops import VOCABULARY, Op
from gnet_inspect.ops.arguments import LARGEST_INTEGER
from gnet_inspect.spec.names import NAME_PATTERN
from gnet_inspect.spec.parse import MAX_INPUT, PAPER_KEYS
from gnet_inspect.spec.published import (
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

REFERENCE = {"type": "string", "pattern": r"^\$[A-Za-z0-9_]{1,64}(\.[0-9]{1,4})?$", "description": "a parameter"}
TEXT = {"type": "string", "minLength": 1}
FIGURE = {"type": ["string", "number"], "description": "as it is printed: 2.7K"}
INPUT: dict[str, Any] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": MAX_INPUT},
    "minItems": 3,
    "maxItems": 3,
    "description": "[channels, height, width]; the batch comes from --input",
}
WHEN = REFERENCE | {"description": "there only where this flag is true"}


def json_schema() -> dict[str, Any]:
    """The schema as plain data."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gnet-inspect spec",
        "description": "A convolutional network: stages of layers under torch.nn's class and keyword names.",
        "type": "object",
        "required": ["name", "input", "stages"],
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
    branches = {"type": "array", "items": _ref("branch"), "minItems": 1}
    own = {
        "concat": branches | {"description": "branches from the same input, joined along the channels"},
        "add": {"anyOf": [branches, _object({"branches": branches, "scale": _open({"type": "number"})}, ["branches"])]},
        "repeat": _object(
            {"times": _open({"type": "integer", "minimum": 0}), "layer": _ref("layer")}, ["times", "layer"]
        ),
    }
    keyed = {
        "type": "object",
        "properties": {**layers, **own, "when": WHEN},
        # One key beside `when`: a class of the vocabulary, or a block, over its arguments.
        "minProperties": 1,
        "maxProperties": 2,
        "additionalProperties": {"type": ["object", "null"], "description": "a block's arguments"},
    }
    return {
        "layer": {
            "anyOf": [
                {"type": "string", "enum": bare},
                {"type": "string", "pattern": r"^\$?[A-Za-z0-9_]{1,64}$", "description": "a block or a parameter"},
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
        "branch": {"anyOf": [_ref("sequence"), {"type": "null"}], "description": "an empty branch is the identity"},
        "block": _object(
            {
                "params": {"type": ["array", "null"], "items": {"type": "string", "pattern": NAME_PATTERN}},
                "defaults": {"type": ["object", "null"]},
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


def _arguments(cls: type[Op]) -> dict[str, Any]:
    parameters = cls.parameters()
    properties = {}
    for name, parameter in parameters.items():
        schema = _open(parameter.kind.schema())
        if not parameter.required:
            default = parameter.default
            schema = schema | {"default": list(default) if isinstance(default, tuple) else default}
        properties[name] = schema
    required = [name for name, parameter in parameters.items() if parameter.required]
    schema = _object(properties, required, (cls.__doc__ or "").partition("\n")[0])
    return schema if required else schema | {"type": ["object", "null"]}


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or a reference; elements of a list may be references too."""
    options = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    opened = [
        option | {"items": {"anyOf": [option["items"], REFERENCE]}} if option.get("type") == "array" else option
        for option in options
    ]
    return {"anyOf": [*opened, REFERENCE]}


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
