"""What a probe reads out of each layer, beside its controls."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.joined import unknown
from apps.audit.parts.probes.moments import moments
from apps.audit.section import Finding, Section
from apps.audit.units import drawn, texts_of
from interp.data.records import Example, Tagged
from interp.errors import InputError
from interp.figures.atlas import atlas_chart
from interp.figures.figure import Figure
from interp.figures.labels import percent
from interp.figures.still import figure_html
from interp.figures.theme import Scheme
from probes.frames import tidy
from probes.labelled import Labelled, Parts
from probes.solvers.families import family
from probes.statistics import holm
from probes.study import Study
from probes.subjects import over
from probes.unlabelled import FEWEST, TASKS, unlabelled

_LEVEL = 0.01

_CLASS, _TAG = "class of the text", "tag of the word"
_ASKED = {
    _CLASS: "Which class a text is of",
    _TAG: "Which tag a word has",
    "word before": "Which of the most frequent words stood right before",
    "place in the sentence": "How far on in its sentence a word is",
    "length of the word": "How long a word is",
}
_ALONG = "word before"
"""What checkpoints are asked: a model brings it in by its own work, whatever it is for."""


def layers(audited: Audited) -> Section:
    """Probes of all layers for what the texts say by themselves and what they are labelled with."""
    about = "what its layers know"
    if audited.model.tokenizer is None:
        return unknown("probes.layers", about, "It reads no text, and probes are asked of words.")
    if audited.held_out is None:
        why = "Give examples that it has not learnt from (--data)."
        return unknown("probes.layers", about, why)
    frames: dict[str, pd.DataFrame] = {}
    refused: list[str] = []
    for task, labelled in _tasks(audited).items():
        try:
            frames[task] = _probed(audited, task, labelled())
        except InputError as error:
            refused.append(f"The {task} was not probed for. {' '.join(str(error).split())}")
    if not frames:
        return unknown("probes.layers", about, " ".join(refused))
    figures = {task: _figures(_last(frame)) for task, frame in frames.items()}
    corrected = holm([one["p"] for one in figures.values()])
    for one, value in zip(figures.values(), corrected, strict=True):
        one["p"] = float(value)
    text = (
        "On texts that it has not learnt from, a small classifier (a probe) is fitted to what "
        "stands at a word after each block, and judged on other texts. `control_accuracy` is of a "
        "task that can only be learnt by heart, `twin_accuracy` of the same model with random "
        "weights, `majority` of the most frequent answer. The best block is chosen on the same "
        "words, which its p-value is corrected for, and so is the number of questions.",
    )
    return Section(
        "",
        "",
        text=text,
        findings=(
            *(_verdict(task, one) for task, one in figures.items()),
            *(_along(frames[task]) for task in frames if frames[task]["step"].nunique() > 1),
        ),
        tables={"layers": tidy(pd.concat(frames.values(), ignore_index=True))},
        pictures={
            f"layers_{_key(task)}": figure_html(functools.partial(_draw, frame))
            for task, frame in frames.items()
        },
        measures={
            f"{_key(task)}.{name}": value
            for task, one in figures.items()
            for name, value in one.items()
            if name not in ("layer", "blocks", "learnt")
        },
        open=tuple(refused),
    )


def _key(task: str) -> str:
    return task.replace(" ", "_")


def _draw(frame: pd.DataFrame, scheme: Scheme) -> Figure:
    return atlas_chart(frame, scheme=scheme)


def _tasks(audited: Audited) -> dict[str, Callable[[], Labelled]]:
    """What can be asked on the held-out records."""
    assert audited.held_out is not None
    records = audited.held_out.records
    found: dict[str, Callable[[], Labelled]] = {}
    if isinstance(records[0], Tagged):
        some = [records[i] for i in drawn(records, audited.at_most(300, 3000), audited, "tags")]
        found[_TAG] = lambda: Labelled.tagged(some)
    elif isinstance(records[0], Example):
        found[_CLASS] = lambda: _classes(audited)
    pieces, documents = texts_of(audited.held_out, audited.model)
    kept = drawn(pieces, audited.at_most(300, 3000), audited, "probed")
    texts, names = [pieces[i] for i in kept], [documents[i] for i in kept]
    for task in TASKS:
        found[task] = functools.partial(unlabelled, texts, task, names)
    return found


def _classes(audited: Audited) -> Labelled:
    """Whole texts with their classes; rare ones are left out."""
    assert audited.held_out is not None
    records = audited.held_out.records
    some = [records[i] for i in drawn(records, audited.at_most(1000, 5000), audited, "classes")]
    counts = Counter(record.label for record in some)
    some = [record for record in some if counts[record.label] >= FEWEST]
    return Labelled.sentences([one.text for one in some], [one.label for one in some])


def _probed(audited: Audited, task: str, labelled: Labelled) -> pd.DataFrame:
    study = Study(
        Parts.by_document(labelled, audited.seed),
        family("logistic"),
        pooling="mean" if task == _CLASS else "last",
        controls=audited.at_most(1, 3, 3) or 0,
        twins=audited.at_most(1, 3, 3) or 0,
        draws=audited.at_most(500, 2000, 2000) or 0,
    )
    asked = moments(audited)
    return tidy(over(asked if task == _ALONG else asked[-1:], study), task=task)


def _last(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the model itself, behind those of its checkpoints."""
    return frame[frame["step"].isna() | (frame["step"] == frame["step"].max())]


