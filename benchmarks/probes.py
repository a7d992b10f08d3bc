"""What probes cost beside scikit-learn, called once for each problem, on the same rows.

    python -m benchmarks.probes [--width 128] [--sites 5] [--rounds 3] [--write]
    INTERP_DATA=FOLDER python -m benchmarks.probes --width --run stories stories-suite

All sites x 5 strengths x 5 resamples x task and control on 20,000 labelled words of 17 classes,
made up, or with `--run` those of a treebank's dev part in the layers of a model: they are spread
unevenly, and a weak penalty takes both solvers many more steps.

Seconds are of the processor, all threads together, so that a busy machine does not matter. Our
solve is timed whole. Of scikit-learn's fits a sample is timed in turn with it, one for each
strength, and the rest is extrapolated from their mean; the table says how many were timed, and how
far each loss lies above the optimum, which our solver finds in float64.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.report import as_markdown, as_text, write_between_markers
from interp.activations import encode, gather
from interp.data.registry import MIRROR
from probes.controls import control_labels
from probes.labelled import treebank_parts
from probes.reading import stream
from probes.solvers.logistic import LogisticFit, Problems, fit_logistic
from probes.subjects import subjects

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
RESAMPLES, CLASSES, WORDS = 5, 17, 20_000


@dataclass(frozen=True)
class Setting:
    """Rows [site, word, d] with a spectrum as steep as that of a residual stream; labels of a task
    and of a control [2, word]; bootstrap weights [resample, word]."""

    rows: Tensor
    labels: Tensor
    weights: Tensor
    name: str

    @classmethod
    def make(cls, sites: int, width: int, words: int = WORDS) -> Setting:
        generator = torch.Generator().manual_seed(0)
        shares = torch.softmax(torch.randn(CLASSES, generator=generator), 0)
        task = torch.multinomial(shares, words, replacement=True, generator=generator)
        types = torch.multinomial(
            1 / torch.arange(1, 3001).float(), words, replacement=True, generator=generator
        )
        control = torch.multinomial(shares, 3000, replacement=True, generator=generator)[types]
        spectrum = torch.logspace(0.5, -1, width)
        rows = torch.randn(sites, words, width, generator=generator) * spectrum
        means = torch.randn(sites, CLASSES, width, generator=generator)
        rows += 1.2 * (means * torch.logspace(0, -1, width))[:, task]
        rows = rows @ torch.linalg.qr(torch.randn(sites, width, width, generator=generator))[0]
        rows = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
        return cls(rows, torch.stack([task, control]), _drawn(words), "made up")

    @classmethod
    def harvested(cls, run: str, treebank: Path, sites: int) -> Setting:
        """Parts of speech and a control task in the first layers of a model."""
        model = subjects(run)[-1].open()
        words = treebank_parts(treebank.name, treebank.parent, "pos").train
        texts = encode(model, words.texts, truncate=True)
        places, kept = words.places(texts.source)
        names = stream(model)[:sites]
        values = gather(model, texts, names, places).values
        rows = torch.stack([values[name] for name in names]).float()
        rows = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True).clamp(min=1e-6)
        _, task = np.unique([words.labels[i] for i in kept], return_inverse=True)
        shares = np.bincount(task) / len(task)
        control = control_labels([words.types[i] for i in kept], shares, 0)
        return cls(rows, torch.from_numpy(np.stack([task, control])), _drawn(rows.shape[1]), run)

    def problems(self) -> Problems:
        return Problems.cross(len(self.rows), 2, RESAMPLES, STRENGTHS)

    def sample(self) -> list[int]:
        """A problem for each strength, each of another site, task and resample."""
        n, problems = len(STRENGTHS), self.problems()
        return [(7 * n * k + k) % len(problems) // n * n + k for k in range(n)]


def _drawn(words: int) -> Tensor:
    """How often each word is in each resample, [resample, word]."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(words, (RESAMPLES, words), generator=generator)
    return torch.stack([torch.bincount(draw, minlength=words) for draw in drawn]).float()


def ours(setting: Setting, problems: Problems) -> LogisticFit:
    return fit_logistic(
        setting.rows, setting.labels, problems, n_classes=CLASSES, weights=setting.weights
    )


