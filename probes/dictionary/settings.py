"""What a dictionary is trained for and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from interp.errors import ConfigError

Kind = Literal["topk", "jumprelu", "gated"]


@dataclass(frozen=True)
class Settings:
    """The settings of one training. Frozen; checks itself.

    Rates and bandwidth are in the units of the training, in which the activations to be written
    have mean 0 and a variance of 1 per coordinate.

    Raises:
        ConfigError: a value is out of range.
    """

    kind: Kind = "topk"
    """`topk` (Gao et al. 2024, arXiv 2406.04093), `jumprelu` (Rajamanoharan et al. 2024, arXiv
    2407.14435) or `gated` (Rajamanoharan et al. 2024, arXiv 2404.16014)."""
    latents: int = 1536
    l0: int = 32
    """Active latents at a token: at most with `topk`, on average with the others."""
    steps: int = 1000
    seed: int = 0
    """Of the first directions, the only random choice."""

    rate: float = 1e-3
    """The highest learning rate of Adam."""
    warmup_steps: int = 50
    decay_share: float = 0.3
    """The part of all steps, at the end, in which the rate falls linearly to zero."""
    bandwidth: float = 0.5
    """`jumprelu`: width of the window around a threshold from which its gradient is estimated."""

    dead_after: int = 50_000
    """Tokens without being active after which a latent counts as dead."""
    aux_weight: float = 1 / 32
    """Of the loss by which dead latents learn to write what the others leave (AuxK)."""

    save_every: float = 60.0
    """Seconds between states to resume from."""

    def __post_init__(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise ConfigError(message)

        kinds = get_args(Kind)
        require(self.kind in kinds, f"kind is {self.kind!r}; it must be in {', '.join(kinds)}.")
        for name in ("latents", "l0", "steps", "dead_after"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; at least 1.")
        require(self.l0 <= self.latents, f"l0 is {self.l0} and there are {self.latents} latents.")
        require(self.rate > 0, f"rate is {self.rate}; it must be positive.")
        require(self.bandwidth > 0, f"bandwidth is {self.bandwidth}; it must be positive.")
        require(self.warmup_steps >= 0, f"warmup_steps is {self.warmup_steps}.")
        require(0 < self.decay_share <= 1, f"decay_share is {self.decay_share}; not in (0, 1].")
        require(self.aux_weight >= 0, f"aux_weight is {self.aux_weight}; not negative.")

    def of_result(self) -> dict[str, Any]:
        """The settings that the result depends on, as plain values for JSON."""
        values = dataclasses.asdict(self)
        del values["save_every"]
        return values
