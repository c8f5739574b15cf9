"""torch.nn's own layers, each as one record, whatever operators it ran: known by the class that the file names."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gnet_inspect.errors import GnetError
from gnet_inspect.graph.recording import Made, Record, Scope
from gnet_inspect.ops import MatMul, Op, makes, op_of
from gnet_inspect.ops.attention import ScaledDotProductAttention
from gnet_inspect.ops.functions import Function
from gnet_inspect.ops.movement import Permute
from gnet_inspect.sources.pt2.calls import shapes_of
from gnet_inspect.units import sum_known


class Folder:
    """Folds the layers of one program. `layers` are the scopes of such, by identity, with their classes; `outputs`
    what the network returns."""

    def __init__(
        self,
        scopes: Sequence[Scope],
        layers: Mapping[int, str],
        weights: Mapping[str, Made],
        outputs: Sequence[Made],
    ) -> None:
        self.scopes, self.layers, self.weights = scopes, layers, weights
        # By the identity of a record, that of the layer it ran in.
        self._layer_of: dict[int, int] = {}
        # By the identity of a layer, what others read of what it made, by identity.
        self._given_on: dict[int, dict[int, Made]] = {key: {} for key in layers}
        for scope in scopes:
            if id(scope) in layers:
                self._layer_of.update((id(record), id(scope)) for record in scope.records())
        for scope in scopes:
            for item in scope.items:
                if isinstance(item, Record):
                    self._note_reads((*item.values, *item.slots), self._layer_of.get(id(item)))
        self._note_reads(outputs, None)

    def _note_reads(self, values: Sequence[Made], layer: int | None) -> None:
        for made in values:
            home = self._layer_of.get(id(made.record))
            if home is not None and home != layer:
                self._given_on[home][id(made)] = made

    def fold(self) -> None:
        """Put one record in the place of each layer."""
        for scope in self.scopes:
            if id(scope) not in self.layers:
                scope.items = [item for inner in scope.items for item in self._folded(inner, scope)]
        for scope in self.scopes:
            scope.is_container = scope.is_container or _is_list(scope)

    def _folded(self, item: Record | Scope, home: Scope) -> list[Record | Scope]:
        if isinstance(item, Record) or id(item) not in self.layers:
            return [item]
        records = list(item.records())
        done = [record for record in records if not record.is_side]
        if not done:
            return [*records]
        kind = self.layers[id(item)]
        if len(done) == 1:
            self._name(done[0], item, kind)
            return [item] if not done[0].path else [*(record for record in records if record.is_side), *done]
        return [self._one(item, kind, records, done, home)]

    def _name(self, record: Record, scope: Scope, kind: str) -> None:
        """A layer that ran one operator is that, under its own name and with its own weights."""
        if isinstance(record.op, Function):
            record.op = replace(record.op, function=kind)
        elif type(record.op).__name__ != kind:
            return
        slots = self._slots(scope.path, record.op, record.values)
        own = {made.weight for made in slots or ()}
        if slots is not None and all(made.weight in own for made in record.slots):
            record.slots = slots
        elif slots is not None and record.slots:
            # It runs on others' weights: a function, which the module only calls.
            return
        record.path, record.scope = scope.path, scope.parent or scope

    def _slots(self, path: str, op: Op, values: Sequence[Made]) -> list[Made] | None:
        """The weights that a layer holds by its kind; None where the file has others."""
        says = op.weights(shapes_of(values)) if values else ()
        found = [self.weights.get(f"{path}.{weight.name}") for weight in says]
        alike = [
            made for made, weight in zip(found, says, strict=True) if made is not None and made.shape == weight.shape
        ]
        return alike if says and len(alike) == len(says) else None

    def _one(self, scope: Scope, kind: str, records: Sequence[Record], done: Sequence[Record], home: Scope) -> Record:
        """One record of all that a layer ran."""
        own = set(map(id, records))
        read = dict.fromkeys(
            made for record in records for made in (*record.values, *record.slots) if id(made.record) not in own
        )
        values, slots = [made for made in read if not made.is_side], [made for made in read if made.is_side]
        outputs = list(self._given_on[id(scope)].values()) or done[-1].outputs[:1]
        op = self._op(scope.path, kind, done, values, outputs)
        if op is not None:
            slots = self._slots(scope.path, op, values) or slots
        else:
            counted = sum_known(record.macs() for record in records)
            op = Function(kind, shapes_of(outputs), outputs[0].dtype, counted)
        record = Record("", op, home, scope.path)
        record.values, record.slots, record.outputs = values, slots, outputs
        for index, made in enumerate(outputs):
            made.record, made.index = record, index
        return record

    def _op(
        self, path: str, kind: str, done: Sequence[Record], values: Sequence[Made], outputs: Sequence[Made]
    ) -> Op | None:
        """The layer's op, where it makes just what is read of it."""
        try:
            alike = [record.op for record in done if type(record.op).__name__ == kind]
            op = (
                alike[0]
                if len(alike) == 1
                else self._attention(path, done, values)
                if kind == "MultiheadAttention"
                else None
            )
            if op is None or any(made.dtype != "float" for made in (*values, *outputs)):
                return None
            held = not op.weights(shapes_of(values)) or self._slots(path, op, values) is not None
        except (GnetError, ValueError, IndexError):
            return None
        return op if held and makes(op, shapes_of(values), shapes_of(outputs)) else None

    def _attention(self, path: str, done: Sequence[Record], values: Sequence[Made]) -> Op | None:
        """torch.nn.MultiheadAttention with the batch first, without masks, by how many heads its product has."""
        first = done[0]
        if not isinstance(first.op, Permute) or first.values[0] is not values[0] or len(values) == 2:
            return None
        if any(record.name in ("cat", "baddbmm", "add") or record.tape.get("attn_mask") is not None for record in done):
            # It reads a mask, or adds keys of its own.
            return None
        for record in done:
            if isinstance(record.op, ScaledDotProductAttention):
                heads = record.values[0].shape[1] if not record.op.is_causal else 0
            elif isinstance(record.op, MatMul):
                heads = record.values[0].shape[0] // values[0].shape[0]
            else:
                continue
            bias = f"{path}.in_proj_bias" in self.weights
            return op_of("MultiheadAttention", num_heads=heads, bias=bias)
        return None


def _is_list(scope: Scope) -> bool:
    """Whether a module seems to be a list of others, one behind the other: what it runs are numbered modules alone."""
    last = -1
    before = f"{scope.path}." if scope.path else ""
    for item in scope.items:
        name = item.path.removeprefix(before) if item.path.startswith(before) else ""
        if not (name.isascii() and name.isdecimal()) or len(name) > 9 or int(name) <= last:
            return False
        last = int(name)
    return bool(scope.items) and bool(scope.path)
