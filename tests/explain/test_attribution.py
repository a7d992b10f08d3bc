"""What an explanation can be written as, and what it says about itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from interp import HookedTransformer, InputError, TransformerConfig
from interp.explain import Attribution, attribute, tokens_hash, weights_hash


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    cfg = TransformerConfig(d_model=16, n_layers=1, n_heads=2, d_vocab=20, n_ctx=8)
    return HookedTransformer(cfg).eval()


@pytest.fixture
def found(model: HookedTransformer) -> Attribution:
    return attribute(model, torch.tensor([3, 1, 4]))


def test_the_frame_holds_the_scores(found: Attribution) -> None:
    frame = found.to_frame()
    assert frame["token_id"].tolist() == [3, 1, 4]
    assert tuple(frame["score"]) == found.scores
    assert frame["share"].sum() == pytest.approx(1, abs=0.01)


def test_json_tells_the_whole_result(found: Attribution, tmp_path: Path) -> None:
    path = tmp_path / "why.json"
    assert json.loads(found.to_json(path)) == json.loads(path.read_text("utf-8"))
    read = json.loads(path.read_text("utf-8"))
    assert tuple(read["scores"]) == found.scores
    assert read["cost"]["backwards"] == found.cost.backwards >= 9
    assert read["weights_hash"] == found.weights_hash
    assert [p.name for p in tmp_path.iterdir()] == ["why.json"]


def test_the_page_says_what_one_must_know(found: Attribution, tmp_path: Path) -> None:
    page = found.to_html(tmp_path / "why.html")
    assert (tmp_path / "why.html").read_text("utf-8") == page
    for words in ("completeness error", "integrated gradients", "mean embedding"):
        assert words in page
    assert "http://" not in page and "https://" not in page and "<script" not in page


def test_both_sides_of_a_pair_have_a_strip_and_count_their_own_positions() -> None:
    cfg = TransformerConfig(
        d_model=16,
        n_layers=1,
        n_heads=2,
        d_vocab=20,
        n_ctx=8,
        shape="encoder_decoder",
        decoder_start_token_id=0,
    )
    inputs = {"decoder_tokens": torch.tensor([[0, 5]])}
    pair = attribute(HookedTransformer(cfg).eval(), torch.tensor([3, 1, 4]), inputs=inputs)
    assert pair.to_frame()["position"].tolist() == [0, 1, 2, 0, 1]
    assert pair.position == 1 and "token 1 “5” of the target" in pair.facts()["predicted at"]
    page = pair.to_html()
    assert page.count("<figure") == 2 and "Source" in page and "Target" in page


def test_a_notebook_shows_the_strips_of_the_page(found: Attribution) -> None:
    shown = found._repr_html_()
    assert shown.startswith("<figure")
    assert shown in found.to_html()


def test_a_file_that_cannot_be_written_leaves_nothing(found: Attribution, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        found.to_html(tmp_path / "missing" / "why.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        found.to_json(tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_hashes_follow_weights_and_tokens(model: HookedTransformer) -> None:
    before = weights_hash(model)
    assert weights_hash(model) == before
    with torch.no_grad():
        model.embed.weight[0, 0] += 1
    changed = weights_hash(model)
    with torch.no_grad():
        model.embed.weight[0, 0] -= 1
    assert changed != before
    assert tokens_hash(torch.tensor([1, 2])) != tokens_hash(torch.tensor([2, 1]))
    assert tokens_hash(torch.tensor([1, 2])) == tokens_hash(torch.tensor([1, 2], dtype=torch.int32))
