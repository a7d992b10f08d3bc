"""Two trainings in which memory has a known cause, and what the audit says of them.

    python -m probes.privacy.experiment canaries --data DIR
    python -m probes.privacy.experiment membership --data DIR

write `docs/records/canaries.md` and `docs/records/membership.md`. Small decoders learn speeches of
Shakespeare's plays, among which canaries stand in known numbers, or of which a random half is held
out. One thread; minutes each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from interp.atomic import writing
from interp.data.corpus import pack
from interp.data.order import stream_seed
from interp.data.packing import NextToken
from interp.data.sets.texts import tinyshakespeare
from interp.data.tokenizing import train_tokenizer
from interp.figures.amounts import duration
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.loop import fit
from interp.train.settings import Settings
from interp.train.size.shapes import decoder
from probes.privacy.canaries import EACH, REPEATS, insert, make_canaries
from probes.privacy.exposure import exposure
from probes.privacy.likelihood import Unit
from probes.privacy.membership import BLIND, RATES, Membership, membership
from probes.privacy.shadow import train_shadows

RECORDS = Path(__file__).parent.parent.parent / "docs" / "records"
N_CTX, ROWS, D_VOCAB, RATE = 128, 4, 512, 3e-3


@dataclass(frozen=True)
class Recipe:
    """How the small decoders are trained.

    Attributes:
        width: of the decoder; its other sizes follow (`interp.train.size.shapes`).
        epochs: passes over the texts.
        rate: the highest learning rate.
        seed: of weights and order.
    """

    width: int
    epochs: int
    rate: float
    seed: int = 0

    def train(
        self,
        texts: Sequence[str],
        tokenizer: Tokenizer,
    ) -> HookedTransformer:
        """A decoder that has read the texts."""
        cfg = decoder(self.width, d_vocab=len(tokenizer), n_ctx=N_CTX)
        model = HookedTransformer(cfg, tokenizer, seed=self.seed)
        with tempfile.TemporaryDirectory() as folder:
            corpus = pack(texts, tokenizer, Path(folder) / "corpus")
            source = NextToken(corpus, ROWS, N_CTX, self.seed)
            epoch = round(source.steps_per_epoch)
            settings = Settings(
                steps=epoch * self.epochs,
                learning_rate=self.rate,
                warmup_steps=min(100, epoch),
                seed=self.seed,
            )
            fit(model, source, settings)
        return model


def speeches(data: Path, n: int, seed: int, *, most: int = 800) -> list[str]:
    """What one person says in one go, with the name: n of 40 to `most` characters, at random."""
    (text,) = tinyshakespeare(data, "train")
    every = [one for one in dict.fromkeys(text.split("\n\n")) if 40 <= len(one) <= most]
    order = np.random.default_rng(stream_seed("speeches", seed)).permutation(len(every))
    return [every[i] for i in order[:n]]


def canaries(data: Path, *, texts: int, recipe: Recipe) -> pd.DataFrame:
    """The exposure of canaries of 0, 1, 4, 16 and 64 repeats after training."""
    planted = make_canaries(REPEATS, EACH, seed=recipe.seed)
    base = speeches(data, texts, recipe.seed)
    tokenizer = train_tokenizer(base, "bpe", D_VOCAB)
    model = recipe.train(insert(base, planted, seed=recipe.seed), tokenizer)
    return exposure(model, planted, progress=True)


def trained_on_half(data: Path, *, units: int, shadows: int, recipe: Recipe) -> Membership:
    """The attacks on a model that was trained on a random half of the speeches."""
    chosen = speeches(data, units, recipe.seed, most=300)
    member = np.arange(units) < units // 2  # of a random order
    tokenizer = train_tokenizer(chosen, "bpe", D_VOCAB)

    def train(some: Sequence[Unit], seed: int) -> HookedTransformer:
        texts = [unit for unit in some if isinstance(unit, str)]
        return replace(recipe, seed=seed % 2**31).train(texts, tokenizer)

    known = train_shadows(train, chosen, shadows, seed=recipe.seed) if shadows else None
    return membership(train(chosen[: units // 2], recipe.seed), chosen, member, shadows=known)


# -- records ---------------------------------------------------------------------------------------


def _canaries_page(frame: pd.DataFrame, about: str) -> str:
    summary = frame[frame["unit_id"].isna()].pivot(index="duplicates", columns="metric")
    lines = []
    for repeats, row in summary.iterrows():
        mean, low, high = (row[name, "mean_exposure"] for name in ("value", "ci_low", "ci_high"))
        lines.append(
            f"| {repeats} | {mean:.2f} | {low:.2f} to {high:.2f} | "
            f"{row['value', 'remembered']:.0%} | {row['value', 'joint_p_value']:.1e} |"
        )
    table = "\n".join(lines)
    return f"""# Canaries: exposure grows with repetitions

