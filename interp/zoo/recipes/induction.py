"""Train the zoo suite `induction`: two layers of attention that learn to copy, all at once.

    interp zoo build induction --out DIR

The model reads passages of random tokens that are repeated. For a while it can do no better than
chance; then, within a few steps, an induction head forms (Olsson et al. 2022, arXiv 2209.11895): a
head of the second layer that looks at what followed the present token the last time, with the help
of one in the first layer that looks at the token before. One layer alone cannot do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp.data.synthetic.repeated import BOS, RepeatedTokens
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.run import Run
from interp.train.settings import Settings
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import save_rounded, save_suite

SEED = 0
D_VOCAB, LENGTH, ROWS = 64, 48, 64
STEPS = 2000
CONFIG = TransformerConfig(
    model_name="induction",
    d_model=64,
    n_layers=2,
    n_heads=4,
    d_vocab=D_VOCAB,
    n_ctx=LENGTH,
    attn_only=True,
    bos_token_id=BOS,
    initializer_range=0.05,
)
SETTINGS = Settings(
    steps=STEPS,
    learning_rate=2e-3,
    weight_decay=0.01,
    betas=(0.9, 0.98),
    warmup_steps=50,
    checkpoint_every=100,
    precision="float32",
)


def source(seed: int = SEED) -> RepeatedTokens:
    """The training text; batches of steps beyond the training are fresh text."""
    return RepeatedTokens(D_VOCAB, ROWS, LENGTH, seed)


FRESH = 10**6  # a step that no training reaches


def repeats(step: int = FRESH, seed: int = SEED) -> tuple[Tensor, Tensor, Tensor]:
    """A batch for measuring: tokens [row, pos], labels [row, pos], and for each position the one
    after the last time its token was read, [row, pos]; -1 where it is read for the first time."""
    batch = source(seed).batch(step)
    tokens = batch.inputs["tokens"]
    same = tokens[:, :, None] == tokens[:, None, :]  # [row, now, then]
    earlier = same & torch.ones_like(same).tril(-1)
    place = torch.arange(tokens.shape[1])
    last = torch.where(earlier, place, -1).amax(-1)
    return tokens, batch.labels, torch.where(last >= 0, last + 1, -1)


@torch.no_grad()
def induction_scores(model: HookedTransformer, step: int = FRESH) -> Tensor:
    """How much of its attention each head gives to what came after the present token the last
    time, where there was one: [layer, head], in [0, 1]."""
    tokens, _, after = repeats(step)
    known = after >= 0
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("pattern"))
    scores = []
    for layer in range(model.cfg.n_layers):
        pattern = cache["pattern", layer]  # [row, head, now, then]
        index = after.clamp(min=0)[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
        scores.append(pattern.gather(-1, index)[..., 0].transpose(1, 2)[known].mean(0))
    return torch.stack(scores)


@torch.no_grad()
def loss_on_repeats(
    model: HookedTransformer, without: Sequence[tuple[int, int]] = (), step: int = FRESH
) -> float:
    """Nats a token where the text repeats itself, with the output of some heads (layer, head) set
    to its mean over rows and positions."""
    tokens, labels, after = repeats(step)

    def mean(z: Tensor, hook: Any) -> Tensor:
        for layer, head in without:
            if hook.layer() == layer:
                z[:, :, head] = z[:, :, head].mean((0, 1))
        return z

    layers = sorted({layer for layer, _ in without})
    hooks = [(f"blocks.{layer}.attn.hook_z", mean) for layer in layers]
    logits = model.run_with_hooks(tokens, fwd_hooks=hooks)
    losses = -logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return float(losses[after >= 0].mean())


def trace(run: Run) -> pd.DataFrame:
    """The best induction score and the loss on repeats at every checkpoint: columns `step`,
    `score`, `loss`."""
    rows = [(step, float(induction_scores(m).max()), loss_on_repeats(m)) for step, m in run]
    return pd.DataFrame(rows, columns=["step", "score", "loss"])


def rise(frame: pd.DataFrame, low: float = 0.05, high: float = 0.5) -> tuple[int, int] | None:
    """The last step with a score below `low`, and the first after it above `high`; None if the
    score never rises."""
    above = frame.loc[frame["score"] > high, "step"]
    if above.empty:
        return None
    last = int(above.iloc[0])
    below = frame.loc[(frame["score"] < low) & (frame["step"] < last), "step"]
    return (int(below.iloc[-1]) if len(below) else -1), last


def top_heads(model: HookedTransformer, n: int = 2) -> list[tuple[int, int]]:
    """The heads (layer, head) with the highest induction scores."""
    scores = induction_scores(model)
    flat = scores.flatten().topk(n).indices.tolist()
    return [divmod(i, scores.shape[1]) for i in flat]


# -- the whole -----------------------------------------------------------------------------------


def build(out: Path, work: Path) -> None:
    """Trains the suite and its one-layer control, and writes the zoo folder `out`.

    Args:
        work: where the training runs lie; a build that was stopped goes on there.
    """
    precision = "float32"
    done = fit(HookedTransformer(CONFIG, seed=SEED), source(), SETTINGS, folder=work / "two")
    one_layer = HookedTransformer(CONFIG.replace(n_layers=1), seed=SEED)
    control = fit(one_layer, source(), SETTINGS, folder=work / "one")
    run = Run.open(work / "two")
    save_suite(run, out, run.steps)
    stored = save_rounded(run.load(-1), out)
    seeds = {"weights": SEED, "text": SEED}
    command = "interp zoo build induction --out DIR"
    Card(
        name="induction",
        lead="Two layers of attention that learn to copy a repeated passage, with a checkpoint "
        "every 100 steps through the moment at which they learn it.",
        example=_EXAMPLE,
        figures=figures(Run.open(out), stored, one_layer),
        figures_note=_NOTE,
        making={
            "two layers": Making.of(done, command, seeds, precision),
            "one layer, the control (not stored)": Making.of(control, command, seeds, precision),
        },
        data=[
            f"Passages of {LENGTH // 4} to {LENGTH // 2} random tokens out of {D_VOCAB - 1}, "
            "repeated to the end of the row; drawn by `interp.data.synthetic.RepeatedTokens`."
        ],
        limits=_LIMITS,
    ).write(out, stored)


def figures(run: Run, model: HookedTransformer, control: HookedTransformer) -> pd.DataFrame:
    """What the card says: columns `metric` and `value`."""
    frame = trace(run)
    risen = rise(frame)
    heads = top_heads(model)
    whole, ablated = loss_on_repeats(model), loss_on_repeats(model, heads)
    rows: list[tuple[str, float]] = [
        ("best induction score before the rise", float(frame["score"].iloc[0])),
        ("best induction score at the end", float(induction_scores(model).max())),
        ("best induction score of one layer", float(induction_scores(control).max())),
        ("loss on repeats, nats a token", whole),
        ("loss on repeats without the best two heads", ablated),
        ("loss on repeats of one layer", loss_on_repeats(control)),
    ]
    if risen is not None:
        rows += [
            ("last step with a score below 0.05", risen[0]),
            ("first step with a score above 0.5", risen[1]),
            ("the rise, as a share of all steps", (risen[1] - risen[0]) / run.steps[-1]),
        ]
    return pd.DataFrame(rows, columns=["metric", "value"])


_EXAMPLE = """
import interp

run = interp.Run.open("induction")  # 0, 1, 2, 4 ... and every 100 steps
model = interp.load("induction")  # the last of them
"""
_NOTE = (
    "The induction score of a head is the attention that it gives to what came after the present "
    "token the last time, averaged over all places where there was one. Heads are ablated by "
    "setting their output to its mean. Measured on text that the training did not read."
)
_LIMITS = (
    "For studying how a mechanism arises: it is known what the model does, by which heads, and "
    "when it began to. It knows nothing of language."
)
