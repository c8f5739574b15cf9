"""The `published` part of a spec: figures as their sources print them, so that the tool can audit itself."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gnet_inspect.ops.arguments import Integer, Number
from gnet_inspect.spec.document import Value
from gnet_inspect.spec.model import Claim, Figure, Published, Row, Spec
from gnet_inspect.spec.reader import Reader

QUANTITIES = ("params", "macs", "depth")
ACCURACY_NUMBERS = ("top1_error", "top5_error", "top1_accuracy", "top5_accuracy")
# Each row and claim is judged, and says its source anew.
MOST_ROWS = 10_000
LONGEST_SOURCE = 1_000
ACCURACY_COUNTS = ("models", "crops")
DEFAULT_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}

_FIGURE = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?)\s*([A-Za-z]?)\Z")


class PublishedReader(Reader):
    """Reads one entry of `published` after the other; `network` reads the small networks that claims write out."""

    def __init__(self, file: str, network: Callable[[Value], Spec]) -> None:
        super().__init__(file)
        self._network = network
        self._rows = 0

    def entry(self, value: Value) -> Published:
        entries = self.fields(
            value,
            "a published source",
            ["source"],
            ["units", "params_are", "rows", "totals", "claims", "accuracy", "note"],
        )
        named: dict[str, int] = {}
        if "units" in entries:
            for letter, item in self.mapping(entries["units"], "units, a mapping from letters to numbers").items():
                if not re.match(r"[A-Za-z]\Z", letter):
                    raise self.error(item, f"expected one letter for a unit, got `{letter}`", "as in 2.7K")
                named[letter] = self.kind(item, Integer(1))
        units = DEFAULT_UNITS | named
        params_are = "parameters"
        if "params_are" in entries:
            params_are = self.text(entries["params_are"])
            if params_are not in ("weights", "parameters"):
                raise self.expected(entries["params_are"], '"weights" or "parameters" (with biases)')
        return Published(
            source=self.text(entries["source"], "the source, as one would cite it", LONGEST_SOURCE),
            units=named,
            params_are=params_are,
            rows=self._several(entries, "rows", lambda item: self._row(item, units, ["nodes"])),
            totals=self._row(entries["totals"], units, []) if "totals" in entries else None,
            claims=self._several(entries, "claims", lambda item: self._claim(item, units)),
            accuracy=self._accuracy(entries["accuracy"]) if "accuracy" in entries else None,
            note=self._optional_text(entries, "note"),
        )

    def _several(self, entries: dict[str, Value], key: str, each: Any) -> tuple[Any, ...]:
        return self.items(entries[key], f"{key}, a list", each) if key in entries else ()

    def _count(self, value: Value) -> None:
        self._rows += 1
        if self._rows > MOST_ROWS:
            raise self.error(value, f"expected at most {MOST_ROWS:,} published rows and claims, got more")

    def _optional_text(self, entries: dict[str, Value], key: str) -> str:
        return self.text(entries[key]) if key in entries else ""

    def _row(self, value: Value, units: dict[str, int], required: list[str]) -> Row:
        self._count(value)
        entries = self.fields(value, "a published row", required, [*QUANTITIES, "erratum", "note"])
        figures = {key: self._figure(entries[key], units) for key in QUANTITIES if key in entries}
        if not figures:
            raise self.error(value, "expected a published row with a figure, got none", "give params, macs or depth")
        nodes: tuple[str, ...] = ()
        if "nodes" in entries:
            nodes = self.items(entries["nodes"], "a list of node or block names", self.text, least=1)
        erratum, note = self._optional_text(entries, "erratum"), self._optional_text(entries, "note")
        return Row(nodes, figures, erratum, note, value.line, value.path)

    def _figure(self, value: Value, units: dict[str, int]) -> Figure:
        """ "2.7K" with K = 1024 is 2,764.8, and everything within half of its last digit prints alike."""
        printed = value.text or str(value.data)
        match = _FIGURE.match(printed) if not isinstance(value.data, bool) else None
        if not match or (match[2] and match[2] not in units):
            letters = ", ".join(units)
            raise self.expected(value, f"a figure such as 2.7K, with one of the letters {letters}")
        number = Decimal(match[1].replace(",", ""))
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        unit = units.get(match[2], 1)
        return Figure(printed, float(number) * unit, float(Decimal(5).scaleb(exponent - 1)) * unit)

    def _claim(self, value: Value, units: dict[str, int]) -> Claim:
        self._count(value)
        entries = self.fields(value, "a claim", ["ratio", "of", "to", "value"], ["erratum", "note"])
        ratio = self.text(entries["ratio"])
        if ratio not in ("params", "macs"):
            raise self.expected(entries["ratio"], '"params" or "macs"')
        return Claim(
            ratio,
            self._side(entries["of"]),
            self._side(entries["to"]),
            self._figure(entries["value"], units),
            self._optional_text(entries, "erratum"),
            self._optional_text(entries, "note"),
        )

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