{about}

Of each number of repeats {EACH} canaries, a name of its own and six random digits each, among
speeches of Shakespeare's plays. Ranks are exact among all 10^6 numbers. A canary that was never
inserted has 1.443 bits on average by chance; the highest exposure is 19.93 bits.

| repeats | mean exposure (bits) | 95% interval | p <= 0.01 | joint p-value |
|---|---|---|---|---|
{table}
"""


def _membership_page(found: Sequence[tuple[int, Membership]], about: str) -> str:
    table = "\n".join(line for epochs, one in found for line in _lines(epochs, one))
    overlap = max(one.overlap.mean() for _, one in found)
    return f"""# Membership: faint after one epoch, plain after ten

{about}

Speeches of Shakespeare's plays of 40 to 300 characters, a random half of them trained on for so
many epochs, from the beginning each time. Of a non-member's runs of 13 words, {overlap:.2%} at most
on average stand in members too. A single epoch needs more units to be told from chance.

| epochs | units | attack | AUROC | 95% interval | counts | TPR at 1% FPR | epsilon at least |
|---|---|---|---|---|---|---|---|
{table}

*Counts* says whether the attack is above words alone (`blind`) and above chance.
"""


def _lines(epochs: int, found: Membership) -> list[str]:
    frame = found.frame()
    wide = frame[frame["metric"] != "tpr"].set_index(["attack", "metric"])
    rates = frame[(frame["metric"] == "tpr") & (frame["fpr"] == RATES[0])].set_index("attack")
    lines = []
    for attack in found.scores:
        area, tpr = wide.loc[(attack, "auroc")], rates.loc[attack]
        counts = "-" if attack == BLIND else "no"
        if attack != BLIND and wide.loc[(attack, "counts"), "value"]:
            counts = "yes"
        share = f"{tpr['value']:.1%} ({tpr['ci_low']:.1%} to {tpr['ci_high']:.1%})"
        lines.append(
            f"| {epochs} | {len(found.member):,} | `{attack}` | {area['value']:.3f} | "
            f"{area['ci_low']:.3f} to {area['ci_high']:.3f} | {counts} | "
            f"{'too few' if np.isnan(tpr['value']) else share} | "
            f"{wide.loc[(attack, 'epsilon'), 'value']:.2f} |"
        )
    return lines


def _about(options: argparse.Namespace, seconds: float) -> str:
    more = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("rate", options.rate, RATE),
            ("shadows", options.shadows, 0),
            ("seed", options.seed, 0),
        )
        if value != usual
    )
    if options.runs:
        more += " --runs " + " ".join(f"{texts}:{epochs}" for texts, epochs in options.runs)
    return (
        f"Made by `python -m probes.privacy.experiment {options.what} --data DIR{more}` on one x86 "
        f"core, in {duration(seconds)} of its time: decoders of width {options.width}, learning "
        f"rate {options.rate:g}, one seed."
    )


def _run(text: str) -> tuple[int, int]:
    texts, _, epochs = text.partition(":")
    return int(texts), int(epochs)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("canaries", "membership"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument(
        "--runs",
        nargs="+",
        type=_run,
        metavar="TEXTS:EPOCHS",
        help="speeches and passes of each training (1200:3; of membership 4000:1 1200:10)",
    )
    parser.add_argument("--width", type=int, default=96, help="of the decoder")
    parser.add_argument("--rate", type=float, default=RATE, help="the highest learning rate")
    parser.add_argument("--shadows", type=int, default=0, help="of membership; each is a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RECORDS, help="folder of the records")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    began = time.process_time()
    if options.what == "canaries":
        ((texts, epochs),) = options.runs or [(1200, 3)]
        recipe = Recipe(options.width, epochs, options.rate, options.seed)
        frame = canaries(options.data, texts=texts, recipe=recipe)
        page = _canaries_page(frame, _about(options, time.process_time() - began))
    else:
        found = []
        for units, epochs in options.runs or [(4000, 1), (1200, 10)]:
            recipe = Recipe(options.width, epochs, options.rate, options.seed)
            attacked = trained_on_half(
                options.data, units=units, shadows=options.shadows, recipe=recipe
            )
            found.append((epochs, attacked))
        page = _membership_page(found, _about(options, time.process_time() - began))
    with writing(options.out / f"{options.what}.md") as file:
        file.write(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
