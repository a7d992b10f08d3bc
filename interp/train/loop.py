"""The training loop: steps, evaluations, checkpoints, and the way back in after a break."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from interp.data.batch import Source
from interp.errors import ConfigError
from interp.model.transformer import HookedTransformer
from interp.processes import World, join
from interp.train.average import Ema
from interp.train.compute import Compute
from interp.train.guard import Guard
from interp.train.objective import CrossEntropy, Objective
from interp.train.optimizer import Optimizers
from interp.train.precision import fastest_dtype
from interp.train.recorder import Recorder
from interp.train.schedule import decay_begins, is_checkpoint
from interp.train.settings import Settings

Evaluate = Callable[[HookedTransformer], Mapping[str, float]]


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        steps: that were made in all, before an interruption too.
        tokens: that were read.
        seconds: of training, without evaluations and saving.
        loss: of the last step.
        figures: of the last evaluation, or with `stop_on` of the best.
        skipped: steps whose gradients were not used.
    """

    steps: int
    tokens: int
    seconds: float
    loss: float
    figures: dict[str, float]
    skipped: int


def fit(
    model: HookedTransformer,
    source: Source,
    settings: Settings,
    *,
    objective: Objective | None = None,
    evaluate: Evaluate | None = None,
    folder: Path | str | None = None,
    progress: bool = True,
) -> Fitted:
    """Trains a model in place, and leaves it in evaluation mode.

    With a folder the run is recorded there, and a call with the same arguments goes on where the
    folder's newest state left off: with the same weights, to the bit, as without the break.
    Ctrl-C ends the training after the step at hand, with its state saved. Under `torchrun` every
    process calls this alike.

    Args:
        model: in float32, on the device to train on. Parameters that require no gradient stay.
        source: the batches.
        objective: what to make smaller; by default cross-entropy.
        evaluate: figures of the model by name, on data held out; called in evaluation mode and
            without gradients. It may not change the model.
        folder: of the run.
        progress: whether to show a bar.

    Raises:
        ConfigError: settings that do not fit each other, the model or the data.
        TrainingError: the folder holds another run or cannot be written, or the training is lost.
        KeyboardInterrupt: after Ctrl-C.
    """
    weight = next(model.parameters())
    if weight.dtype != torch.float32:
        raise ConfigError(
            f"The model's weights are {weight.dtype}; train it in float32 (`model.float()`), "
            "products are computed in what is fastest anyway."
        )
    if settings.stop_on is not None and evaluate is None:
        raise ConfigError(f"Stopping on {settings.stop_on!r} needs an `evaluate`.")
    world = join()
    recorder = None if folder is None else Recorder(Path(folder), world)
    devices = [weight.device] if weight.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            loop = Loop(model, source, settings, objective or CrossEntropy(), evaluate, world)
            return loop.run(recorder, progress and world.first)
    finally:
        model.eval()
        if recorder is not None:
            recorder.close()