def _figures(rows: pd.DataFrame) -> dict[str, float]:
    """The best block, and what it is held against."""
    task = rows[(rows["metric"] == "accuracy") & (rows["split"] == "test")].set_index("layer")
    behind = task[task.index > 0]
    best = behind["value"].astype(float).idxmax()
    at = rows[rows["layer"] == best]

    def mean(metric: str, of: pd.DataFrame = at) -> float:
        return float(of.loc[of["metric"] == metric, "value"].mean())

    return {
        "layer": float(best),
        "blocks": float(task.index.max()),
        "accuracy": float(behind.loc[best, "value"]),
        "low": float(behind.loc[best, "ci_low"]),
        "high": float(behind.loc[best, "ci_high"]),
        "embedding": float(task.loc[0, "value"]),
        "random": mean("twin_accuracy"),
        "control": mean("control_accuracy"),
        "majority": mean("majority", rows),
        "learnt": float(at.loc[at["metric"] == "gain_over_twin", "ci_low"].min()),
        "p": float(at.loc[at["metric"] == "gain_over_embedding", "p"].iloc[0]),
    }


def _verdict(task: str, one: dict[str, float]) -> Finding:
    unit = "texts" if task == _CLASS else "words"
    against = [f"before the first block in {percent(one['embedding'])}"]
    if one["random"] == one["random"]:  # a model from elsewhere has no twin
        against.append(f"with random weights in {percent(one['random'])}")
    against.append(f"the most frequent answer is right in {percent(one['majority'])}")
    said = (
        f"{_ASKED[task]} can be read best behind block {int(one['layer'])} of "
        f"{int(one['blocks'])}, in {percent(one['accuracy'])} of the {unit} "
        f"({percent(one['low'])} to {percent(one['high'])}); {', '.join(against)}"
    )
    if one["p"] <= _LEVEL and one["learnt"] <= 0:
        end = "Its blocks bring that in, but blocks with random weights do so as well."
    elif one["p"] <= _LEVEL:
        end = f"Its blocks bring that in (p = {one['p']:.1g}, corrected)."
    else:
        end = f"Its blocks bring in no more than chance could (p = {one['p']:.2g}, corrected)."
    gain = max(0.0, one["accuracy"] - one["embedding"])
    key = f"probes.{_key(task)}"
    return Finding(key, "fine", f"{said}. {end}", ("layers",), gain)


def _along(frame: pd.DataFrame) -> Finding:
    """What a question gained over the training, at the best layer of each checkpoint."""
    task = frame[(frame["metric"] == "accuracy") & (frame["split"] == "test")]
    best = task.groupby("step")["value"].max()
    first, last = best.index[0], best.index[-1]
    half = next(step for step in best.index if best[step] >= (best[first] + best[last]) / 2)
    sentence = (
        f"{_ASKED[_ALONG]} could be read in {percent(best[first])} of the words at step "
        f"{first:,} of its training and in {percent(best[last])} at step {last:,}; half of that "
        f"was there by step {half:,}, of the {len(best)} that were looked at."
    )
    return Finding("probes.over_training", "fine", sentence, ("layers",))
