"""Train small decoders of several sizes for several lengths: the runs behind the default law.

    python -m benchmarks.size_sweep --data DIR

adds a line to `docs/records/size-sweep.csv` after each run, so that a sweep that was stopped goes
on where it was, and then fits `interp/train/size/stories.json` to them. Every run sees new text
only, decays its rate to zero at its own end, and is scored on the same books and stories, none of
which it has read. One thread; about half an hour.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm import tqdm

from interp.atomic import writing
from interp.data.batch import Batch
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.settings import Settings
from interp.train.size.parameters import COUNTINGS, count_parameters
from interp.train.size.runs import fit_file
from interp.train.size.shapes import decoder
from interp.zoo.recipes.stories_text import read_documents
from interp.zoo.recipes.stories_tokens import Corpus, batch, train_tokenizer

RECORD = Path(__file__).parent.parent / "docs" / "records" / "size-sweep.csv"
LAWS = Path(__file__).parent.parent / "interp" / "train" / "size" / "stories.json"
SOURCE = (
    "decoders of this package of up to 2.6M parameters, on novels and children's stories "
    "(docs/records/size-sweep.csv)"
)
D_VOCAB, N_CTX, ROWS, SEED = 4096, 256, 4, 0
RATE = 2e-3  # the best of 1 to 12e-3 at widths of 64 and 128, after 256,000 tokens
PLAN = {  # width -> thousands of tokens of its runs, the long ones for what learns fast
    32: (256, 512, 1024, 2048),
    64: (256, 512, 1024, 2048),
    96: (256, 512, 1024),
    128: (256, 512, 1024),
    192: (256, 512),
}


@dataclass(frozen=True)
class Rows:
    """Batches of a corpus, for the training loop."""

    corpus: Corpus

    def batch(self, step: int) -> Batch:
        rows = batch(self.corpus, step, rows=ROWS, length=N_CTX + 1, seed=SEED)
        return Batch({"tokens": rows[:, :-1]}, rows[:, 1:])


def settings(steps: int) -> Settings:
    """Those of a run: the defaults, with a warm-up that suits a short one."""
    return Settings(steps=steps, learning_rate=RATE, warmup_steps=min(100, steps // 10), seed=SEED)


@torch.no_grad()
def held_out_loss(model: HookedTransformer, corpus: Corpus) -> float:
    """Nats per token over a whole corpus in rows of the context."""
    starts = np.arange(0, len(corpus.tokens) - N_CTX, N_CTX)
    total = 0.0
    for some in np.array_split(starts, math.ceil(len(starts) / 8)):
        rows = corpus.rows(some, N_CTX + 1)
        logits = model(rows[:, :-1]).flatten(0, 1)
        total += F.cross_entropy(logits, rows[:, 1:].flatten(), reduction="sum").item()
    return total / (len(starts) * N_CTX)


def run(d_model: int, tokens: int, corpora: dict[str, Corpus]) -> dict[str, Any]:
    """One run, as a line of the record."""
    cfg = decoder(d_model, d_vocab=D_VOCAB, n_ctx=N_CTX)
    steps = tokens // (ROWS * N_CTX)
    model = HookedTransformer(cfg, seed=SEED)
    fitted = fit(model, Rows(corpora["train"]), settings(steps))
    loss = held_out_loss(model, corpora["held_out"])
    return {
        "d_model": cfg.d_model,
        "n_layers": cfg.n_layers,
        "d_vocab": cfg.d_vocab,
        "n_ctx": cfg.n_ctx,
        **{f"parameters_{name}": count_parameters(cfg, name) for name in COUNTINGS},
        "tokens": steps * ROWS * N_CTX,
        "tokens_per_step": ROWS * N_CTX,
        "learning_rate": RATE,
        "loss": round(loss, 4),
        "bits_per_byte": round(corpora["held_out"].bits_per_byte(loss), 4),
        "seconds": round(fitted.seconds, 1),
        "seed": SEED,
    }


def prepare(data: Path) -> dict[str, Corpus]:
    """The texts of the zoo model `stories`, encoded: what is learnt from and what is not."""
    documents = read_documents(data)
    tokenizer = train_tokenizer((d.text for d in documents if d.split == "train"), D_VOCAB)
    sides = ("train", "held_out")
    return {
        side: Corpus.encode([d for d in documents if d.split == side], tokenizer) for side in sides
    }


def sweep(data: Path, record: Path) -> None:
    """Adds the runs of `PLAN` that the record lacks."""
    lines = pd.read_csv(record).to_dict("records") if record.is_file() else []
    done = {(line["d_model"], line["tokens"]) for line in lines}
    plan = [(width, 1000 * k) for width, ks in PLAN.items() for k in ks]
    plan = [(w, t // (ROWS * N_CTX) * ROWS * N_CTX) for w, t in plan]
    missing = [key for key in plan if key not in done]
    if not missing:
        return
    corpora = prepare(data)
    for width, tokens in tqdm(missing, unit="run"):
        lines.append(run(width, tokens, corpora))
        with writing(record) as file:
            pd.DataFrame(lines).to_csv(file, index=False)


def write_laws(record: Path, laws: Path) -> None:
    """Fits the law of the package to the record, once for each way of counting."""
    found = {}
    for counting in COUNTINGS:
        values = fit_file(record, counting).to_dict()
        draws = [[float(f"{value:.6g}") for value in draw] for draw in values["draws"]]
        found[counting] = {**values, "draws": draws, "source": SOURCE}
    with writing(laws) as file:
        json.dump(found, file)
        file.write("\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the two collections")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    sweep(args.data, RECORD)
    write_laws(RECORD, LAWS)


if __name__ == "__main__":
    main()