class Loop:
    """A training that is under way: `fit` runs it, benchmarks time its steps."""

    def __init__(
        self,
        model: HookedTransformer,
        source: Source,
        settings: Settings,
        objective: Objective,
        evaluate: Evaluate | None,
        world: World,
    ):
        self.model, self.source, self.settings, self.world = model, source, settings, world
        self.objective, self.evaluate = objective, evaluate
        device = next(model.parameters()).device.type
        names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        dtype = names.get(settings.precision) or fastest_dtype(device)
        compile = settings.compile if settings.compile is not None else device == "cuda"
        self.compute = Compute(model, objective, settings, world, dtype, compile=compile)
        named = dict(self.compute.weights.named_parameters())
        self.optimizers = Optimizers(named.items(), settings)
        self.guard = Guard(settings.spike)
        self.ema = Ema(named.items(), settings.ema) if settings.ema else None
        self.best: dict[str, Tensor] = {}
        if settings.stop_on is not None:
            self.best = {name: p.detach().clone() for name, p in named.items()}
        self.total = settings.steps
        # What a state holds besides tensors: plain numbers.
        self.step, self.tokens, self.seconds, self.skipped = 0, 0, 0.0, 0
        self.best_value: float | None = None
        self.since_best = 0
        self.figures: dict[str, float] = {}
        self.loss = float("nan")

    # -- the whole -------------------------------------------------------------------------------

    def run(self, recorder: Recorder | None, progress: bool) -> Fitted:
        if recorder is not None:
            facts = recorder.begin(self._description())
            if facts is not None:
                self._resume(recorder, facts)
        saved = time.monotonic()
        bar = tqdm(
            total=self.total, initial=self.step, unit="step", smoothing=0.05, disable=not progress
        )
        with bar, _interruptible() as interrupted:
            self._checkpoint(recorder)
            while not self._finished():
                record = self.one_step()
                if self._is_due(self.settings.evaluate_every):
                    record["evaluation"] = self._evaluate()
                if recorder is not None:
                    recorder.log(record)
                bar.total = self.total
                bar.update()
                bar.set_postfix(loss=f"{self.loss:.3f}", refresh=False)
                self._checkpoint(recorder)
                late = self.world.agree(time.monotonic() - saved) >= self.settings.save_every
                stop = self.world.agree(float(interrupted.is_set()))
                if recorder is not None and (late or stop or self._finished()):
                    recorder.save(self.step, self._tensors(), self._facts())
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
        return self._finish(recorder)

    def _finish(self, recorder: Recorder | None) -> Fitted:
        if self.best_value is not None:
            with torch.no_grad():
                for name, parameter in self.compute.weights.named_parameters():
                    parameter.copy_(self.best[name])
        elif self.ema is not None:
            self.ema.swap()
        self.compute.gather()
        if self.evaluate is not None and self.best_value is None:
            self.figures = self._figures()
        if recorder is not None:
            recorder.finish(self.model)
        return Fitted(
            self.step, self.tokens, self.seconds, self.loss, dict(self.figures), self.skipped
        )

    def _finished(self) -> bool:
        stopped = self.settings.stop_on is not None and self.since_best >= self.settings.patience
        return stopped or (self.total is not None and self.step >= self.total)

    # -- one step --------------------------------------------------------------------------------

    def one_step(self) -> dict[str, Any]:
        """Makes a step; returns what to log of it."""
        begin = time.perf_counter()
        self._plan()
        batch = self.source.batch(self.step)
        self.loss = self.compute.gradients(batch, self.step)
        norm = self._clip()
        skipped = self.guard.verdict(self.loss, norm)
        record: dict[str, Any] = {"step": self.step + 1, "loss": self.loss, "norm": norm}
        if skipped is None:
            record["rate"] = self.optimizers.step(self.step, self.total)
            self.compute.load()
            if self.ema is not None:
                self.ema.update(self.step)
        else:
            self.optimizers.forget()
            self.skipped += 1
            record["skipped"] = f"{skipped}; the batch is that of step {self.step}"
        self.guard.note(norm, skipped=skipped is not None)
        self.step += 1
        self.tokens += batch.n_tokens
        self.seconds += time.perf_counter() - begin
        return record | {"tokens": self.tokens, "seconds": round(self.seconds, 3)}

    def _clip(self) -> float:
        """Scales the gradients down to the allowed norm; returns the norm they had."""
        limit = self.settings.clip or float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.optimizers.parameters, limit)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def _plan(self) -> None:
        """On a time budget, fixes the number of steps when the decay of the rate has to begin."""
        if self.total is not None:
            return
        assert self.settings.minutes is not None
        budget, part = 60 * self.settings.minutes, decay_begins(self.settings)
        seconds = self.world.agree(self.seconds)
        if seconds >= budget * part:
            self.total = self.step if part == 1 else max(round(self.step / part), self.step + 1)

    # -- beside the steps ------------------------------------------------------------------------

    def _evaluate(self) -> dict[str, float]:
        """Figures of the model now, and whether it is the best so far."""
        with nullcontext() if self.ema is None else self.ema.in_place():
            self.compute.gather()
            self.figures = self._figures()
            self._compare_with_best()
        return self.figures

    def _figures(self) -> dict[str, float]:
        if self.evaluate is None:
            return {}
        self.model.eval()
        with torch.no_grad():
            return {name: float(value) for name, value in self.evaluate(self.model).items()}

    def _compare_with_best(self) -> None:
        name = self.settings.stop_on
        if name is None:
            return
        if name not in self.figures:
            raise ConfigError(
                f"Stopping on {name!r}: the evaluation gives {', '.join(self.figures) or 'none'}."
            )
        value, sign = self.figures[name], 1 if self.settings.stop_higher else -1
        self.since_best += 1
        if self.best_value is None or sign * value > sign * self.best_value:
            self.best_value, self.since_best = value, 0
            with torch.no_grad():
                for parameter_name, parameter in self.compute.weights.named_parameters():
                    self.best[parameter_name].copy_(parameter)

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _checkpoint(self, recorder: Recorder | None) -> None:
        if recorder is not None and is_checkpoint(self.settings, self.step, self.total):
            self.compute.gather()
            recorder.checkpoint(self.step, self.model)

    # -- states ----------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that a step changes, under one name each."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "weights": {n: p.detach() for n, p in self.compute.weights.named_parameters()},
            "optimizer": self.optimizers.state(),
            "guard": self.guard.state,
            "ema": {} if self.ema is None else self.ema.state,
            "best": self.best,
        }
        return {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}

    def _facts(self) -> dict[str, Any]:
        names = ("tokens", "seconds", "skipped", "total", "best_value", "since_best", "figures")
        return {name: getattr(self, name) for name in (*names, "loss")}

    def _resume(self, recorder: Recorder, facts: dict[str, Any]) -> None:
        recorder.restore(self._tensors())
        for name in (*self._facts(), "step"):
            if name != "total" or self.settings.steps is None:
                setattr(self, name, facts[name])
        self.compute.load()
        self.compute.gather()

    def _description(self) -> dict[str, Any]:
        def plain(thing: Any) -> Any:
            return thing.to_dict() if hasattr(thing, "to_dict") else type(thing).__name__

        return {
            "model": self.model.cfg.to_dict(),
            "settings": self.settings.to_dict(),
            "objective": plain(self.objective),
            "data": plain(self.source),
        }


@contextmanager
def _interruptible() -> Generator[threading.Event, None, None]:
    """Inside, the first Ctrl-C only sets the event, so that the step at hand can end."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
