"""The learning rate over a training, as a factor on the highest rate."""

from __future__ import annotations

import math

from interp.train.settings import Settings


def factor(settings: Settings, step: int, total: int | None) -> float:
    """The factor on the rate in a step, in (0, 1].

    - `wsd`: warm-up, constant, linear decay to zero (Hu et al. 2024, arXiv 2404.06395).
    - `cosine`: warm-up, then half a cosine down to `final_share` (Loshchilov & Hutter 2017).
    - `inverse_sqrt`: warm-up, then proportional to 1 / sqrt(step) (Vaswani et al. 2017).
    - `constant`: warm-up, then constant.

    The first step has a rate already: a warm-up that begins at zero wastes a step.

    Args:
        total: of all steps; None while a run on a time budget does not know it, which it does
            before its decay begins.
    """
    warmup = settings.warmup_steps
    warm = min(1.0, (step + 1) / (warmup + 1))
    if settings.schedule == "inverse_sqrt":
        return min(warm, math.sqrt((warmup + 1) / (step + 1)))
    if settings.schedule == "cosine":
        assert total is not None
        done = min(1.0, max(0.0, (step - warmup) / max(1, total - warmup)))
        falling = 0.5 * (1 + math.cos(math.pi * done))
        return warm * (settings.final_share + (1 - settings.final_share) * falling)
    if settings.schedule == "constant" or total is None:
        return warm
    return min(warm, (total - step) / (settings.decay_share * total))


def decay_begins(settings: Settings) -> float:
    """The part of a time budget after which the number of steps is fixed, in [0, 1]."""
    return 1 - settings.decay_share if settings.schedule == "wsd" else 1.0


def is_checkpoint(settings: Settings, step: int, total: int | None) -> bool:
    """Whether a checkpoint lies after this many steps: at 0, 1, 2, 4 ... 512 as in Pythia's suites
    (Biderman et al. 2023, arXiv 2304.01373), at every multiple of `checkpoint_every`, and at the
    end.

    Args:
        total: of all steps; None while it is not known.
    """
    every = settings.checkpoint_every
    if every == 0:
        return False
    early = settings.early_checkpoints and step <= 512 and step & (step - 1) == 0
    return early or step % every == 0 or step == total
