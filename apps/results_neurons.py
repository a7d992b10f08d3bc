"""What the neurons of a layer do now, what they write, and what else they respond to.

See `apps.reading` for how results are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import Opened, Passage
from interp import UnsupportedModelError

if TYPE_CHECKING:
    import pandas as pd

    from interp.data.examples import Examples
    from probes.contexts import Context
    from probes.neurons import Neurons

SENTENCES = Path(__file__).parent / "sentences.txt"
SHOWN = 16  # neurons, the strongest of a position
CONTEXTS = 6  # texts kept of each neuron
WRITTEN = 8  # tokens on each side
_ANSWER = 32  # tokens that an encoder-decoder writes of a sentence at most


@dataclass(frozen=True)
class Responses:
    """What the neurons of a layer did over the built-in texts.

    Attributes:
        examples: the texts, as the model reads them.
        neurons: their record.
        what: which texts they are, in words.
    """

    examples: Examples
    neurons: Neurons
    what: str


@st.cache_resource(max_entries=64, show_spinner=False)
def strongest(
    _opened: Opened, identity: str, passage: Passage, layer: int, at: int
) -> pd.DataFrame:
    """The neurons with the largest activations at a position, either sign: `neuron`, `value`.

    Raises:
        UnsupportedModelError: this layer has no neurons.
    """
    import pandas as pd
    import torch

    name = _point(_opened.model, layer)
    with torch.no_grad():
        _, cache = _opened.model.run_with_cache(**passage.inputs, names_filter=[name])
    values = cache[name][0, at].float()
    best = values.abs().topk(min(SHOWN, len(values))).indices
    return pd.DataFrame({"neuron": best.tolist(), "value": values[best].tolist()})


@st.cache_resource(max_entries=64, show_spinner=False)
def written(_opened: Opened, identity: str, layer: int, neuron: int) -> pd.DataFrame:
    """The tokens that a neuron raises and lowers by itself; see `probes.neurons.writes`.

    Raises:
        UnsupportedModelError: the stream of this model is not read by one linear map.
    """
    from probes.neurons import writes

    return writes(_opened.model, layer, [neuron], most=WRITTEN)


@st.cache_resource(max_entries=16, show_spinner=False)
def responses(_opened: Opened, identity: str, layer: int) -> Responses:
    """What the neurons of a layer respond to in the built-in texts.

    Raises:
        UnsupportedModelError: this layer has no neurons.
    """
    from probes.neurons import neurons

    _point(_opened.model, layer)
    examples, what = texts_of(_opened, identity)
    found = neurons(_opened.model, examples, k=CONTEXTS, layers=[layer])
    site = f"{_opened.model.last_stack}.mlp"
    return Responses(examples, next(one for one in found if one.site == site), what)


@st.cache_resource(max_entries=64, show_spinner=False)
def top_contexts(
    _opened: Opened, identity: str, layer: int, neuron: int, lowest: bool
) -> list[Context]:
    """The texts in which a neuron responds most (or, with two sides, is lowest)."""
    from probes.neurons import contexts

    read = responses(_opened, identity, layer)
    return contexts(_opened.model, read.examples, read.neurons, neuron, lowest=lowest)


def _point(model: Any, layer: int) -> str:
    name = f"{model.last_stack}.{layer}.mlp.hook_post"
    if name not in model.hook_points:
        raise UnsupportedModelError(
            f"Layer {layer} of this model has attention only; it has no neurons to look at."
        )
    return name


@st.cache_resource(max_entries=4, show_spinner=False)
def texts_of(_opened: Opened, identity: str) -> tuple[Examples, str]:
    """Texts that the model can read, and which they are."""
    from interp.data.records import Pair
    from probes.passages import passages, repeats

    model = _opened.model
    if model.tokenizer is None:
        examples = repeats(model)
        return examples, f"{len(examples)} sequences of random tokens that repeat"
    sentences = SENTENCES.read_text("utf-8").splitlines()
    what = f"{len(sentences)} English sentences that come with the explorer"
    if model.cfg.shape != "encoder_decoder":
        return passages(model, sentences), what
    answers = model.generate(sentences, max_new_tokens=_ANSWER, do_sample=False, return_type="str")
    pairs = [Pair(one, (answer,)) for one, answer in zip(sentences, answers, strict=True) if answer]
    return passages(model, pairs), f"what the model writes for {len(pairs)} English sentences"
