"""Train small decoders of several sizes for several lengths: the runs behind the default law.

    python -m benchmarks.size_sweep --data DIR

adds a line to `docs/records/size-sweep.csv` after each run, so that a sweep that was stopped goes
on where it was, and then fits `interp/train/size/stories.json` to them. Every run sees new text
only, decays its rate to zero at its own end, and is scored on the same books and stories, none of
which it has read. One thread; half an hour on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from tqdm import tqdm

from interp.atomic import writing
from interp.data.corpus import PackedCorpus, pack
from interp.data.packing import NextToken
from interp.data.sets.stories import read_books
from interp.data.tokenizing import train_tokenizer
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.settings import Settings
from interp.train.size.parameters import COUNTINGS, count_parameters
from interp.train.size.runs import fit_file
from interp.train.size.shapes import decoder, tokens_per_step

RECORD = Path(__file__).parent.parent / "docs" / "records" / "size-sweep.csv"
LAWS = Path(__file__).parent.parent / "interp" / "train" / "size" / "stories.json"
SOURCE = (
    "decoders of this package of up to 2.6M parameters, on novels and children's stories "
    "(docs/records/size-sweep.csv)"
)
D_VOCAB, N_CTX, SEED = 4096, 256, 0
RATE = 2e-3  # the best of 1, 2, 4 and 8e-3 at a width of 128; at 64, 1.5e-3 was better than 3e-3
PLAN = {  # thousands of tokens -> widths that read so many
    256: (32, 64, 128),
    512: (32, 64, 96, 128, 192),
    1024: (32, 64, 128),
    2048: (32,),
}


def settings(steps: int) -> Settings:
    """Those of a run: the defaults, with a warm-up that suits a short one."""
    return Settings(steps=steps, learning_rate=RATE, warmup_steps=min(100, steps // 10), seed=SEED)


@torch.no_grad()
def held_out_loss(model: HookedTransformer, corpus: PackedCorpus) -> float:
    """Nats per token over a whole corpus in rows of the context, each token predicted once."""
    rows = NextToken(corpus, 8, N_CTX, SEED)
    total, count = 0.0, 0
    for step in range(int(rows.steps_per_epoch)):
        batch = rows.batch(step)
        logits = model(**batch.inputs).flatten(0, 1)
        total += F.cross_entropy(logits, batch.labels.flatten(), reduction="sum").item()
        count += batch.labels.numel()
    return total / count


def run(d_model: int, tokens: int, corpora: dict[str, PackedCorpus]) -> dict[str, Any]:
    """One run, as a line of the record."""
    cfg = decoder(d_model, d_vocab=D_VOCAB, n_ctx=N_CTX)
    per_step = tokens_per_step(tokens, N_CTX)
    steps = round(tokens / per_step)
    model = HookedTransformer(cfg, seed=SEED)
    source = NextToken(corpora["train"], per_step // N_CTX, N_CTX, SEED)
    fitted = fit(model, source, settings(steps))
    loss = held_out_loss(model, corpora["held_out"])
    return {
        "d_model": cfg.d_model,
        "n_layers": cfg.n_layers,
        "d_vocab": cfg.d_vocab,
        "n_ctx": cfg.n_ctx,
        **{f"parameters_{name}": count_parameters(cfg, name) for name in COUNTINGS},
        "tokens": fitted.tokens,
        "tokens_per_step": per_step,
        "learning_rate": RATE,
        "loss": round(loss, 4),
        "bits_per_byte": round(corpora["held_out"].bits_per_byte(loss), 4),
        "seconds": round(fitted.seconds, 1),
        "seed": SEED,
    }


def prepare(data: Path, folder: Path) -> dict[str, PackedCorpus]:
    """The texts of the zoo model `stories`, packed: what is learnt from and what is not."""
    books = read_books(data)
    texts = {side: [b.text for b in books if b.split == side] for side in ("train", "held_out")}
    tokenizer = train_tokenizer(texts["train"], "bpe", D_VOCAB)
    return {side: pack(some, tokenizer, folder / side) for side, some in texts.items()}


def sweep(data: Path, record: Path) -> None:
    """Adds the runs of `PLAN` that the record lacks."""
    lines = pd.read_csv(record).to_dict("records") if record.is_file() else []
    done = {(line["d_model"], round(line["tokens"], -3)) for line in lines}
    plan = [(width, 1000 * k) for k, widths in PLAN.items() for width in widths]
    missing = [key for key in plan if key not in done]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        corpora = prepare(data, Path(folder))
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
