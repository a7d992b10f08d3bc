"""Fine-tuning by supervision: a trained model learns a task from examples of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interp.atomic import writing
from interp.errors import ConfigError
from interp.model.transformer import HookedTransformer
from interp.train.evaluate import evaluate
from interp.train.loop import fit
from interp.train.lora import LoRA, add_lora, merged, save_adapter
from interp.train.metrics import to_frame
from interp.train.objective import Objective
from interp.train.preference import DPO
from interp.train.recorder import MODEL
from interp.train.settings import Settings
from interp.train.tasks import Trainable, kind_of, records_of, save_task
from interp.train.tasks.task import loss_of

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["full", "lora"]

ADAPTER, TABLE = "adapter", "evaluation.csv"


@dataclass(frozen=True)
class Plan:
    """How long and how fast to fine-tune; suits most tasks.

    The rate rises in the first tenth of the steps, then falls linearly to zero. The dev figures
    are taken after each epoch, and training ends when the task's own one has not improved in
    `patience` of them, with the weights that were best.

    Attributes:
        epochs: the most.
        learning_rate: the highest; by default 2e-5 at a width of 768, and more the narrower the
            model is, by the square; ten times that for adapters.
        seed: of dropout, of a new head and of the order of examples.
    """

    epochs: float = 3
    learning_rate: float | None = None
    patience: int = 2
    seed: int = 0

    def settings(
        self, task: Trainable[Any, Any], d_model: int, steps_per_epoch: float, method: Method
    ) -> Settings:
        """The plan for a model of this width and a source of this length."""
        steps = max(1, math.ceil(self.epochs * steps_per_epoch))
        rate = min(1e-3, 2e-5 * (768 / d_model) ** 2) * (10 if method == "lora" else 1)
        return Settings(
            steps=steps,
            seed=self.seed,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            weight_decay=0.01,
            betas=(0.9, 0.999),
            warmup_steps=max(1, steps // 10),
            schedule="wsd",
            decay_share=0.9,
            evaluate_every=max(1, min(steps, round(steps_per_epoch))),
            checkpoint_every=max(1, min(steps, round(steps_per_epoch))),
            early_checkpoints=False,
            stop_on=task.stop_on,
            stop_higher=task.stop_higher,
            patience=self.patience,
        )


def finetune(
    model: HookedTransformer,
    task: Trainable[Any, Any] | str,
    train: Path | str | Sequence[Any],
    dev: Path | str | Sequence[Any],
    settings: Settings | Plan | None = None,
    *,
    method: Method = "full",
    lora: LoRA | None = None,
    objective: Objective | None = None,
    tokens: int = 2048,
    folder: Path | str | None = None,
    progress: bool = True,
) -> tuple[HookedTransformer, pd.DataFrame]:
    """Trains a copy of a model on a task and measures it.

    A model whose head is not the task's gets a new one. With a folder, the run is recorded there
    as `fit` does it, and goes on from there after an interruption; the fine-tuned model is in its
    `model/`, with the task beside the weights, low-rank adapters are in `adapter/`, and the table
    is in `evaluation.csv`.

    Args:
        model: stays as it is.
        task: its name (see `interp.train.tasks.TASKS`), or the task itself. By its name alone,
            classes are those of the training data.
        train, dev: files of examples, public sets, or records; see
            `interp.train.tasks.records_of`.
        settings: by default `Plan()`. Their seed is also that of a new head and of the order.
        method: `full` trains all weights, `lora` adapters and a classifier's head.
        lora: with that method, the shape of the adapters.
        objective: what to make smaller; by default the task's.
        tokens: the most in a batch, padding included.
        progress: whether to show a bar.

    Returns:
        The fine-tuned model, and the table of `evaluate` on `dev` with a column `system`: the
        model, and the simple rule that it is to be better than. With early stopping the model was
        chosen on `dev`, so another set gives the fairer figure.

    Raises:
        InputError: examples that are missing or not of this task, such as unknown labels.
        ConfigError: settings that contradict each other or the model.
        KeyboardInterrupt: after Ctrl-C; a call with the same arguments goes on.
    """
    train, dev, task = _read(task, train, dev)
    if method not in ("full", "lora") or (lora is not None and method != "lora"):
        raise ConfigError(f"The method {method!r} with lora={lora}: it is 'full' or 'lora'.")
    settings = settings or Plan()
    new = task.prepare(model, settings.seed)
    if new is model:
        new = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
    new = new.float()
    source = task.source(new, train, tokens=tokens, seed=settings.seed)
    watched = task.source(new, dev, tokens=tokens)
    if isinstance(settings, Plan):
        settings = settings.settings(task, new.cfg.d_model, source.steps_per_epoch, method)
    objective = objective or task.objective(new)
    if isinstance(objective, DPO):  # small differences of large sums
        settings = settings.replace(precision="float32")
    if method == "lora":
        lora = lora or LoRA()
        if not new.cfg.has_vocabulary_head:
            lora = replace(lora, trained=(*lora.trained, "output.*"))
        add_lora(new, lora)

    def watch(model: HookedTransformer) -> dict[str, float]:
        return {"loss": loss_of(model, watched, objective), **task.watch(model, dev)}

    fit(
        new,
        source,
        settings,
        objective=objective,
        evaluate=watch,
        folder=folder,
        progress=progress,
    )
    plain = merged(new).requires_grad_(True)
    frame = _compare(plain, task, train, dev, progress=progress)
    if folder is not None:
        folder = Path(folder)
        save_task(task, folder / MODEL)
        if lora is not None:
            save_adapter(new, lora, folder / ADAPTER)
        with writing(folder / TABLE) as file:
            frame.to_csv(file, index=False)
    return plain, frame


def _read(
    task: Trainable[Any, Any] | str,
    train: Path | str | Sequence[Any],
    dev: Path | str | Sequence[Any],
) -> tuple[Sequence[Any], Sequence[Any], Trainable[Any, Any]]:
    kind = kind_of(task) if isinstance(task, str) else type(task)
    if not issubclass(kind, Trainable):
        raise ConfigError(
            f"The task {kind.name!r} is one that models are measured by; train on plain text with "
            "`interp train`."
        )
    train, dev = records_of(kind, train), records_of(kind, dev)
    return train, dev, kind.of(train) if isinstance(task, str) else task


def _compare(
    model: HookedTransformer,
    task: Trainable[Any, Any],
    train: Sequence[Any],
    dev: Sequence[Any],
    *,
    progress: bool,
) -> pd.DataFrame:
    """The model's figures on dev, and those of the simple rule."""
    import pandas as pd

    rule, answers = task.baseline(train, dev)
    simple = to_frame(task.measure(dev, answers))
    simple.insert(0, "task", task.name)
    ours = evaluate(model, task, dev, progress=progress)
    frame = pd.concat([ours.assign(system="model"), simple.assign(system=rule)], ignore_index=True)
    return frame[["system", *(name for name in frame if name != "system")]]
