"""What a reader may write into the fields of the pages, or lay beside a model, is text to them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.apps.addresses import judged
from tests.apps.hostile import VOCABULARY, save, save_dictionary
from tests.apps.test_explorer import HOSTILE, go, prompt

LONG = "![](http://x.test) <b> " * 4_348  # 100,000 characters
TEXTS = (LONG, HOSTILE, " ".join(VOCABULARY[1:9]), "\x00\x1b[31m\u202e", "\n" * 400, "9" * 5_000)
Explore = Callable[..., AppTest]


@pytest.fixture
def explore(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Explore:
    """A page of the explorer, on a model of a folder."""

    def start(folder: Path, page: str, text: str, **address: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["explorer.py", str(folder)])
        app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
        app.query_params.update(address)
        app = prompt(app.run(), text)
        app.query_params.update(address)
        return go(app, page)

    return start


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "![](http:x) <b>decoder")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "classifier"
    classes = tuple(VOCABULARY[1:4])
    return save(folder, shape="encoder", head="classification", n_classes=3, class_names=classes)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "numbers", tokenizer=False)


def click(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def errors(page: AppTest) -> list[str]:
    """The refusals of a page that is otherwise as it should be."""
    assert judged(page) == []
    return [error.value for error in page.error]


def reasons(page: AppTest) -> str:
    return " ".join(text.value for text in page.text)


# -- fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_the_second_text_of_a_comparison(explore: Explore, decoder: Path, text: str) -> None:
    page = explore(decoder, "compare", " ".join(VOCABULARY[1:5]))
    page.text_area(key="other_text").set_value(text)
    click(page, "Compare")
    unread = text == LONG or not text.strip()
    assert errors(page) == (["These two cannot be compared."] if unread else [])
    assert text != LONG or "32 at most" in reasons(page)


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_to_steer_by(explore: Explore, decoder: Path, text: str) -> None:
    page = explore(decoder, "intervene", "? **bold**", intervention="Steer")
    for field in ("toward", "away"):
        assert errors(page.text_area(key=field).set_value(text).run()) in (
            [],
            ["The model cannot be steered this way."],
        )
        if text == LONG:
            assert errors(page) and "32" in reasons(page)
        page.text_area(key="toward").set_value("**bold**").run()
        page.text_area(key="away").set_value("`c`").run()
        assert errors(page) == []


@pytest.mark.parametrize("text", [*TEXTS, "one two", "?"])
def test_the_word_that_replaces_another(explore: Explore, decoder: Path, text: str) -> None:
    page = explore(decoder, "intervene", " ".join(VOCABULARY[1:5]))
    assert errors(page.text_input(key="by").set_value(text).run()) in (
        [],
        ["This change cannot be traced."],
    )


@pytest.mark.parametrize("text", ["1 2", "9" * 5_000, "²", "-1", "19", "x", " "])
def test_a_number_that_replaces_another_is_one_that_the_model_knows(
    explore: Explore, numbers: Path, text: str
) -> None:
    page = explore(numbers, "intervene", "1 2 3 1")
    assert errors(page.text_input(key="by").set_value("18").run()) == []
    assert errors(page.text_input(key="by").set_value(text).run()) == [
        "This change cannot be traced."
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_the_lines_to_label(explore: Explore, classifier: Path, text: str) -> None:
    page = explore(classifier, "work", "?")
    page.text_area(key="lines_text").set_value(text)
    click(page, "Label them")
    errors(page)


@pytest.mark.parametrize("text", [LONG, "9" * 5_000, "9 " * 50_000, "1e3", "²", "\x00", ""])
def test_what_is_no_number_of_a_token_is_refused(
    explore: Explore, numbers: Path, text: str
) -> None:
    page = explore(numbers, "start", "1 2")
    assert errors(prompt(page, text)) == ["This text cannot be read."]
    assert errors(prompt(page, "1 2 3")) == []


# -- uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("![](http:x).csv", f"text,label\n{HOSTILE.replace(chr(0), '')},<b>\n"),
        ("a.csv", "text\n" + LONG),
        ("a.csv", "\x00" * 9_000),
        ("../../a.csv", "text\nx\n"),
        ("a.csv", "text,text\nx,y\n"),
        ("a.csv", '"' + "x\n" * 9_000),
        ("a.tsv", "text\t\u202elabel\n`c`\ty\n"),
        ("a.jsonl", "[" * 100_000),
        ("a.jsonl", json.dumps({"text": HOSTILE, "label": {"a": [None]}})),
        ("a.jsonl", '{"text": "\\ud800", "label": NaN}'),
        ("a.jsonl", '{"text": ' + "9" * 5_000 + "}"),
        ("a.jsonl", ""),
    ],
)
def test_a_table_of_ones_own(explore: Explore, classifier: Path, name: str, content: str) -> None:
    page = explore(classifier, "data", "?")
    page.file_uploader[0].upload(name, content.encode())
    for column in ("", "label", "<b>![](http:x)", "text"):
        fields = {field.label: field for field in page.text_input}
        fields["Column of the right label, if any"].set_value(column)
        fields["Column to slice by, if any"].set_value(column)
        assert errors(page.run()) in ([], ["This table cannot be read."])


# -- dictionaries --------------------------------------------------------------------------------


def _write(folder: Path, config: str, **tensors: Any) -> None:
    from safetensors.torch import save_file

    from interp.pretrained.weights_file import WeightFiles, read_header

    file = folder / "sae_weights.safetensors"
    files = WeightFiles(read_header(file))
    known = {name: files.read(name) for name in files.names()}
    save_file({**known, **tensors}, file)
    (folder / "cfg.json").write_text(config, "utf-8")


def _changed(folder: Path, **values: Any) -> str:
    return json.dumps({**json.loads((folder / "cfg.json").read_text("utf-8")), **values})


def _damage(folder: Path, kind: str) -> None:
    import torch

    whole = _changed(folder)
    if kind == "deep":
        _write(folder, "[" * 100_000)
    elif kind == "other types":
        _write(folder, _changed(folder, k="![](http:x)", d_in=[], metadata=3))
    elif kind == "another site":
        _write(folder, _changed(folder, metadata={"hook_name": "<b>![](http:x)\u202e"}))
    elif kind == "huge k":
        _write(folder, _changed(folder, k=10**30))
    elif kind == "not finite":
        _write(folder, whole, W_enc=torch.full((16, 6), float("nan")))
    elif kind == "wrong shapes":
        _write(folder, whole, W_dec=torch.ones(5, 16))
    elif kind == "another width":
        wide = {"W_enc": torch.ones(8, 6), "W_dec": torch.ones(6, 8), "b_dec": torch.ones(8)}
        _write(folder, _changed(folder, d_in=8, d_out=8), **wide)
    elif kind == "no latents":
        none = {"W_enc": torch.ones(16, 0), "b_enc": torch.ones(0), "W_dec": torch.ones(0, 16)}
        _write(folder, _changed(folder, architecture="standard", d_sae=0, k=None), **none)
    elif kind == "no weights":
        (folder / "sae_weights.safetensors").unlink()
    elif kind == "half a file":
        file = folder / "sae_weights.safetensors"
        file.write_bytes(file.read_bytes()[:200])
    elif kind == "a loop":
        (folder / "cfg.json").unlink()
        (folder / "cfg.json").symlink_to("cfg.json")


@pytest.mark.parametrize(
    "kind",
    [
        *("deep", "other types", "another site", "huge k", "not finite", "wrong shapes"),
        *("another width", "no latents", "no weights", "half a file", "a loop"),
    ],
)
def test_a_hostile_dictionary_is_refused_and_its_neighbour_works(
    explore: Explore, tmp_path: Path, kind: str
) -> None:
    model = save(tmp_path / "model")
    good, bad = save_dictionary(model, "b good"), save_dictionary(model, "a ![](http:x) <b>")
    _damage(bad, kind)
    page = explore(model, "neurons", "? **bold**", units="Features")
    if kind != "a loop":  # which is no file, and so not on offer
        assert errors(page) == ["The features cannot be shown."]
        page.selectbox(key="dictionary").set_value(good).run()
    assert errors(page) == []
    assert page.selectbox(key="feature").options
