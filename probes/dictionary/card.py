"""What single latents stand for: where they are strongest, and what they write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp.data.batch import Batch
from interp.data.examples import Examples
from interp.errors import InputError
from probes.contexts import Batch as Values
from probes.contexts import Context, Extremes, context, top_contexts
from probes.dictionary.coder import Coder
from probes.dictionary.stream import activations, counted, stack_of
from probes.directions import promoted
from probes.passages import batches, read_by


@dataclass(frozen=True)
class Card:
    """One latent.

    Attributes:
        latent: its number.
        contexts: where it is strongest, the strongest first; none of a latent that was never
            active.
        writes: the tokens that it promotes and suppresses: the rows of `directions.promoted`.
            Empty where the dictionary does not write to a stream that one linear map reads.
    """

    latent: int
    contexts: list[Context]
    writes: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """A row for each token of each context: `latent`, `rank` (1 is first), `text`, `place` (0
        where the latent is strongest), `token`, `metric` (`activation`), `value`."""
        return pd.DataFrame(
            [
                {
                    "latent": self.latent,
                    "rank": rank,
                    "text": found.text,
                    "place": i - found.position,
                    "token": token,
                    "metric": "activation",
                    "value": value,
                }
                for rank, found in enumerate(self.contexts, 1)
                for i, (token, value) in enumerate(
                    zip(found.tokens, found.activations, strict=True)
                )
            ],
            columns=["latent", "rank", "text", "place", "token", "metric", "value"],
        )


def strongest(model: Any, coder: Coder, examples: Examples, *, k: int = 10) -> Extremes:
    """The texts in which each latent is strongest, in one pass over all of them."""

    def values() -> Iterator[Values]:
        for chosen, batch in batches(examples, model.W_E.device):
            texts = torch.as_tensor(chosen, device=model.W_E.device)
            yield _code(model, coder, batch), counted(model, coder.site, batch), texts

    return top_contexts(values(), k)


def card(
    model: Any,
    coder: Coder,
    examples: Examples,
    where: Extremes,
    latent: int,
    *,
    before: int = 12,
    after: int = 6,
    most: int = 8,
) -> Card:
    """A latent on the tokens around the places where it is strongest; those texts are read again.

    Args:
        examples, where: what `strongest` has read, and what it has found.
        before, after: tokens to show around the place.
        most: tokens that it writes, on each side.

    Raises:
        InputError: no such latent.
    """
    if not 0 <= latent < coder.latents:
        raise InputError(f"There is no latent {latent}; the dictionary has {coder.latents}.")
    writes = pd.DataFrame(columns=["direction", "side", "rank", "token_id", "token", "value"])
    if coder.target.endswith(("_resid_pre", "_resid_mid", "_resid_post", "_mlp_out", "_attn_out")):
        writes = promoted(model, coder.W_dec[latent : latent + 1], most=most)
    active = where.value[latent] > 0
    texts, places = (x[latent][active].tolist() for x in (where.text, where.position))
    if not texts:
        return Card(latent, [], writes)
    batch = examples.collate(texts).to(model.W_E.device)
    z = _code(model, coder, batch)[..., latent]
    ids, real = read_by(stack_of(model, coder.site), batch)
    shown = [
        context(
            model,
            *(ids[row], real[row], z[row]),
            text=text,
            place=place,
            before=before,
            after=after,
        )
        for row, (text, place) in enumerate(zip(texts, places, strict=True))
    ]
    return Card(latent, shown, writes)


@torch.no_grad()
def _code(model: Any, coder: Coder, batch: Batch) -> Tensor:
    """The code of every counted token, and 0 at others: [row, pos, latent]."""
    keep = counted(model, coder.site, batch)
    x = activations(model, batch, [coder.site])[coder.site]
    return torch.where(keep[..., None], coder.encode(x), 0.0)
