"""The JSON Schema: valid itself, true of every spec, and able to refuse."""

import json

import jsonschema
import pytest

from gnet_inspect.language import catalogue, spec_text
from gnet_inspect.language.document import read_document
from gnet_inspect.language.schema import json_schema
from tests.conftest import Run
from tests.specs import HEADER

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def errors(text: bytes | str) -> list[str]:
    """What the schema says against a spec."""
    return [error.message for error in VALIDATOR.iter_errors(read_document(text, "spec").plain())]


def test_the_schema_is_a_schema(run: Run) -> None:
    """The command prints it."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert json.loads(run("schema").out) == SCHEMA


@pytest.mark.parametrize("model", catalogue())
def test_every_spec_of_the_catalogue_fits(model: str) -> None:
    """What we ship, an editor accepts."""
    assert errors(spec_text(model)[0]) == []


@pytest.mark.parametrize(
    "text",
    [
        "stages: {s: [ReLU, {Conv2d: {out_channels: 3, kernel_size: [1, $k]}, when: $f}, [Tanh], $layer, my_block]}",
        "stages: {s: {a: {add: {scale: 0.1, branches: [{}, null, [ReLU]]}}, b: [{repeat: {times: $n, layer: ReLU}}]}}",
        "stages: {s: {a: {my_block: {c2: [1, 2], act: {Conv2d: {out_channels: 3, kernel_size: 1}}}}, b: {ReLU: }}}",
        "stages: {s: [ReLU]}\npublished: [{source: s, with: {a: 2}, mode: train, input: [3, 9, 9], macs_are: thop}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, rows: [{nodes: [a], output: [3, 9, 9], variant: of v2}]}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, units: {MiB: 1}, totals: {min_input: 3, feature_bytes: 1MiB}}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, claims: [{difference: top5_error, of: s, to: s, value: -3.4}]}]",
    ],
)
def test_the_whole_grammar_fits(text: str) -> None:
    """References, flags, blocks, branches and repeats."""
    assert errors(HEADER + text) == []


@pytest.mark.parametrize(
    "text",
    [
        "input: [7]\nstages: {s: {a: {Linear: {out_features: $w // 2}}}}",
        "inputs: {image: [3, 9, 9], tokens: {shape: [77], dtype: int64}}\nstages: {s: {a: ReLU}}",
        "input: [9, 9]\noutputs: {boxes: neck.p3, state: lstm:1}\nstages: {s: {a: ReLU}}",
        "input: [9]\nstages: {s: {a-1: ReLU, b: {concat: [a-1, {}, $skip, {c: ReLU}]}, d: {mul: [a-1, b.0]}}}",
        "input: [9]\nstages: {s: {a: {concat: {dim: -1, branches: [b, {}]}}, c: {matmul: {branches: [a, b]}}}}",
        "input: [9]\nstages: {s: {a: {Tanh: , from: b}, c: {ReLU: , from: [a, $b], when: $f}, d: {share: a, from: c}}}",
        "input: [9]\nstages: {s: {a: {Upsample: {like: b.0}}, c: {Upsample: {like: $skip}}}}",
        "input: [9]\nstages: {s: {a: {Linear: {out_features: {round: [$o * $w, 8]}}}}}",
        "input: [9]\nstages: {s: {b: {Parameter: {shape: [1, $d]}}}}",
        "input: [9]\nstages: {s: {a: {MaxPool2d: {kernel_size: [$k - 1, 3], padding: same_tf}}, b: {b-2: }}}",
        "input: [9]\nstages: {s: {a: {Conv2d: {out_channels: $out-2, kernel_size: 1, padding: [0, $p, 0, 1]}}}}",
    ],
)
def test_the_words_for_any_network_fit(text: str) -> None:
    """Several inputs and outputs, values by their names, arithmetic."""
    assert errors(f"name: test\n{text}") == []


@pytest.mark.parametrize(
    "text",
    [
        "stages: {s: {a: ReLU}}",
        "input: [9]\ninputs: {a: [9]}\nstages: {s: {a: ReLU}}",
        "input: []\nstages: {s: {a: ReLU}}",
        "inputs: {a: {shape: [9], dtype: bool}}\nstages: {s: {a: ReLU}}",
        "input: [9]\noutputs: {}\nstages: {s: {a: ReLU}}",
        "input: [9]\noutputs: {a: [b]}\nstages: {s: {a: ReLU}}",
        "input: [9]\nstages: {s: {a: {add: [b]}}}",
        "input: [9]\nstages: {s: {a: {matmul: [b, c, d]}}}",
        "input: [9]\nstages: {s: {a: {mul: {branches: [b, c], scale: 2}}}}",
        "input: [9]\nstages: {s: {a: {ReLU: , Tanh: , from: b}}}",
        "input: [9]\nstages: {s: {a: {ReLU: , from: []}}}",
        "input: [9]\nstages: {s: {a: {share: 3}}}",
        "input: [9]\nstages: {s: {a: {share: a..b}}}",
        "input: [9]\nstages: {s: {a: {Linear: {out_features: {round: [8]}}}}}",
        "input: [9]\nstages: {s: {a: {Linear: {out_features: {floor: [8, 2]}}}}}",
        "input: [9]\nstages: {s: {a: {Linear: {out_features: 3 * 4}}}}",
        "input: [9]\nstages: {s: {a: {Linear: {out_features: 8, bias: $a + 1}}}}",
        "input: [9]\nstages: {s: {a: {Parameter: {}}}}",
    ],
)
def test_mistakes_in_these_words_are_seen_by_an_editor(text: str) -> None:
    """What a schema can see of them."""
    assert errors(f"name: test\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "stage: {s: [ReLU]}",
        "stages: {}",
        "stages: {s: ReLU}",
        "stages: {s: {a.b: ReLU}}",
        "stages: {s: {a: {Conv2d: {out_channels: 3}}}}",
        "stages: {s: {a: {Conv2d: {out_channels: 3, kernel_size: 1, strid: 2}}}}",
        "stages: {s: {a: {Conv2d: {out_channels: three, kernel_size: 1}}}}",
        "stages: {s: {a: {Dropout: {p: 2}}}}",
        "stages: {s: {a: {ReLU: , Tanh: , Sigmoid: }}}",
        "stages: {s: {a: {concat: {b: ReLU}}}}",
        "stages: {s: [{repeat: {times: 2}}]}",
        "stages: {s: [ReLU]}\nheads: {h: {layers: [ReLU]}}",
        "stages: {s: [ReLU]}\nyear: soon",
        "stages: {s: [ReLU]}\npublished: [{rows: []}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, with: {}}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, mode: training}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, macs_are: mine}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, rows: [{nodes: [a], min_input: 3}]}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, totals: {output: [3]}}]",
        "stages: {s: [ReLU]}\npublished: [{source: s, claims: [{difference: params, of: s, to: s, value: 1}]}]",
    ],
)
def test_mistakes_are_seen_by_an_editor(text: str) -> None:
    """What a schema can see, it sees."""
    assert errors(HEADER + text)
