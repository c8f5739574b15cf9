"""The whole spec: YAML text -> Spec, every mistake answered with file, line and path."""

from collections.abc import Mapping, Set

from gnet_inspect.errors import SpecError, expect
from gnet_inspect.language.document import Value, read_document
from gnet_inspect.language.layers import NETWORK, LayerReader, Scope
from gnet_inspect.language.model import Argument, Block, BlockParameter, Given, Head, OutputName, Published, Spec, Stage
from gnet_inspect.language.names import INPUT, name_fault
from gnet_inspect.language.published import PublishedReader
from gnet_inspect.language.reader import Reader
from gnet_inspect.ops import Shape
from gnet_inspect.ops.arguments import LAYER, AnyValue, Choice, Integer, Kind, Number, is_value

REQUIRED = ("name", "input", "stages")
OPTIONAL = (
    "inputs",
    "outputs",
    "title",
    "year",
    "family",
    "paper",
    "notes",
    "params",
    "blocks",
    "heads",
    "published",
)
# Keys that people put at the top, and what stands there instead. A name that only looks like one is no answer to them.
_STAGES = "a network's layers stand in stages: write `stages: {main: ...}`"
_INPUT = "write `input: [channels, height, width]`"
_CLASSES = "write `params: {classes: 1000}`, and `$classes` where a layer uses it"
MISPLACED = {
    **dict.fromkeys(("layers", "layer", "network", "backbone", "model", "body", "architecture"), _STAGES),
    **dict.fromkeys(("shape", "size", "image_size", "input_size", "input_shape"), _INPUT),
    **dict.fromkeys(("classes", "num_classes", "nc"), _CLASSES),
    "defaults": "defaults belong to a block; those of the model are the values in `params`",
    "description": "write `notes`",
}
PAPER_KEYS = ("title", "authors", "venue", "year", "arxiv", "doi", "url")
# A guard for plain arithmetic, far above any image.
MAX_INPUT = 1_000_000
# Of a shape without the batch: three spatial axes, and two more.
MAX_RANK = 6
IMAGE = ("channels", "height", "width")
# Of inputs, and of outputs.
MAX_INPUTS = 64
INPUT_DTYPES = ("float", "int64")


def parse_spec(text: bytes | str, file: str = "spec") -> Spec:
    """Read a spec from YAML text. `file` is the name its errors carry. Raises SpecError."""
    expect(text, (str, bytes), "the text of a spec")
    return _SpecReader(file).spec(read_document(text, file))


