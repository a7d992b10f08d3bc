"""Steering: a direction that tells two sets of texts apart, added while a model runs.

The vector is a difference of means (contrastive activation addition, Rimsky et al. 2024, arXiv
2312.06681); adding a multiple of it is activation addition (Turner et al. 2023, arXiv 2308.10248).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.run import TOKENS, Edit, block_of
from interp.explain.reading import finite, refuse_dropout
from interp.model.hook_points import resolve

Texts = Sequence[str] | Tensor
Read = Literal["last", "mean"]
Positions = slice | Iterable[int] | None
"""Positions of a text, counted from its start: all for None, some, or from one on as in
`slice(5, None)`."""


@dataclass(frozen=True)
class SteeringVector:
    """A direction in an activation.

    Attributes:
        name: full name of the activation.
        vector: of the shape that it has at one position, such as [d_model] or [head, d_head].
        read: which positions of the texts it was made of.
        n_texts: how many texts each of the two means is of.
    """

    name: str
    vector: Tensor
    read: Read
    n_texts: tuple[int, int]

    @property
    def norm(self) -> float:
        """Its length."""
        return float(self.vector.norm())


def steering_vector(
    model: Any, texts: Texts, others: Texts, name: str, *, read: Read = "last"
) -> SteeringVector:
    """The mean of an activation over some texts, minus that over others.

    Args:
        model: of any shape, another library's too. Of an encoder-decoder the texts are sources,
            and the decoder reads its start token.
        texts, others: texts, or ids [batch, pos] without padding.
        name: of an activation within a block that has one vector per position, such as
            `blocks.5.hook_resid_post`.
        read: the `last` position of each text, or the `mean` over all of its positions.

    Raises:
        HookError: there is no such activation.
        InputError: one without a vector per position or without a difference, or no texts.
    """
    if read not in get_args(Read):
        raise InputError(f"read is {read!r}; it is 'last' or 'mean'.")
    name = _vectors_by_position(model, name)
    refuse_dropout(model)
    with torch.inference_mode(False), torch.no_grad():
        means = [_activations(model, some, name, read).mean(0) for some in (texts, others)]
    vector = finite(means[0] - means[1], "steering vector")
    if not bool(vector.any()):
        raise InputError(
            f"{name} has the same mean over both sets of texts, so nothing there tells them apart."
        )
    return SteeringVector(name, vector, read, (len(texts), len(others)))


def _vectors_by_position(model: Any, name: str) -> str:
    """The full name of an activation that can be steered."""
    name = resolve(model.hook_points, name)
    block_of(name)
    dims = model.hook_points[name].shape.split()
    if dims[1] != "pos":
        raise InputError(
            f"{name} has the dimensions {', '.join(dims)}; steering needs one vector per position."
        )
    return name


def _activations(model: Any, texts: Texts, name: str, read: Read) -> Tensor:
    """One vector per text, [text, ...], in float32 at least."""
    if len(texts) == 0 or isinstance(texts, str):
        raise InputError("Give a list of texts, or ids [batch, pos]; there is none here.")
    if isinstance(texts, Tensor):
        tokens, mask = texts.to(model.W_E.device), None
    else:
        tokens, mask = model.to_tokens_and_mask(list(texts))
    inputs: dict[str, Tensor] = {}
    real = torch.ones_like(tokens) if mask is None else mask.long()
    start = model.cfg.decoder_start_token_id if model.cfg.shape == "encoder_decoder" else None
    found = []
    for rows in torch.arange(len(tokens)).split(max(1, TOKENS // tokens.shape[1])):
        if mask is not None:
            inputs["attention_mask"] = mask[rows]
        if start is not None:
            inputs["decoder_tokens"] = torch.full_like(tokens[rows, :1], start)
        _, cache = model.run_with_cache(tokens[rows], names_filter=name, **inputs)
        seen = real[rows, :1] if name.startswith("decoder.") else real[rows]
        found.append(_read(cache[name], seen, read))
    return torch.cat(found)


def _read(value: Tensor, real: Tensor, read: Read) -> Tensor:
    """[batch, pos, ...] -> [batch, ...] of the positions that are no padding, [batch, pos]."""
    value = value if value.dtype == torch.float64 else value.float()
    if read == "last":
        last = (real * torch.arange(1, real.shape[1] + 1, device=real.device)).argmax(1)
        return value[torch.arange(len(value)), last]
    weight = real.view(*real.shape, *(1 for _ in value.shape[2:])).to(value)
    return (value * weight).sum(1) / weight.sum(1)


class Steer(Edit):
    """Adds vectors to an activation at some positions.

    A tap sees no position numbers, so this one counts: a forward of several positions begins a
    text, and one of a single position continues it, as in generation with a key-value cache.

    Args:
        name: full name of the activation.
        vectors: [1, ...], or one for each row of the batch [batch, ...].
    """

    def __init__(self, name: str, vectors: Tensor, positions: Positions = None):
        super().__init__(name)
        self.vectors = vectors
        self.positions = _read_positions(positions)
        self.seen = 0

    def visit(self, name: str, value: Tensor) -> Tensor:
        """
        Raises:
            InputError: the vectors are of another shape than the activation at one position.
        """
        n = value.shape[1]
        if value.shape[2:] != self.vectors.shape[1:]:
            raise InputError(
                f"The steering vector has shape {list(self.vectors.shape[1:])}; {name} has "
                f"{list(value.shape[2:])} at each position."
            )
        self.seen = n if n > 1 else self.seen + 1
        added = self.vectors.to(value)[:, None]
        if self.positions is None:
            return value + added
        here = torch.arange(self.seen - n, self.seen)
        chosen = torch.isin(here, torch.tensor(self._chosen(), dtype=torch.long))
        where = chosen.view(-1, *(1 for _ in value.shape[2:])).to(value.device)
        return torch.where(where, value + added, value)

    def _chosen(self) -> list[int]:
        if isinstance(self.positions, slice):
            return list(range(self.seen))[self.positions]
        return list(self.positions or ())


def _read_positions(positions: Positions) -> slice | tuple[int, ...] | None:
    """
    Raises:
        InputError: a position that is counted from the end, which moves while a text is written.
    """
    if positions is None:
        return None
    listed = positions if isinstance(positions, slice) else tuple(positions)
    ends = [listed.start, listed.stop] if isinstance(listed, slice) else list(listed)
    for end in ends:
        if (type(end) is not int or end < 0) and not (isinstance(listed, slice) and end is None):
            raise InputError(
                f"The position {end!r} does not count from the start of the text; the end of a "
                "text that is being written moves. Give whole numbers from 0, or a slice of them."
            )
    return listed


@contextmanager
def steered(
    model: Any, vector: SteeringVector, coefficient: float = 1.0, positions: Positions = None
) -> Generator[None, None, None]:
    """All forwards of a model inside the context, those of `generate` too, with a vector added.

    Args:
        coefficient: how much of it.
        positions: where, counted from the start of the text; by default everywhere, in what is
            written too. Padding counts.

    Raises:
        InputError: a vector of another shape than the activation, or a position from the end.
    """
    name = _vectors_by_position(model, vector.name)
    steer = Steer(name, coefficient * vector.vector[None], positions)

    def add(value: Tensor, hook: Any) -> Tensor:
        return steer.visit(hook.name, value)

    with model.hooks(fwd_hooks=[(name, add)]):
        yield
