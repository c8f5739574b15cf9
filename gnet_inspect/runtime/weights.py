"""A checkpoint's tensors -> a module: compared name by name first, copied only then."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from torch import Tensor, is_inference_mode_enabled, nn, no_grad, strided
from torch.nn.parameter import is_lazy

from gnet_inspect.errors import UsageError, brief, expect, nearest, quoted, show
from gnet_inspect.records.weights import LoadedWeights, Mismatch, is_below
from gnet_inspect.runtime.checkpoint import WRAPPERS, Checkpoint, read_checkpoint
from gnet_inspect.runtime.layers import ChannelAffine
from gnet_inspect.runtime.misfit import SEARCHED, explain_misfit
from gnet_inspect.runtime.module import Network
from gnet_inspect.runtime.renaming import fit_names
from gnet_inspect.units import dimensions

# BatchNorm counts its batches from this version of its state dict on (torch 0.4.1).
_COUNTER, _COUNTING = "num_batches_tracked", 2
# Where torch looks for a module's own rules of loading; BatchNorm's is about counters that older files lack.
_LOADING = ("state_dict", "_save_to_state_dict", "load_state_dict", "_load_from_state_dict")
_HOOKS = ("_state_dict_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")
_COPYING = (nn.Module, nn.BatchNorm2d)


def load_weights(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    strict: bool = True,
    leave: Literal["heads"] | Sequence[str] = (),
    transform_input: bool | None = None,
) -> LoadedWeights:
    """Copy the weights of a checkpoint into a module, and say what came of every name.

    Everything is compared before anything is copied: a load that fails leaves the module as it was. The file never runs
    code. Tensors are copied into the module's dtype and device. The wrappings of torch.compile, DataParallel and
    training loops (an entry `state_dict`, `model` or `model_state_dict`) are taken off the file's names and, for the
    first two, the module's; so is a prefix (`backbone.`) without which the names fit. The report's notes say so.

    Parameters
    ----------
    module
        What `build_module` returned, or any module that has its memory already (not on the device meta).
    path
        A file that torch.save wrote (a zip archive or, before torch 1.6, a pickle) or a safetensors file. The content
        decides; an ending that says otherwise is an error.
    strict
        Names that only one of the two has, and tensors of another shape or kind or with a value that the module's dtype
        cannot hold, are an error. False copies what fits and reports the rest.
    leave
        Parts to leave alone, by the names of layers, blocks or heads (`("fc",)`): they keep what they have in the
        module, and what the file has of them is not used. "heads" means the auxiliary heads of the spec, whether the
        module has them or its graph left them out: so a checkpoint trained with heads loads into the network without
        them, and one without heads into the network with them. It may stand among names (`("heads", "fc")`), where a
        part that is itself called so goes before.
    transform_input
        Some of torchvision's pretrained weights (GoogLeNet's, Inception v3's) expect their input renormalised, which
        specs have as a ChannelAffine layer under `when: $transform_input`. True demands that the module has it, False
        that it has not, None does not ask.

    A counter `num_batches_tracked` may be missing where the file does not say that BatchNorm had it, as torch itself
    allows: files of torch before 0.4.1, and all safetensors files. It keeps its value.

    Raises UsageError for a file that is no checkpoint or does not fit and for a module that cannot take what fits, and
    MissingError where safetensors, memory or, for torch.save's files, a torch that reads them safely (2.10) is lacking.
    """
    expect(module, nn.Module, "a torch.nn.Module (build_module gives one)")
    expect(path, (str, os.PathLike), "the path of a checkpoint")
    expect(os.fspath(path), str, "the path of a checkpoint as text")
    network, prefix = _unwrapped(module)
    own = _own_tensors(module, prefix)
    left = _checked_leave(network, leave)
    _check_transform(network, transform_input)
    checkpoint = fit_names(read_checkpoint(path), own)
    parts = _parts(network, leave, {**own, **checkpoint.tensors})
    report = _compare(os.fspath(path), own, checkpoint, parts)
    if strict and not report.complete:
        raise UsageError(explain_misfit(report, network, own, checkpoint.tensors, left))
    own = {name: own[name] for name in report.loaded}
    _check_writable(own)
    _copy(module, prefix, own, checkpoint.tensors, report.path)
    return report


# --- the module ---


def _unwrapped(module: nn.Module) -> tuple[nn.Module, str]:
    """The network inside of DataParallel and torch.compile, and the prefix they give its names."""
    prefix = ""
    while not isinstance(module, Network):
        names = [name for name, _ in module.named_children()]
        if len(names) != 1 or names[0] not in WRAPPERS:
            break
        prefix += f"{names[0]}."
        module = module.get_submodule(names[0])
    return module, prefix


def _own_tensors(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """A module's parameters and buffers by name. Raises UsageError where there is no memory to copy into."""
    own: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):  # the rest is extra state, which is not weights
            if is_lazy(tensor) or tensor.is_meta:
                where = "lazy, without a shape yet" if is_lazy(tensor) else "on the device meta, without memory"
                raise UsageError(
                    f"expected a module to copy weights into, got {quoted(name)} {where}. "
                    '(build it where it is to run: build_module(graph, device="cpu"))'
                )
            own[name.removeprefix(prefix)] = tensor
    return own