class _SpecReader(Reader):
    def spec(self, document: Value) -> Spec:
        # `inputs` stands in the place of `input`.
        several = isinstance(document.data, dict) and "inputs" in document.data
        required = [key for key in REQUIRED if not (several and key == "input")]
        entries = self.fields(document, "a spec", required, ("input", *OPTIONAL), MISPLACED)
        params = self._mapping_of(entries, "params")
        for name, value in params.items():
            self.name(value, name, "parameter")
        model = Scope(list(params))
        layers = LayerReader(self.file, self._mapping_of(entries, "blocks"), model)
        blocks: dict[str, Block] = {name: layers.block(name, value) for name, value in layers.definitions.items()}
        stages = self._stages(entries["stages"], layers, model)
        heads = self._heads(self._mapping_of(entries, "heads"), layers, model)
        parameters = self._params(params, layers, model)
        used = layers.used_blocks()
        inputs = self._inputs(entries)
        spec = Spec(
            name=self.text(entries["name"], "a name", 200),
            inputs=inputs,
            stages=stages,
            title=self._text(entries, "title"),
            year=self.kind(entries["year"], Integer(1900)) if "year" in entries else None,
            family=self._text(entries, "family"),
            notes=self._text(entries, "notes"),
            paper=self._paper(entries),
            params=parameters,
            blocks=blocks,
            unused_blocks=tuple(name for name in blocks if name not in used),
            idle_params={name: users for name in params if (users := model.users[name]).isdisjoint({NETWORK, *used})},
            heads=heads,
            published=self._published(entries, inputs),
            file=self.file,
            outputs=self._outputs(entries, {head.name for head in heads}),
            shares=bool(layers.shares),
        )
        # The last thing to be wrong: a mistake elsewhere may be why it is used nowhere.
        for name, value in params.items():
            if not model.users[name]:
                raise self._unused(value, name, layers)
        return spec

    def _claimed(self, value: Value) -> Spec:
        """A small network in a claim: layers in a row, without blocks or parameters."""
        entries = self.fields(value, "a network {name: ..., input: ..., layers: ...}", ("name", "input", "layers"), ())
        name = self.text(entries["name"], "a name", 200)
        layers = LayerReader(self.file, {}, nothing := Scope([], hint="a network in a claim has no parameters"))
        body = layers.sequence(entries["layers"], nothing, "layers: a mapping from names to layers, or a list")
        if layers.repeats:
            # Written out, all networks of all claims together are bounded by the bounds of the document.
            raise self.error(entries["layers"], "expected the layers of a claim's network one by one, got a `repeat`")
        return Spec(name, (Given(INPUT, self._shape(entries["input"])),), (Stage("layers", body),), file=self.file)

    def _mapping_of(self, entries: Mapping[str, Value], key: str) -> dict[str, Value]:
        if key not in entries or entries[key].data is None:
            return {}
        return self.mapping(entries[key], f"{key}, a mapping from names")

    def _text(self, entries: Mapping[str, Value], key: str) -> str:
        return self.text(entries[key], f"text for the {key}") if key in entries else ""

    def _inputs(self, entries: Mapping[str, Value]) -> tuple[Given, ...]:
        """`input: [3, 224, 224]`, or `inputs` by their names."""
        if "input" in entries and "inputs" in entries:
            raise self.error(
                entries["inputs"], "expected either `input` or `inputs`, got both", "write all of them under `inputs`"
            )
        if "input" in entries:
            return (Given(INPUT, self._shape(entries["input"])),)
        given = self.mapping(entries["inputs"], "inputs, a mapping from names to shapes")
        if not 1 <= len(given) <= MAX_INPUTS:
            raise self.expected(entries["inputs"], f"1 to {MAX_INPUTS} inputs")
        return tuple(self._given(name, value) for name, value in given.items())

    def _given(self, name: str, value: Value) -> Given:
        fault = name_fault(name, "input") if name != INPUT else None
        if fault:
            raise self.error(value, *fault)
        if not isinstance(value.data, dict):
            return Given(name, self._shape(value))
        fields = self.fields(value, "an input {shape: ..., dtype: ...}", ["shape"], ["dtype"])
        dtype = self.kind(fields["dtype"], Choice(INPUT_DTYPES)) if "dtype" in fields else INPUT_DTYPES[0]
        return Given(name, self._shape(fields["shape"]), dtype)

    def _shape(self, value: Value) -> Shape:
        """A shape without the batch."""
        words = f"an input [{', '.join(IMAGE)}]"
        if not isinstance(value.data, list) or not 1 <= len(value.data) <= MAX_RANK:
            words += f", or another shape of at most {MAX_RANK} sizes"
            raise self.expected(value, words, "the batch comes from --input or --batch")
        sizes = tuple(item.data for item in value.data)
        if not all(type(size) is int and 1 <= size <= MAX_INPUT for size in sizes):
            words = words if len(sizes) == len(IMAGE) else "an input"
            raise self.expected(value, f"{words} of positive integers up to {MAX_INPUT:,}")
        return sizes

    def _input_like(self, value: Value, inputs: tuple[Given, ...]) -> Shape:
        """Another size of the model's one input."""
        if len(inputs) > 1:
            raise self.error(value, f"expected the input of a model with one, got it of one with {len(inputs)}")
        rank = len(inputs[0].shape)
        if isinstance(value.data, list) and len(value.data) != rank:
            sizes = f"[{', '.join(IMAGE)}]" if rank == len(IMAGE) else f"of {rank} sizes, as the model's own"
            raise self.expected(value, f"an input {sizes}")
        return self._shape(value)

    def _outputs(self, entries: Mapping[str, Value], heads: Set[str]) -> dict[str, OutputName]:
        if "outputs" not in entries:
            return {}
        found = {}
        for name, value in self.mapping(entries["outputs"], "outputs, a mapping from names to layers").items():
            self.name(value, name, "output")
            if name in heads:
                raise self.error(value, f"expected a name of its own for the output, got `{name}`, a head's")
            source = LayerReader(self.file, {}, Scope([])).value_name(value, Scope([]))
            found[name] = OutputName(source, value.line, value.path)
        if not 1 <= len(found) <= MAX_INPUTS:
            raise self.expected(entries["outputs"], f"1 to {MAX_INPUTS} outputs")
        return found

    def _paper(self, entries: Mapping[str, Value]) -> dict[str, str]:
        if "paper" not in entries:
            return {}
        fields = self.fields(entries["paper"], "a paper {title: ..., arxiv: ...}", [], PAPER_KEYS)
        paper = {}
        for key, value in fields.items():
            if type(value.data) is not int and not isinstance(value.data, str):
                hint = "quote it" if isinstance(value.data, float) else ""
                raise self.expected(value, "text", hint)
            paper[key] = str(value.data)
        return paper

    def _stages(self, value: Value, layers: LayerReader, model: Scope) -> tuple[Stage, ...]:
        entries = self.mapping(value, "stages, a mapping from stage names to layers")
        if not entries:
            raise self.expected(value, "at least one stage")
        stages = []
        for name, item in entries.items():
            if not name.strip() or len(name) > 10_000:
                raise self.error(item, "expected a stage name of 1 to 10,000 characters")
            body = layers.sequence(item, model, "the layers of a stage: a mapping from names to layers, or a list")
            stages.append(Stage(name, body))
        return tuple(stages)

    def _heads(self, entries: Mapping[str, Value], layers: LayerReader, model: Scope) -> tuple[Head, ...]:
        heads = []
        for name, value in entries.items():
            self.name(value, name, "head")
            fields = self.fields(value, "a head", ["from", "layers"], ["weight"])
            weight = self.kind(fields["weight"], Number(0)) if "weight" in fields else 1.0
            body = layers.sequence(
                fields["layers"], model, "the layers of a head: a mapping from names to layers, or a list"
            )
            source = self.text(fields["from"], "the name of a layer or block")
            if source.partition(".")[0] in entries:
                raise self.error(fields["from"], f"expected a head after a layer or block, got `{source}`, in a head")
            heads.append(Head(name, source, weight, body, fields["from"].line, fields["from"].path))
        return tuple(heads)

    def _params(self, entries: Mapping[str, Value], layers: LayerReader, model: Scope) -> dict[str, BlockParameter]:
        parameters = {}
        nothing = Scope([], hint="the value of a parameter cannot use another one")
        for name, value in entries.items():
            kind: Kind = layers.demanded(value, model, name, f"parameter `{name}`")
            if is_value(kind):
                fact = f"expected a parameter of the model that layers take, got `{name}`, used as what a layer gave"
                raise self.error(value, fact, "a parameter of a block may hold that")
            default = self._model_default(value, kind, layers, nothing)
            parameters[name] = BlockParameter(name, kind, default)
        return parameters

    def _unused(self, value: Value, name: str, layers: LayerReader) -> SpecError:
        own = [block for block, read in layers.blocks.items() if name in read.parameters]
        hint = f"where a layer is to depend on it, write `${name}` there; else remove it"
        if own:
            hint = f"in the block `{own[0]}` `${name}` is the block's own parameter, which goes before the model's"
        return self.error(value, f"expected every parameter of the model to be used, got `{name}`, used nowhere", hint)

    def _model_default(self, value: Value, kind: Kind, layers: LayerReader, scope: Scope) -> Argument:
        if isinstance(kind, AnyValue) and not isinstance(value.data, dict):
            # Used only where anything may stand: nothing to check it by.
            return Argument(kind.read(value.plain()), value.line, value.path)
        return layers.argument(value, LAYER if isinstance(kind, AnyValue) else kind, scope)

    def _published(self, entries: Mapping[str, Value], inputs: tuple[Given, ...]) -> tuple[Published, ...]:
        if "published" not in entries or entries["published"].data is None:
            return ()
        reader = PublishedReader(self.file, self._claimed, lambda value: self._input_like(value, inputs))
        return self.items(entries["published"], "published, a list of sources", reader.entry)
