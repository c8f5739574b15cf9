"""`fit`: training from Python, with a table that grows while it lasts."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from gnet_inspect.errors import UsageError, expect
from gnet_inspect.graph import Graph
from gnet_inspect.graph.freezing import freeze as freeze_graph
from gnet_inspect.language import Spec
from gnet_inspect.language.catalogue import spec_text
from gnet_inspect.records.training import Epoch, TrainedRun
from gnet_inspect.runtime.latency.setting import pick_device
from gnet_inspect.runtime.training.data.augment import check_augmentations
from gnet_inspect.runtime.training.data.sets import DataSet, given_data, open_data
from gnet_inspect.runtime.training.folder import RunFolder
from gnet_inspect.runtime.training.initial import check_init
from gnet_inspect.runtime.training.loop import Place, Watch
from gnet_inspect.runtime.training.networks import (
    Trainee,
    fit_graph,
    fit_module,
    fit_spec,
    with_head_weight,
)
from gnet_inspect.runtime.training.optimizing import read_optimizer, read_schedule
from gnet_inspect.runtime.training.recipe import make_recipe
from gnet_inspect.runtime.training.runs import Job, Ready, begin, result_of, resume, run_training


class Fitted(NamedTuple):
    """A module that was trained, in eval mode, and what its run came to."""

    module: nn.Module
    run: TrainedRun

    def __str__(self) -> str:
        return str(self.run)

    def __repr__(self) -> str:
        return repr(self.run)

    def _repr_html_(self) -> str:
        return self.run._repr_html_()


def fit(
    network: nn.Module | Graph | Spec,
    data: object = "digits",
    *,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    optimizer: str | Mapping[str, Mapping[str, Any]] | None = None,
    schedule: str | Mapping[str, Mapping[str, Any]] | None = None,
    warmup: float | None = None,
    weight_decay: float | None = None,
    clip: float | None = None,
    label_smoothing: float | None = None,
    ema: float | None = None,
    head_weight: float | None = None,
    init: str | None = None,
    init_from: str | os.PathLike[str] | None = None,
    leave: Sequence[str] = (),
    freeze: Sequence[str] = (),
    augment: Sequence[str] = (),
    mean: Sequence[float] | None = None,
    deviation: Sequence[float] | None = None,
    input: tuple[int, int, int] | None = None,  # noqa: A002  # as the command's flag
    amp: str | None = None,
    channels_last: bool = False,
    compile: str | None = None,  # noqa: A002  # the same
    seed: int | None = None,
    device: str = "auto",
    workers: int = 0,
    save_every: int = 500,
    folder: str | os.PathLike[str] | None = None,
    resumes: bool = False,
    live: bool | None = None,
) -> Fitted:
    """Train a network on labelled images, and give the module that has learned, with what the run came to.

    It is `gnet-inspect train`: what is not said is as usual there. A module is trained in place, with the weights that
    it has; it takes the images' own size, unless `input` (C, H, W) says another. A Graph is trained as it is (of the
    mode "train" with its heads), a Spec with the classes and channels of the data. The module that comes back has the
    weights of the last epoch, or their average (`ema`), in eval mode.

    Parameters
    ----------
    data
        "digits", "mnist:DIR", "fashion-mnist:DIR", a folder with train/ and val/; or a pair (train, val), each of which
        is a pair (images, labels) of tensors or arrays, N x C x H x W or N x H x W, or a torch Dataset.
    optimizer, schedule
        By torch's names, or {"SGD": {"momentum": 0.9}}; lengths are in epochs.
    folder
        Where the run is kept, to go on from with `resumes=True`; None keeps nothing.
    live
        Whether the table of epochs is shown while it grows; None: in a notebook.

    Raises UsageError for what does not fit together, MissingError where memory or a package is lacking, DivergedError
    (of gnet_inspect.runtime.training.loop) where the loss is no number any more.
    """
    expect(network, (nn.Module, Graph, Spec), "a torch.nn.Module, a Graph or a Spec")
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "warmup": warmup,
        "weight_decay": weight_decay,
        "clip": clip,
        "label_smoothing": label_smoothing,
        "ema": ema,
        "init": None if init is None else check_init(init),
        "init_from": None if init_from is None else os.fspath(init_from),
        "leave": tuple(leave),
        "freeze": tuple(freeze),
        "augment": check_augmentations(tuple(augment)),
        "mean": None if mean is None else tuple(mean),
        "deviation": None if deviation is None else tuple(deviation),
        "amp": amp,
        "channels_last": channels_last,
        "compile": compile,
        "seed": seed,
    }
    for name, read, said in (("optimizer", read_optimizer, optimizer), ("schedule", read_schedule, schedule)):
        if said is not None:
            given[name], given[f"{name}_options"] = read(said, name)
    pair = _data_of(data)
    trainee = _trainee(network, pair, input, tuple(freeze), head_weight)
    recipe = make_recipe(
        _name_of(network), trainee, pair, {name: item for name, item in given.items() if item is not None}
    )
    place = Place(pick_device(device), torch.get_num_threads(), workers, save_every)
    kept = None if folder is None else RunFolder(Path(folder))
    return _run(Job(recipe, trainee, pair, place), kept, resumes=resumes, live=_is_notebook() if live is None else live)


def _data_of(data: object) -> DataSet:
    if isinstance(data, DataSet):
        return data
    if isinstance(data, str | os.PathLike):
        return open_data(os.fspath(data))
    if isinstance(data, tuple | list) and len(data) == 2:
        return given_data(*data)
    raise UsageError(
        f'data: expected a name as "digits", a folder, or a pair (train, val), got a {type(data).__name__}'
    )


def _trainee(
    network: nn.Module | Graph | Spec,
    data: DataSet,
    image: tuple[int, int, int] | None,
    frozen: tuple[str, ...],
    head_weight: float | None,
) -> Trainee:
    classes = len(data.classes)
    if isinstance(network, Spec):
        text = spec_text(network.file or network.name)[0].decode()
        size = None if image is None else image[1:]
        channels = data.channels if image is None else image[0]
        spec, as_is = with_head_weight(network, head_weight), head_weight is None
        return fit_spec(spec, text, classes=classes, channels=channels, size=size, frozen=frozen, as_is=as_is)
    if isinstance(network, Graph):
        return fit_graph(freeze_graph(network, frozen) if frozen else network, classes, head_weight)
    if image is None and data.size is None:
        raise UsageError(
            "input: expected the size that the module takes, as (3, 224, 224), because images differ in theirs"
        )
    own = image or (data.channels, *(data.size or ()))
    trainee = fit_module(network, (own[0], own[1], own[2]), type(network).__name__)
    return trainee._replace(head_weight=head_weight)


def _name_of(network: nn.Module | Graph | Spec) -> str:
    if isinstance(network, Spec):
        return network.name
    return network.variant if isinstance(network, Graph) else type(network).__name__


def _run(job: Job, folder: RunFolder | None, *, resumes: bool, live: bool) -> Fitted:
    """Train, with a table that grows where it is `live`."""
    table = _Table() if live else None
    watch = Watch() if table is None else Watch(epoch=table.add)
    if resumes and folder is not None:
        folder.settle()
    goes_on = resumes and folder is not None and folder.holds_run()
    ready = resume(job, folder, watch) if goes_on and folder is not None else begin(job, folder, watch)
    path = None if folder is None else folder.path
    if table is not None:
        table.show(ready, path)
    timing = run_training(ready)
    return Fitted(ready.training.evaluated.eval(), result_of(ready, path, timing))


def _is_notebook() -> bool:
    """Whether somebody looks at cells: IPython with a kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class _Table:
    """The table of a run so far: one output of a cell, drawn anew after each epoch; elsewhere a line for each."""

    def __init__(self) -> None:
        self._ready: Ready | None = None
        self._path: Path | None = None
        self._handle: Any = None

    def show(self, ready: Ready, path: Path | None) -> None:
        """Begin it."""
        self._ready, self._path = ready, path
        if _is_notebook():
            self._handle = import_module("IPython.display").display(result_of(ready, path, None), display_id=True)

    def add(self, epoch: Epoch) -> None:
        """An epoch more."""
        if self._handle is not None and self._ready is not None:
            self._handle.update(result_of(self._ready, self._path, None))
        else:
            print(f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, accuracy {epoch.val_accuracy:.4f}", flush=True)