def _check_transform(network: nn.Module, wanted: bool | None) -> None:
    """Raise UsageError where the module renormalises its input, or does not, against what is asked."""
    expect(wanted, (bool, type(None)), "transform_input as True, False or None")
    # torchvision's own modules keep it as a flag.
    found = getattr(network, "transform_input", None)
    if not isinstance(found, bool):
        found = any(isinstance(layer, ChannelAffine) for layer in network.modules())
    if wanted is None or wanted == found:
        return
    had = "one with it" if found else "one without it"
    value = "True" if wanted else "False"
    raise UsageError(
        f"expected a module with{'' if wanted else 'out'} the input transform, got {had}. "
        f'(where the spec has it: build_graph(spec, overrides={{"transform_input": {value}}}))'
    )


def _checked_leave(network: nn.Module, leave: str | Sequence[str]) -> tuple[str, ...]:
    """What the caller leaves, as names. Raises UsageError where these are none, or heads of a stranger's module."""
    if leave != "heads" and (isinstance(leave, str) or not isinstance(leave, Sequence)):
        raise UsageError(f'expected leave="heads" or a tuple of names, got {show(leave)}. (leave=("fc",) is one name)')
    names = (leave,) if isinstance(leave, str) else tuple(leave)
    for name in names:
        expect(name, str, "the name of a part to leave as text")
    if leave == "heads":
        _check_knows_heads(network)
    return names


def _check_knows_heads(network: nn.Module) -> None:
    if not isinstance(network, Network):
        raise UsageError(
            f"expected a module that build_module made, which knows its heads, got a {type(network).__name__}. "
            '(name the parts to leave: leave=("aux1", "aux2"))'
        )


def _parts(network: nn.Module, leave: str | Sequence[str], names: Collection[str]) -> tuple[str, ...]:
    """The parts to leave alone. "heads" stands for those of the spec; among others, unless a part is called so."""
    parts: list[str] = []
    for part in _checked_leave(network, leave):
        if part == "heads" and (leave == "heads" or not any(is_below(name, part) for name in names)):
            _check_knows_heads(network)
            assert isinstance(network, Network)
            parts.extend(network._heads)
        else:
            _check_part(part, names)
            parts.append(part)
    return tuple(parts)


def _check_part(part: str, names: Collection[str]) -> None:
    """Raise UsageError for a part that neither the module nor the file has."""
    if not any(is_below(name, part) for name in names):
        # Only as deep as the part: a name may have any number of dots.
        depth = part.count(".") + 1
        known = dict.fromkeys(".".join(name.split(".", depth)[:depth]) for name in names)
        fact = f"leave: expected a part of the module or the file that has weights, got {quoted(part)}"
        raise UsageError(f"{fact}. ({nearest(part, list(known)[:SEARCHED])})")


# --- names ---


def _below(name: str, parts: tuple[str, ...]) -> bool:
    return any(is_below(name, part) for part in parts)


def _compare(path: str, own: dict[str, Tensor], checkpoint: Checkpoint, parts: tuple[str, ...]) -> LoadedWeights:
    """Every name of the two, where it belongs."""
    saved = checkpoint.tensors
    loaded: list[str] = []
    missing: list[str] = []
    untracked: list[str] = []
    mismatched: list[Mismatch] = []
    dtypes: Counter[str] = Counter()
    for name, mine in own.items():
        if _below(name, parts):
            continue
        if name not in saved:
            (untracked if _may_lack(name, checkpoint) else missing).append(name)
        elif not _fits(mine, saved[name]):
            mismatched.append(Mismatch(name, _describe(mine), _describe(saved[name])))
        elif odd := _lost(mine, saved[name]):
            mismatched.append(Mismatch(name, _describe(mine), f"{_describe(saved[name])} with {odd}"))
        else:
            loaded.append(name)
            if mine.dtype != saved[name].dtype:
                dtypes[f"{_dtype(saved[name])} into {_dtype(mine)}"] += 1
    left = [name for name in {**own, **saved} if _below(name, parts)]
    unexpected = [name for name in saved if name not in own and not _below(name, parts)]
    notes = [f"copied {number} from {which}" for which, number in dtypes.items()]
    return LoadedWeights(
        path=path,
        format=checkpoint.format,
        loaded=tuple(loaded),
        left=tuple(left),
        untracked=tuple(untracked),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        mismatched=tuple(mismatched),
        notes=(*checkpoint.notes, *notes),
        parts=tuple(dict.fromkeys(parts)),
    )


