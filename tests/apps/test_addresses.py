"""Whatever an address of the explorer says, a page is drawn or a plain refusal stands there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.apps import addresses
from tests.apps.addresses import OWN, PAGES, SHARED, judged, visit
from tests.apps.hostile import models


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folders = list(models(tmp_path_factory.mktemp("models")).values())
    with addresses.given(*folders):
        yield [folder.name for folder in folders]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("number", range(5))
def test_a_hostile_address_is_drawn_or_refused(names: list[str], number: int) -> None:
    """A few; `python -m tests.apps.addresses` takes thousands."""
    assert visit(number, names).faults == ()


def test_every_parameter_is_among_those_tried() -> None:
    """Read from the source; a page with a new widget in the address is tried without being told."""
    assert {"model", "text", "at", "token", "foil", "layer", "head", "method", "step"} <= {*SHARED}
    assert {"toward", "away", "strength", "by"} <= {*OWN["intervene"]}
    assert {"kind"} <= {*OWN["attention"]} and {"neuron", "feature"} <= {*OWN["neurons"]}
    assert {"other_text", "other_model", "other_step"} <= {*OWN["compare"]}
    assert len(PAGES) == 12


def crashes() -> None:
    raise RuntimeError


def quotes() -> None:
    import streamlit as st

    st.sidebar.selectbox("Model", ["x"])
    st.markdown("the text ![](http://x.test/y)")


def labels() -> None:
    import streamlit as st

    st.sidebar.selectbox("Model", ["x"])
    st.button("<img src=x>")


def runs() -> None:
    import streamlit as st

    st.sidebar.selectbox("Model", ["x"])
    st.html("<p><script>a()</script></p>")


def refuses() -> None:
    import streamlit as st

    st.error("KeyError: 'x'")


def blank() -> None:
    pass


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (crashes, "RuntimeError"),
        (quotes, "Markdown"),
        (labels, "Markdown"),
        (runs, "<script>"),
        (refuses, "no refusal of ours"),
        (blank, "nothing is drawn"),
    ],
)
def test_the_judge_notices(page: Callable[[], None], said: str) -> None:
    assert any(said in fault for fault in judged(AppTest.from_function(page).run()))


def test_equal_numbers_give_equal_addresses_and_others_others(tmp_path: Path) -> None:
    def made(number: int) -> str:
        draw = random.Random(f"address {number}")
        return repr(addresses.drawn_address(draw, ("start", "lens"), ["a", "b"]))

    assert made(1) == made(1)
    assert len({made(number) for number in range(20)}) == 20
