"""Dictionaries and activations whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from probes.dictionary import Coder


def random_coder(
    *, k: int | None, d_in: int = 6, d_out: int = 6, latents: int = 12, seed: int = 0
) -> Coder:
    """Random weights in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Coder(
        W_enc=draw(d_in, latents),
        b_enc=draw(latents),
        W_dec=F.normalize(draw(latents, d_out), dim=1),
        b_dec=draw(d_out),
        site="blocks.0.hook_resid_post",
        target="blocks.0.hook_resid_post" if d_in == d_out else "blocks.0.hook_mlp_out",
        k=k,
        threshold=None if k is not None else draw(latents).abs(),
    )


def identity(d: int, site: str, mean: Tensor | None = None) -> Coder:
    """Writes what it reads; with a mean, that and nothing else."""
    eye = torch.eye(d, dtype=torch.float64)
    both = torch.cat([eye, -eye], 1)
    return Coder(
        W_enc=both,
        b_enc=both.new_zeros(2 * d),
        W_dec=both.t().contiguous() if mean is None else both.new_zeros(2 * d, d),
        b_dec=both.new_zeros(d) if mean is None else mean.double(),
        site=site,
        target=site,
        threshold=both.new_zeros(2 * d),
    )


class Planted:
    """Sums of a few directions out of many, of sizes from 1 to 2, a mean and a little noise."""

    def __init__(self, d: int = 16, n: int = 32, active: int = 2, rows: int = 256, seed: int = 0):
        self.d, self.n, self.active, self.rows, self.seed = d, n, active, rows, seed
        self.directions = F.normalize(torch.randn(n, d, generator=self._generator(-1)), dim=1)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(1000 * self.seed + step + 1)

    def batch(self, step: int) -> Tensor:
        generator = self._generator(step)
        chosen = torch.rand(self.rows, self.n, generator=generator).argsort(1)[:, : self.active]
        sizes = 1 + torch.rand(self.rows, self.active, generator=generator)
        code = torch.zeros(self.rows, self.n).scatter_(1, chosen, sizes)
        noise = 0.01 * torch.randn(self.rows, self.d, generator=generator)
        return code @ self.directions + 2.0 + noise

    def since(self, step: int) -> Iterator[Tensor]:
        while True:
            yield self.batch(step)
            step += 1

    def __iter__(self) -> Iterator[Tensor]:
        return self.since(0)
