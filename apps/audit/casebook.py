"""The cases of an audit: for each kind of answer, which are chosen and how each is explained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.address import address, position_name, prediction_name
from apps.audit.audited import Audited
from apps.audit.choosing import Rules, by_confidence, by_score, choose
from apps.audit.sampling import drawn
from interp.errors import InterpError
from interp.explain import Attribution, Target, attribute
from interp.explain.lens import token_texts
from interp.train.tasks.classification import Classification, PairExample
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.sequence import TextToText
from probes.guesses import guesses
from probes.texts import all_text, text_of

METHOD = "integrated_gradients"
TOLERANCE = 0.01
_CLASSES = 4  # up to which each has its own rules
_PASSAGE = 240  # characters of a text in which tokens are looked at
_CONTEXT = 3  # tokens that a guess must have read, for there to be something to explain


@dataclass(frozen=True)
class Case:
    """One prediction.

    Attributes:
        rule: by which it was chosen.
        text: what was read.
        truth, said: the right answer, and the model's.
        instead: what the model's answer is compared with in the explanation; "" for nothing.
        confidence: of the answer; NaN where there is none.
        right: whether the answer is the right one, or how good it is.
        link: the explorer's address of it.
        explain: makes the explanation; None where there is none for this kind of answer.
    """

    rule: str
    text: str
    truth: str
    said: str
    instead: str
    confidence: float
    right: float
    link: str
    explain: Callable[[], Attribution] | None


@dataclass(frozen=True)
class Chosen:
    """The cases, and what they were chosen from.

    Attributes:
        of: what they were chosen from, in words.
        measured: what `Case.right` is.
        wrong: confidence of each wrong answer among all; None where answers are no right or wrong.
        worst: `Case.right` of the worst of all.
    """

    cases: list[Case]
    of: str
    measured: str
    wrong: np.ndarray | None
    worst: float


def chosen_cases(audited: Audited, records: Sequence[Any]) -> Chosen:
    task = audited.task
    if isinstance(task, Classification):
        return _classes(audited, task, drawn(audited, records, 1000, 5000))
    if isinstance(task, (LanguageModelling, MaskedLM)):
        return _tokens(audited, task, drawn(audited, records, 40, 200))
    return _written(audited, drawn(audited, records, 60, 300))


def _random(audited: Audited) -> int:
    return audited.at_most(1, 4, 10) or 1


def _classes(audited: Audited, task: Classification, records: list[Any]) -> Chosen:
    probabilities, true = task.answer(audited.model, records), task.true(records)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    said = order[:, 0]
    confidence, right = probabilities.max(1), said == true
    groups = [task.labels[i] for i in true] if len(task.labels) <= _CLASSES else None
    rules = by_confidence(confidence, right, groups, random=_random(audited), seed=audited.seed)

    def case(rule: str, i: int) -> Case:
        record, foil = records[i], int(true[i] if not right[i] else order[i, 1])
        place = order[i].tolist().index(foil)
        target = Target.logit_difference(int(said[i]), foil)
        pair = isinstance(record, PairExample)
        return Case(
            rule,
            record.text,
            record.label,
            task.labels[said[i]],
            task.labels[foil],
            float(confidence[i]),
            float(right[i]),
            ""
            if pair
            else address(
                audited.name,
                record.text,
                token=prediction_name(0, task.labels[said[i]]),
                foil=prediction_name(place, task.labels[foil]),
                method=METHOD,
            ),
            None if pair else lambda: _attribute(audited, record.text, target),
        )

    cases = [case(rule, i) for rule, i in choose(rules)]
    of = f"{len(records):,} held-out texts"
    return Chosen(cases, of, "right", confidence[~right], float(right.min()))


def _tokens(audited: Audited, task: LanguageModelling | MaskedLM, records: Sequence[str]) -> Chosen:
    model = audited.model
    passages = [passage for passage in map(_passage, records) if passage]
    frame = guesses(model, passages)
    frame = frame[frame["place"] >= _CONTEXT].reset_index(drop=True)
    confidence = frame["confidence"].to_numpy()
    right = (frame["guess_id"] == frame["true_id"]).to_numpy()
    surprise = np.argsort(frame["log_prob"].to_numpy(), kind="stable")
    rules: Rules = {
        "most surprising token": surprise,
        **by_confidence(confidence, right, random=_random(audited), seed=audited.seed),
        "median surprise": surprise[len(surprise) // 2 :],
    }

    def case(rule: str, i: int) -> Case:
        row: Any = next(frame.iloc[[i]].itertuples())
        passage, guess, true = passages[row.text], row.guess_id, row.true_id
        foil = true if guess != true else row.second_id
        said, truth, instead = token_texts(model, [guess, true, foil])
        if isinstance(task, MaskedLM):
            mask = model.tokenizer.special["mask"]
            text = passage[: row.start] + mask + passage[row.end :]
            ids, at = model.to_tokens(text, truncate=False)[0].tolist(), None
        else:
            text = passage
            offset = int(bool(model.cfg.default_prepend_bos))
            every = model.to_tokens(text, truncate=False)[0].tolist()
            ids = every[: row.place + offset]
            position = len(ids) - 1
            at = position_name(position, token_texts(model, ids)[-1])
        return Case(
            rule,
            text if at is None else passage[: row.start],
            truth,
            said,
            instead,
            float(confidence[i]),
            float(right[i]),
            address(audited.name, text, at=at, method=METHOD),
            lambda: _attribute(audited, ids, Target.logit_difference(guess, foil)),
        )

    cases = [case(rule, i) for rule, i in choose(rules)]
    of = f"{len(frame):,} tokens in the beginnings of {len(passages):,} held-out texts"
    return Chosen(cases, of, "right", confidence[~right], float(right.min()))


def _passage(text: str) -> str:
    """The beginning of a text, to the end of a word."""
    text = text.strip()
    return text if len(text) <= _PASSAGE else text[:_PASSAGE].rpartition(" ")[0]


def _written(audited: Audited, records: list[Any]) -> Chosen:
    """Answers that are no class and no token, by how good each is."""
    task = audited.task
    assert task is not None
    answers = task.answer(audited.model, records)
    scores = task.scores(records, answers)
    rules = by_score(
        scores.values, higher=scores.higher, random=_random(audited), seed=audited.seed
    )
    explains = isinstance(task, TextToText) and audited.model.cfg.shape == "encoder_decoder"

    def case(rule: str, i: int) -> Case:
        record, text = records[i], text_of(records[i])
        said = answers[i] if isinstance(answers[i], str) else str(answers[i])
        target = Target.continuation(said, fixed=True) if explains and said else None
        return Case(
            rule,
            text,
            "; ".join(record.references) if isinstance(task, TextToText) else all_text(record),
            said,
            "",
            float("nan"),
            float(scores.values[i]),
            address(audited.name, text, method=METHOD) if explains else "",
            None if target is None else lambda: _attribute(audited, text, target),
        )

    cases = [case(rule, i) for rule, i in choose(rules)]
    worst = float(scores.values.min() if scores.higher else scores.values.max())
    of = f"{len(records):,} held-out examples"
    return Chosen(cases, of, scores.metric, None, worst)


# -- explaining ------------------------------------------------------------------------------------


def _attribute(audited: Audited, text: Any, target: Target) -> Attribution:
    most = audited.at_most(400, 1500, 1500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the table says what did not converge
        return attribute(
            audited.model,
            text,
            METHOD,
            target,
            tolerance=TOLERANCE,
            max_evaluations=most,
        )


def explained(case: Case) -> Attribution | None:
    """The explanation; None where there is none, such as of a text beyond the model's context."""
    try:
        return None if case.explain is None else case.explain()
    except InterpError:
        return None
