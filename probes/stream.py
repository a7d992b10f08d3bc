"""The residual stream of a model on texts: rows that analyses of whole layers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from interp.data.examples import Examples
from interp.errors import InputError
from probes.passages import batches, read_by

By = Literal["token", "text"]
"""What is a row: a token, or the mean over the tokens of a text."""


@dataclass(frozen=True)
class Stream:
    """The stream before the first block and after each.

    Attributes:
        values: site -> [row, d_model], float32; of all sites the same rows.
        layers: site -> how many blocks have worked on it.
        text: which text each row is of, [row].
        tokens: id of the token of each row, [row]; of texts, their number.
    """

    values: Mapping[str, Tensor]
    layers: Mapping[str, int]
    text: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.text)

    def sample(self, most: int, seed: int = 0) -> Stream:
        """At most so many of the rows, drawn without replacement, in their order; streams of
        equally many rows lose the same ones."""
        if most >= len(self):
            return self
        generator = torch.Generator().manual_seed(seed)
        kept = torch.randperm(len(self), generator=generator)[:most].sort().values
        values = {site: value[kept] for site, value in self.values.items()}
        return Stream(values, self.layers, self.text[kept], self.tokens[kept])


def stream_sites(model: Any) -> dict[str, tuple[str, int]]:
    """Site -> its stack and how many blocks have worked on it, in the order of the forward."""
    sites: dict[str, tuple[str, int]] = {}
    for stack in _stacks(model):
        depth = model.cfg.n_decoder_layers if stack == "decoder" else model.cfg.n_layers
        names = [f"{stack}.0.hook_resid_pre"]
        names += [f"{stack}.{layer}.hook_resid_post" for layer in range(depth)]
        sites |= {name: (stack, layer) for layer, name in enumerate(names)}
    return {name: found for name, found in sites.items() if name in model.hook_points}


def _stacks(model: Any) -> tuple[str, ...]:
    return ("encoder", "decoder") if model.cfg.shape == "encoder_decoder" else ("blocks",)


@torch.no_grad()
def read_stream(model: Any, examples: Examples, *, by: By = "token") -> Stream:
    """Reads all examples, in batches of like lengths.

    Args:
        by: with `token`, a row for each token; of an encoder-decoder, of its encoder, since its
            stacks read different tokens. With `text`, the means over the tokens, of all stacks.

    Raises:
        InputError: another `by`, or an activation that is not finite.
    """
    if by not in get_args(By):
        raise InputError(f"by is {by!r}; it must be one of {', '.join(get_args(By))}.")
    sites = stream_sites(model)
    if by == "token":
        sites = {name: found for name, found in sites.items() if found[0] != "decoder"}
    found: dict[str, list[Tensor]] = {site: [] for site in sites}
    texts: list[Tensor] = []
    tokens: list[Tensor] = []
    for chosen, batch in batches(examples, model.W_E.device):
        _, cache = model.run_with_cache(**batch.inputs, names_filter=list(sites))
        numbers = torch.as_tensor(chosen)
        for site, (stack, _) in sites.items():
            _, real = read_by(stack, batch)
            value = cache[site].float()
            found[site].append(value[real] if by == "token" else _means(value, real))
        ids, real = read_by(_stacks(model)[0], batch)
        texts.append(numbers[:, None].expand(real.shape)[real.cpu()] if by == "token" else numbers)
        tokens.append(ids[real].cpu() if by == "token" else numbers)
    text = torch.cat(texts)
    order = text.argsort(stable=True)  # batches come by length; rows in the order of the texts
    values = {site: torch.cat(parts).cpu()[order] for site, parts in found.items()}
    for site, value in values.items():
        if not bool(value.isfinite().all()):
            row = int((~value.isfinite()).any(1).nonzero()[0])
            raise InputError(f"{site} is not finite in text {int(text[order][row])}.")
    layers = {site: layer for site, (_, layer) in sites.items()}
    return Stream(values, layers, text[order], torch.cat(tokens)[order])


def _means(value: Tensor, real: Tensor) -> Tensor:
    """Means over the real positions: [row, pos, d] -> [row, d]."""
    weight = real.to(value.dtype)
    return torch.einsum("rpd,rp->rd", value, weight) / weight.sum(1, keepdim=True)
