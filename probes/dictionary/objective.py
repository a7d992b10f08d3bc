"""The three kinds of dictionary while they are trained: how they decide what is active, and what
that costs.

Activations here have mean 0 and a variance of 1 per coordinate (see `training`), and errors are
means per coordinate, so that the best constant has an error of 1. Rows of the decoder have norm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.errors import TrainingError
from probes.dictionary.coder import summed, top
from probes.dictionary.settings import Kind, Settings


@dataclass(frozen=True)
class Outcome:
    """What a dictionary made of a batch.

    Attributes:
        error: mean squared error per coordinate.
        sparsity: what the steered weight multiplies.
        extra: further terms of the loss.
        fired: whether each latent was active at any token, [latents].
        l0: mean number of active latents.
    """

    error: Tensor
    sparsity: Tensor
    extra: Tensor
    fired: Tensor
    l0: Tensor


class Trainee(nn.Module):
    """The base of the three kinds.

    Directions are random, the encoder begins as the decoder's transpose (Gao et al. 2024, appendix
    A.1), and biases are 0. A transcoder's latents read at random, and begin to write what on
    average goes with it.
    """

    def __init__(self, d_in: int, d_out: int, same_site: bool, settings: Settings):
        super().__init__()
        generator = torch.Generator().manual_seed(settings.seed)
        n = settings.latents
        directions = F.normalize(torch.randn(n, d_out, generator=generator), dim=1)
        reading = directions.clone()
        if not same_site:
            reading = F.normalize(torch.randn(n, d_in, generator=generator), dim=1)
        self.settings = settings
        self.encoder = nn.Parameter(reading)
        self.b_enc = nn.Parameter(torch.zeros(n))
        self.decoder = nn.Parameter(directions)
        self.b_dec = nn.Parameter(torch.zeros(d_out))

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor) -> None:
        """Fits what depends on the first activations, [n, d_in] and [n, d_out]."""
        if y is not x:  # a direction is what goes with what its latent reads
            self.decoder.copy_(F.normalize(self.encoder @ (x.t() @ y), dim=1))

    def forward(self, x: Tensor, y: Tensor, dead: Tensor | None) -> Outcome:
        """The outcome on a batch [n, d_in], [n, d_out]; `dead` are latents to revive, if any."""
        raise NotImplementedError

    def in_use(self) -> dict[str, Tensor]:
        """`scale`, `bias` and, unless k decides, `threshold` of the latents, [latents] each: the
        value of one is scale * (encoder x) + bias, if that exceeds the threshold."""
        raise NotImplementedError

    def before(self, x: Tensor) -> Tensor:
        return F.linear(x, self.encoder, self.b_enc)

    def revival(self, before: Tensor, rest: Tensor, dead: Tensor | None) -> Tensor:
        """AuxK (Gao et al. 2024, appendix A.2): how badly the strongest dead latents write what the
        living leave, relative to what that is."""
        if dead is None:
            return rest.new_zeros(())
        which = dead.nonzero()[:, 0]
        k = min(len(which), max(1, rest.shape[1] // 2))
        # Negative values too: a latent that is below zero everywhere gets its gradient from them.
        values, places = before[:, which].topk(k, dim=-1, sorted=False)
        rest = rest.detach()
        error = (summed(values, places, self.decoder[which]) - rest).square().mean()
        return self.settings.aux_weight * error / rest.square().mean().clamp(min=1e-12)

    @torch.no_grad()
    def first_threshold(self, x: Tensor) -> float:
        """One threshold for all, above which are as many latents as are wanted."""
        before = self.before(x).flatten()
        kept = min(len(x) * self.settings.l0, len(before) - 1)
        return max(1e-3, before.kthvalue(len(before) - kept).values.item())

    @torch.no_grad()
    def keep_norms(self) -> None:
        """Directions back to norm 1."""
        self.decoder.copy_(F.normalize(self.decoder, dim=1))

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Takes from the decoder's gradient what would only change norms, so that Adam's moments
        hold nothing of it (Bricken et al. 2023)."""
        gradient = self.decoder.grad
        if gradient is None:
            raise TrainingError("The decoder has no gradient to project.")
        gradient -= (gradient * self.decoder).sum(1, keepdim=True) * self.decoder


class TopK(Trainee):
    """The k largest latents are active (Gao et al. 2024)."""

    def forward(self, x: Tensor, y: Tensor, dead: Tensor | None) -> Outcome:
        before = self.before(x)
        values, latents = top(before, self.settings.l0)
        rest = y - summed(values, latents, self.decoder) - self.b_dec
        active = values > 0
        fired = torch.zeros(before.shape[1], dtype=torch.bool, device=x.device)
        fired[latents[active]] = True
        zero = rest.new_zeros(())
        l0 = active.float().sum(1).mean()
        return Outcome(rest.square().mean(), zero, self.revival(before, rest, dead), fired, l0)

    def in_use(self) -> dict[str, Tensor]:
        return {"scale": torch.ones_like(self.b_enc), "bias": self.b_enc}


