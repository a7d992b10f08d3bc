"""Training a dictionary on batches of activations, and the way back in after a break."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from interp.atomic import writing
from interp.errors import InputError, LoadError, TrainingError
from interp.pretrained.weights_file import WeightFiles, read_header
from interp.train.schedule import factor
from interp.train.settings import Settings as Schedule
from interp.untrusted import MALFORMED, read_tensors
from probes.dictionary.coder import Coder
from probes.dictionary.objective import KINDS, Trainee
from probes.dictionary.settings import Settings

Batches = Iterable[Tensor | tuple[Tensor, Tensor]]
"""Activations [n, d], or for a transcoder pairs of what is read and what is to be written. An
object with `since(step)` is asked for its batches from a step on; of others the first are skipped
when a training is resumed, so they must give the same batches each time."""

STATE = "training.safetensors"

# The weight of the gates' penalty: where it begins, how fast it follows the number of active
# latents (in log units a step, per log unit of the deviation), and how far one step can count.
_FIRST_WEIGHT, _FOLLOW, _FARTHEST = 0.01, 0.05, 1.0
_SMOOTH = 0.02  # weight of a step in the running means that are reported


def train(
    batches: Batches,
    settings: Settings,
    *,
    site: str,
    target: str | None = None,
    folder: Path | str | None = None,
    about: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Coder:
    """Trains a dictionary; the same arguments give the same one, on one machine's CPU to the bit.

    Centre and scale of the activations are those of the first batch, and stay. The loss is the
    squared error, a penalty that makes `l0` latents active on average (but for `topk`, which needs
    none), and AuxK for latents that are dead.

    Args:
        batches: shuffled; at least `settings.steps` of them are needed.
        site: where the activations are from.
        target: where a transcoder's output belongs; `site` by default.
        folder: keeps a state there, from which the same call goes on after a break.
        about: plain values to keep with the result.
        progress: whether to show a bar.

    Raises:
        InputError: batches that are no matrices, of unlike shapes, or not finite.
        TrainingError: the batches end too soon, the folder holds another training, or the loss is
            lost. What was reached is in the folder.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    target = site if target is None else target
    path = None if folder is None else Path(folder) / STATE
    resumed = Run.load(path, settings, site, target) if path is not None else None
    stream = _pairs(batches, resumed.step if resumed else 0, site != target)
    run = resumed
    bar = tqdm(total=settings.steps, initial=run.step if run else 0, disable=not progress)
    saved = time.monotonic()
    with bar:
        try:
            while run is None or run.step < settings.steps:
                pair = next(stream, None)
                if pair is None:
                    raise TrainingError(
                        f"The batches ended after {run.step if run else 0} of {settings.steps} "
                        "steps. Give more text, let it be read several times, or ask for fewer "
                        "steps."
                    )
                run = Run.begin(settings, *pair, site, target) if run is None else run
                run.one_step(*pair)
                bar.update()
                bar.set_postfix(fvu=f"{run.fvu:.3f}", l0=f"{run.l0:.1f}", dead=run.n_dead)
                if path is not None and time.monotonic() - saved >= settings.save_every:
                    run.save(path)
                    saved = time.monotonic()
        finally:
            if path is not None and run is not None and run.sound:
                run.save(path)
    return run.coder(dict(about or {}))


@dataclass(frozen=True)
class _Units:
    """The units of the training: mean 0, and on average a variance of 1 per coordinate."""

    mean_x: Tensor
    scale_x: Tensor
    mean_y: Tensor
    scale_y: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> _Units:
        found = []
        for rows in (x.double(), y.double()):
            mean = rows.mean(0)
            scale = (rows - mean).square().mean().sqrt()
            if not scale > 0:
                raise InputError(
                    "All activations of the first batch are the same: there is nothing to learn."
                )
            found += [mean, scale]
        return cls(*(value.float() for value in found))

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        ours = (x.float() - self.mean_x) / self.scale_x
        return ours, ours if y is x else (y.float() - self.mean_y) / self.scale_y


