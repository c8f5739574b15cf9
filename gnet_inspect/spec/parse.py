"""The whole spec: YAML text -> Spec, every mistake answered with file, line and path."""

from collections.abc import Mapping

from gnet_inspect.errors import SpecError, expect
from gnet_inspect.ops.arguments import LAYER, AnyValue, Integer, Kind, Number
from gnet_inspect.spec.document import Value, read_document
from gnet_inspect.spec.layers import NETWORK, LayerReader, Scope
from gnet_inspect.spec.model import Argument, Block, BlockParameter, Head, Published, Spec, Stage
from gnet_inspect.spec.published import PublishedReader
from gnet_inspect.spec.reader import Reader

REQUIRED = ("name", "input", "stages")
OPTIONAL = ("title", "year", "family", "paper", "notes", "params", "blocks", "heads", "published")
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


def parse_spec(text: bytes | str, file: str = "spec") -> Spec:
    """Read a spec from YAML text. `file` is the name its errors carry. Raises SpecError."""
    expect(text, (str, bytes), "the text of a spec")
    return _SpecReader(file).spec(read_document(text, file))


class _SpecReader(Reader):
    def spec(self, document: Value) -> Spec:
        entries = self.fields(document, "a spec", REQUIRED, OPTIONAL, MISPLACED)
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
        spec = Spec(
            name=self.text(entries["name"], "a name", 200),
            input=self._input(entries["input"]),
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
            published=self._published(entries),
            file=self.file,
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
        return Spec(name, self._input(entries["input"]), (Stage("layers", body),), file=self.file)

    def _mapping_of(self, entries: Mapping[str, Value], key: str) -> dict[str, Value]:
        if key not in entries or entries[key].data is None:
            return {}
        return self.mapping(entries[key], f"{key}, a mapping from names")

    def _text(self, entries: Mapping[str, Value], key: str) -> str:
        return self.text(entries[key], f"text for the {key}") if key in entries else ""

    def _input(self, value: Value) -> tuple[int, int, int]:
        words = "an input [channels, height, width]"
        if not isinstance(value.data, list) or len(value.data) != 3:
            raise self.expected(value, words, "the batch comes from --input or --batch")
        sizes = [item.data for item in value.data]
        if not all(type(size) is int and 1 <= size <= MAX_INPUT for size in sizes):
            raise self.expected(value, f"{words} of positive integers up to {MAX_INPUT:,}")
        channels, height, width = sizes
        return channels, height, width

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

    def _published(self, entries: Mapping[str, Value]) -> tuple[Published, ...]:
        if "published" not in entries or entries["published"].data is None:
            return ()
        reader = PublishedReader(self.file, self._claimed, self._input)
        return self.items(entries["published"], "published, a list of sources", reader.entry)