def theirs(setting: Setting, problems: Problems, i: int) -> tuple[float, float]:
    """The seconds of one fit of scikit-learn's, and the loss that it ends with."""
    from sklearn.linear_model import LogisticRegression

    weights = setting.weights[problems.weights[i]]
    rows, labels = setting.rows[problems.site[i]], setting.labels[problems.labels[i]]
    strength = 1 / (float(problems.strength[i]) * float(weights.sum()))
    here = weights > 0  # a row that was not drawn is no work for either
    data = rows[here].numpy(), labels[here].numpy(), weights[here].numpy()
    start = time.process_time()
    peer = LogisticRegression(C=strength, max_iter=1000).fit(*data)
    seconds = time.process_time() - start
    found = torch.from_numpy(peer.classes_)
    coefficients = torch.zeros(CLASSES, rows.shape[1]).double()
    intercepts = torch.full((CLASSES,), -torch.inf).double()
    coefficients[found] = torch.from_numpy(peer.coef_).double()
    intercepts[found] = torch.from_numpy(peer.intercept_).double()
    return seconds, loss(setting, problems, i, coefficients, intercepts)


def loss(
    setting: Setting, problems: Problems, i: int, coefficients: Tensor, intercepts: Tensor
) -> float:
    """What both minimise, in float64."""
    weights = setting.weights[problems.weights[i]].double()
    here = weights > 0  # the others may be of a class that was not drawn
    rows, labels = setting.rows[problems.site[i]], setting.labels[problems.labels[i]]
    logits = rows[here].double() @ coefficients.double().T + intercepts.double()
    labels, weights = labels[here], weights[here]
    found = (cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum()
    return float(found + float(problems.strength[i]) / 2 * coefficients.double().square().sum())


def optimum(setting: Setting, problems: Problems, i: int) -> float:
    """The least loss of one problem."""
    one = Problems.of([(0, 0, 0, float(problems.strength[i]))])
    fit = fit_logistic(
        setting.rows[problems.site[i], None].double(),
        setting.labels[problems.labels[i], None],
        one,
        n_classes=CLASSES,
        weights=setting.weights[problems.weights[i], None].double(),
        tolerance=1e-10,
    )
    return float(fit.loss[0])


def race(setting: Setting, rounds: int) -> list[str]:
    """A row of the table; both in turn, round after round."""
    problems, sample = setting.problems(), setting.sample()
    seconds: list[float] = []
    each: list[float] = []
    ratios: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        fit = ours(setting, problems)
        seconds.append(time.process_time() - start)
        found = [theirs(setting, problems, i) for i in sample]
        times, ends = zip(*found, strict=True)
        each.append(mean(times))
        ratios.append(each[-1] * len(problems) / seconds[-1])
    best = [optimum(setting, problems, i) for i in sample]
    mine = [loss(setting, problems, i, fit.coefficients[i], fit.intercepts[i]) for i in sample]
    sites, _, width = setting.rows.shape
    return [
        f"{setting.name}: {sites} x {len(STRENGTHS)} x {RESAMPLES} x 2, width {width}",
        f"{len(problems)}",
        f"{median(seconds):.1f} s",
        f"{median(each):.2f} s x {len(problems)} ({len(sample)} timed)",
        f"{median(ratios):.1f} x",
        f"{max(a - b for a, b in zip(mine, best, strict=True)):.0e}",
        f"{max(a - b for a, b in zip(ends, best, strict=True)):.0e}",
    ]


_HEADER = ["", "probes", "interp", "scikit-learn", "faster", "interp above", "theirs above"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What probes cost beside scikit-learn.")
    parser.add_argument("--width", type=int, nargs="*", default=[128, 768], help="of made up rows")
    parser.add_argument("--run", nargs="*", default=[], help="models whose layers are probed")
    parser.add_argument("--data", default="ud_english_ewt", help=f"treebank in {MIRROR}, for --run")
    parser.add_argument("--sites", type=int, default=13)
    parser.add_argument("--words", type=int, default=WORDS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    options = parser.parse_args(arguments)
    treebank = Path(os.environ.get(MIRROR, ".")) / options.data
    settings = chain(
        (Setting.make(options.sites, width, options.words) for width in options.width),
        (Setting.harvested(run, treebank, options.sites) for run in options.run),
    )
    rows = [race(setting, options.rounds) for setting in settings]
    print(as_text(_HEADER, rows))
    if options.write:
        write_between_markers(PAGE, as_markdown(_HEADER, rows), "probes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
