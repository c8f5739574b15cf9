"""The loop: batches to steps, epochs to lines, and a state that is kept so often that little is lost.

Nothing random is kept between steps. The order of images is a function of the seed and the epoch, an image's
augmentation of its own number too, and what layers draw of the seed and the step: a run that was killed anywhere goes
on as if it had not been. (Generators whose state is kept would have to be restored in every worker, too.)
"""

import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from time import perf_counter
from typing import Any, NamedTuple

import torch
from msgspec.structs import astuple
from torch import Tensor, nn

from gnet_inspect.errors import GnetError, UsageError
from gnet_inspect.records.runs import best_epoch
from gnet_inspect.records.training import BARE_FILE, BEST_FILE, Epoch, Recipe
from gnet_inspect.runtime.training.data.batches import Source, batches_per_epoch, evaluation_batches, training_batches
from gnet_inspect.runtime.training.data.keyed import mix, seed_everything
from gnet_inspect.runtime.training.evaluating import Placing, score
from gnet_inspect.runtime.training.folder import RunFolder
from gnet_inspect.runtime.training.losses import training_loss
from gnet_inspect.runtime.training.optimizing import Average, Pace, make_optimizer
from gnet_inspect.runtime.training.parallel import Team, share_layers, sum_over
from gnet_inspect.runtime.training.state import (
    Tensors,
    average_state,
    named_parameters,
    optimizer_state,
    put_weights,
    restore_average,
    restore_optimizer,
    weights_of,
)

# On a GPU a look at the loss waits for it: so many steps go by between two.
LOOK = 50
STATE_VERSION = 1


class DivergedError(GnetError):
    """A loss or weights that are no numbers any more: the answer to a recipe is no."""

    exit_code = 1


class StoppedError(Exception):
    """The run was asked to stop, and stands between two steps: its state is kept."""


class Place(NamedTuple):
    """Where and how often, which does not change what comes out."""

    device: str
    threads: int
    workers: int = 0
    save_every: int = 500
    team: Team = Team()