def _may_lack(name: str, checkpoint: Checkpoint) -> bool:
    """Whether a file may lack a BatchNorm's counter: torch's rule, by the version the file states of that layer."""
    layer, dot, last = name.rpartition(".")
    # Where the whole layer is missing, its counter is missing like the rest.
    if last != _COUNTER or f"{layer}{dot}running_mean" not in checkpoint.tensors:
        return False
    mean = f"{layer}{dot}running_mean"
    stated = checkpoint.versions.get(checkpoint.origins.get(mean, mean).rpartition(".")[0])
    version = stated.get("version") if isinstance(stated, dict) else None
    return not isinstance(version, int) or version < _COUNTING


# --- tensors ---


def _fits(mine: Tensor, saved: Tensor) -> bool:
    """Whether a tensor is of the shape and kind to be copied and then mean the same; its values are another matter.

    Integers and floats of eight bits or fewer are codes of a quantisation, whose scale is elsewhere. A counter may be a
    float: that is what converting a whole file to half precision makes of it.
    """
    if any(tensor.is_nested or tensor.is_meta or tensor.layout != strided for tensor in (mine, saved)):
        return False
    if saved.shape != mine.shape:
        return False
    if saved.dtype == mine.dtype:
        return True
    if mine.is_floating_point():
        return saved.is_floating_point() and min(mine.element_size(), saved.element_size()) > 1
    return not any(tensor.is_complex() or tensor.is_quantized for tensor in (mine, saved))


def _lost(mine: Tensor, saved: Tensor) -> str:
    """A value that the module's dtype cannot hold, in words; what is merely rounded is not lost."""
    if saved.dtype == mine.dtype:
        return ""
    copied = saved.to(mine.dtype).to(saved.dtype)
    # As an integer nan, inf, fractions and what is too large come back as something else.
    lost = saved.isfinite() & ~copied.isfinite() if mine.is_floating_point() else copied != saved
    return f"{saved[lost][0].item():g}, which no {_dtype(mine)} holds" if lost.any() else ""


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _describe(tensor: Tensor) -> str:
    """ "float32 64x3x7x7", with what else is special about it."""
    if tensor.is_nested:
        return "a nested tensor"
    text = f"{_dtype(tensor)} {dimensions(tensor.shape) or 'scalar'}"
    if tensor.is_meta:
        text += " without data"
    return text if tensor.layout == strided else f"{text} {str(tensor.layout).removeprefix('torch.')}"


# --- the copying ---


def _check_writable(own: dict[str, Tensor]) -> None:
    """Raise UsageError for a tensor that cannot take values, or not all of them."""
    for name, tensor in own.items():
        if not _writable(tensor):
            what, hint = (
                ("expanded: elements of it share memory", "give it its own: nn.Parameter(tensor.clone())")
                if _overlaps(tensor)
                else ("made under torch.inference_mode, where alone it may change", "load under that mode too")
            )
            fact = f"expected a module to copy weights into, got {quoted(name)} {what}"
            raise UsageError(f"{fact}. Nothing was loaded. ({hint})")


def _writable(tensor: Tensor) -> bool:
    return not _overlaps(tensor) and (is_inference_mode_enabled() or not tensor.is_inference())


def _overlaps(tensor: Tensor) -> bool:
    """Whether elements share memory. Strides that interleave count as that too: no layer has them."""
    reach = 0
    for step, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if step <= reach:
                return True
            reach += step * (size - 1)
    return False


@no_grad()
def _copy(module: nn.Module, prefix: str, own: dict[str, Tensor], saved: dict[str, Tensor], path: str) -> None:
    """Copy what fits into the module, or put back what was there."""
    before: list[tuple[Tensor, Tensor]] = []
    try:
        if _only_copies(module):
            for name, tensor in own.items():
                # What was there takes the place of the file's tensor, which goes: no more memory is used for both.
                before.append((tensor, tensor.to("cpu", copy=True)))
                tensor.copy_(saved.pop(name))
        else:
            # Its rules may change more than what they are given.
            tensors = [tensor for tensor in (*module.parameters(), *module.buffers()) if not is_lazy(tensor)]
            tensors = [tensor for tensor in tensors if tensor.layout == strided and not tensor.is_meta]
            before += [(tensor, tensor.to("cpu", copy=True)) for tensor in tensors if _writable(tensor)]
            module.load_state_dict({prefix + name: saved[name] for name in own}, strict=False)
    except BaseException as error:
        # The last first: tensors that share memory were kept in the order they changed.
        for tensor, kept in reversed(before):
            tensor.copy_(kept)
        if isinstance(error, RuntimeError):  # as torch calls what a module's own rules refuse, and a lack of memory
            reason = brief(str(error), 200)
            raise UsageError(f"{path}: the module refused tensors that fit: {reason}. Nothing was loaded.") from None
        raise


def _only_copies(module: nn.Module) -> bool:
    """Whether load_state_dict would do nothing but copy: no hooks, and no layer with a rule of its own."""
    return all(
        all(getattr(type(part), name) in (getattr(kind, name) for kind in _COPYING) for name in _LOADING)
        and not any(getattr(part, name, True) for name in _HOOKS)
        for part in module.modules()
    )
