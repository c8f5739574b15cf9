"""Optimizers and schedules by torch's names, the groups of parameters, warm-up, clipping and averaged weights."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from gnet_inspect.errors import UsageError, brief, nearest, show
from gnet_inspect.records.training import CONSTANT, Recipe

# Whether a schedule moves with each step, or with each epoch.
STEP, EPOCH = "step", "epoch"


class Kind(NamedTuple):
    """A schedule: whether it moves with each step or epoch, which arguments are lengths in epochs, and what it is given
    where nothing is said; of these "whole" is the length of the training."""

    unit: str
    lengths: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = {}


SCHEDULES = {
    "CosineAnnealingLR": Kind(STEP, ("T_max",), {"T_max": "whole"}),
    "CosineAnnealingWarmRestarts": Kind(STEP, ("T_0",)),
    "OneCycleLR": Kind(STEP, ("total_steps",), {"total_steps": "whole", "max_lr": "lr"}),
    "LinearLR": Kind(STEP, ("total_iters",), {"total_iters": "whole", "start_factor": 1.0, "end_factor": 0.0}),
    "PolynomialLR": Kind(STEP, ("total_iters",), {"total_iters": "whole"}),
    "StepLR": Kind(EPOCH),
    "MultiStepLR": Kind(EPOCH),
    "ExponentialLR": Kind(EPOCH),
    "ReduceLROnPlateau": Kind(EPOCH),
}
# What they are called for short.
SHORT_SCHEDULES = {
    "none": CONSTANT,
    "cosine": "CosineAnnealingLR",
    "onecycle": "OneCycleLR",
    "linear": "LinearLR",
    "poly": "PolynomialLR",
    "polynomial": "PolynomialLR",
    "step": "StepLR",
    "multistep": "MultiStepLR",
    "exponential": "ExponentialLR",
    "plateau": "ReduceLROnPlateau",
}
# How many tensors of a parameter's size each optimizer keeps for it, by its options; for what memory is predicted.
OPTIMIZERS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "SGD": lambda options: int(bool(options.get("momentum"))),
    "Adam": lambda options: 2 + bool(options.get("amsgrad")),
    "AdamW": lambda options: 2 + bool(options.get("amsgrad")),
    "NAdam": lambda _: 2,
    "RAdam": lambda _: 2,
    "Adamax": lambda _: 2,
    "Adagrad": lambda _: 1,
    "Adadelta": lambda _: 2,
    "RMSprop": lambda options: 1 + bool(options.get("momentum")) + bool(options.get("centered")),
}
# What has a flag of its own.
_OWN_FLAGS = {"lr": "--lr", "weight_decay": "--weight-decay"}


def read_choice(flag: str, given: object, names: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """(name, options) of "SGD" or {"SGD": {"momentum": 0.9}}; `names` are all spellings in small letters, and what they
    are. Raises UsageError for another name or form."""
    options: object = {}
    if isinstance(given, Mapping) and len(given) == 1:
        ((given, options),) = given.items()
    known = tuple(dict.fromkeys(names.values()))
    if not isinstance(given, str) or not isinstance(options, Mapping | None):
        raise UsageError(
            f"{flag}: expected a name, or a name with arguments, as 'SGD: {{momentum: 0.9}}', got "
            f"{show(given)}. (known: {', '.join(known)})"
        )
    found = names.get(given.lower())
    if found is None:
        raise UsageError(f"{flag}: expected one of torch's names, got {show(given)}. ({nearest(given, _words(names))})")
    return found, dict(options or {})


def _words(names: Mapping[str, str]) -> set[str]:
    """All that can be typed, but for torch's names in small letters."""
    return {*names.values(), *(word for word, name in names.items() if word != name.lower())}


def read_optimizer(given: object, flag: str = "--optimizer") -> tuple[str, dict[str, Any]]:
    """The optimizer of a flag, with its options; they are tried on a parameter. Raises UsageError."""
    name, options = read_choice(flag, given, {name.lower(): name for name in OPTIMIZERS})
    for option, own in _OWN_FLAGS.items():
        if option in options:
            raise UsageError(f"{flag}: expected no {option} among the arguments of {name}, it has a flag: {own}")
    _try(flag, name, getattr(torch.optim, name), [nn.Parameter(torch.zeros(1))], options | {"lr": 0.1})
    return name, options


def read_schedule(given: object, flag: str = "--schedule") -> tuple[str, dict[str, Any]]:
    """The schedule of a flag, with its options; lengths are in epochs. Raises UsageError."""
    names = {name.lower(): name for name in (*SCHEDULES, CONSTANT)} | SHORT_SCHEDULES
    name, options = read_choice(flag, given, names)
    if name == CONSTANT:
        if options:
            raise UsageError(f"{flag}: expected no arguments for {CONSTANT}, got {', '.join(options)}")
        return name, options
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    made = _make_schedule(name, options, optimizer, epochs=10, steps=10, lr=0.1, flag=flag)
    # Some arguments are met when it moves first.
    _try(flag, name, lambda _, **__: _move(made, 1.0), None, options)
    return name, options


def _move(schedule: LRScheduler, val_loss: float | None) -> None:
    """Have a schedule go on by one."""
    with warnings.catch_warnings():
        # It is asked for rates before the optimizer moved, and where the first gradients of a scaler overflow, too.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        if isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
            schedule.step(val_loss)  # type: ignore[arg-type]  # it moves by epochs alone
        else:
            schedule.step()


