"""What a model writes, each text kept under its recipe; see `apps.reading`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import Opened, Passage, token_texts

if TYPE_CHECKING:
    import pandas as pd

    from interp import AnswerAttribution


@dataclass(frozen=True)
class Writing:
    """How a text is written.

    Attributes:
        length: tokens at most.
        temperature: 0 takes the likeliest token each time.
        top_p: draws are from the fewest tokens with this probability together.
        seed: of the draws.
        beams: of an encoder-decoder, texts that are followed at a time.
    """

    length: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    beams: int = 1


@st.cache_resource(max_entries=64, show_spinner=False)
def write(_opened: Opened, identity: str, passage: Passage, writing: Writing) -> Passage:
    """What is read and what is written after it; of an encoder-decoder, what it writes anew."""
    import torch

    model = _opened.model
    pair = model.cfg.shape == "encoder_decoder"
    options: dict[str, Any] = {"do_sample": writing.temperature > 0, "num_beams": writing.beams}
    if writing.temperature > 0:
        options |= {"temperature": writing.temperature, "top_p": writing.top_p}
    out = model.generate(
        torch.tensor([passage.source if pair else passage.ids]),
        max_new_tokens=writing.length,
        seed=writing.seed,
        return_type="tokens",
        **options,
    )
    return Passage(tuple(out[0].tolist()), passage.source)


@st.cache_resource(max_entries=64, show_spinner=False)
def judged(_opened: Opened, identity: str, whole: Passage, start: int) -> pd.DataFrame:
    """How probable each token from `start` on was: `position`, `token`, `probability`, `rank`."""
    import pandas as pd
    import torch

    model = _opened.model
    with torch.no_grad():
        log_p = model(**whole.inputs)[0, start - 1 : -1].float().log_softmax(-1)
    ids = torch.tensor(whole.ids[start:])
    chosen = log_p.gather(-1, ids[:, None])
    return pd.DataFrame(
        {
            "position": range(start, len(whole.ids)),
            "token": token_texts(model, whole.ids[start:]),
            "probability": chosen[:, 0].exp().tolist(),
            "rank": (1 + (log_p > chosen).sum(-1)).tolist(),
        }
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def explained(
    _opened: Opened, identity: str, whole: Passage, start: int, method: str
) -> AnswerAttribution:
    """Every token from `start` on, by all before it.

    Raises:
        InterpError: this answer cannot be explained.
    """
    import interp

    read = whole.source or whole.ids[:start]
    return interp.attribute_answer(
        _opened.model, list(read), list(whole.ids[start:]), method=method
    )


def text_of(model: Any, ids: tuple[int, ...]) -> str:
    """The text that is read as these ids, without what the model puts before every text."""
    if model.tokenizer is None:
        return " ".join(map(str, ids))
    first = model.cfg.default_prepend_bos and ids[:1] == (model.tokenizer.bos_token_id,)
    text: str = model.to_string(list(ids[1:] if first else ids))
    return text