class JumpReLU(Trainee):
    """Latents above a threshold of their own are active; the threshold learns from those within a
    window around it (Rajamanoharan et al. 2024, JumpReLU). What costs is not the number of active
    latents but its deviation from the one wanted, (L0 / l0 - 1)^2 (their appendix), which needs no
    weight to be found."""

    def __init__(self, d_in: int, d_out: int, same_site: bool, settings: Settings):
        super().__init__(d_in, d_out, same_site, settings)
        self.log_threshold = nn.Parameter(torch.zeros_like(self.b_enc))

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor) -> None:
        super().start(x, y)
        self.log_threshold.fill_(math.log(self.first_threshold(x)))

    def forward(self, x: Tensor, y: Tensor, dead: Tensor | None) -> Outcome:
        before, threshold = self.before(x), self.log_threshold.exp()
        z, active = jump(before, threshold, self.settings.bandwidth)
        rest = y - z @ self.decoder - self.b_dec
        l0 = active.sum(1).mean()
        fired = (active > 0).any(0)
        zero = rest.new_zeros(())
        extra = self.revival(before, rest, dead) + (l0 / self.settings.l0 - 1).square()
        return Outcome(rest.square().mean(), zero, extra, fired, l0.detach())

    def in_use(self) -> dict[str, Tensor]:
        return {
            "scale": torch.ones_like(self.b_enc),
            "bias": self.b_enc,
            "threshold": self.log_threshold.exp(),
        }


class Gated(Trainee):
    """One set of biases decides what is active, another how much, so that the penalty on the first
    does not shrink the second (Rajamanoharan et al. 2024, gated).

    A gate is open where w x + b_gate > 0, and the value is relu(exp(r) w x + b_mag). With shared
    weights w that is a JumpReLU: the gate is open where exp(r) w x + b_mag > b_mag - exp(r) b_gate
    (their appendix on weight tying).
    """

    def __init__(self, d_in: int, d_out: int, same_site: bool, settings: Settings):
        super().__init__(d_in, d_out, same_site, settings)
        self.r_mag = nn.Parameter(torch.zeros_like(self.b_enc))
        self.b_mag = nn.Parameter(torch.zeros_like(self.b_enc))

    @torch.no_grad()
    def start(self, x: Tensor, y: Tensor) -> None:
        super().start(x, y)
        self.b_enc.fill_(-self.first_threshold(x))

    def forward(self, x: Tensor, y: Tensor, dead: Tensor | None) -> Outcome:
        gate = self.before(x)
        size = (gate - self.b_enc) * self.r_mag.exp() + self.b_mag
        z = torch.where(gate > 0, size.relu(), 0.0)
        rest = y - z @ self.decoder - self.b_dec
        opened = gate.relu()
        # Their auxiliary task: the gates alone write it too, with directions that stay as they are.
        alone = y - opened @ self.decoder.detach() - self.b_dec.detach()
        active = z > 0
        l0 = active.float().sum(1).mean()
        extra = self.revival(gate, rest, dead) + alone.square().mean()
        cost = opened.sum(1).mean() / self.settings.l0
        return Outcome(rest.square().mean(), cost, extra, active.any(0), l0)

    def in_use(self) -> dict[str, Tensor]:
        scale = self.r_mag.exp()
        threshold = (self.b_mag - scale * self.b_enc).clamp(min=0)
        return {"scale": scale, "bias": self.b_mag, "threshold": threshold}


KINDS: dict[Kind, type[Trainee]] = {"topk": TopK, "jumprelu": JumpReLU, "gated": Gated}


class _Jump(torch.autograd.Function):
    """z = x [x > t] and the indicator [x > t], with the pseudo-derivatives of Rajamanoharan et al.
    (2024, equations 11 and 12): -(t/w) and -(1/w) within a window of width w around t."""

    @staticmethod
    def forward(ctx: Any, before: Tensor, threshold: Tensor, width: float) -> tuple[Tensor, Tensor]:
        active = (before > threshold).to(before.dtype)
        ctx.save_for_backward(before, threshold, active)
        ctx.width = width
        return before * active, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        before, threshold, active = ctx.saved_tensors
        of_value, of_active = gradients
        near = (before - threshold).abs() < ctx.width / 2
        pull = torch.where(near, threshold * of_value + of_active, 0.0).sum(0) / ctx.width
        return of_value * active, -pull, None


def jump(before: Tensor, threshold: Tensor, width: float) -> tuple[Tensor, Tensor]:
    out: tuple[Tensor, Tensor] = _Jump.apply(before, threshold, width)  # type: ignore[no-untyped-call]
    return out