class Run:
    """A training that is under way."""

    def __init__(self, settings: Settings, units: _Units, site: str, target: str):
        self.settings, self.units, self.site, self.target = settings, units, site, target
        d_in, d_out = len(units.mean_x), len(units.mean_y)
        kind = KINDS[settings.kind]
        self.trainee: Trainee = kind(d_in, d_out, site == target, settings).to(units.mean_x.device)
        self.named = dict(self.trainee.named_parameters())
        self.optimizer = torch.optim.Adam(self.named.values(), lr=settings.rate, foreach=True)
        for parameter in self.named.values():  # what Adam itself would begin with
            self.optimizer.state[parameter].update(
                step=torch.zeros(()),
                exp_avg=torch.zeros_like(parameter),
                exp_avg_sq=torch.zeros_like(parameter),
            )
        self.schedule = Schedule(
            steps=settings.steps,
            warmup_steps=settings.warmup_steps,
            decay_share=settings.decay_share,
        )
        # Tokens since each latent was active.
        self.idle = torch.zeros(settings.latents, dtype=torch.int64, device=units.mean_x.device)
        self.step, self.tokens, self.weight = 0, 0, _FIRST_WEIGHT
        self.fvu = self.l0 = math.nan
        self.sound = True

    @classmethod
    def begin(cls, settings: Settings, x: Tensor, y: Tensor, site: str, target: str) -> Run:
        run = cls(settings, _Units.of(x, y), site, target)
        run.trainee.start(*run.units(x, y))
        return run

    @property
    def n_dead(self) -> int:
        return int((self.idle > self.settings.dead_after).sum())

    def one_step(self, x: Tensor, y: Tensor) -> None:
        x, y = self.units(x, y)
        dead = self.idle > self.settings.dead_after
        outcome = self.trainee(x, y, dead if bool(dead.any()) else None)
        loss = outcome.error + self.weight * outcome.sparsity + outcome.extra
        if not math.isfinite(loss.item()):
            self.sound = False
            raise TrainingError(
                f"The loss is {loss.item()} at step {self.step}. Lower the rate; the state of a "
                "folder is from before."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.trainee.project_gradient()
        rate = factor(self.schedule, self.step, self.settings.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * rate
        self.optimizer.step()
        self.trainee.keep_norms()
        self.idle += len(x)
        self.idle[outcome.fired] = 0
        self._note(outcome.error.item(), outcome.l0.item())
        self._steer(outcome.l0.item(), rate)
        self.step += 1
        self.tokens += len(x)

    def _note(self, fvu: float, l0: float) -> None:
        part = 1.0 if self.step == 0 else _SMOOTH
        self.fvu = fvu if self.step == 0 else self.fvu + part * (fvu - self.fvu)
        self.l0 = l0 if self.step == 0 else self.l0 + part * (l0 - self.l0)

    def _steer(self, l0: float, rate: float) -> None:
        """Raises the penalty's weight while more latents are active than wanted, and lowers it
        otherwise."""
        deviation = math.log(max(l0, 1e-3) / self.settings.l0)
        self.weight *= math.exp(_FOLLOW * rate * max(-_FARTHEST, min(_FARTHEST, deviation)))

    def coder(self, about: dict[str, Any]) -> Coder:
        """The dictionary in the units of the model."""
        use = {name: value.detach().double() for name, value in self.trainee.in_use().items()}
        units = self.units
        scale_x, scale_y = units.scale_x.double(), units.scale_y.double()
        reading = (self.trainee.encoder.detach().double() * use["scale"][:, None]).t()
        W_enc = reading * (scale_y / scale_x)
        threshold = use.get("threshold")
        return Coder(
            W_enc=W_enc.float().contiguous(),
            b_enc=(use["bias"] * scale_y - units.mean_x.double() @ W_enc).float(),
            W_dec=self.trainee.decoder.detach().clone(),
            b_dec=(self.trainee.b_dec.detach() * scale_y + units.mean_y).float(),
            site=self.site,
            target=self.target,
            k=self.settings.l0 if threshold is None else None,
            threshold=None if threshold is None else (threshold * scale_y).float(),
            about={
                **about,
                "settings": self.settings.of_result(),
                "tokens": self.tokens,
                "last_fvu": self.fvu,
                "last_l0": self.l0,
            },
        )

    # -- states ----------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that a step changes, and the units."""
        tensors = {f"weights.{name}": p.detach() for name, p in self.named.items()}
        for name, parameter in self.named.items():
            for kind, value in self.optimizer.state[parameter].items():
                tensors[f"adam.{name}.{kind}"] = value
        return (
            tensors
            | {f"units.{name}": v for name, v in vars(self.units).items()}
            | {"idle": self.idle}
        )

    _NUMBERS = ("step", "tokens", "weight", "fvu", "l0")

    def save(self, path: Path) -> None:
        from safetensors.torch import save

        facts = {
            "settings": self.settings.of_result(),
            "site": self.site,
            "target": self.target,
            **{name: getattr(self, name) for name in self._NUMBERS},
        }
        tensors = {name: value.contiguous() for name, value in self._tensors().items()}
        with writing(path, "wb") as file:
            file.write(save(tensors, {"training": json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path, settings: Settings, site: str, target: str) -> Run | None:
        """The training whose state is at `path`; None if there is none.

        Raises:
            TrainingError: it is another training. LoadError: the file is damaged.
        """
        if not path.is_file():
            return None
        facts = _facts(path)
        wanted = {"settings": settings.of_result(), "site": site, "target": target}
        differ = [name for name, value in wanted.items() if facts.get(name) != value]
        if differ:
            name = differ[0]
            raise TrainingError(
                f"{path} is the state of another training: its {name} is {facts.get(name)}, and "
                f"{wanted[name]} is asked for. Give another folder, or remove the file."
            )
        stored = WeightFiles(read_header(path))
        try:
            units = _Units(*(stored.read(f"units.{name}") for name in _Units.__annotations__))
            run = cls(settings, units, site, target)
            for name in cls._NUMBERS:
                setattr(run, name, type(getattr(run, name))(facts[name]))
            with torch.no_grad():
                for name, tensor in run._tensors().items():
                    if stored.shape(name) != tuple(tensor.shape):
                        raise ValueError(f"{name} has shape {list(stored.shape(name))}")
                    tensor.copy_(stored.read(name))
        except MALFORMED as error:
            raise LoadError(
                f"{path} is no whole state of a training ({error}). Remove it to begin anew."
            ) from error
        return run


def _facts(path: Path) -> dict[str, Any]:
    read_header(path)  # says precisely what is wrong with a damaged file
    try:
        facts = json.loads(read_tensors(path)[1]["training"])
    except MALFORMED as error:
        raise LoadError(f"{path} is no state of a training: {error}. Remove it.") from error
    return facts if isinstance(facts, dict) else {}


def _pairs(batches: Batches, step: int, paired: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """What is read and what is to be written, from a step on; checked."""
    since = getattr(batches, "since", None)
    stream = islice(iter(batches), step, None) if since is None else since(step)
    widths: tuple[int, int] | None = None
    for batch in stream:
        x, y = batch if isinstance(batch, tuple) else (batch, batch)
        for rows in (x, y):
            if not isinstance(rows, Tensor) or rows.ndim != 2 or not rows.is_floating_point():
                raise InputError("A batch of activations must be a matrix [n, d] of numbers.")
            if not len(rows):
                raise InputError(f"The batch of step {step} is empty.")
            if not bool(rows.isfinite().all()):
                row = int((~rows.isfinite()).any(1).nonzero()[0])
                raise InputError(
                    f"Row {row} of the batch of step {step} holds an activation that is not finite."
                )
        if paired and x is y:
            raise InputError(
                "A transcoder needs pairs of batches: what it reads and what it should write."
            )
        found = (x.shape[1], y.shape[1])
        if len(x) != len(y) or found != (widths or found):
            raise InputError(
                f"The batch of step {step} has shapes {list(x.shape)} and {list(y.shape)}; both "
                "need as many rows, and all batches the same widths."
            )
        widths = found
        step += 1
        yield x, y
