"""The bytes of an ONNX file without its weights: what protobuf is then given to read.

A weight is most of a file, and nothing of it is asked for but its sizes. So the fields of the file are walked, in the
one way that protobuf's wire format has (https://protobuf.dev/programming-guides/encoding), and the values of a large
tensor are passed over where they lie: they are never read. How much is kept, and of how many fields, is bounded before
protobuf takes memory for any of it.
"""

from io import BytesIO
from typing import BinaryIO, NoReturn

from gnet_inspect.errors import SpecError
from gnet_inspect.sources.bounds import MAX_BYTES, MAX_NODES
from gnet_inspect.sources.onnx.form import LARGEST_VALUES, MAX_FIELDS, MAX_NESTING

# The messages of onnx.proto that tensors lie in, by their fields' numbers.
_MODEL = {7: "graph", 25: "function"}
_INSIDE: dict[str, dict[int, str]] = {
    "model": _MODEL,
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "function": {7: "node", 11: "attribute", 12: "value"},
    "node": {5: "attribute", 9: "note"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "value": {2: "type"},
    # Of TypeProto, and of the messages in it.
    "type": {1: "type", 2: "shape", 4: "type", 8: "type", 9: "type"},
    "shape": {1: "dimension"},
}
# How the model is trained, and on which devices it runs.
_BESIDE = (20, 26)
# What has the values of a tensor: float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data.
_VALUES = (4, 5, 6, 7, 9, 10, 11)
# What is written for people: a doc_string of a model, graph, node, value, tensor, attribute or function.
_TALK = {"model": 6, "graph": 10, "node": 6, "value": 3, "tensor": 12, "attribute": 13, "function": 8}
# Where a node came from in Python, in the words of a traceback: most of what torch writes.
_TRACEBACK = b"stack_trace"
# A message of so many bytes is read as a whole before it is walked.
_WHOLE = 65_536


def skim(source: BinaryIO, size: int, file: str) -> bytes:
    """The bytes of a model of `size` bytes, without the values of large tensors. Raises SpecError where it is none."""
    return _Skimmer(file).message(source, size, "model", 0)


class _Skimmer:
    """One file being walked."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.fields = self.kept = self.nodes = 0

    def message(self, source: BinaryIO, size: int, kind: str, depth: int) -> bytes:
        """A message of `size` bytes from here on."""
        if depth > MAX_NESTING:
            self._refuse(f"expected messages nested at most {MAX_NESTING} deep, got more")
        inside, talk = _INSIDE.get(kind, {}), _TALK.get(kind)
        left = size
        made: list[bytes] = []
        while left > 0:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                self._refuse(f"expected at most {MAX_FIELDS:,} fields, got more")
            key, used = self._number(source, left)
            left -= used
            number, wire = key >> 3, key & 7
            if wire == 2:
                length, used = self._number(source, left)
                left -= used
                if length > left:
                    self._cut()
                left -= length
                is_weight = kind == "tensor" and number in _VALUES and length > LARGEST_VALUES
                if number == talk or is_weight or (kind == "model" and number in _BESIDE):
                    source.seek(length, 1)
                    continue
                found = self._field(source, length, inside.get(number), depth)
                if found is not None:
                    made += (_varint(key), _varint(len(found)), found)
            else:
                body = self._scalar(source, wire, left)
                left -= len(body)
                made += (_varint(key), body)
            self.kept += 2
        return b"".join(made)

    def _field(self, source: BinaryIO, length: int, kind: str | None, depth: int) -> bytes | None:
        """What a field holds; None where it is left out."""
        if kind == "node":
            self.nodes += 1
            if self.nodes > MAX_NODES:
                self._refuse(f"expected at most {MAX_NODES:,} nodes, got more")
        if kind in (None, "note") or length <= _WHOLE:
            found = self._read(source, length)
            if kind is None or kind == "note":
                if kind and _TRACEBACK in found[:64]:
                    return None
                self.kept += length
                return found
            source = BytesIO(found)
        return self.message(source, length, kind, depth + 1)

    def _scalar(self, source: BinaryIO, wire: int, left: int) -> bytes:
        if wire == 0:
            # It is written as it was: one that is longer than it needs to be stays so long.
            value, used = self._number(source, left)
            return _varint(value, used)
        if wire not in (1, 5):
            self._refuse(f"expected an ONNX model, which is a message of protobuf, got a field of wire type {wire}")
        return self._read(source, min(8 if wire == 1 else 4, left))

    def _number(self, source: BinaryIO, left: int) -> tuple[int, int]:
        """(a number, of how many bytes)"""
        value = shift = used = 0
        while True:
            byte = source.read(1) if used < left else b""
            if not byte:
                self._cut()
            used += 1
            value |= (byte[0] & 127) << shift
            if byte[0] < 128:
                return value, used
            shift += 7
            if shift > 63:
                self._refuse(
                    "expected an ONNX model, which is a message of protobuf, got a number of more than 64 bits"
                )

    def _read(self, source: BinaryIO, length: int) -> bytes:
        if self.kept + length > MAX_BYTES:
            self._refuse(f"expected at most {MAX_BYTES:,} bytes beside the weights, got more")
        found = source.read(length)
        if len(found) < length:
            self._cut()
        return found

    def _cut(self) -> NoReturn:
        self._refuse("expected an ONNX model, got a file that ends in the middle of one, or is none")

    def _refuse(self, fact: str) -> NoReturn:
        raise SpecError(fact, file=self.file)


def _varint(value: int, least: int = 1) -> bytes:
    """A number as protobuf writes it, of at least so many bytes.

    >>> _varint(300), _varint(1, 2)
    (b'\\xac\\x02', b'\\x81\\x00')
    """
    made = bytearray()
    while value > 127 or len(made) < least - 1:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