class Watch(NamedTuple):
    """Who is told: of each step (how much of the work it is, and what is being done), of each epoch, and who says that
    the run is to stop."""

    tell: Callable[[float, str], None] = lambda _, __: None
    epoch: Callable[[Epoch], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False


class Position(NamedTuple):
    """Where a run stands: the steps that were taken, the epochs that are finished, and the batches of the next one."""

    step: int = 0
    epoch: int = 0
    batch: int = 0


class Training:
    """A run: a network, its data and its recipe, and where it stands."""

    def __init__(
        self,
        recipe: Recipe,
        module: nn.Module,
        train: Source,
        val: Source,
        place: Place,
        folder: RunFolder | None = None,
        watch: Watch = Watch(),  # noqa: B008  # a constant
    ) -> None:
        """`module` is on its device, with the weights that it begins with; the recipe weighs all the heads that it
        has."""
        self.recipe, self.place, self.folder, self.watch = recipe, place, folder, watch
        self._train, self._val = train, val
        self.module = share_layers(module, place.team)
        self.placing = Placing(place.device, recipe.amp, recipe.channels_last)
        self.position = Position()
        self.epochs: list[Epoch] = []
        self.steps = batches_per_epoch(len(train), recipe.batch)
        self._optimizer = make_optimizer(recipe, self.module)
        self._trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self._names = named_parameters(self.module)
        self._pace = Pace(recipe, self._optimizer, self.steps)
        self._scaler = torch.amp.GradScaler(self.placing.kind, enabled=recipe.amp == "fp16")
        self._average = None if recipe.ema is None else Average(self.module, copy.deepcopy(self.module), recipe.ema)
        self._called = self._callable()
        # The sum of the losses of the epoch's steps, in double precision.
        self._loss = torch.zeros((), dtype=torch.float64, device=place.device)
        self._rate = 0.0

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated: the averaged one, where weights are averaged."""
        return self.module if self._average is None else self._average.module

    @property
    def best(self) -> Epoch | None:
        """The first epoch of the highest accuracy."""
        return best_epoch(self.epochs)

    def _callable(self) -> Callable[..., Any]:
        mode = self.recipe.compile
        called: Any = self.module
        if mode is not None:
            called = torch.compile(called, mode=None if mode == "default" else mode)
        if self.place.team.size > 1:
            ids = [torch.device(self.place.device)] if self.placing.kind == "cuda" else None
            # DDP waits for gradients of all: of layers that no path reads none comes.
            called = nn.parallel.DistributedDataParallel(
                called, device_ids=ids, find_unused_parameters=self._has_idle_parameters()
            )
        return called  # type: ignore[no-any-return]  # what torch wraps is of no type

    def _has_idle_parameters(self) -> bool:
        """Whether a step gives some parameters no gradient."""
        probe = copy.deepcopy(self.module).train()
        x, _ = self.placing.put(torch.zeros(2, *self.recipe.input), torch.zeros(2, dtype=torch.int64))
        labels = torch.zeros(2, dtype=torch.int64, device=x.device)
        training_loss(probe(x), labels, self.recipe.heads, 0.0).backward()  # type: ignore[no-untyped-call]
        return any(parameter.requires_grad and parameter.grad is None for parameter in probe.parameters())

    # --- the loop ---

    def run(self) -> None:
        """Train to the end. Raises StoppedError where it was asked to stop, DivergedError, and what data and disks
        raise: the last state that was kept is as it was."""
        while self.position.epoch < self.recipe.epochs:
            self._run_epoch()

    def _run_epoch(self) -> None:
        started, first = perf_counter(), self.position.batch
        self.module.train()
        with closing(self._batches()) as batches:
            for x, y in batches:
                self._take_step(x, y)
                self._keep_sometimes()
        seconds = perf_counter() - started
        self._end_epoch(seconds, (self.steps - first) * self.recipe.batch)

    def _batches(self) -> Generator[tuple[Tensor, Tensor], None, None]:
        team = self.place.team
        return training_batches(
            self._train,
            epoch=self.position.epoch,
            batch=self.recipe.batch,
            start_batch=self.position.batch,
            rank=team.rank,
            ranks=team.size,
            workers=self.place.workers,
            pin=self.placing.kind == "cuda",
        )

    def _take_step(self, images: Tensor, labels: Tensor) -> None:
        step, epoch, batch = self.position
        seed_everything(mix(self.recipe.seed, step))
        self._rate = self._pace.rate(step)
        x, y = self.placing.put(images, labels)
        self._optimizer.zero_grad(set_to_none=True)
        with self.placing.autocast():
            output = self._called(x)
        loss = training_loss(output, y, self.recipe.heads, self.recipe.label_smoothing)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._trained, self.recipe.clip)
        self._pace.take(step, lambda: self._scaler.step(self._optimizer))
        self._scaler.update()
        if self._average is not None:
            self._average.update()
        self._loss += loss.detach()
        self.position = Position(step + 1, epoch, batch + 1)
        self._look()

    def _look(self) -> None:
        """Look at the loss, on a GPU at times, and tell of the step."""
        step, epoch, batch = self.position
        text = ""
        if self.placing.kind == "cpu" or step % LOOK == 0 or batch == self.steps:
            mean = float(self._loss) / batch
            self._check_finite(mean)
            text = f"epoch {epoch + 1} of {self.recipe.epochs}, loss {mean:.4f}"
        self.watch.tell(1, text)

    def _check_finite(self, loss: float) -> None:
        # A sum holds whether any of its terms was no number.
        if loss - loss != 0:
            raise self._diverged(f"the loss is {loss}")

    def _diverged(self, what: str) -> DivergedError:
        step, epoch, _ = self.position
        kept = "" if self.folder is None else f" The last good state is kept in {self.folder.path}."
        return DivergedError(
            f"the training diverged: {what} at step {step} (epoch {epoch + 1}), at the rate {self._rate:g}.{kept} "
            "(a new run with a smaller --lr, --clip 1, a longer --warmup or --init he)"
        )

    def _keep_sometimes(self) -> None:
        """Keep a state every so many steps, and where the run is to stop; the end of an epoch keeps its own."""
        step, _, batch = self.position
        stopping = self._is_to_stop()
        if stopping or (step % self.place.save_every == 0 and batch < self.steps):
            self.save()
        if stopping:
            raise StoppedError

    def _is_to_stop(self) -> bool:
        """Whether somebody asks for that. Of several processes none stops by itself, because the others would wait."""
        return self.place.team.size == 1 and self.watch.stop()

    def _end_epoch(self, seconds: float, images: int) -> None:
        team, position = self.place.team, self.position
        train_loss = float(sum_over(team, self._loss.clone()) / team.size) / self.steps
        self._check_finite(train_loss)
        self.watch.tell(0, f"evaluating after epoch {position.epoch + 1}")
        with closing(self._evaluation()) as batches:
            found = score(self.evaluated, batches, self.placing, team)
        self._check_finite(found.loss)
        self._pace.end_epoch(found.loss)
        row = Epoch(position.epoch + 1, position.step, self._rate, train_loss, found.loss, found.accuracy)
        is_best = self.best is None or row.val_accuracy > self.best.val_accuracy
        self.epochs.append(row)
        self._loss.zero_()
        self.position = Position(position.step, position.epoch + 1, 0)
        self.save(is_best=is_best)
        if self.folder is not None and team.leads:
            self.folder.append_epoch(row)
            self.folder.log("epoch", epoch=row.epoch, step=row.step, seconds=seconds, images_per_s=images / seconds)
        self.watch.epoch(row)
        if self.position.epoch < self.recipe.epochs and self._is_to_stop():
            raise StoppedError

    def _evaluation(self) -> Generator[tuple[Tensor, Tensor], None, None]:
        team = self.place.team
        for batch in evaluation_batches(
            self._val,
            batch=self.recipe.batch,
            rank=team.rank,
            ranks=team.size,
            workers=self.place.workers,
            pin=self.placing.kind == "cuda",
        ):
            if self._is_to_stop():
                # All steps of the epoch are taken: who goes on evaluates first.
                self.save()
                raise StoppedError
            yield batch

    # --- the state ---

    def save(self, *, is_best: bool = False) -> None:
        """Keep where the run stands. Raises DivergedError rather than keep weights that are no numbers."""
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self._trained):
            raise self._diverged("a weight is no finite number")
        if self.folder is None or not self.place.team.leads:
            return
        tensors, plain = optimizer_state(self._optimizer, self._names)
        tensors |= average_state(None if self._average is None else self._average.module)
        state = self._plain(plain)
        weights = weights_of(self.module)
        self.folder.save(state, weights, tensors, self._best_files() if is_best else {})

    def _best_files(self) -> dict[str, Tensors]:
        """The weights that are evaluated, and where there are heads those without them, which are deployed."""
        best = weights_of(self.evaluated)
        heads = tuple(f"{name}." for name in getattr(self.module, "_heads", ()))
        bare = {name: value for name, value in best.items() if not name.startswith(heads)}
        return {BEST_FILE: best, BARE_FILE: bare} if heads else {BEST_FILE: best}

    def _plain(self, optimizer: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "version": STATE_VERSION,
            **self.position._asdict(),
            "loss": float(self._loss),
            "rate": self._rate,
            "epochs": [astuple(row) for row in self.epochs],
            "optimizer": optimizer,
            "schedule": self._pace.state(),
            "scaler": self._scaler.state_dict(),
            "threads": self.place.threads,
            "processes": self.place.team.size,
            "torch": str(torch.__version__),
        }

    def restore(self, state: Mapping[str, Any], weights: Tensors, tensors: Tensors) -> None:
        """Go on from a state that was kept. Raises UsageError for one that is not of this run."""
        try:
            put_weights(self.module, weights)
            restore_average(None if self._average is None else self._average.module, tensors)
            restore_optimizer(self._optimizer, self._names, tensors, state["optimizer"])
            self._pace.restore(state["schedule"])
            self._scaler.load_state_dict(state["scaler"])
            self.epochs = [Epoch(*row) for row in state["epochs"]]
            self.position = Position(state["step"], state["epoch"], state["batch"])
            self._loss.fill_(state["loss"])
            self._rate = state["rate"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"expected the state of this run, got another one: {type(error).__name__}: {error}"
            ) from None
