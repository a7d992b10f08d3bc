"""One file per family of checkpoints: its configuration and its table of names, both ways.

To add a family, write a file with a `FAMILY` and name it here. The transformers library is not
imported by these files: they read its configuration objects and write plain values.
"""

from __future__ import annotations

from interp.errors import UnsupportedModelError
from interp.pretrained.families import bert, distilbert, gpt2, llama, marian, neox, roberta, t5
from interp.pretrained.family import BRIDGE, Family

# In the order in which a model made here looks for one to be written as.
FAMILIES: tuple[Family, ...] = (
    gpt2.FAMILY,
    *llama.FAMILIES,
    neox.FAMILY,
    bert.FAMILY,
    distilbert.FAMILY,
    roberta.FAMILY,
    t5.FAMILY,
    marian.FAMILY,
)


def family_of(model_type: str, architecture: str) -> Family:
    """The family that opens an architecture, such as `GPT2LMHeadModel` of the type `gpt2`.

    Raises:
        UnsupportedModelError: there is no table for it.
    """
    types = {family.model_type: family for family in FAMILIES}
    if model_type not in types:
        raise UnsupportedModelError(
            f"There is no table here for models of the type {model_type!r}; there are tables for "
            f"{', '.join(types)}. {BRIDGE}"
        )
    family = types[model_type]
    if architecture not in family.heads:
        raise UnsupportedModelError(
            f"There is no table here for {architecture} ({model_type}); there are tables for "
            f"{', '.join(family.heads)}. {BRIDGE}"
        )
    return family
