"""Which parameter moves by which rule: AdamW, or Muon for the matrices inside blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from interp.errors import ConfigError
from interp.train.muon import Muon
from interp.train.schedule import factor
from interp.train.settings import Settings


class Optimizers:
    """All parameters that require gradients, each in one optimiser.

    - Muon, with `optimizer="muon"`: the matrices inside blocks.
    - AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101): everything else.

    Matrices decay, and tables of embeddings if the settings say so; norms and biases do not.

    Args:
        named: parameters by name.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], settings: Settings):
        self.settings = settings
        self.names: dict[Tensor, str] = {p: name for name, p in named if p.requires_grad}
        if not self.names:
            raise ConfigError("No parameter requires a gradient: there is nothing to train.")
        muon = [p for p, name in self.names.items() if self._by_muon(name, p)]
        rest = [p for p, name in self.names.items() if not self._by_muon(name, p)]
        self.all: list[torch.optim.Optimizer] = []
        if muon:
            self.all.append(
                Muon(muon, settings.learning_rate, settings.momentum, settings.weight_decay)
            )
        rate = settings.learning_rate
        if muon and settings.other_rate is not None:
            rate = settings.other_rate
        decayed = [p for p in rest if self._decays(self.names[p], p)]
        kept = [p for p in rest if not self._decays(self.names[p], p)]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if groups:
            adamw = torch.optim.AdamW(groups, lr=rate, betas=settings.betas, fused=True)
            self.all.append(adamw)
        for group in self._groups():
            group["highest"] = group["lr"]

    def _by_muon(self, name: str, parameter: Tensor) -> bool:
        return self.settings.optimizer == "muon" and parameter.ndim == 2 and _inside(name)

    def _decays(self, name: str, parameter: Tensor) -> bool:
        return parameter.ndim == 2 and (self.settings.decay_embeddings or not _is_table(name))

    def _groups(self) -> Iterator[dict[str, float]]:
        for optimizer in self.all:
            yield from optimizer.param_groups

    @property
    def parameters(self) -> list[Tensor]:
        return list(self.names)

    def step(self, step: int, total: int | None) -> float:
        """Moves the weights by their gradients and forgets those; returns the factor on rates."""
        now = factor(self.settings, step, total)
        for group in self._groups():
            group["lr"] = group["highest"] * now
        for optimizer in self.all:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return now

    def forget(self) -> None:
        """Drops the gradients without moving anything."""
        for optimizer in self.all:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """What the optimisers remember, `KIND.PARAMETER` -> tensor; complete from the start.

        The tensors are the very ones that the optimisers use: whoever writes into them resumes.
        """
        for optimizer in self.all:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if not optimizer.state[parameter]:
                        optimizer.state[parameter].update(_initial(optimizer, parameter))
        return {
            f"{kind}.{self.names[parameter]}": value
            for optimizer in self.all
            for parameter, state in optimizer.state.items()
            for kind, value in state.items()
        }


def _initial(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """The state that the optimiser itself would begin with."""
    if isinstance(optimizer, Muon):
        return {"momentum_buffer": torch.zeros_like(parameter, requires_grad=False)}
    device = parameter.device
    return {
        "step": torch.zeros((), dtype=torch.float32, device=device),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }


def _inside(name: str) -> bool:
    """Whether a parameter lies in a block."""
    return name.split(".", maxsplit=1)[0] in ("blocks", "encoder", "decoder")


def _is_table(name: str) -> bool:
    """Whether a parameter is a table of embeddings, as opposed to a linear map."""
    return name.startswith(("embed.", "input.", "decoder_input.", "relative_bias."))
