"""What matters over a data set: masses add up, a planted word is found, nothing is found in
nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import interp
from interp.errors import InputError
from interp.explain import Target
from interp.explain.inside import direct_attribution
from interp.figures.importance import importance_chart
from probes.frames import tidy
from probes.importance import SCRIPT, importance
from tests.figures.spec import drawn
from tests.train.tasks.small import model, sentences

TEXTS = sentences(6)


@pytest.mark.parametrize("by", ["token", "word", "position", "distance"])
def test_masses_add_up_to_one_and_scores_to_what_they_explain(by: str) -> None:
    speaker = model().double()
    frame = importance(speaker, TEXTS, by=by, target=Target.logit(5))  # type: ignore[arg-type]
    mass = frame[frame["metric"] == "mass"]
    assert mass["value"].sum() == pytest.approx(1, abs=1e-10)
    assert mass["value"].is_monotonic_decreasing
    scores = frame[frame["metric"] == "score"]
    total = sum(
        sum(interp.attribute(speaker, text, target=Target.logit(5)).scores) for text in TEXTS
    )
    assert (scores["value"] * scores["n"]).sum() == pytest.approx(total, abs=1e-8)


def test_the_order_of_texts_does_not_matter() -> None:
    speaker = model().double()
    one = importance(speaker, TEXTS, method="gradient_x_input").set_index(["token", "metric"])
    other = importance(speaker, TEXTS[::-1], method="gradient_x_input")
    other = other.set_index(["token", "metric"]).loc[one.index]
    np.testing.assert_allclose(one["value"], other["value"], atol=1e-10)


def test_heads_are_summed_from_their_direct_attribution() -> None:
    speaker = model().double()
    frame = importance(speaker, TEXTS, by="head", target=Target.logit(5))
    expected = pd.concat(
        [direct_attribution(speaker, text, Target.logit(5), by="head") for text in TEXTS]
    )
    for row in frame[(frame["metric"] == "score") & frame["head"].notna()].itertuples():
        mine = expected[(expected["layer"] == row.layer) & (expected["head"] == row.head)]
        assert row.value == pytest.approx(mine["value"].mean(), abs=1e-10)
        assert row.n == len(TEXTS)
    assert frame[frame["metric"] == "mass"]["value"].sum() == pytest.approx(1, abs=1e-10)


def test_a_word_that_matters_is_found_with_all_its_mass() -> None:
    speaker = model(n_layers=1, final_norm=False).double()
    token = speaker.require_tokenizer().encode("a cat")[-1]
    with torch.no_grad():  # one word has an embedding, and one logit reads it
        for parameter in speaker.parameters():
            parameter.zero_()
        speaker.W_E[token, 0] = 1.0
        speaker.W_U[0, 5] = 1.0
    target = Target.of(lambda logits: logits[:, :, 5].sum(1))
    texts = ["the cat ran", "a cat sat on a mat", "dogs ran cat", "a film"]
    mass = importance(speaker, texts[:3], target=target).query("metric == 'mass'")
    assert mass["token"].iloc[0] == "cat" and mass["n"].iloc[0] == 3
    assert mass["ci_low"].iloc[0] > 0.9 > 0.1 > mass["value"].iloc[1]
    without = importance(speaker, texts, target=target).query("metric == 'mass'")
    assert without["value"].iloc[0] == pytest.approx(0.75, abs=0.05)  # three texts of four


def test_where_nothing_matters_nothing_is_found() -> None:
    speaker = model().double()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    with pytest.raises(InputError, match="nothing matters"):
        importance(speaker, TEXTS, method="gradient_x_input")


def test_one_text_says_nothing_about_others() -> None:
    frame = importance(model(), ["the cat ran"], method="gradient_x_input")
    assert frame["ci_low"].isna().all()


def test_the_chart_names_the_first() -> None:
    frame = tidy(importance(model(), TEXTS, method="gradient_x_input"), run="tiny", step=None)
    figure = importance_chart(frame)
    assert "the most importance has" in figure.alt
    assert str(frame["token"].iloc[0]) in drawn(figure.chart)
    heads = tidy(importance(model(), TEXTS, by="head"), run="tiny", step=None)
    assert "head 0.1" in drawn(importance_chart(heads, "dark").chart)


def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="by is 'letter'"):
        importance(model(), TEXTS, by="letter")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="list of texts"):
        importance(model(), [])
    assert SCRIPT.main(["--run", "stories"]) == 2
    assert "--files" in capsys.readouterr().err