def _try(flag: str, name: str, kind: Callable[..., Any], first: object, options: Mapping[str, Any]) -> Any:
    try:
        return kind(first, **options)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError, RuntimeError) as error:
        named = getattr(torch.optim, name, None) or getattr(lr_scheduler, name)
        takes = [
            each for each in inspect.signature(named).parameters if each not in ("params", "optimizer", *_OWN_FLAGS)
        ]
        raise UsageError(
            f"{flag}: torch refuses these arguments of {name}: {brief(str(error), 200)}. (it takes {', '.join(takes)})"
        ) from None


def _make_schedule(
    name: str, options: Mapping[str, Any], optimizer: Optimizer, *, epochs: int, steps: int, lr: float, flag: str = ""
) -> LRScheduler:
    kind = SCHEDULES[name]
    given: dict[str, Any] = {**kind.defaults, **options}
    for option, value in given.items():
        if value in ("whole", "lr"):
            given[option] = epochs * steps if value == "whole" else lr
        elif option in kind.lengths:
            given[option] = _length(flag, name, option, value, steps)
    made: LRScheduler = _try(flag, name, getattr(lr_scheduler, name), optimizer, given)
    return made


def _length(flag: str, name: str, option: str, value: object, steps: int) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise UsageError(f"{flag}: expected a positive number of epochs for {option} of {name}, got {show(value)}")
    return max(round(value * steps), 1)


class Pace:
    """The learning rate of each step: a schedule of torch's, and the warm-up before it.

    In the warm-up the schedule's rate is taken times (step + 1) / steps of the warm-up; the schedule goes on meanwhile.
    """

    def __init__(self, recipe: Recipe, optimizer: Optimizer, steps: int) -> None:
        """`steps` are those of an epoch."""
        self._optimizer = optimizer
        self._warmup = round(recipe.warmup * steps)
        self._unit = EPOCH
        self._schedule: LRScheduler | None = None
        if recipe.schedule != CONSTANT:
            self._unit = SCHEDULES[recipe.schedule].unit
            self._schedule = _make_schedule(
                recipe.schedule,
                recipe.schedule_options,
                optimizer,
                epochs=recipe.epochs,
                steps=steps,
                lr=recipe.lr,
                flag="--schedule",
            )

    def rate(self, step: int) -> float:
        """The rate of the first group at a step, counted from 0."""
        return float(self._optimizer.param_groups[0]["lr"] * self._share(step))

    def _share(self, step: int) -> float:
        return (step + 1) / self._warmup if step < self._warmup else 1.0

    def take(self, step: int, update: Callable[[], object]) -> None:
        """Update the weights at a step's rate, and move on where the schedule moves by steps."""
        share, groups = self._share(step), self._optimizer.param_groups
        kept = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] *= share
        update()
        for group, rate in zip(groups, kept, strict=True):
            group["lr"] = rate
        if self._unit == STEP:
            self._move()

    def end_epoch(self, val_loss: float) -> None:
        """Move on where the schedule moves by epochs."""
        if self._unit == EPOCH:
            self._move(val_loss)

    def _move(self, val_loss: float | None = None) -> None:
        if self._schedule is not None:
            _move(self._schedule, val_loss)

    def state(self) -> dict[str, Any]:
        """Its numbers, as plain data; what it was made of is not among them."""
        state = {} if self._schedule is None else self._schedule.state_dict()
        return {name: value for name, value in state.items() if _is_plain(value)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from numbers that were kept; the groups' own rates are the optimizer's."""
        if self._schedule is not None:
            own = self.state()
            known = {name: value for name, value in state.items() if name in own}
            self._schedule.load_state_dict({**self._schedule.state_dict(), **known})


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def make_optimizer(recipe: Recipe, module: nn.Module) -> Optimizer:
    """The recipe's optimizer over the parameters that are trained, weights with decay and without.

    Weight decay is on weights of two axes or more: norms' scales and biases have one. Raises UsageError where nothing
    is trained.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise UsageError("expected a network with parameters to train, got none that is not frozen")
    matrices = [parameter for parameter in trained if parameter.dim() > 1]
    vectors = [parameter for parameter in trained if parameter.dim() <= 1]
    groups = [
        {"params": members, "weight_decay": decay}
        for members, decay in ((matrices, recipe.weight_decay), (vectors, 0.0))
        if members
    ]
    kind: Callable[..., Optimizer] = getattr(torch.optim, recipe.optimizer)
    return kind(groups, lr=recipe.lr, **recipe.optimizer_options)


class Average:
    """An exponential moving average of a network's weights, kept in a copy of it: after each step a weight is
    `decay` of what it was and 1 - decay of the network's. Buffers are the network's."""

    def __init__(self, module: nn.Module, copy: nn.Module, decay: float) -> None:
        self.module, self._decay = copy.requires_grad_(False).eval(), decay
        ours = dict(copy.named_parameters())
        self._pairs = [(ours[name], parameter) for name, parameter in module.named_parameters()]
        buffers = dict(copy.named_buffers())
        self._buffers = [(buffers[name], buffer) for name, buffer in module.named_buffers()]

    @torch.no_grad()
    def update(self) -> None:
        """Take a step's weights in."""
        for mine, parameter in self._pairs:
            mine.lerp_(parameter, 1 - self._decay)
        for held, buffer in self._buffers:
            held.copy_(buffer)
