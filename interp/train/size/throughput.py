"""How fast this machine trains: measured on a few shapes, read off between them for all others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from tqdm import tqdm

from interp.data.batch import Batch
from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.processes import World
from interp.train.compute import Compute
from interp.train.objective import CrossEntropy
from interp.train.optimizer import Optimizers
from interp.train.precision import fastest_dtype
from interp.train.settings import Settings
from interp.train.size.parameters import training_flops

Step = Callable[[], int]
"""One training step; returns how many tokens it learnt from."""
StepOf = Callable[[TransformerConfig], Step]

MEASURED_WIDTHS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048)
TOKENS_PER_STEP = 2048
_FEWEST_STEPS = 3


@dataclass(frozen=True)
class Speed:
    """Tokens a second of training, for any shape.

    Between the measured shapes the operations per second are interpolated, linearly in the
    logarithm of the operations per token; beyond them they stay as they are at the end.

    Attributes:
        measured: pairs of operations per token (`training_flops`) and tokens per second, the
            cheapest first.
    """

    measured: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        flat = [value for pair in self.measured for value in pair]
        if not flat or not all(math.isfinite(value) and value > 0 for value in flat):
            raise InputError(
                f"A speed needs a positive number of tokens per second for at least one shape; it "
                f"is given {list(self.measured)}."
            )

    def __call__(self, cfg: TransformerConfig) -> float:
        """Tokens per second of this shape."""
        flops, tokens = np.array(sorted(self.measured)).T
        cost = training_flops(cfg)
        rate = np.interp(math.log(cost), np.log(flops), np.log(flops * tokens))
        return math.exp(rate) / cost

    def rows(self) -> list[dict[str, float]]:
        """What was measured, for JSON."""
        names = ("flops_per_token", "tokens_per_second")
        return [dict(zip(names, pair, strict=True)) for pair in self.measured]

    @property
    def largest(self) -> float:
        """Operations per token of the most expensive shape that was measured."""
        return max(flops for flops, _ in self.measured)


def measure_speed(
    shapes: Iterable[TransformerConfig],
    step_of: StepOf | None = None,
    *,
    seconds: float = 3.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Trains each shape for a moment, the cheapest first.

    Args:
        shapes: what to measure. It ends before the first one of which a step would take longer
            than `seconds`, going by the operations per second of the one before.
        step_of: makes the step of a shape; by default `training_step`.
        seconds: of each shape, at least three steps.
        clock: the time in seconds.

    Raises:
        InputError: no shape.
    """
    step_of = step_of or training_step
    found: list[tuple[float, float]] = []
    expected = 0.0  # seconds of a step per operation and token
    ordered = sorted(shapes, key=training_flops)
    for cfg in tqdm(ordered, desc="measuring the speed", unit="shape", leave=False, disable=None):
        cost = float(training_flops(cfg))
        if expected * cost > seconds:
            break
        speed, step_seconds = _measure(step_of(cfg), seconds, clock)
        found.append((cost, speed))
        expected = step_seconds / cost
    return Speed(tuple(found))


def _measure(step: Step, seconds: float, clock: Callable[[], float]) -> tuple[float, float]:
    """Tokens per second and seconds of a step: medians, which a slow first step leaves alone."""
    speeds: list[float] = []
    took: list[float] = []
    start = clock()
    while len(took) < _FEWEST_STEPS or clock() - start < seconds:
        begin = clock()
        tokens = step()
        took.append(clock() - begin)
        speeds.append(tokens / took[-1])
    return median(speeds), median(took)


def training_step(cfg: TransformerConfig) -> Step:
    """A step of this package's training on random tokens, on an accelerator if there is one.

    It is not compiled, so on a GPU a real run is somewhat faster.
    """
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    model = HookedTransformer(cfg).to(device)
    settings = Settings(steps=1, learning_rate=1e-6)
    objective, dtype = CrossEntropy(), fastest_dtype(device.type)
    compute = Compute(model, objective, settings, World(), dtype, compile=False)
    optimizers = Optimizers(model.named_parameters(), settings)
    rows = torch.randint(cfg.d_vocab, (max(1, TOKENS_PER_STEP // cfg.n_ctx), cfg.n_ctx + 1))
    batch = Batch({"tokens": rows[:, :-1]}, rows[:, 1:])

    def step() -> int:
        compute.gradients(batch, step=0)  # waits for its result
        torch.nn.utils.clip_grad_norm_(optimizers.parameters, settings.clip)
        optimizers.step(0, settings.steps)
        compute.load()
        return batch.n_tokens

    return step
