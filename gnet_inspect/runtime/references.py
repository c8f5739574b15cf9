"""MODEL as a reference to a module in Python: `package.module:attribute`, `./file.py:attribute`, `timm:NAME`,
`torchvision:NAME`. Its code is run, and only its."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from gnet_inspect.errors import MissingError, UsageError, brief, did_you_mean, show, some_of
from gnet_inspect.runtime.tracing import TraceError, traced
from gnet_inspect.runtime.tracing.assembling import Assembled
from gnet_inspect.runtime.tracing.examples import signature_of
from gnet_inspect.runtime.tracing.places import place_of
from gnet_inspect.units import dimensions

# Libraries whose networks are named alone.
ZOOS = ("timm", "torchvision")
DTYPES = {
    "float": None,
    "int64": torch.int64,
    "long": torch.int64,
    "int32": torch.int32,
    "int": torch.int64,
    "bool": torch.bool,
    "uint8": torch.uint8,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
    "complex64": torch.complex64,
}
# No tensor has more axes, and no size comes near it.
MOST_AXES, LARGEST_SIZE = 16, 2**31


class Reference(NamedTuple):
    """What was named, with the arguments it is called with."""

    text: str
    arguments: Mapping[str, Any]

    @property
    def home(self) -> str:
        """The module, the file or the library."""
        return self.text.rpartition(":")[0]

    @property
    def name(self) -> str:
        """The attribute, or the model's name."""
        return self.text.rpartition(":")[2]


class Given(NamedTuple):
    """What a module is called with: by the flags, or by what the user's own function returns."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Traced(NamedTuple):
    """A network, what it was called with, and what that run showed."""

    network: "Network"
    given: Given
    made: Assembled


class Network:
    """A network of the user's: how it is made, what it is called with, and its graph."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        # Its modules are looked for where the command runs, as Python does that runs a file.
        with _talking_aside():
            self._make, self.own_shape = maker_of(reference)

    def build(self, *, shapes_only: bool = False) -> nn.Module:
        """The module, made anew; `shapes_only`: with weights on the meta device where its code allows that."""
        with _talking_aside(), torch.device("meta") if shapes_only else contextlib.nullcontext():
            try:
                made = self._make()
            except (UsageError, MissingError):
                raise
            except Exception as error:
                raise _failed(self.reference, "making it", error) from error
        if not isinstance(made, nn.Module):
            raise UsageError(
                f"{self.reference.text}: expected a torch.nn.Module, or what makes one, got a {type(made).__name__}"
            )
        return made

    def trace(self, given: Given, mode: str) -> Traced:
        """Its graph in a mode, called with what is given."""
        try:
            return self._trace(self.build(shapes_only=True), given, mode)
        except Exception:
            # Its code may read values while it makes itself, or of tables that it made: those are then there.
            return self._trace(self.build(), given, mode)

    def _trace(self, module: nn.Module, given: Given, mode: str) -> Traced:
        if not given.args and not given.kwargs:
            raise missing_input(self.reference.text, module)
        # Of a file its folder is left out.
        name = self.reference.text.rpartition("/")[2] if ".py:" in self.reference.text else self.reference.text
        try:
            with _talking_aside():
                made = traced(module, given.args, given.kwargs, name=name, title=type(module).__name__, mode=mode)
        except TraceError as error:
            raise type(error)(f"{self.reference.text}: {error}") from None
        return Traced(self, given, made)


def missing_input(text: str, module: nn.Module) -> UsageError:
    """The error of a module that is given nothing to read: what its forward takes, and an example."""
    signature = signature_of(module)
    takes = "forward" + (str(signature) if signature is not None else "(...)")
    names = [] if signature is None else _required(signature)
    more = "".join(f" --input {name}=..." for name in names[1:])
    return UsageError(
        f"{text}: expected --input with a shape for {type(module).__name__}.{brief(takes, 200)}, got none. "
        f"(for example --input {_example(module)}{more}; a dtype stands behind a colon, 1x77:int64; "
        "or --inputs FILE.py:FUNCTION, which returns (args, kwargs))"
    )


