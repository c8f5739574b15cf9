"""Every kind of mistake in a spec: file, line, path, what was expected, what came, how to mend it."""

import re
from collections.abc import Callable

import pytest

from gnet_inspect.analysis.audit import check_published
from gnet_inspect.errors import SpecError
from gnet_inspect.language import parse_spec
from gnet_inspect.sources.spec import build_graph

HEADER = "name: test\ninput: [3, 32, 32]\n"
INCEPTION = """\
blocks:
  inception:
    params: [c1, c2]
    layers:
      a: {Conv2d: {out_channels: $c1, kernel_size: 1}}
      b: {Conv2d: {out_channels: $c2.0, kernel_size: 1}}
      c: {Conv2d: {out_channels: $c2.1, kernel_size: 1}}
"""

# One spec a line, as short as shows it.
# ruff: noqa: E501
MISTAKES = (
    "input: [3, 32, 32]\nstages: {s: {a: ReLU}}",
    "name: x\ninput: []\nstages: {s: {a: ReLU}}",
    "name: x\ninput: [3, 0, 32]\nstages: {s: {a: ReLU}}",
    "name: 3\ninput: [3, 3, 32]\nstages: {s: {a: ReLU}}",
    HEADER + "stage: {s: {a: ReLU}}",
    HEADER + "stages: {}",
    HEADER + "stages: {s: {}}",
    HEADER + "stages: [a]",
    HEADER + "stages: {s: {a: ReLu}}",
    HEADER + "stages: {s: {a: {Conv2D: {out_channels: 3, kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_chanels: 3, kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: 3}}}}",
    HEADER + "stages: {s: {a: Conv2d}}",
    HEADER + "stages: {s: {a: {Conv2d: {in_channels: 3, out_channels: 3, kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: three, kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: 3, kernel_size: [1, 2, 3]}}}}",
    HEADER + "stages: {s: {a: {Conv2d: 3}}}",
    HEADER + "stages: {s: {a: 3}}",
    HEADER + "stages: {s: {a: {b: ReLU, c: ReLU}}}",
    HEADER + "stages: {s: {a: {}}}",
    HEADER + "stages: {s: {Conv2d: {out_channels: 3, kernel_size: 1}}}",
    HEADER + "stages: {s: {type: ReLU}}",
    HEADER + "stages: {s: {a.b: ReLU}}",
    HEADER + "stages: {s: {input: ReLU}}",
    HEADER + "stages: {s: {a: ReLU}, t: {a: ReLU}}",
    HEADER + "stages: {s: {a: {concat: [{b: ReLU}, {b: ReLU}]}}}",
    HEADER + "stages: {s: {a: {concat: []}}}",
    HEADER + "stages: {s: {a: {concat: {b: ReLU}}}}",
    HEADER + "stages: {s: {a: {add: [{}]}}}",
    HEADER + "stages: {s: {a: {add: {scales: 1, branches: [{}, {}]}}}}",
    HEADER + "stages: {s: {a: {add: [{}, {b: {Conv2d: {out_channels: 8, kernel_size: 1}}}]}}}",
    HEADER + "stages: {s: {a: {repeat: {times: 2, layer: ReLU}}}}",
    HEADER + "stages: {s: {a: [{repeat: {times: -1, layer: ReLU}}]}}",
    HEADER + "stages: {s: {a: [{repeat: {times: 2}}]}}",
    HEADER + "stages: {s: {a: {ReLU: , when: true}}}",
    HEADER + "stages: {s: {a: {ReLU: , when: $flag}}}",
    HEADER + "params: {flag: 3}\nstages: {s: {a: {ReLU: , when: $flag}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: $width, kernel_size: 1}}}}",
    HEADER + "params: {width: 3}\nstages: {s: {a: {Conv2d: {out_channels: $widht, kernel_size: 1}}}}",
    HEADER + "params: {width: 3}\nstages: {s: {a: {Conv2d: {out_channels: $width / 2, kernel_size: 1}}}}",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a:\n      inception:\n        c1: 64\n        c2: 96\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: {inception: {c1: 64, c2: [96, 128, 4]}}\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: {inception: {c1: 64, c2: [96, x]}}\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: {inception: {c1: 64}}\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: {inception: {c1: 64, c3: 3, c2: [96, 128]}}\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: {incepton: {c1: 64, c2: [96, 128]}}\n",
    HEADER + INCEPTION + "stages:\n  inception3:\n    inception3a: inception\n",
    HEADER
    + "blocks: {b: {params: [c], layers: {a: {Conv2d: {out_channels: $c.1, kernel_size: 1}}}}}\nstages: {s: {a: ReLU}}",
    HEADER
    + "blocks: {b: {params: [c, d], layers: {a: {Conv2d: {out_channels: $c, kernel_size: 1}}}}}\nstages: {s: {a: ReLU}}",
    HEADER
    + "blocks: {b: {params: [c], layers: {a: $c, d: {Conv2d: {out_channels: $c, kernel_size: 1}}}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {b: {params: [c, c], layers: {a: $c}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {b: {params: [c], defaults: {d: 1}, layers: {a: $c}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {b: {layers: {a: c}}, c: {layers: {a: b}}}\nstages: {s: {a: b}}",
    HEADER + "blocks: {b: {layers: {a: b}}}\nstages: {s: {a: b}}",
    HEADER + "blocks: {Conv2d: {layers: {a: ReLU}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {concat: {layers: {a: ReLU}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {b: {params: [a.b], layers: {a: $half}}}\nstages: {s: {a: ReLU}}",
    HEADER + "blocks: {b: [ReLU]}\nstages: {s: {a: ReLU}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {h: {from: b, layers: [ReLU]}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {h: {layers: [ReLU]}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {a: {from: a, layers: [ReLU]}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {h: {from: a, weight: heavy, layers: [ReLU]}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {h: {from: a, layers: {}}}",
    HEADER + "stages: {s: {f: Flatten, a: {MaxPool2d: {kernel_size: 2}}}}",
    HEADER + "stages:\n  s:\n    a: ReLU\n    b: {MaxPool2d: {kernel_size: 64}}\n",
    HEADER + "stages: {s: {a: ReLU}}\nyear: soon",
    HEADER + "stages: {s: {a: ReLU}}\npaper: {title: 3.5}",
    HEADER + "stages: {s: {a: ReLU}}\npaper: {author: x}",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, rows: [{nodes: [a], params: 3Q}]}]",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, rows: [{nodes: [b], params: 3K}]}]",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, rows: [{nodes: [a]}]}]",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, params_are: things}]",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, accuracy: {dataset: I}}]",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, claims: [{ratio: speed, of: a, to: b, value: 1}]}]",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: 2147483647, kernel_size: 2147483647}}}}",
    HEADER
    + "stages: {s: {a: {Conv2d: {out_channels: 2147483647, kernel_size: 1}}, b: {Conv2d: {out_channels: 2147483647, kernel_size: 1}}}}",
    HEADER + "params: {p: {x: 1}}\nstages: {s: {a: ReLU}}",
    "- a",
    "3",
    "name",
    HEADER + "stages: {s: {a: relu}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: '3', kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: 9223372036854775807, kernel_size: 1}}}}",
    HEADER + "stages: {s: {a: {Conv2d: {out_channels: 3, kernel_size: 1, padding_mode: reflect}}}}",
    HEADER + "stages: {s: {a:ReLU}}",
    HEADER + "stages: {s: a:ReLU}",
    HEADER + "stages:\n  s:\n\ta: ReLU\n",
    HEADER + INCEPTION + "stages: {s: {a: {concat: [{inception: {c1: 3, c2: [1, 2]}}]}}}",
    HEADER + "stages: {s: {a: {concat: [[ReLU], [Tanh]]}}}",
    HEADER + "params: {n: 5, w: $n}\nstages: {s: {a: {Conv2d: {out_channels: $w, kernel_size: 1}}}}",
    HEADER
    + "blocks: {b: {params: [n, m], defaults: {m: $n}, layers: {a: {Conv2d: {out_channels: $n, kernel_size: $m}}}}}\nstages: {s: {a: ReLU}}",
    HEADER + "stages: {s: {a: ReLU}}\nheads: {g: {from: a, layers: [ReLU]}, h: {from: g, layers: [ReLU]}}",
    HEADER + "stages: {s: {a: ReLU}}\npublished: [{source: x, units: {kilo: 1000}}]",
    HEADER + "stages: {s: {p: {AdaptiveAvgPool2d: {output_size: 1}}, b: {BatchNorm2d: {track_running_stats: false}}}}",
    HEADER + "stages: {s: {p: {AdaptiveAvgPool2d: {output_size: null}}}}",
    HEADER + "stages: {s: {b: {BatchNorm2d: {eps: 0}}}}",
    HEADER + "stages: {s: {a: ReLU}}\ntitle: 2014",
    HEADER + "stages: {s: {a: ReLU}}\npaper: foo",
)


