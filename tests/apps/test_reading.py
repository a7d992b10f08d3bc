"""What the explorer shows is what the model says, under a recipe that names it."""

from __future__ import annotations

import pytest
import torch

import interp
from apps.reading import TOP, Opened, attribute, encode, open_model, read

TEXT = "Once upon a time there was a little"


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_model("stories")


def test_predictions_are_those_of_the_model(opened: Opened) -> None:
    ids = encode(opened.model, TEXT)
    reading = read(opened.model, opened.weights, ids)
    with torch.no_grad():
        shares = opened.model(torch.tensor([ids]))[0].float().softmax(-1)
    for position, guesses in reading.predictions.groupby("position"):
        best = shares[position].topk(TOP)
        assert guesses["token_id"].tolist() == best.indices.tolist()
        assert guesses["probability"].to_numpy() == pytest.approx(best.values.numpy(), abs=1e-6)
        assert guesses["place"].tolist() == list(range(TOP))
    for row in reading.predictions.itertuples():
        assert opened.model.to_single_str_token(row.token_id) == row.token


def test_the_lens_ends_at_the_prediction(opened: Opened) -> None:
    reading = read(opened.model, opened.weights, encode(opened.model, TEXT))
    last = reading.lens[reading.lens["layer"] == opened.model.cfg.n_layers]
    first = reading.predictions[reading.predictions["place"] == 0]
    assert last["top_token"].tolist() == first["token"].tolist()
    assert last["probability"].to_numpy() == pytest.approx(
        first["probability"].to_numpy(), abs=1e-5
    )


def test_patterns_are_causal_and_sum_to_one(opened: Opened) -> None:
    cfg = opened.model.cfg
    reading = read(opened.model, opened.weights, encode(opened.model, TEXT))
    n = len(reading.ids)
    assert reading.patterns.shape == (cfg.n_layers, cfg.n_heads, n, n)
    assert reading.patterns.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert (reading.patterns[:, :, *(torch.triu_indices(n, n, 1).numpy())] == 0).all()
    assert len(reading.tokens) == n


def test_a_reading_is_computed_once_for_each_recipe(opened: Opened) -> None:
    ids = encode(opened.model, TEXT)
    assert read(opened.model, opened.weights, ids) is read(opened.model, opened.weights, ids)
    assert read(opened.model, opened.weights, ids) is not read(opened.model, "other", ids)
    assert open_model("stories") is opened


def test_scores_add_up_to_the_logit_beyond_the_baseline(opened: Opened) -> None:
    ids = encode(opened.model, TEXT)
    reading = read(opened.model, opened.weights, ids)
    best = reading.predictions.query(f"position == {len(ids) - 1}").iloc[0]
    found = attribute(
        opened.model, opened.weights, ids, int(best["token_id"]), "integrated_gradients"
    )
    assert len(found.scores) == len(ids)
    assert found.value == pytest.approx(best["logit"], abs=1e-3)
    assert found.tokens == reading.tokens
    error = abs(sum(found.scores) - found.difference)
    assert error <= 0.01 * abs(found.difference)
    assert found.converged


def test_a_text_longer_than_the_context_is_refused(opened: Opened) -> None:
    with pytest.raises(interp.InputError, match=r"reads 256 at most"):
        encode(opened.model, "word " * 400)
