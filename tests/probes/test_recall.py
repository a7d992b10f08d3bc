"""Recall: blind scorers are at chance, a model that was given the facts recalls them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from interp.data.records import Relation
from interp.errors import InputError
from interp.figures.recall import recall_chart
from interp.model.transformer import HookedTransformer
from probes.frames import tidy
from probes.recall import SCRIPT, recall
from probes.scoring import score
from tests.figures.spec import drawn
from tests.train.tasks.small import WORDS, model

SUBJECTS = ["the cat", "a mat", "dogs", "film", "good", "bad"]


def relation(patterns: int = 3, name: str = "tiny") -> Relation:
    said = ("[X] ran [Y].", "[X] sat on [Y]", "where [Y] no [X]")[:patterns]
    # Words that are one token of equal length for the tiny tokenizer.
    facts = tuple((s, o) for s, o in zip(SUBJECTS, ["yes", "who", "fast"] * 2, strict=True))
    return Relation(name, "factual", said, (*facts, ("what", "yes")))


def blind(shape: str) -> HookedTransformer:
    speaker = model(shape).double()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    return speaker


def values(frame: pd.DataFrame) -> dict[str, float]:
    rows = frame[frame["task"].notna()]
    return dict(zip(rows["metric"], rows["value"], strict=True))


@pytest.mark.parametrize("shape", ["decoder", "encoder"])
def test_a_blind_scorer_is_at_chance(shape: str) -> None:
    found = values(recall(blind(shape), [relation()]))
    if shape == "encoder":
        assert found["accuracy"] == pytest.approx(found["chance"])
        assert found["consistent_accuracy"] == 0
    one = values(recall(blind(shape), [relation()], candidates=2))
    assert one["chance"] == pytest.approx(1 / 2)
    assert found["majority"] == pytest.approx(3 / 7)


def test_of_a_decoder_the_most_probable_sentence_wins() -> None:
    speaker = model().double()
    facts = relation()
    right, chosen = [], []
    for subject, object in facts.facts:
        for pattern in facts.patterns:
            totals = {
                o: score(speaker, [pattern.replace("[X]", subject).replace("[Y]", o)])[0].total
                for o in ("yes", "who", "fast")
            }
            chosen.append(max(totals, key=lambda o: totals[o]))
            right.append(chosen[-1] == object)
    found = values(recall(speaker, [facts]))
    assert found["accuracy"] == pytest.approx(np.mean(right))
    by_fact = np.array(chosen).reshape(-1, 3)
    same = [np.mean([r[0] == r[1], r[0] == r[2], r[1] == r[2]]) for r in by_fact]
    assert found["consistency"] == pytest.approx(np.mean(same))
    every = np.array(right).reshape(-1, 3).all(1)
    assert found["consistent_accuracy"] == pytest.approx(every.mean())


def test_of_an_encoder_the_most_probable_word_under_the_mask_wins() -> None:
    speaker = model("encoder").double()
    tokenizer = speaker.require_tokenizer()
    facts = relation(1)
    right = []
    candidates = {o: tokenizer.encode(f"a {o}")[-1] for o in ("yes", "who", "fast")}
    for subject, object in facts.facts:
        ids = speaker.to_tokens(f"{subject} ran{tokenizer.special['mask']}.")
        place = ids[0].tolist().index(tokenizer.mask_token_id)
        said = speaker(ids)[0, place]
        right.append(max(candidates, key=lambda o: said[candidates[o]].item()) == object)
    found = values(recall(speaker, [facts]))
    assert found["accuracy"] == pytest.approx(np.mean(right))
    assert "consistency" not in found  # of one pattern


def test_draws_depend_on_the_seed_alone_and_all_is_a_mean_of_relations() -> None:
    speaker = model()
    both = [relation(), relation(2, "other")]
    frame = recall(speaker, both, facts=4, candidates=2)
    pd.testing.assert_frame_equal(frame, recall(speaker, both, facts=4, candidates=2))
    accuracy = frame[frame["metric"] == "accuracy"]
    assert accuracy["n"].tolist() == [4, 4, 2]
    assert accuracy["value"].iloc[-1] == pytest.approx(accuracy["value"].iloc[:2].mean())


def test_what_an_encoder_cannot_be_asked_is_counted() -> None:
    long = " ".join(WORDS[:2])
    facts = relation()
    added = Relation("long", "factual", facts.patterns, (*facts.facts, ("cat", long)))
    assert values(recall(model("encoder"), [added]))["answerable"] == pytest.approx(7 / 8)
    with pytest.raises(InputError, match="No fact can be asked"):
        recall(model("encoder"), [Relation("x", "factual", ("[X] [Y]",), (("cat", long),))])


def test_the_chart_compares_with_the_most_frequent_object() -> None:
    frame = tidy(recall(model(), [relation()]), run="tiny", step=None)
    figure = recall_chart(frame)
    assert "most frequent object of each relation" in figure.alt
    assert "all relations" in drawn(figure.chart)
    over = tidy(pd.concat([frame.assign(step=step) for step in (0, 8)]))
    assert "At step 0 it was" in recall_chart(over).alt
    drawn(recall_chart(over, "dark").chart)


def test_the_script_refuses_empty_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCRIPT.main(["--run", "stories", "--data", "/nowhere", "--candidates", "1"]) == 2
    assert "at least 2" in capsys.readouterr().err
