"""How good the model is on examples that it has not learnt from, on the worst slice first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.agreement import agreement, points, sure, text_of_value, words_of
from apps.audit.audited import Audited
from apps.audit.pictures import picture
from apps.audit.sampling import drawn, texts_of
from apps.audit.section import Finding, Level, Section
from apps.audit.stated import Stated
from interp.figures.labels import literal, percent, shorten
from interp.figures.reliability import reliability_chart
from interp.figures.slices import worst_slices_chart
from interp.train.metrics import Measure, Scores, mean, of_sums, reliability, to_frame
from interp.train.metrics.interval import ratio
from interp.train.tasks import Task
from interp.train.tasks.classification import Classification
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.task import Trainable
from probes.calibration import Predictions, temperature
from probes.slices import DRAWS, LEAST, slices

if TYPE_CHECKING:
    import pandas as pd

# Task -> examples at depth quick and standard; others have those under "".
_MOST = {
    "classification": (2000, 10_000),
    "token_classification": (1000, 5000),
    "lm": (300, 2000),
    "mlm": (300, 2000),
    "": (200, 1000),
}
_CHARACTERS = (150_000, 1_000_000)  # of all texts that are foreseen, likewise
_SHARES = ("accuracy", "f1", "rougeL", "exact_match")
_CLASSES = 20  # up to which every pair of true and predicted class is told
_NOTICED = 0.02  # of overconfidence


def part(audited: Audited) -> Section:
    """Measures with intervals, a simple rule beside, slices, calibration, and what was stated."""
    title = "How good it is"
    if audited.task is None or audited.held_out is None or not len(audited.held_out.records):
        missing = "task" if audited.task is None else "example that it has not learnt from"
        sentence = f"How good the model is was not measured: no {missing} is known."
        unknown = Finding("performance.level", "unknown", sentence)
        return Section("performance", title, findings=(unknown,), open=(sentence,))
    task, seed = audited.task, audited.seed
    records = _sample(audited, audited.held_out.records)
    answers = task.answer(audited.model, records)
    ours = _Told("this model", task.measure(records, answers, seed=seed), task, records, answers)
    simple = _simple(audited, records)
    sliced = slices(
        audited.model, task, records, answers, learnt=texts_of(audited, audited.learnt), seed=seed
    )
    tables = {"measures": _measures([ours, simple]), "slices": sliced}
    pictures = picture("slices", lambda scheme: worst_slices_chart(sliced, scheme))
    measures = {one.metric: one.value for one in ours.measures}
    findings = [_level(ours), *_better(ours, simple, measures, seed), _worst(sliced, measures)]
    if isinstance(task, Classification):
        findings.append(_calibrated(task, records, answers, tables, measures, pictures, seed))
    agreed, compared = agreement(Stated.read(audited.folder), ours.measures)
    return Section(
        "performance",
        title,
        text=(
            "Every figure is measured on held-out examples, with the interval in which it would "
            "lie, 95 times of 100, on other examples of the same kind. The simple rule beside it "
            "reads no text, or changes none: a model that is no better has learnt nothing of use.",
            f"Slices are parts of the same examples, of {LEAST} or more. Each is compared with all "
            f"the others by {DRAWS:,} random divisions of the examples, studentised; p-values are "
            "corrected for all slices (Holm), so that one is called worse by chance in 5 audits of "
            "100 at most. The intervals of slices hold all at once (Bonferroni). A slice that is "
            "not called worse may still be so: few examples show only large differences.",
        ),
        findings=(*findings, agreed),
        facts={
            "task": task.name,
            "examples measured": len(records),
            "of held-out examples": len(audited.held_out.records),
            "simple rule": simple.system,
        },
        tables=tables | compared,
        pictures=pictures,
        measures=measures,
        open=tuple(_open(audited, records)),
    )


@dataclass(frozen=True)
class _Told:
    """What a system answers, and how good that is."""

    system: str
    measures: list[Measure]
    task: Task[Any, Any]
    records: Sequence[Any]
    answers: Any

    def __getitem__(self, metric: str) -> Measure:
        return next(one for one in self.measures if one.metric == metric)

    @property
    def scores(self) -> Scores:
        return self.task.scores(self.records, self.answers)


def _sample(audited: Audited, records: Sequence[Any]) -> list[Any]:
    """As many examples as the depth allows, drawn by the seed, texts cut at their ends."""
    assert audited.task is not None
    chosen = drawn(audited, records, *_MOST.get(audited.task.name, _MOST[""]))
    room = audited.at_most(*_CHARACTERS)
    if room is None:
        return chosen
    long = max(1000, room // len(chosen))
    return [record[:long] if isinstance(record, str) else record for record in chosen]


# -- a simple rule ---------------------------------------------------------------------------------


def _simple(audited: Audited, records: Sequence[Any]) -> _Told:
    """What a rule without a model answers: learnt from learnt examples, where some are known."""
    task = audited.task
    train = records if audited.learnt is None else audited.learnt.records
    if isinstance(task, (LanguageModelling, MaskedLM)):
        name, answers = "how frequent each token is", task.unigram(audited.model, train, records)
    else:
        assert isinstance(task, Trainable)
        name, answers = task.baseline(train, records)
    return _Told(name, task.measure(records, answers, seed=audited.seed), task, records, answers)


def _better(ours: _Told, simple: _Told, measures: dict[str, float], seed: int) -> Iterator[Finding]:
    """By how much the model is better than the rule, on the same examples."""
    one, other = ours.scores, simple.scores
    if not np.isfinite(other.above).all():  # a rule that has no probabilities
        return
    sign = 1.0 if one.higher else -1.0
    both = np.stack([one.above, one.below, other.above, other.below], 1)
    gain = of_sums(
        "gain",
        both,
        lambda s: sign * (ratio(s[..., 0], s[..., 1]) - ratio(s[..., 2], s[..., 3])),
        seed=seed,
    )
    measures["above_simple_rule"] = gain.value
    unit = " percentage points" if one.is_share else ""
    sentence = (
        f"A simple rule ({simple.system}) reaches {text_of_value(one.metric)(_value(other))} in "
        f"{words_of(one.metric)}: the model is {'better' if gain.value > 0 else 'worse'} by "
        f"{points(one.metric, abs(gain.value))}{unit} ({points(one.metric, gain.ci_low)} to "
        f"{points(one.metric, gain.ci_high)})."
    )
    fine = gain.ci_low > 0
    yield Finding(
        "performance.simple_rule",
        "fine" if fine else "risk",
        sentence if fine else sentence + " It is not shown to be better than the rule.",
        ("measures",),
        weight=-gain.value,
    )


def _value(scores: Scores) -> float:
    return float(scores.above.sum() / scores.below.sum())


# -- sentences -------------------------------------------------------------------------------------


def _level(ours: _Told) -> Finding:
    n, task = f"{len(ours.records):,}", ours.task.name
    if task == "classification":
        sentence = f"Of {n} held-out texts it judges {sure(ours['accuracy'])} rightly."
    elif task == "token_classification":
        share = sure(ours["accuracy"])
        sentence = f"In {n} held-out sentences it names the right class for {share} of the words."
    elif task in ("lm", "mlm"):
        which = "the next" if task == "lm" else "a left-out"
        sentence = (
            f"In {n} held-out texts it guesses {which} token (a word or a piece of one) rightly "
            f"{sure(ours['accuracy'])} of the time, and needs {sure(ours['bits_per_byte'])} bits "
            "for each byte."
        )
    elif task == "translation":
        sentence = (
            f"Its translations of {n} held-out texts agree with right ones by "
            f"{sure(ours['chrf'])} of 100 points in runs of letters (chrF), and by "
            f"{sure(ours['bleu'])} in runs of words (BLEU)."
        )
    else:
        first = ours.measures[0]
        sentence = f"On {n} held-out examples its {words_of(first.metric)} is {sure(first)}."
    return Finding("performance.level", "caution", sentence, ("measures",), weight=1.0)


def _worst(sliced: pd.DataFrame, measures: dict[str, float]) -> Finding:
    cells = sliced[sliced["by"] != ""]
    if not len(cells):
        return Finding(
            "performance.slices",
            "unknown",
            f"There are too few examples to look at parts of them; each would need {LEAST}.",
        )
    worse = cells[cells["worse"]]
    measures["worst_slice"] = float(cells["value"].iloc[0])
    measures["worse_slices"] = float(len(worse))
    if not len(worse):
        return Finding(
            "performance.slices",
            "fine",
            f"On none of {len(cells)} slices of the examples is it worse than elsewhere beyond "
            "chance.",
            ("slices",),
        )
    row = worse.iloc[0]
    name = f"{row['by']} “{shorten(literal(str(row['slice'])), 40)}”"
    told = text_of_value(str(row["metric"]))
    return Finding(
        "performance.slices",
        "caution",
        f"On {len(worse)} of {len(cells)} slices of the examples it is worse than elsewhere beyond "
        f"chance; the worst of these is {name} with {told(row['value'])} in "
        f"{words_of(str(row['metric']))} ({told(row['ci_low'])} to {told(row['ci_high'])}), "
        f"against {told(row['rest'])} elsewhere.",
        ("slices",),
        weight=2.0,
    )


# -- whether it is right as often as it says -------------------------------------------------------


def _calibrated(
    task: Classification,
    records: Sequence[Any],
    answers: Any,
    tables: dict[str, pd.DataFrame],
    measures: dict[str, float],
    pictures: dict[str, str],
    seed: int,
) -> Finding:
    import pandas as pd
    import torch

    true = task.true(records)
    bins = reliability(answers, true, bins=max(1, min(10, len(true) // 20)))
    tables["calibration"] = bins
    pictures |= picture("calibration", lambda scheme: reliability_chart(bins, scheme=scheme))
    if len(task.labels) <= _CLASSES:
        pairs = pd.Series(list(zip(true.tolist(), answers.argmax(1).tolist(), strict=True)))
        tables["confusions"] = pd.DataFrame(
            {"true": task.labels[a], "said": task.labels[b], "examples": int(n)}
            for (a, b), n in sorted(pairs.value_counts().items())
        )
    confidence, hit = answers.max(1), answers.argmax(1) == true
    over = mean("overconfidence", confidence - hit, seed=seed)
    logits = torch.from_numpy(answers).clamp(min=1e-300).log()
    fitted = temperature(Predictions(logits, true, np.arange(len(true))))
    measures |= {"overconfidence": over.value, "temperature": fitted}
    beyond = over.ci_low > 0 or over.ci_high < 0
    off = beyond and abs(over.value) >= _NOTICED
    way = "surer" if over.value > 0 else "less sure"
    sentence = (
        f"On average it says to be {percent(confidence.mean())} sure and is right in "
        f"{percent(hit.mean())}: "
    )
    sentence += (
        f"it is {way} than it should be, by {100 * abs(over.value):.1f} points "
        f"({100 * over.ci_low:.1f} to {100 * over.ci_high:.1f})."
        if off
        else "it is right about as often as it says."
    )
    level: Level = "caution" if off else "fine"
    return Finding("performance.calibration", level, sentence, ("calibration",), abs(over.value))


# -- the rest --------------------------------------------------------------------------------------


def _measures(systems: Sequence[_Told]) -> pd.DataFrame:
    import pandas as pd

    frames = [to_frame(told.measures).assign(system=told.system) for told in systems]
    frame = pd.concat(frames, ignore_index=True)
    return frame[["system", *(name for name in frame if name != "system")]]


def _open(audited: Audited, records: Sequence[Any]) -> Iterator[str]:
    assert audited.held_out is not None
    yield "Other examples than these may be harder; nothing is known of texts of another kind."
    if len(records) < len(audited.held_out.records):
        yield (
            f"{len(records):,} of {len(audited.held_out.records):,} held-out examples were "
            "measured; a greater --depth takes more."
        )
    if audited.learnt is None:
        yield (
            "The simple rule was fitted to the held-out examples themselves, which flatters it, "
            "since no learnt examples are known."
        )
