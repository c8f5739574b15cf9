"""How a network is to be run, checked before anything is built."""

import torch
from msgspec import Struct

from gnet_inspect.errors import MissingError, UsageError
from gnet_inspect.graph import Graph
from gnet_inspect.units import dimensions

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Setting(Struct, frozen=True):
    """How a network is run: where, in which dtype and layout, by which of torch's ways, in which mode.

    `compiled` is a mode of torch.compile ("default", "max-autotune", ...), or None. `threads` are those of the CPU.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    channels_last: bool = False
    compiled: str | None = None
    cuda_graph: bool = False
    mode: str = "eval"
    optimizer: str = "sgd"
    threads: int = 1

    @property
    def variant(self) -> str:
        """What a record calls it: "eager", or what differs from that."""
        parts = ["channels_last"] if self.channels_last else []
        if self.compiled is not None:
            parts.append("compile" if self.compiled == "default" else f"compile({self.compiled})")
        if self.cuda_graph:
            parts.append("cuda_graph")
        if self.mode == "train":
            parts.append(self.optimizer)
        return "+".join(parts) or "eager"

    @property
    def torch_dtype(self) -> torch.dtype:
        return DTYPES[self.dtype]


def pick_device(name: str) -> str:
    """The device of --device: "auto" is the first GPU, or else the CPU. Raises MissingError where it is not there."""
    kind, _, number = name.partition(":")
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"--device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if kind == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(number or 0)
        if index >= there:
            raise MissingError(
                f"--device {name}: torch sees {there} CUDA devices. It needs an NVIDIA GPU, its driver, and a build of "
                "torch for CUDA: pip install torch"
            )
        return f"cuda:{index}"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise MissingError("--device mps: torch sees no Apple GPU. It needs macOS on Apple silicon: --device cpu")
    return kind


def check_setting(graph: Graph, setting: Setting) -> None:
    """Raise UsageError for what this network or device cannot do."""
    on_cuda = setting.device.startswith("cuda")
    if setting.cuda_graph and not on_cuda:
        raise UsageError(f"--cuda-graph: expected a CUDA device, got {setting.device}")
    if setting.cuda_graph and setting.compiled in ("reduce-overhead", "max-autotune"):
        raise UsageError(
            f"--cuda-graph: expected --compile default or max-autotune-no-cudagraphs, got {setting.compiled}, "
            "which makes CUDA graphs of its own"
        )
    if setting.dtype == "tf32" and not on_cuda:
        raise UsageError(f"--dtype tf32 is a format of NVIDIA's GPUs, got the device {setting.device}. (take fp32)")
    if setting.channels_last and not any(len(value.shape) == 4 for value in graph.inputs):
        shapes = ", ".join(dimensions(value.shape) for value in graph.inputs)
        raise UsageError(f"--channels-last: expected a network of images, N x C x H x W, got the input {shapes}")
    if setting.mode == "train":
        if setting.cuda_graph:
            raise UsageError("--cuda-graph: expected --mode eval; a training step is not captured")
        _check_loss(graph)
        _check_batch_norm(graph)


def _check_loss(graph: Graph) -> None:
    """A step has the loss of a classifier: cross-entropy of the output and of each head, with the same labels."""
    if graph.names_outputs:
        names = ", ".join(output.name for output in graph.outputs if output.weight is None)
        raise UsageError(f"--mode train: expected a network of one output that has no name, got {names}")
    shapes = graph.shapes()
    scores = shapes[graph.output]
    if len(scores) not in (2, 4, 5):
        raise UsageError(
            "--mode train: expected scores N x classes, or N x classes x H x W, for the loss of a classifier, got "
            f"{dimensions(scores)}"
        )
    for head in graph.heads:
        if shapes[head.value] != scores:
            raise UsageError(
                f"--mode train: expected the head `{head.name}` to give what the network gives, {dimensions(scores)}, "
                f"for one loss of both, got {dimensions(shapes[head.value])}"
            )


def _check_batch_norm(graph: Graph) -> None:
    """BatchNorm in training needs more than one value in each channel."""
    for node in graph.nodes:
        if node.op.refuses_training(node.input_shapes):
            raise UsageError(
                f"--mode train: `{node.name}` is a BatchNorm behind a 1x1 map, and at batch 1 it sees one value in "
                "each channel, which has no variance. (take --batch 2 or more)"
            )
