"""What holds while something is timed: the device, the threads, the precision; and what memory is given back."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from gnet_inspect.errors import MissingError
from gnet_inspect.runtime.latency.setting import Setting

# What allocators, cuBLAS, cuDNN and Metal say when they have no memory left.
SHORT = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


@contextmanager
def session(setting: Setting) -> Iterator[None]:
    """Events, streams and graphs go to the device of the setting; compiling, warming up and timing use its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(setting.threads)
    try:
        with ExitStack() as stack:
            if setting.device.startswith("cuda"):
                torch.cuda.init()  # type: ignore[no-untyped-call]
                stack.enter_context(torch.cuda.device(setting.device))
                stack.enter_context(precision(setting))
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def precision(setting: Setting) -> Iterator[None]:
    """How a GPU multiplies fp32: exactly, or rounded to tf32; and cuDNN tries its kernels before anything is timed.

    The older switches are set first and the newer one of cuDNN last: torch refuses to read the older ones where the
    newer were set to something else, and its compiler reads them.
    """
    allowed = setting.dtype == "tf32"
    wanted: list[tuple[Any, str, Any]] = [
        (torch.backends.cudnn, "benchmark", True),
        (torch.backends.cudnn, "allow_tf32", allowed),
        (torch.backends.cuda.matmul, "allow_tf32", allowed),
    ]
    if hasattr(torch.backends.cudnn, "conv"):  # torch 2.9 and later
        wanted.append((torch.backends.cudnn, "fp32_precision", "tf32" if allowed else "ieee"))
    before: list[tuple[Any, str, Any]] = []
    try:
        for place, name, value in wanted:
            before.append((place, name, getattr(place, name)))
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in reversed(before):
            setattr(place, name, value)


def release(device: str) -> None:
    """Free what nobody uses any more: candidates hold themselves by what they run, and only a collection ends that."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def forget_compiled(setting: Setting, networks: int) -> None:
    """All networks share the code of one forward: what was compiled for others counts against torch's limit."""
    if setting.compiled is None:
        return
    torch.compiler.reset()
    # The older name, which newer versions of torch know, too.
    torch._dynamo.config.cache_size_limit = max(8, 2 * networks)


@contextmanager
def explain_out_of_memory(what: str, device: str, half: str = "--dtype bf16") -> Iterator[None]:
    """Turns the errors of allocators into one that says what to do; `half` are the flags that take half precision."""
    try:
        yield
    except Exception as error:
        if not is_short_of_memory(error):
            raise
        raise MissingError(
            f"{what} does not fit into the memory of {device}: {str(error).splitlines()[0][:160]}. "
            f"(take a smaller --batch, or {half})"
        ) from error


def is_short_of_memory(error: BaseException) -> bool:
    """Whether an error is an allocator's."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SHORT)