def _required(signature: inspect.Signature) -> list[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = signature.parameters.values()
    return [item.name for item in found if item.default is item.empty and item.kind in named]


def _example(module: nn.Module) -> str:
    """A shape that the first layer with weights would take."""
    for layer in module.modules():
        kind = type(layer).__name__
        if kind.startswith("Conv") and kind[-2:] in ("1d", "2d", "3d"):
            channels = int(getattr(layer, "in_channels", 3))
            return dimensions((1, channels, *{"1": (1000,), "2": (224, 224), "3": (16, 112, 112)}[kind[-2]]))
        if isinstance(layer, nn.Linear):
            return dimensions((1, layer.in_features))
        if isinstance(layer, nn.Embedding):
            return "1x128:int64"
    return "1x3x224x224"


# --- what is named ---


def maker_of(reference: Reference) -> tuple[Callable[[], Any], tuple[int, ...] | None]:
    """(what makes the module, the shape of one image of its input where the library says one)"""
    if reference.home == "timm":
        return _of_timm(reference)
    if reference.home == "torchvision":
        return _of_torchvision(reference)
    found = _attribute(_home(reference), reference)
    if isinstance(found, nn.Module):
        if reference.arguments:
            raise UsageError(f"--arg: expected a class or a function to call, got {reference.text}, which is a module")
        return lambda: found, None
    if not callable(found):
        raise UsageError(
            f"{reference.text}: expected a torch.nn.Module, or a class or a function that makes one, "
            f"got a {type(found).__name__}"
        )
    _check_arguments(reference, found)
    return lambda: found(**reference.arguments), None


def _check_arguments(reference: Reference, found: Callable[..., Any]) -> None:
    """Raise UsageError where it cannot be called with the arguments: with what it takes."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**reference.arguments)
    except TypeError as error:
        missing = [name for name in _required(signature) if name not in reference.arguments]
        mend = f"give {' '.join(f'--arg {name}=VALUE' for name in missing)}" if missing else "--arg NAME=VALUE"
        raise UsageError(
            f"{reference.text}: expected the arguments of {reference.name}{brief(str(signature), 200)}: {error}. "
            f"({mend})"
        ) from None


def _home(reference: Reference) -> ModuleType:
    """The user's module, run."""
    home = reference.home
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not home.endswith(".py"):
        return _imported(reference, lambda: importlib.import_module(home))
    path = Path(home)
    if not path.is_file():
        raise UsageError(f"{reference.text}: expected a Python file, got {show(home)}, which is not there")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _imported(reference, lambda: _run_file(path))


def _run_file(path: Path) -> ModuleType:
    # Under its own name, so that what it pickles or registers is found; a module of that name that is there stays.
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_gnet_inspect_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # its name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _imported(reference: Reference, run: Callable[[], ModuleType]) -> ModuleType:
    try:
        return _with_operators(run)
    except ModuleNotFoundError as error:
        if error.name and reference.home.split(".")[0] == error.name.split(".")[0]:
            raise UsageError(
                f"{reference.text}: expected a module of Python, got {show(reference.home)}, which is not found "
                "from here. (for a file write ./FILE.py:NAME)"
            ) from None
        raise _failed(reference, "importing it", error) from error
    except (Exception, SystemExit) as error:
        raise _failed(reference, "importing it", error) from error


def _failed(reference: Reference, doing: str, error: BaseException) -> UsageError:
    """What the user's own code raised, with its place."""
    place = place_of(error)
    if isinstance(error, SyntaxError) and error.filename:
        place = f" at {Path(error.filename).name}:{error.lineno}"
    why = brief(" ".join(str(error).split()), 300)
    return UsageError(f"{reference.text}: {doing} failed{place}: {type(error).__name__}: {why}")


def _attribute(home: ModuleType, reference: Reference) -> Any:
    found: Any = home
    for name in reference.name.split("."):
        if not hasattr(found, name):
            known = [known for known in vars(found) if not known.startswith("_")] if hasattr(found, "__dict__") else []
            networks = [known_name for known_name in known if _makes_networks(getattr(found, known_name))]
            mend = did_you_mean(name, known) or (f"there are {some_of(networks)}" if networks else "")
            raise UsageError(
                f"{reference.text}: expected an attribute of {reference.home}, got {show(name)}. "
                f"({mend or 'name a module, or a class or function that makes one'})"
            )
        found = getattr(found, name)
    return found


def _makes_networks(value: Any) -> bool:
    return isinstance(value, nn.Module) or (isinstance(value, type) and issubclass(value, nn.Module))


# --- libraries ---


def import_library(name: str) -> ModuleType:
    """timm or torchvision. Raises MissingError where it is not installed."""
    if importlib.util.find_spec(name) is None:
        raise MissingError(f"{name} is not installed. Install it with: pip install {name}")
    return _with_operators(lambda: importlib.import_module(name))


def _with_operators(run: Callable[[], ModuleType]) -> ModuleType:
    """What an import gives. A torchvision whose compiled operators cannot be loaded asks for their schemas all the same
    when it is imported: they are told to torch then, because networks need none of them."""
    try:
        return run()
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for module in [module for module in sys.modules if module.split(".")[0] in ZOOS]:
        del sys.modules[module]
    define_operators()
    return run()


def define_operators() -> None:
    """Tell torch the schemas of the operators that torchvision asks for when it is imported."""
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # What a library defined goes with it.
    _DEFINED.append(library)


_DEFINED: list[Any] = []


def _of_timm(reference: Reference) -> tuple[Callable[[], Any], tuple[int, ...] | None]:
    timm: Any = import_library("timm")
    base = reference.name.partition(".")[0]
    if not timm.is_model(base):
        mend = did_you_mean(base, timm.list_models())
        raise UsageError(
            f"{reference.text}: expected a model of timm, got {show(reference.name)}. "
            f"({mend or 'timm.list_models() has them'})"
        )
    settings = timm.get_pretrained_cfg(reference.name, allow_unregistered=True)
    size = reference.arguments.get("img_size")
    shape = tuple(settings.input_size) if settings is not None and size is None else None
    if isinstance(size, int):
        shape = (3, size, size)
    channels = reference.arguments.get("in_chans")
    if shape is not None and isinstance(channels, int):
        shape = (channels, *shape[1:])
    return lambda: timm.create_model(reference.name, pretrained=False, **reference.arguments), shape


def _of_torchvision(reference: Reference) -> tuple[Callable[[], Any], tuple[int, ...] | None]:
    import_library("torchvision")
    models: Any = importlib.import_module("torchvision.models")
    if reference.name not in models.list_models():
        mend = did_you_mean(reference.name, models.list_models())
        raise UsageError(
            f"{reference.text}: expected a model of torchvision, got {show(reference.name)}. "
            f"({mend or 'torchvision.models.list_models() has them'})"
        )
    options: dict[str, Any] = {"weights": None}
    builder = models.get_model_builder(reference.name)
    taken = inspect.signature(builder).parameters
    if "weights_backbone" in taken:
        options["weights_backbone"] = None
    if reference.name in ("googlenet", "inception_v3"):
        # Their own initialisation takes a minute, and they warn of it.
        options["init_weights"] = False
    weights: Any = getattr(models.get_model_weights(reference.name), "DEFAULT", None)
    shape = _shape_of(weights)
    if "vision_transformer" in builder.__module__:
        # Its positions are of one size, which is not always that of its weights.
        size = int(reference.arguments.get("image_size", 224))
        shape = 3, size, size
    return lambda: builder(**options | dict(reference.arguments)), shape


def _shape_of(weights: Any) -> tuple[int, ...] | None:
    """The size that a model's own weights are used at, by what prepares their images: nothing is loaded."""
    said = getattr(getattr(weights, "transforms", None), "keywords", {})
    size = said.get("crop_size", said.get("resize_size"))
    if isinstance(size, int):
        return 3, size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        # Of video, frames of which there are as many as its weights' own clips have.
        frames = getattr(weights, "meta", {}).get(
            "frames_per_clip", getattr(weights, "meta", {}).get("temporal_size", 16)
        )
        return 3, int(frames), *size
    return None


@contextlib.contextmanager
def _talking_aside() -> Iterator[None]:
    """What the user's code prints goes to standard error: standard output is for the result."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


# --- what it is called with ---


def read_given(network: Network, texts: Sequence[str] | None, function: str | None, batch: int | None) -> Given:
    """What a network is called with: by `--input`, by `--inputs FILE.py:FUNCTION`, or at its own size."""
    if texts and function:
        raise UsageError("--inputs: expected no --input beside it, for it returns all of them")
    if function is not None:
        return _returned(function)
    if not texts:
        shape = network.own_shape
        return Given(((batch or 1, *shape),), {}) if shape is not None else Given((), {})
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, written = text.rpartition("=")
        if equals and (not name.isidentifier() or name in kwargs):
            raise UsageError(f"--input: expected NAME=SHAPE with the name of an argument, each once, got {text!r}")
        example = _read_input(written, text, batch)
        if equals:
            kwargs[name] = example
        elif kwargs:
            raise UsageError(f"--input: expected what has no name before what has one, got {text!r} behind it")
        else:
            args.append(example)
    return Given(tuple(args), kwargs)


def _read_input(written: str, text: str, batch: int | None) -> Any:
    """One shape with its batch, and its dtype: "1x3x224x224", "1x77:int64"; a shape alone has the network's dtype."""
    sizes, colon, word = written.partition(":")
    if colon and word not in DTYPES:
        mend = did_you_mean(word, DTYPES)
        raise UsageError(f"--input: expected a dtype of {', '.join(DTYPES)}, got {word!r}. ({mend or text})")
    words = sizes.lower().replace(",", "x").split("x")
    if len(words) > MOST_AXES or not all(size.isdecimal() and 0 < int(size[:20]) < LARGEST_SIZE for size in words):
        raise UsageError(
            f"--input: expected positive sizes, the batch first, got {text!r}. (for example 1x3x224x224, 1x77:int64)"
        )
    shape = tuple(map(int, words))
    if batch is not None:
        if shape[0] not in (1, batch):
            raise UsageError(f"--input {text} has a batch of {shape[0]}, --batch says {batch}. (give one of them)")
        shape = (batch, *shape[1:])
    dtype = DTYPES.get(word) if colon else None
    return shape if dtype is None else torch.empty(shape, dtype=dtype, device="meta")


def _returned(function: str) -> Given:
    """What FILE.py:FUNCTION returns: (args, kwargs)."""
    reference = Reference(function, {})
    if not reference.home:
        raise UsageError(f"--inputs: expected FILE.py:FUNCTION, got {function!r}")
    with _talking_aside():
        found = _attribute(_home(reference), reference)
        try:
            given = found() if callable(found) else found
        except Exception as error:
            raise _failed(reference, "calling it", error) from error
    fits = (
        isinstance(given, tuple)
        and len(given) == 2
        and isinstance(given[0], tuple | list)
        and isinstance(given[1], Mapping)
    )
    if not fits:
        raise UsageError(
            f"--inputs {function}: expected a function that returns (args, kwargs), a tuple and a dict, "
            f"got a {type(given).__name__}"
        )
    return Given(tuple(given[0]), dict(given[1]))
