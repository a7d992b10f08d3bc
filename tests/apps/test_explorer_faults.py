"""Models that others made, and what breaks: said where the person looks, and the rest works on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.apps.hostile import VOCABULARY, save
from tests.apps.test_explorer import PAGES, alts, go, prompt, strips
from tests.figures.markup import read_html

Explore = Callable[..., AppTest]


@pytest.fixture
def explore(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Explore:
    """The explorer, given models as its command line gives them."""

    def start(*folders: Path) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["explorer.py", *map(str, folders)])
        script = str(repository / "apps" / "explorer.py")
        return AppTest.from_file(script, default_timeout=300).run()

    return start


def errors(page: AppTest) -> list[str]:
    assert not page.exception
    return [error.value for error in page.error]


def test_a_hostile_vocabulary_is_shown_literally_on_every_page(
    explore: Explore, tmp_path: Path
) -> None:
    page = explore(save(tmp_path / "![](http:x) <b>hostile"))
    prompt(page, " ".join(VOCABULARY[1:12]))
    shown = "".join(strips(page)[0])
    assert "<img/src=x/onerror=alert(1)>" in shown and "⟨U+202E⟩abc" in shown
    for name in PAGES:
        go(page, name)
        assert errors(page) == []
        for element in page.get("html"):
            tree = read_html(element.proto.body)
            assert not tree.all("img") and not tree.all("script") and not tree.all("s")
        prose = [element.value for element in [*page.markdown, *page.caption, *page.header]]
        assert not any(token in text for token in VOCABULARY[1:6] for text in prose)


def test_a_broken_checkpoint_is_named_and_the_others_open(explore: Explore, tmp_path: Path) -> None:
    steps = [tmp_path / "run" / "checkpoints" / f"step-{step:08d}" for step in (0, 10, 20, 30)]
    for seed, step in enumerate(steps):
        save(step, seed=seed)
    weights = steps[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    page = explore(tmp_path / "run")
    shutil.rmtree(steps[2])  # after the list of checkpoints was read
    last = alts(page)
    for step in (10, 20):
        page.select_slider(key="step").set_value(step).run()
        assert errors(page) == ["This model cannot be opened."]
        assert any(f"step-{step:08d}" in text.value for text in page.text)
    page.select_slider(key="step").set_value(0).run()
    assert errors(page) == [] and len(alts(page)) == 1 and alts(page) != last
    go(page, "training")
    page.button(key="heads_start").click().run()
    assert errors(page) == [] and len(page.warning) == 1
    assert "2 checkpoints" in alts(page)[0]
    for step in (10, 20):
        assert any(f"step-{step:08d}" in text.value for text in page.text)
    go(page, "compare")
    page.radio(key="against").set_value("step").run()
    page.select_slider(key="other_step").set_value(10).run()
    assert errors(page) == ["These two cannot be compared."]
    page.select_slider(key="other_step").set_value(30).run()
    assert errors(page) == [] and len(strips(page)) == 3


def test_a_model_without_a_tokenizer_works_on_every_page(explore: Explore, tmp_path: Path) -> None:
    page = explore(save(tmp_path / "numbers", tokenizer=False))
    assert errors(page) == [] and len(alts(page)) == 1  # it begins with a text that it can read
    prompt(page, "1 2 3 1 2")
    for name in PAGES:
        assert errors(go(page, name)) == []
    prompt(page, "1 2 three")
    assert errors(page) == ["This text cannot be read."]


def test_a_folder_that_vanished_takes_nothing_else_with_it(
    explore: Explore, tmp_path: Path
) -> None:
    one, other = save(tmp_path / "one"), save(tmp_path / "other", seed=1)
    page = explore(one, other)
    for folder in (one, other):
        shutil.rmtree(folder)
    for name in PAGES:  # what is open stays open
        assert errors(go(page, name)) == []
    go(page, "compare")
    page.radio(key="against").set_value("model").run()
    page.selectbox(key="other_model").set_value("other").run()
    assert errors(page) == ["These two cannot be compared."]
    page.selectbox(key="model").set_value("other").run()
    assert errors(page) == ["This model cannot be opened."]
    assert any("other" in text.value for text in page.text)
    go(page, "start")
    page.selectbox(key="model").set_value("stories").run()
    assert errors(page) == [] and len(alts(page)) == 1


def test_a_token_that_would_not_be_read_again_is_not_sent(explore: Explore, tmp_path: Path) -> None:
    """Text that a model wrote may be read as other tokens, and as more than it can read."""
    page = explore(save(tmp_path / "model"))
    prompt(page, "**bold**")
    go(page, "work")
    page.slider(key="length").set_value(80).run()  # of which the context holds 31
    page.selectbox(key="written").set_value(30).run()
    assert errors(page) == []
    assert any("other tokens" in info.value for info in page.info)
