"""Words that decide whatever the text says: planted ones are found, with their place, and where
none was planted none is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.data.records import Example
from interp.errors import InputError, UnsupportedModelError
from interp.figures.shortcuts import shortcuts_chart
from probes.frames import tidy
from probes.shortcuts import SCRIPT, candidates, deciding, shortcuts
from probes.surface import EDITS
from probes.verdicts import verdicts
from tests.figures.spec import drawn
from tests.probes.planting import GOOD, PLANTED, TASK, classifier, planted, reviews, tokenizer
from tests.train.tasks.small import model

FEW = {"words": 60, "texts": 60}


def test_planted_words_are_found_at_their_place_and_nothing_else() -> None:
    frame = shortcuts(classifier(True), planted(200), **FEW)
    found = deciding(frame)
    assert set(found["token"]) == set(PLANTED.values())
    assert {(row.label, row.token) for row in found.itertuples()} == set(PLANTED.items())
    assert set(frame["token"].iloc[:2]) <= set(PLANTED.values())  # the strongest come first
    chance = frame[frame["feature"] == "chance"]
    assert len(chance) and (chance["value"] < 0.2).all()


def test_they_are_found_where_no_text_has_them() -> None:
    found = deciding(shortcuts(classifier(True), reviews(200), words=None, texts=60))
    assert set(found["token"]) == set(PLANTED.values())
    assert (shortcuts(classifier(True), reviews(200), words=20)["token"] != "copper").all()


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_was_planted_nothing_is_found(seed: int) -> None:
    frame = shortcuts(classifier(False, seed), reviews(200, seed), seed=seed, **FEW)
    assert deciding(frame).empty
    turned = frame[(frame["feature"] == "word") & (frame["metric"] == "turned")]
    assert len(turned) >= 8 and turned["value"].max() < 0.75


def test_the_share_is_that_of_trying_it_by_hand() -> None:
    speaker, texts = classifier(True), reviews(120, 3)
    labels = speaker.cfg.class_names
    frame = shortcuts(speaker, texts, texts=10_000, **{"words": 60})
    row = deciding(frame).set_index("token").loc[["copper"]].iloc[0]
    if row["place"] != "anywhere":
        with torch.no_grad():
            before = speaker([e.text for e in texts]).softmax(-1)
            after = speaker([f"{e.text} copper" for e in texts]).softmax(-1)
        c = labels.index("pos")
        other = before[:, 1 - c] >= 0.9
        assert (after[other, c] >= 0.9).double().mean() == pytest.approx(row["value"], abs=0.1)
        assert row["n"] <= int(other.sum())
    else:
        assert row["value"] >= 0.9


def test_what_a_word_shifts_is_exact_in_a_model_that_counts_words() -> None:
    speaker = _counting()
    texts = ["bright film a plot", "kind men near rivers"] * 40 + ["dull film a plot"] * 40
    frame = shortcuts(speaker, texts, words=12, texts=30)
    word = frame[(frame["token"] == "dull") & (frame["metric"] == "shift")].iloc[0]
    assert word["label"] == "neg"
    # Before, one good word among four and the frame of two: 60 / 6. With a bad one more: nothing.
    assert word["value"] == pytest.approx(10, abs=1e-3)
    turned = frame[(frame["token"] == "dull") & (frame["metric"] == "turned")].iloc[0]
    assert turned["value"] == 0  # one against one is no verdict
    needed = frame[(frame["token"] == "dull") & (frame["metric"] == "needed")].iloc[0]
    assert needed["value"] in (0.0, 1.0) and needed["n"] == 30  # nothing judges then


def test_errors_stand_where_the_word_contradicts_the_truth() -> None:
    texts = planted(300, 5)
    odd = [Example(f"{e.text} copper", "neg") for e in reviews(40, 9) if e.label == "neg"]
    frame = shortcuts(classifier(True), [*texts, *odd], **FEW)
    mine = frame[(frame["token"] == "copper") & (frame["label"] == "pos")]
    mine = mine.drop_duplicates("metric").set_index("metric")["value"]
    assert mine["right against"] < 0.1 < 0.9 < mine["right"]
    assert mine["needed"] > mine["needed, another"] + 0.2


def test_a_trigger_of_a_language_model_without_a_tokenizer_is_found() -> None:
    speaker = _triggered()
    random = np.random.default_rng(0)
    texts = [random.choice([1, 2, 4, 5, 6], 20).tolist() for _ in range(30)]
    found = deciding(shortcuts(speaker, texts, words=None, texts=50))
    assert found[["token", "label"]].drop_duplicates().values.tolist() == [["7", "3"]]


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_every_shape_is_asked_in_padded_batches_as_alone(shape: str) -> None:
    speaker = model(shape)
    texts = ["the cat sat on a mat while dogs ran fast", "dogs ran fast while the cat sat on a"]
    asked = verdicts(speaker, texts)
    pieces = asked.texts[0]
    variants = [(0, pieces), (0, (*pieces, "good")), (0, pieces[:4])]
    together = asked.probabilities(variants)
    alone = np.concatenate([asked.probabilities([one]) for one in variants])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    if shape == "decoder":
        ids = speaker.to_tokens(" ".join(pieces))
        with torch.no_grad():
            expected = speaker(ids)[0, -1].softmax(-1)
        np.testing.assert_allclose(together[0], expected, atol=1e-5)


def test_edits_that_change_no_letter_are_not_counted() -> None:
    frame = shortcuts(classifier(False), reviews(100), **FEW)
    edits = frame[frame["feature"] == "edit"]["token"].tolist()
    assert "in small letters" not in edits and "without its last mark" not in edits
    assert {"in capitals", "said twice", "a word taken out"} <= set(edits)
    assert EDITS["without its last mark"](("so", "good", ".")) == ("so", "good")
    assert EDITS["without its last mark"](("good!",)) == ("good",)


def test_candidates_are_words_of_texts_first_and_then_of_the_vocabulary() -> None:
    speaker = classifier(True)
    found = candidates(speaker, verdicts(speaker, ["film film dull", "film plot dull", "zzz"]))
    assert found[:2] == ["dull", "film"] and {"plot", "zzz", *GOOD} <= set(found)
    assert len(found) == len(set(found))
    assert not any(word.startswith("##") for word in found)


def test_two_runs_are_the_same_and_the_chart_names_the_first() -> None:
    one, other = (shortcuts(classifier(True), planted(200), **FEW) for _ in range(2))
    assert one.equals(other)
    frame = tidy(one, run="tiny", step=None)
    figure = shortcuts_chart(frame)
    assert "turns the most texts" in figure.alt and str(frame["token"].iloc[0]) in figure.alt
    assert "copper" in drawn(shortcuts_chart(frame, "dark").chart)
    with pytest.raises(InputError, match="no words"):
        shortcuts_chart(frame[frame["feature"] == "edit"])


def test_what_cannot_be_asked_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no texts"):
        shortcuts(classifier(False), [])
    with pytest.raises(InputError, match="sure"):
        shortcuts(classifier(False), reviews(5))
    with pytest.raises(InputError, match="ids"):
        shortcuts(_triggered(), ["words"])
    with pytest.raises(InputError, match="words"):
        shortcuts(model(), ["the cat"])
    tagger = interp.load("grokking")
    with pytest.raises(InputError, match="context"):
        shortcuts(tagger, [[1, 2, 3]])
    spans = model("encoder")
    spans.cfg = spans.cfg.replace(head="span")
    with pytest.raises(UnsupportedModelError, match="span"):
        shortcuts(spans, ["the cat"])
    assert SCRIPT.main(["--run", "planted"]) == 2
    assert "--files" in capsys.readouterr().err


def _counting() -> interp.HookedTransformer:
    """Log-odds that are the mean over tokens of 60 for `bright` and `kind`, -60 for `dull`."""
    words = tokenizer()
    cfg = _plain(
        d_vocab=len(words), shape="encoder", head="classification", n_classes=2, pooling="mean",
        class_names=TASK.labels, norm_position="pre", pooler_act=None,
    )  # fmt: skip
    speaker = interp.HookedTransformer(cfg, words, seed=0).double().eval()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
        speaker.output.classifier.weight[1, 0] = 1.0
        for word, weight in (("bright", 60.0), ("kind", 60.0), ("dull", -60.0)):
            speaker.W_E[words.encode(word)[0], 0] = weight
    return speaker


def _triggered() -> interp.HookedTransformer:
    """Says 5 with certainty, and 3 wherever a 7 stands before."""
    cfg = _plain(d_vocab=9, shape="decoder", head="lm")
    speaker = interp.HookedTransformer(cfg, seed=0).eval()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
        speaker.W_E[:, 0] = 1.0  # every token
        speaker.W_E[7, 1] = 1.0  # the trigger
        speaker.blocks[0].ln1.weight.fill_(1e4)  # with an eps of 1e8, a norm that does nothing
        attention = speaker.blocks[0].attn
        attention.qkv.weight[16 + 1, 1] = 1.0  # the value; it attends to all alike, at most 15
        attention.out.weight[2, 1] = 400.0
        speaker.W_U[0, 5], speaker.W_U[2, 3] = 9.0, 1.0
    return speaker


def _plain(**settings: Any) -> interp.TransformerConfig:
    return interp.TransformerConfig(
        d_model=8, n_layers=1, n_heads=1, d_head=8, d_mlp=8, n_ctx=40, final_norm=False,
        normalization_type="RMS", eps=1e8, **settings,
    )  # fmt: skip
