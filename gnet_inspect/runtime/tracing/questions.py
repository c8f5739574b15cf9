"""What is asked of a tensor that is no call to record: its shape, its device, its values, a constant like it."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor


class Answers(Protocol):
    """What answers: the recorder of a run."""

    device: torch.device
    is_real: bool

    def hides(self, tensor: Tensor) -> bool: ...
    def call(self, func: Any, args: Any, kwargs: Any) -> Any: ...
    def refuse_value(self, func: Any, args: Any, kwargs: Any) -> Any: ...
    def make_constant(self, func: Any, args: Any, kwargs: Any) -> Any: ...
    def set_data(self, func: Any, args: Any, kwargs: Any) -> None: ...


def _plain(_: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    """A question that shapes and dtypes answer."""
    return func(*args, **kwargs)


def _device(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    """A tensor of the network is said to be where the network is, so that constants are made real."""
    return recorder.device if recorder.hides(args[0]) else func(*args, **kwargs)


def _is_on(kind: str) -> Callable[[Answers, Any, Any, Any], bool]:
    def answer(recorder: Answers, func: Any, args: Any, kwargs: Any) -> bool:
        if not recorder.hides(args[0]):
            return bool(func(*args, **kwargs))
        return recorder.device.type == kind

    return answer


def _device_index(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    if not recorder.hides(args[0]):
        return func(*args, **kwargs)
    return recorder.device.index or 0 if recorder.device.type == "cuda" else -1


def _refuse(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    return recorder.refuse_value(func, args, kwargs)


def _move(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    """To another device: it stays where it is."""
    if recorder.is_real and args[0].device == recorder.device:
        return recorder.call(func, args, kwargs)
    return args[0]


def _set_data(recorder: Answers, func: Any, args: Any, kwargs: Any) -> None:
    recorder.set_data(func, args, kwargs)


def _to(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    """To another dtype, and never to another device."""
    tensor, rest = args[0], list(args[1:])
    options = {name: value for name, value in kwargs.items() if name not in ("device", "non_blocking", "copy")}
    if rest and isinstance(rest[0], Tensor):
        options["dtype"] = rest[0].dtype
        rest = []
    elif isinstance(kwargs.get("other"), Tensor):
        options["dtype"] = options.pop("other").dtype
    dtype = next((item for item in rest if isinstance(item, torch.dtype)), options.get("dtype"))
    if dtype is None or dtype == tensor.dtype:
        return tensor
    return recorder.call(func, (tensor, dtype), {})


def _new(recorder: Answers, func: Any, args: Any, kwargs: Any) -> Any:
    """x.new_zeros(...), torch.zeros_like(x): a constant, though it is asked of a value."""
    tensor = args[0] if args else kwargs["input"]
    if recorder.is_real or not tensor.is_meta:
        return recorder.make_constant(func, args, kwargs)
    options = {
        name: value for name, value in kwargs.items() if name not in ("device", "input", "memory_format", "layout")
    }
    options.setdefault("dtype", tensor.dtype)
    if options["dtype"] is None:
        options["dtype"] = tensor.dtype
    name = func.__name__
    if name.endswith("_like"):
        return getattr(torch, name.removesuffix("_like"))(tuple(tensor.shape), *args[1:], **options, device="cpu")
    if name == "new_tensor":
        return torch.tensor(args[1], **options, device="cpu")
    return getattr(torch.empty(0, dtype=tensor.dtype), name)(*args[1:], **options, device="cpu")


def _getters() -> dict[Any, Any]:
    names = (
        "shape dtype requires_grad ndim layout is_sparse is_quantized is_complex is_leaf itemsize nbytes names grad_fn "
        "is_nested is_sparse_csr is_mkldnn is_vulkan is_ipu is_xla is_xpu is_maia output_nr _version grad _base"
    )
    return {
        getattr(Tensor, name).__get__: _plain
        for name in names.split()
        if hasattr(getattr(Tensor, name, None), "__get__") and not callable(getattr(Tensor, name))
    }


def _methods(names: str, handler: Any) -> dict[Any, Any]:
    return {getattr(Tensor, name): handler for name in names.split() if hasattr(Tensor, name)}


SPECIAL: dict[Any, Any] = {
    **_getters(),
    **_methods(
        "size dim numel nelement ndimension stride is_contiguous __len__ is_floating_point is_complex element_size "
        "storage_offset untyped_storage data_ptr is_same_size requires_grad_ retain_grad register_hook __repr__ "
        "__hash__ is_conj is_neg has_names sym_size __format__ __dir__ is_inference is_signed is_set_to dim_order",
        _plain,
    ),
    **dict.fromkeys((torch.is_floating_point, torch.is_complex, torch.numel, torch.is_conj, torch.is_neg), _plain),
    Tensor.device.__get__: _device,
    Tensor.is_cuda.__get__: _is_on("cuda"),  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: _is_on("cpu"),  # type: ignore[attr-defined]
    Tensor.is_mps.__get__: _is_on("mps"),  # type: ignore[attr-defined]
    Tensor.is_meta.__get__: _is_on("meta"),  # type: ignore[attr-defined]
    Tensor.get_device: _device_index,
    **_methods(
        "item tolist numpy __bool__ __int__ __float__ __index__ __complex__ __contains__ nonzero __array__ equal "
        "allclose unique unique_consecutive is_nonzero bincount __iter__ masked_select argwhere",
        _refuse,
    ),
    **dict.fromkeys(
        (
            *(torch.nonzero, torch.equal, torch.allclose, torch.unique, torch.unique_consecutive, torch.is_nonzero),
            *(torch.bincount, torch.masked_select, torch.argwhere),
        ),
        _refuse,
    ),
    **_methods("cpu cuda mps pin_memory", _move),
    Tensor.to: _to,
    Tensor.data.__set__: _set_data,  # type: ignore[attr-defined]
    **_methods("new_zeros new_ones new_empty new_full new_tensor", _new),
    **{getattr(torch, f"{name}_like"): _new for name in ("zeros", "ones", "empty", "full", "rand", "randn")},
}
# Iterating over a value is torch's unbind; over a constant its own.
SPECIAL.pop(Tensor.__iter__, None)
