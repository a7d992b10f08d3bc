"""The page of a table of examples, run as Streamlit runs it, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.results_data import LONGEST, MOST, uploaded
from interp import InputError
from probes.slices import by_length


@pytest.fixture
def page(repository: Path) -> AppTest:
    path = str(repository / "apps" / "explorer.py")
    page = AppTest.from_file(path, default_timeout=300).run()
    page.switch_page("views/data.py").run()
    assert not page.exception
    return page


def alts(page: AppTest) -> list[str]:
    assert not page.exception
    return [chart.proto.alt for chart in page.get("vega_lite_chart")]


def test_texts_are_measured_and_one_is_sent(page: AppTest) -> None:
    assert alts(page)[0].startswith("Nats for a token: ")
    texts = list(page.dataframe[0].value["text"])
    page.selectbox(key="example").set_value(1).run()
    page.button(key="send_example").click().run()
    assert not page.exception
    assert page.text_area(key="text").value == texts[1]


def test_a_classifier_shows_errors_slices_and_calibration(page: AppTest) -> None:
    page.selectbox(key="model").set_value("reviews").run()
    table = page.dataframe[0].value
    right = float((table["label"] == table["predicted"]).mean())
    slices, reliability = alts(page)
    assert slices.startswith("Accuracy: ") and reliability.startswith("Reliability of 8")
    (said,) = (text.value for text in page.text if "expected calibration error" in text.value)
    gap = said.partition(" by ")[2].partition("%")[0]
    assert f"differ by {gap}% on average" in reliability  # the same bins
    assert f"{100 * right:.0f}% of the whole" in slices or f"{100 * right:.1f}%" in slices
    page.toggle(key="errors_only").set_value(True).run()
    assert not page.exception
    if right < 1:
        assert len(page.dataframe[0].value) == round(8 * (1 - right))


def test_a_hostile_upload_is_bounded_or_refused() -> None:
    lines = "text,label\n" + f"{'x' * 3 * LONGEST},{'y' * 500}\n" * (MOST + 5)
    found = uploaded("a", lines.encode(), ".csv", ("text", "label"))
    assert len(found) == MOST
    assert found["text"].str.len().max() == LONGEST and found["kept label"].str.len().max() == 100
    with pytest.raises(InputError, match="no column 'text'"):
        uploaded("b", b"a,b\n1,2\n", ".csv", ("text",))
    with pytest.raises(InputError, match="not JSON"):
        uploaded("c", b"\x80\x04\x95cos\nsystem\n", ".jsonl", ("text",))
    with pytest.raises(InputError, match="no text"):
        uploaded("d", b"text\n\n", ".csv", ("text",))


def test_slices_by_length_hold_every_text_once() -> None:
    texts = ["a " * n for n in (1, 1, 2, 3, 5, 8, 13, 21)]
    for text, name in zip(texts, by_length(texts), strict=True):
        ends = name.removesuffix(" words").split(" to ")
        assert int(ends[0]) <= len(text.split()) <= int(ends[-1])