def mistake(text: str) -> SpecError:
    """What the spec is answered with."""

    def read_whole() -> None:
        spec = parse_spec(text, "m.yaml")
        check_published(spec, build_graph(spec, mode="train"))

    with pytest.raises(SpecError) as caught:
        read_whole()
    return caught.value


def test_mistakes_are_answered_as_the_golden_file_says(golden: Callable[[str, str], None]) -> None:
    """The whole sentence of every error, in tests/golden/spec_errors.txt."""
    answers = [mistake(text) for text in MISTAKES]
    golden("spec_errors.txt", "".join(f"{answer}\n" for answer in answers))


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_carry_file_line_and_path(text: str) -> None:
    """The parts of an error are there for programs too."""
    error = mistake(text)
    assert re.match(
        r"m\.yaml:\d+: .*(expected .+, got .+|cannot take its input|expected valid YAML, got: )", str(error)
    )
    assert error.file == "m.yaml"
    assert error.line is not None
    assert 1 <= error.line <= text.count("\n") + 1


def test_a_value_that_is_no_pair() -> None:
    """The line is that of the argument, not that of the place where the block uses it."""
    text = (
        HEADER
        + INCEPTION
        + "stages:\n  inception3:\n    inception3a:\n      inception:\n        c1: 64\n        c2: 96\n"
    )
    assert str(mistake(text)) == (
        "m.yaml:15: `stages.inception3.inception3a.inception.c2`: expected a pair of positive integers, got 96"
    )
