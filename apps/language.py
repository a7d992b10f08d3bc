"""The words of the explorer, in English or Chinese.

Pages write English; `say` gives it in the reader's language. What a model or a reader wrote is
never translated, and never passed through here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import streamlit as st

ENGLISH, CHINESE = "English", "中文"
TABLE = Path(__file__).parent / "chinese.tsv"


def choose_language() -> None:
    """The choice of the language, which is part of the address."""
    st.radio(
        "Language 语言",
        (ENGLISH, CHINESE),
        horizontal=True,
        key="language",
        bind="query-params",
        label_visibility="collapsed",
    )


def say(text: str, **values: object) -> str:
    """A text of the interface in the reader's language, with values put into its {places}."""
    if st.session_state.get("language") == CHINESE:
        text = translations().get(text, text)
    return text.format(**values) if values else text


@lru_cache(maxsize=1)
def translations() -> dict[str, str]:
    """English -> Chinese: a line each, with a tab between."""
    lines = TABLE.read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line)
