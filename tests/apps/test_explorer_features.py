"""Neurons & features, Features: what a dictionary beside the model says of a position."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

import interp
from apps import results_features
from interp.model.fingerprint import weights_hash
from probes.dictionary import Coder, save
from tests.apps.test_explorer import alts, go, strips

SITE = "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def coder() -> Coder:
    model = interp.load("stories")
    draw = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(48, model.cfg.d_model, generator=draw), dim=1)
    return Coder(
        W.t().contiguous(), torch.zeros(48), W, torch.zeros(model.cfg.d_model), SITE, SITE,
        k=5, about={"model_hash": weights_hash(model)[:16]},
    )  # fmt: skip


@pytest.fixture
def page(
    repository: Path, tmp_path: Path, coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> AppTest:
    save(coder, tmp_path / "features" / "one")
    real = results_features.zoo_folder
    beside = {"stories": tmp_path}
    monkeypatch.setattr(results_features, "zoo_folder", lambda name: beside.get(name, real(name)))
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    app.query_params["units"] = "Features"
    return go(app.run(), "neurons")


def test_the_active_features_are_those_of_the_code(page: AppTest, coder: Coder) -> None:
    assert not page.error
    model = interp.load("stories")
    text = page.text_area(key="text").value
    _, cache = model.run_with_cache(model.to_tokens(text), names_filter=[SITE])
    code = coder.encode(cache[SITE][0, -1])
    options = [int(option) for option in page.selectbox(key="feature").options]
    active = int((code > 0).sum())
    assert options[:active] == code.topk(active).indices.tolist()
    assert sorted(options) == list(range(48))
    assert f"feature {int(code.argmax())}" in alts(page)[0]
    assert strips(page)  # its strongest places in the built-in texts


def test_another_feature_has_its_own_places(page: AppTest) -> None:
    before = strips(page)
    last = page.selectbox(key="feature").options[-1]
    page.selectbox(key="feature").set_value(int(last)).run()
    assert not page.exception
    assert strips(page) != before


def test_a_dictionary_of_other_weights_is_refused(
    page: AppTest, tmp_path: Path, coder: Coder
) -> None:
    save(dataclasses.replace(coder, about={"model_hash": "0" * 16}), tmp_path / "features" / "two")
    page.run()
    page.selectbox(key="dictionary").set_value(tmp_path / "features" / "two").run()
    assert [error.value for error in page.error] == ["The features cannot be shown."]


def test_without_a_dictionary_the_page_says_how_to_make_one(page: AppTest) -> None:
    page.selectbox(key="model").set_value("reviews").run()
    assert not page.exception
    assert any("interp probe dictionary" in info.value for info in page.info)
