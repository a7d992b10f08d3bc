"""Train the zoo suite `grokking`: addition modulo 113, remembered first and understood much later.

    interp zoo build grokking --out DIR

One layer reads `a b =` and learns (a + b) mod 113 from 30 % of the pairs. It fits them soon, and is
no better than chance on the others for thousands of steps; then it generalises (Power et al. 2022,
arXiv 2201.02177). Inside, it has come to add angles: its embeddings are sines and cosines of a few
frequencies (Nanda et al. 2023, arXiv 2301.05217, whose shape, split and optimiser these are).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from interp.atomic import writing
from interp.data.batch import Batch
from interp.data.synthetic.modular import ModularAddition
from interp.model.block import Block
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.recorder import LOG
from interp.train.run import Run
from interp.train.settings import Settings
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import save_rounded, save_suite

SEED = 0
P, SHARE = 113, 0.3
STEPS = 12_000
KEPT = (0, 1000, 7000, 8000, 12_000)
CONFIG = TransformerConfig(
    model_name="grokking",
    d_model=128,
    n_layers=1,
    n_heads=4,
    d_vocab=P + 1,
    d_vocab_out=P,
    n_ctx=3,
    act_fn="relu",
    # The paper's model has no norms; with this, and the gains of `initial`, ours divide by 1.
    # Norms proper would take the length of the embeddings, and with it the sense of their decay.
    normalization_type="RMS",
    eps=float(2**20),
    qkv_bias=False,
    attn_out_bias=False,
    initializer_range=128**-0.5,
    default_prepend_bos=False,
)
SETTINGS = Settings(
    steps=STEPS,
    learning_rate=1e-3,
    weight_decay=1.0,
    decay_embeddings=True,
    betas=(0.9, 0.98),
    schedule="constant",
    warmup_steps=10,
    clip=0.0,
    spike=0.0,
    evaluate_every=100,
    checkpoint_every=1000,
    precision="float32",
    save_every=30.0,
)


def source(split: Literal["train", "test"], seed: int = SEED) -> ModularAddition:
    """One side of the split: all of its pairs at every step."""
    return ModularAddition(P, SHARE, split=split, seed=seed)


def initial(seed: int = SEED) -> HookedTransformer:
    """The model before training. Its norms multiply by sqrt(eps) and divide by sqrt(mean square +
    eps), which is 1 up to 1e-4 while the stream is shorter than 10 a coordinate."""
    model = HookedTransformer(CONFIG, seed=seed)
    for name, parameter in model.named_parameters():
        if "ln" in name:
            parameter.requires_grad_(False).fill_(CONFIG.eps**0.5)
    return model


# -- the step ------------------------------------------------------------------------------------


def answers(model: HookedTransformer, tokens: Tensor) -> Tensor:
    """The logits at the last position of `a b =`: tokens [row, 3] -> [row, p].

    The same numbers as the model's forward, from a quarter of the work: the last position alone is
    computed, and keys and values once for each number in each place instead of for each row.
    """
    (block,) = model.blocks
    assert isinstance(block, Block) and block.mlp is not None
    p = model.cfg.d_vocab - 1
    places = torch.arange(3, device=tokens.device)
    numbers = torch.arange(p, device=tokens.device)
    rows = torch.cat([numbers, numbers, tokens.new_tensor([p])])  # first, second, `=`
    at = torch.cat([places[:2].repeat_interleave(p), places[2:]])
    begin = model.stack(model.last_stack).begin(rows[None], at[None])[0]  # [2 p + 1, d_model]
    normed = block.normed_before("ln1", begin)
    q = torch.einsum("d,hde->he", normed[-1], block.attn.W_Q)
    k, v = block.attn.keys_values(normed, None)  # [2 p + 1, head, d_head]
    scores = torch.einsum("rhe,he->rh", k, q) / block.attn.scale
    where = tokens + tokens.new_tensor([0, p, p])  # [row, 3]
    pattern = F.embedding(where, scores).softmax(1)  # [row, 3, head]
    seen = [F.embedding(where[:, i], v.flatten(1)).unflatten(-1, v.shape[1:]) for i in range(3)]
    z = sum(pattern[:, i, :, None] * seen[i] for i in range(3))
    mid = begin[-1] + block.attn.out(z.flatten(-2))
    post = mid + block.mlp(block.normed_before("ln2", mid))
    logits: Tensor = model.output(model.stack(model.last_stack).finish(post))
    return logits


def surprise(logits: Tensor, right: Tensor) -> Tensor:
    """-log softmax at the right answers, [row]: log(1 + sum of exp(wrong - right)).

    In this form a loss of 1e-8, where training goes, is not lost in float32 beside 1, and neither
    is its gradient.
    """
    margin = logits - logits.gather(-1, right[:, None])
    wrong = margin.scatter(-1, right[:, None], float("-inf")).logsumexp(-1)
    return F.softplus(wrong)


@dataclass(frozen=True)
class Answers:
    """The objective: the summed surprise at the answers, in nats."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": "answers"}

    def count(self, batch: Batch) -> float:
        """The number of rows."""
        return float(len(batch))

    def __call__(self, model: HookedTransformer, batch: Batch) -> Tensor:
        """The summed loss, a scalar."""
        logits = answers(model, batch.inputs["tokens"])
        return surprise(logits, batch.labels[:, -1]).sum()


