"""`state_dict` in a block: layers in another order than the one they run in."""

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from gnet_inspect.errors import SpecError
from gnet_inspect.graph.optimize import optimize
from gnet_inspect.language import parse_spec
from gnet_inspect.runtime.module import build_module
from gnet_inspect.sources.spec import build_graph

SPEC = """
name: ordered
input: [4, 8, 8]
blocks:
  cell:
    {order}
    layers:
      first: {{Conv2d: {{out_channels: 4, kernel_size: 1, bias: false}}}}
      sum:
        add:
          - {{}}
          - second: {{PReLU: {{num_parameters: 4}}}}
            third: {{Conv2d: {{out_channels: 4, kernel_size: 1, bias: false}}}}
      scale: {{Parameter: {{shape: [4, 1, 1], init: 1e-6}}}}
      scaled: {{mul: [{{}}, scale]}}
      shift: {{Parameter: {{shape: [4, 1, 1]}}}}
      shifted: {{add: [{{}}, shift]}}
stages: {{main: [cell, [{{repeat: {{times: 2, layer: cell}}}}]]}}
"""


def names(order: str) -> list[str]:
    """What the state dict of the first cell holds, and that the others hold the same."""
    graph = build_graph(parse_spec(SPEC.format(order=order)))
    module = build_module(graph, device="meta")
    cells = [
        [name.removeprefix(prefix) for name in module.state_dict() if name.startswith(prefix)]
        for prefix in ("0.", "1.0.", "1.1.")
    ]
    assert cells[0] == cells[1] == cells[2]
    assert list(build_module(optimize(graph), device="meta").state_dict()) == list(module.state_dict())
    return cells[0]


def test_layers_stand_in_the_order_they_run_in_unless_the_block_has_another() -> None:
    """Those that are named change places among themselves; tensors of the block's own go before its layers."""
    run = ["scale", "shift", "first.weight", "second.weight", "third.weight"]
    assert names("params: []") == run
    assert names("state_dict: [third, first]") == [*run[:2], "third.weight", "second.weight", "first.weight"]
    assert names("state_dict: [third, shift, second, scale]") == [
        *("shift", "scale", "first.weight", "third.weight", "second.weight")
    ]


def test_a_tensor_starts_as_it_is_said() -> None:
    """A number, or zeros."""
    state = build_module(build_graph(parse_spec(SPEC.format(order="params: []")))).state_dict()
    assert state["0.scale"].flatten().tolist() == pytest.approx([1e-6] * 4)
    assert state["0.shift"].flatten().tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("state_dict: [third, frist]", "expected a layer of the block `cell`, got 'frist'. (did you mean `first`?)"),
        ("state_dict: [third, third]", "expected each layer once, got `third` again"),
        ("state_dict: [third]", "expected a list of two or more layers of the block, in the order of the state dict"),
        ("state_dict: third", "expected a list of two or more layers of the block, in the order of the state dict"),
    ],
)
def test_mistakes_are_told(order: str, said: str) -> None:
    """With their line."""
    with pytest.raises(SpecError) as error:
        parse_spec(SPEC.format(order=order))
    assert said in str(error.value)
    assert error.value.line == 6
