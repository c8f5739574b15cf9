"""Networks of papers that no library has, drawn again in plain torch: the weights in order, the outputs to the bit."""

from itertools import pairwise
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import relu  # noqa: E402

from gnet_inspect.errors import SpecError  # noqa: E402
from gnet_inspect.language import load_spec  # noqa: E402
from gnet_inspect.runtime.module import build_module  # noqa: E402
from gnet_inspect.sources.spec import build_graph  # noqa: E402


class Unet(nn.Module):
    """Ronneberger et al. 2015, Figure 1; a skip is cut to the size of what it joins."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 64, 128, 256, 512, 1024)
        self.encoders = [pair(given, made) for given, made in pairwise(widths)]
        self.down = nn.ModuleList(map(nn.ModuleList, self.encoders))
        back = [(wide, narrow) for narrow, wide in reversed([*pairwise(widths[1:])])]
        self.decoders = [[nn.ConvTranspose2d(wide, narrow, 2, 2), *pair(wide, narrow)] for wide, narrow in back]
        self.up = nn.ModuleList(map(nn.ModuleList, self.decoders))
        self.head = nn.Conv2d(64, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level in self.encoders:
            if skips:
                x = nn.functional.max_pool2d(x, 2)
            for conv in level:
                x = relu(conv(x))
            skips.append(x)
        skips.pop()
        for enlarge, *convs in self.decoders:
            x = enlarge(x)
            skip = skips.pop()
            top, left = ((had - has) // 2 for had, has in zip(skip.shape[2:], x.shape[2:], strict=True))
            x = torch.cat((skip[:, :, top : top + x.shape[2], left : left + x.shape[3]], x), 1)
            for conv in convs:
                x = relu(conv(x))
        result: Tensor = self.head(x)
        return result


def pair(given: int, made: int) -> list[nn.Module]:
    """Two 3x3 convolutions without padding."""
    return [nn.Conv2d(given, made, 3), nn.Conv2d(made, made, 3)]


# BN-Inception's Figure 5: 1x1; 3x3 reduce, 3x3; double 3x3 reduce, double 3x3; projection. No 1x1: a stride of 2.
INCEPTIONS = (
    (64, 64, 64, 64, 96, 32),
    (64, 64, 96, 64, 96, 64),
    (0, 128, 160, 64, 96, 0),
    (224, 64, 96, 96, 128, 128),
    (192, 96, 128, 96, 128, 128),
    (160, 128, 160, 128, 160, 128),
    (96, 128, 192, 160, 192, 128),
    (0, 128, 192, 192, 256, 0),
    (352, 192, 320, 160, 224, 128),
    (352, 192, 320, 192, 224, 128),
)


def conv(given: int, made: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """A bias-free convolution, BatchNorm and ReLU."""
    layer = nn.Conv2d(given, made, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(made), nn.ReLU())


class SeInception(nn.Module):
    """Hu et al. 2018, Figure 2: an Inception block, and a gate for each of its channels."""

    def __init__(self, given: int, row: tuple[int, ...], last: bool) -> None:
        super().__init__()
        one, reduce, three, double_reduce, double, project = row
        stride = 1 if one else 2
        branches = [nn.Sequential(conv(given, one))] if one else []
        branches.append(nn.Sequential(conv(given, reduce), conv(reduce, three, 3, stride)))
        twice = (conv(double_reduce, double, 3), conv(double, double, 3, stride))
        branches.append(nn.Sequential(conv(given, double_reduce), *twice))
        if one:
            pool: nn.Module = nn.MaxPool2d(3, 1, 1) if last else nn.AvgPool2d(3, 1, 1)
            branches.append(nn.Sequential(pool, conv(given, project)))
        else:
            branches.append(nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True)))
        self.branches = nn.ModuleList(branches)
        self.made = one + three + double + (project if one else given)
        self.squeeze = nn.Conv2d(self.made, self.made // 16, 1)
        self.excite = nn.Conv2d(self.made // 16, self.made, 1)

    def forward(self, x: Tensor) -> Tensor:
        u = torch.cat([branch(x) for branch in self.branches], 1)
        gate: Tensor = self.excite(relu(self.squeeze(nn.functional.adaptive_avg_pool2d(u, 1))))
        gated: Tensor = u * torch.sigmoid(gate)
        return gated


def se_bn_inception() -> nn.Module:
    """BN-Inception of such blocks."""
    layers = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), conv(64, 64), conv(64, 192, 3)]
    layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
    channels = 192
    for index, row in enumerate(INCEPTIONS):
        block = SeInception(channels, row, index == len(INCEPTIONS) - 1)
        layers.append(block)
        channels = block.made
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


@pytest.mark.parametrize(
    ("model", "make", "sizes"),
    [("unet", Unet, [(188, 204), (220, 188)]), ("se_bn_inception", se_bn_inception, [(224, 224), (100, 131)])],
)
def test_a_network_drawn_again_is_equal_to_the_bit(model: str, make: Any, sizes: list[tuple[int, int]]) -> None:
    """Names differ, so the tensors are handed over in their order, which is that of both."""
    torch.manual_seed(0)
    theirs = make().eval()
    state = list(theirs.state_dict().values())
    spec = load_spec(model)
    for size in sizes:
        graph = build_graph(spec, (2, spec.input[0], *size))
        ours = build_module(graph).eval()
        names = list(ours.state_dict())
        assert len(names) == len(state)
        ours.load_state_dict(dict(zip(names, state, strict=True)))
        x = torch.randn(graph.input_shape)
        with torch.no_grad():
            expected = theirs(x)
            assert torch.equal(ours(x), expected)
        assert expected.std() > 0


@pytest.mark.parametrize("size", [172, 186, 190, 570, 574])
def test_unet_refuses_sizes_at_which_a_pool_meets_an_odd_one(size: int) -> None:
    """The sizes that its note names, and none between them."""
    spec = load_spec("unet")
    with pytest.raises(SpecError):
        build_graph(spec, (1, 1, size, size))
    for right in (188, 204, 556, 572):
        output = build_graph(spec, (1, 1, right, right)).nodes[-1].output_shapes[0]
        assert output == (1, 2, right - 184, right - 184)
