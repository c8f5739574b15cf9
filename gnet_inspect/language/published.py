"""The `published` part of a spec: figures as their sources print them, so that the tool can audit itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from gnet_inspect.language.document import Value
from gnet_inspect.language.model import Claim, Figure, Published, Row, Said, Spec
from gnet_inspect.language.reader import Reader
from gnet_inspect.ops import Shape
from gnet_inspect.ops.arguments import Integer, Number

# What a source may print of some layers or of all; the sizes in bytes are those of fp32.
BYTES = ("state_dict_bytes", "feature_bytes")
QUANTITIES = ("params", "macs", "flops", "depth", "depth_with_pools", "neurons", *BYTES)
# The smallest square input is one of a whole network, an output that of some layers.
OF_TOTALS = ("min_input",)
RATIOS = ("params", "macs")
# With biases; without biases and BatchNorm; or with BatchNorm folded into biases.
PARAMS_ARE = ("parameters", "weights", "folded")
# Multiply-accumulates, or what one of the tools of `flops` counts as its own.
MACS_ARE = ("multiply-accumulates", "torch", "fvcore", "torchinfo", "ptflops_pytorch", "ptflops_aten", "thop")
MODES = ("eval", "train")
UNIT_PATTERN = "[A-Za-z]{1,3}"
# Which network an entry is about, where it is another than the spec's own.
NETWORK = ("with", "mode", "input")
SAID = ("erratum", "variant", "note")
ACCURACY_NUMBERS = ("top1_error", "top5_error", "top1_accuracy", "top5_accuracy")
# Each row and claim is judged, and says its source anew.
MOST_ROWS = 10_000
LONGEST_SOURCE = 1_000
ACCURACY_COUNTS = ("models", "crops")
COUNT_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
BYTE_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

_FIGURE = re.compile(rf"(-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*({UNIT_PATTERN}|)\Z")


class PublishedReader(Reader):
    """Reads one entry of `published` after the other; `network` reads the small networks that claims write out, and
    `input_of` an input (channels, height, width)."""

    def __init__(self, file: str, network: Callable[[Value], Spec], input_of: Callable[[Value], Shape]) -> None:
        super().__init__(file)
        self._network = network
        self._input = input_of
        self._rows = 0

    def entry(self, value: Value) -> Published:
        entries = self.fields(
            value,
            "a published source",
            ["source"],
            [*NETWORK, "units", "params_are", "macs_are", "rows", "totals", "claims", "accuracy", "note"],
        )
        units = self._units(entries["units"]) if "units" in entries else {}
        return Published(
            source=self.text(entries["source"], "the source, as one would cite it", LONGEST_SOURCE),
            units=units,
            params_are=self._word(entries, "params_are", PARAMS_ARE),
            macs_are=self._word(entries, "macs_are", MACS_ARE),
            overrides=self._edits(entries["with"]) if "with" in entries else {},
            mode=self._word(entries, "mode", MODES),
            input=self._input(entries["input"]) if "input" in entries else None,
            rows=self._several(entries, "rows", lambda item: self._row(item, units, ["nodes"], ["output"])),
            totals=self._row(entries["totals"], units, [], OF_TOTALS) if "totals" in entries else None,
            claims=self._several(entries, "claims", lambda item: self._claim(item, units)),
            accuracy=self._accuracy(entries["accuracy"]) if "accuracy" in entries else None,
            note=self._optional_text(entries, "note"),
            line=value.line,
            path=value.path,
        )

    def _units(self, value: Value) -> dict[str, int]:
        units = {}
        for name, item in self.mapping(value, "units, a mapping from letters to numbers").items():
            if not re.match(rf"{UNIT_PATTERN}\Z", name):
                raise self.error(item, f"expected one to three letters for a unit, got `{name}`", "as in 2.7K")
            units[name] = self.kind(item, Integer(1))
        return units

    def _word(self, entries: dict[str, Value], key: str, words: Sequence[str]) -> str:
        """One of some words; the first of them where the key is not given."""
        if key not in entries:
            return words[0]
        value = entries[key]
        if value.data not in words or not isinstance(value.data, str):
            raise self.expected(value, " or ".join(f'"{word}"' for word in words))
        return value.data

    def _edits(self, value: Value) -> dict[str, Value]:
        """Edits by path. What they meet is found when the network that they make is built."""
        edits = self.mapping(value, "edits {layer2.0.conv1.stride: 2, ...}, as --set takes them")
        if not edits:
            raise self.error(value, "expected at least one edit, got none", "without `with` it is the network as it is")
        return edits

    def _several(self, entries: dict[str, Value], key: str, each: Any) -> tuple[Any, ...]:
        return self.items(entries[key], f"{key}, a list", each) if key in entries else ()

    def _count(self, value: Value) -> None:
        self._rows += 1
        if self._rows > MOST_ROWS:
            raise self.error(value, f"expected at most {MOST_ROWS:,} published rows and claims, got more")

    def _optional_text(self, entries: dict[str, Value], key: str) -> str:
        return self.text(entries[key]) if key in entries else ""

    def _row(self, value: Value, units: dict[str, int], required: list[str], optional: Sequence[str]) -> Row:
        self._count(value)
        known = [key for key in (*QUANTITIES, *OF_TOTALS) if key in QUANTITIES or key in optional]
        entries = self.fields(value, "a published row", required, [*known, *optional, *SAID])
        figures = {
            key: self._figure(entries[key], (BYTE_UNITS if key in BYTES else COUNT_UNITS) | units)
            for key in known
            if key in entries
        }
        output = self._output(entries["output"]) if "output" in entries else ()
        if not figures and not output:
            raise self.error(
                value,
                "expected a published row with a figure, got none",
                f"one of {', '.join(dict.fromkeys([*known, *optional]))}",
            )
        nodes: tuple[str, ...] = ()
        if "nodes" in entries:
            nodes = self.items(entries["nodes"], "a list of node or block names", self.text, least=1)
        return Row(nodes, figures, output, self._said(value, entries), value.line, value.path)

    def _output(self, value: Value) -> tuple[int, ...]:
        """(channels, height, width), or (features,)."""
        words = "an output [channels, height, width] or [features], without the batch"
        if not isinstance(value.data, list) or len(value.data) not in (1, 3):
            raise self.expected(value, words)
        return tuple(self.kind(item, Integer(1)) for item in value.data)

    def _said(self, value: Value, entries: dict[str, Value]) -> Said:
        if "erratum" in entries and "variant" in entries:
            fact = "expected an `erratum` (the figure is wrong) or a `variant` (right for another network), got both"
            raise self.error(value, fact)
        return Said(*(self._optional_text(entries, key) for key in SAID))

    def _figure(self, value: Value, units: Mapping[str, int], negative: bool = False) -> Figure:
        """ "2.7K" with K = 1024 is 2,764.8, and everything within half of its last digit prints alike."""
        printed = value.text or str(value.data)
        match = _FIGURE.match(printed) if not isinstance(value.data, bool) else None
        if not match or (match[2] and match[2] not in units) or (match[1][0] == "-" and not negative):
            what = "letters" if all(len(unit) == 1 for unit in units) else "units"
            raise self.expected(
                value, f"a figure such as 2.7{next(iter(units))}, with one of the {what} {', '.join(units)}"
            )
        number = Decimal(match[1].replace(",", ""))
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        unit = units.get(match[2], 1)
        return Figure(printed, float(number) * unit, float(Decimal(5).scaleb(exponent - 1)) * unit)

    def _claim(self, value: Value, units: dict[str, int]) -> Claim:
        self._count(value)
        entries = self.fields(value, "a claim", ["of", "to", "value"], ["ratio", "difference", *SAID])
        if ("ratio" in entries) == ("difference" in entries):
            raise self.error(value, "expected a claim with `ratio` or `difference`, one of the two")
        difference = "difference" in entries
        kind = "difference" if difference else "ratio"
        side = self._source if difference else self._side
        return Claim(
            self._word(entries, kind, ACCURACY_NUMBERS if difference else RATIOS),
            side(entries["of"]),
            side(entries["to"]),
            self._figure(entries["value"], COUNT_UNITS | units, negative=difference),
            difference,
            self._said(value, entries),
            value.line,
            value.path,
        )

    def _source(self, value: Value) -> str:
        return self.text(value, "a source of this spec, in its own words")

    def _side(self, value: Value) -> str | Spec:
        if isinstance(value.data, dict):
            return self._network(value)
        return self.text(value, "a model's name, or a network {name: ..., input: ..., layers: ...}")

    def _accuracy(self, value: Value) -> dict[str, Any]:
        entries = self.fields(value, "an accuracy", ["dataset"], [*ACCURACY_NUMBERS, *ACCURACY_COUNTS])
        accuracy: dict[str, Any] = {"dataset": self.text(entries["dataset"])}
        for key in ACCURACY_NUMBERS:
            if key in entries:
                accuracy[key] = self.kind(entries[key], Number(0, 100))
        for key in ACCURACY_COUNTS:
            if key in entries:
                accuracy[key] = self.kind(entries[key], Integer(1))
        if not any(key in accuracy for key in ACCURACY_NUMBERS):
            raise self.error(
                value, "expected an accuracy with a figure, got none", f"one of {', '.join(ACCURACY_NUMBERS)}"
            )
        return accuracy
