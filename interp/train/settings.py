"""How a model is trained: what changes the result, and a few things that change only speed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from interp.errors import ConfigError

OptimizerName = Literal["adamw", "muon"]
ScheduleName = Literal["wsd", "cosine", "inverse_sqrt", "constant"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Settings:
    """The settings of one training. Frozen; checks itself.

    Either `steps` or `minutes` says how long it takes.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """

    steps: int | None = None
    minutes: float | None = None
    """A budget of training time. The number of steps follows from the speed, so a run with it
    cannot be repeated bit by bit; its log says how many steps it was."""
    seed: int = 0
    """Of dropout. Weights and data have seeds of their own."""

    # optimiser
    optimizer: OptimizerName = "adamw"
    """`muon` moves the matrices inside blocks by Muon, everything else by AdamW."""
    learning_rate: float = 3e-3
    """The highest rate. Muon's updates are scaled to AdamW's size, so one rate serves both."""
    other_rate: float | None = None
    """With Muon, the rate of what AdamW moves; None for the same."""
    weight_decay: float = 0.1
    """On matrices; norms and biases never decay."""
    decay_embeddings: bool = False
    """Whether tables of embeddings decay too."""
    betas: tuple[float, float] = (0.9, 0.95)
    momentum: float = 0.95
    """Of Muon."""
    clip: float = 1.0
    """Norm that gradients are scaled down to; 0 for no limit."""

    # schedule
    schedule: ScheduleName = "wsd"
    warmup_steps: int = 100
    decay_share: float = 0.4
    """`wsd`: the part of all steps, at the end, in which the rate falls linearly to zero."""
    final_share: float = 0.0
    """`cosine`: the last rate as a share of the highest."""

    # the step
    micro_batches: int = 1
    """A step's rows are computed in so many parts; the result is the same."""
    precision: Precision = "auto"
    """What to compute in; weights and optimiser are float32 whatever it is. `auto` measures."""
    compile: bool | None = None
    """None compiles on a GPU only: elsewhere a short run loses more than it wins."""
    recompute: bool = False
    """Forget the activations inside blocks and compute them again on the way back: a third more
    time, a fraction of the memory (Chen et al. 2016, arXiv 1604.06174)."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: each has all weights (`ddp`) or a share of them (`fsdp`)."""

    # care
    spike: float = 6.0
    """Skip a step whose gradient norm is so many standard deviations above the latest ones (on a
    log scale); 0 for never. A step that is not finite is always skipped."""
    ema: float = 0.0
    """Decay per step of an average of the weights, kept beside them; 0 for none."""

    # what is kept on the way
    evaluate_every: int = 0
    """Steps between evaluations; 0 for only one at the end."""
    stop_on: str | None = None
    """Name of an evaluated figure: training ends when it has not improved `patience` times in a
    row, with the weights that were best by it."""
    stop_higher: bool = False
    """Whether a higher value of `stop_on` is better."""
    patience: int = 5
    checkpoint_every: int = 1000
    """Checkpoints lie at the multiples of this and at the end; 0 for none."""
    early_checkpoints: bool = True
    """Whether they also lie at steps 1, 2, 4 ... 512, as Pythia's do."""
    save_every: float = 120.0
    """Seconds between states to resume from."""

    def __post_init__(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise ConfigError(message)

        require(
            (self.steps is None) != (self.minutes is None),
            "A training needs either `steps` or `minutes`, not both and not neither.",
        )
        require(self.steps is None or self.steps >= 0, f"steps is {self.steps}.")
        require(self.minutes is None or self.minutes > 0, f"minutes is {self.minutes}.")
        require(
            self.minutes is None or self.schedule in ("wsd", "constant"),
            f"The {self.schedule} schedule needs to know the number of steps from the start; give "
            "`steps`, or use the schedule 'wsd' with `minutes`.",
        )
        for name, alias in (
            ("optimizer", OptimizerName),
            ("schedule", ScheduleName),
            ("precision", Precision),
        ):
            allowed = get_args(alias)
            value = getattr(self, name)
            require(value in allowed, f"{name} is {value!r}; it must be in {', '.join(allowed)}.")
        require(self.parallel in ("ddp", "fsdp"), f"parallel is {self.parallel!r}.")
        require(
            not (self.parallel == "fsdp" and self.optimizer == "muon"),
            "Muon needs whole matrices and fsdp splits them: use ddp, or the optimizer 'adamw'.",
        )
        require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}.")
        require(self.micro_batches >= 1, f"micro_batches is {self.micro_batches}.")
        require(self.warmup_steps >= 0, f"warmup_steps is {self.warmup_steps}.")
        require(0 < self.decay_share <= 1, f"decay_share is {self.decay_share}; not in (0, 1].")
        require(0 <= self.final_share <= 1, f"final_share is {self.final_share}; not in [0, 1].")
        require(0 <= self.ema < 1, f"ema is {self.ema}; it must be in [0, 1).")
        require(min(self.clip, self.spike) >= 0, "clip and spike cannot be negative.")
        require(self.checkpoint_every >= 0, f"checkpoint_every is {self.checkpoint_every}.")
        require(
            self.stop_on is None or self.evaluate_every > 0,
            f"Stopping on {self.stop_on!r} needs evaluations: set evaluate_every.",
        )
        require(self.patience >= 1, f"patience is {self.patience}; it must be at least 1.")

    def replace(self, **changes: Any) -> Settings:
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**dataclasses.asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """The settings that `to_dict` wrote.

        Raises:
            ConfigError: an unknown name.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ConfigError(
                f"There is no setting {', '.join(unknown)}; there are {', '.join(sorted(known))}."
            )
        return cls(**{**values, "betas": tuple(values.get("betas", cls.betas))})


RESULT = frozenset(
    field.name
    for field in dataclasses.fields(Settings)
    if field.name
    not in {
        "micro_batches",
        "compile",
        "recompute",
        "parallel",
        "evaluate_every",
        "checkpoint_every",
        "early_checkpoints",
        "save_every",
    }
)
"""The settings that a run cannot change half-way without becoming another run."""