@torch.no_grad()
def measure(model: HookedTransformer, seed: int = SEED) -> dict[str, float]:
    """Loss in nats and share of right answers, on both sides of the split."""
    found = {}
    for split in ("train", "test"):
        batch = source(split, seed).batch(0)
        logits, right = answers(model, batch.inputs["tokens"]), batch.labels[:, -1]
        found[f"{split}_loss"] = float(surprise(logits, right).mean())
        found[f"{split}_accuracy"] = float((logits.argmax(-1) == right).float().mean())
    return found


# -- the whole -----------------------------------------------------------------------------------


def build(out: Path, work: Path, seed: int = SEED) -> None:
    """Trains the suite and writes the zoo folder `out`.

    Args:
        work: where the training run lies; a build that was stopped goes on there.
        seed: of the weights and of the split.
    """
    done = fit(
        initial(seed),
        source("train", seed),
        SETTINGS,
        objective=Answers(),
        evaluate=lambda model: measure(model, seed),
        folder=work,
    )
    run = Run.open(work)
    save_suite(run, out, [step for step in KEPT if step in run.steps])
    with writing(out / LOG) as file:  # of 25,000 lines, those that say how good it was
        lines = (work / LOG).read_text("utf-8").splitlines(keepends=True)
        file.writelines(line for line in lines if "evaluation" in json.loads(line))
    stored = save_rounded(run.load(-1), out)
    command = "interp zoo build grokking --out DIR" + (f" --seed {seed}" if seed != SEED else "")
    Card(
        name="grokking",
        lead="One layer that adds modulo 113: it remembers the pairs that it is shown, and long "
        "after understands the sum; with checkpoints before, while and after it does.",
        example=_EXAMPLE,
        figures=figures(run.log, stored, seed),
        figures_note=_NOTE,
        making={"training": Making.of(done, command, {"weights": seed, "split": seed}, "float32")},
        data=[
            f"All {P * P:,} pairs `a b =` with their sum modulo {P}, {SHARE:.0%} of them for "
            "training; from `interp.data.synthetic.ModularAddition`."
        ],
        limits=_LIMITS,
    ).write(out, stored)


def figures(log: pd.DataFrame, stored: HookedTransformer, seed: int) -> pd.DataFrame:
    """What the card says: columns `metric` and `value`."""
    log = log.dropna(subset=["evaluation.test_accuracy"])
    train, test = log["evaluation.train_accuracy"], log["evaluation.test_accuracy"]
    rows: list[tuple[str, float]] = [
        (f"{name.replace('_', ' ')} of the stored weights", value)
        for name, value in measure(stored, seed).items()
    ]
    if (train == 1).any():
        fitted = train.eq(1).idxmax()
        rows += [
            ("first step with all training pairs right", float(log["step"][fitted])),
            ("test accuracy then", float(test[fitted])),
        ]
    if (test > 0.99).any():
        understood = log["step"][test.gt(0.99).idxmax()]
        rows.append(("first step with over 99 % of the test pairs right", float(understood)))
    return pd.DataFrame(rows, columns=["metric", "value"])


_EXAMPLE = """
import interp

run = interp.Run.open("grokking")
model = interp.load("grokking")  # the last of them
model([[17, 99, 113]])[0, -1].argmax()  # 17 + 99 = 3 (mod 113); 113 is the token "="
"""
_NOTE = (
    "Accuracies are shares of pairs. The steps were read off an evaluation every "
    f"{SETTINGS.evaluate_every} steps. How few frequencies the embeddings are made of is measured "
    "by `python -m probes.fourier --run grokking`."
)
_LIMITS = (
    "For studying how generalisation arises after fitting, on a mechanism that is known. It knows "
    "nothing but this sum."
)
