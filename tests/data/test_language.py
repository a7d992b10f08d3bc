"""Languages are told apart on real text of each."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from interp.data.language import LANGUAGES, UNDETERMINED, identify


def squad(path: Path) -> list[str]:
    articles = json.loads(gzip.decompress(path.read_bytes()))["data"]
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]


def sentences(path: Path) -> list[str]:
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    return [line for line in lines if len(line.split()) >= 10]


def accuracy(texts: list[str], code: str) -> float:
    return sum(identify(text).code == code for text in texts) / len(texts)


def test_news_sentences_of_ten_words(shared_data: Path) -> None:
    for code, name in (("en", "src.eng"), ("de", "ref.deu"), ("fr", "ref.fra")):
        texts = sentences(shared_data / "ntrex" / f"newstest2019-{name}.txt.gz")
        assert accuracy(texts, code) >= 0.97, code


def test_encyclopaedia_paragraphs(shared_data: Path) -> None:
    for code in ("en", "de", "es"):
        assert accuracy(squad(shared_data / "xquad" / f"xquad.{code}.json.gz"), code) >= 0.99, code
    assert accuracy(squad(shared_data / "squad_it" / "SQuAD_it-test.json.gz"), "it") >= 0.99


@pytest.mark.parametrize(
    "text",
    [
        *("", "12345", "?!", "Обычный русский текст о погоде и людях.", "日本語の文章です。"),
        *("Tämä on tavallinen suomenkielinen lause talvesta.", "xyzzy plugh qwert asdf zxcv"),
    ],
)
def test_other_languages_and_no_language_are_undetermined(text: str) -> None:
    assert identify(text).code == UNDETERMINED


def test_a_margin_says_how_sure() -> None:
    text = "The house that they had seen was not the one which he would have bought."
    found = identify(text)
    assert found.code == "en" and 0.5 < found.margin <= 1
    mixed = identify(
        text + " Das Haus, das sie gesehen hatten, war nicht das, was er kaufen wollte."
    )
    assert mixed.margin < found.margin
    assert set(LANGUAGES) >= {"en", "fr", "de", "es", "it"}
