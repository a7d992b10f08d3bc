"""What the weights of attention heads do, without any text (Elhage et al. 2021, "A Mathematical
Framework for Transformer Circuits", transformer-circuits.pub/2021/framework).

A head has two circuits: W_QK = W_Q W_K^T says where it looks, W_OV = W_V W_O what it carries from
there. Weights are taken as they read a pre-norm model's stream: with the gain of the norm before
them, and blind to the mean where a LayerNorm takes it away. Biases, and the rotation of rotary
models, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp.errors import UnsupportedModelError
from interp.explain.inside.readout import linear_head
from interp.model.norm import Norm
from interp.model.transformer import HookedTransformer
from probes.frames import tidy


@dataclass(frozen=True)
class Circuits:
    """The weights of the heads of one attention layer, in float64.

    Attributes:
        site, layer: such as `blocks.attn`, 3.
        q, k, v: [head, d_model, d_head].
        o: [head, d_head, d_model].
        reads: the stream that queries read and that keys and values read, each as its name and how
            many sub-layers have written to it by then.
        writes: the same of the stream that it writes to.
    """

    site: str
    layer: int
    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor
    reads: tuple[tuple[str, int], tuple[str, int]]
    writes: tuple[str, int]


def circuits(model: HookedTransformer) -> Iterator[Circuits]:
    """Every attention layer of a model, in the order in which they run."""
    for stack in model.stack_names():
        for layer, block in enumerate(model.stack(stack).blocks):
            place = (stack, 2 * layer)
            norm = None if block.post_norm else block.norm("ln1")
            yield _circuits(f"{stack}.attn", layer, block.attn, norm, norm, (place, place))
            if block.cross_attn is not None:
                encoder = model.stack("encoder")
                place = (stack, 2 * layer + 1)
                norm = None if block.post_norm else block.norm("ln2")
                whole = ("encoder", 2 * len(encoder.blocks))
                site = f"{stack}.cross_attn"
                ends = (place, whole)
                yield _circuits(site, layer, block.cross_attn, norm, encoder.ln_final, ends)


def _circuits(
    site: str,
    layer: int,
    attn: Any,
    query_norm: Norm | None,
    key_norm: Norm | None,
    reads: tuple[tuple[str, int], tuple[str, int]],
) -> Circuits:
    def every(weight: Tensor) -> Tensor:  # each key/value head serves several queries
        return weight.detach().double().repeat_interleave(attn.n_heads // len(weight), 0)

    return Circuits(
        site,
        layer,
        as_read(every(attn.W_Q), query_norm),
        as_read(every(attn.W_K), key_norm),
        as_read(every(attn.W_V), key_norm),
        attn.W_O.detach().double(),
        reads,
        reads[0],
    )


def as_read(weight: Tensor, norm: Norm | None) -> Tensor:
    """A weight [..., d_model, any] as it reads the stream before a norm of scale 1."""
    if norm is None:
        return weight
    weight = norm.weight.detach().to(weight)[:, None] * weight
    return weight if norm.rms else weight - weight.mean(-2, keepdim=True)


# -- copying -------------------------------------------------------------------------------------


def copying(model: HookedTransformer) -> pd.DataFrame:
    """Whether a head raises what it reads: the sum of eigenvalues over the sum of their sizes.

    It is 1 where every eigenvalue is positive (whatever is read is raised), -1 where all are
    negative, and about 0 where the head turns one thing into another.

    - `copying`: of the whole way from a token to logits, W_E W_OV W_U. Of decoders alone, whose
      head reads the stream by one linear map.
    - `ov eigenvalues`: of W_OV itself: whether a head writes the direction that it reads.

    Returns:
        A row per site, layer, head and metric; `chance` is 0.
    """
    between = _vocabulary_to_vocabulary(model)
    rows = []
    for part in circuits(model):
        # A product has the same eigenvalues either way round, but for zeros.
        found = {"ov eigenvalues": part.o @ part.v}
        if between is not None and part.site in ("blocks.attn", "decoder.attn"):
            found["copying"] = part.o @ between @ part.v
        for metric, square in found.items():
            rows += [
                {"site": part.site, "layer": part.layer, "head": head, "metric": metric}
                | {"value": value, "chance": 0.0}
                for head, value in enumerate(positivity(square).tolist())
            ]
    return tidy(rows)


def positivity(square: Tensor) -> Tensor:
    """Sum of eigenvalues over sum of their absolute values, [...] for [..., n, n]; 0 of zeros."""
    values = torch.linalg.eigvals(square)
    size = values.abs().sum(-1)
    share: Tensor = values.real.sum(-1) / torch.where(size > 0, size, 1)
    return share


def _vocabulary_to_vocabulary(model: HookedTransformer) -> Tensor | None:
    """W_U W_E, [d_model, d_model]: what stands between writing and reading a token; None where
    tokens are not written by one linear map of the stream."""
    try:
        rows, _ = linear_head(model)
    except UnsupportedModelError:
        return None
    if model.cfg.head != "lm" or len(rows) != model.cfg.d_vocab:
        return None
    out = as_read(rows.double().T, model.stack(model.last_stack).ln_final)
    out = out - out.mean(1, keepdim=True)  # what is common to all tokens changes no prediction
    return out @ model.embed.weight.detach().double()


# -- composition ---------------------------------------------------------------------------------


def composition(model: HookedTransformer) -> pd.DataFrame:
    """How much of what a head writes another one reads: |A B| / (|A| |B|) in Frobenius norm.

    A is W_OV of the head that writes. B is W_QK of a later head, read from its query's side (`q
    composition`) or its key's (`k composition`), or its W_OV (`v composition`).

    Returns:
        A row per pair of heads and metric: site, layer, head (that reads), from_site, from_layer,
        from_head (that writes), value, and `chance`: 1/sqrt(d_model), the root mean square for
        matrices turned at random against each other.
    """
    every = list(circuits(model))
    frames = []
    for later in every:
        for side, kinds in enumerate((("q",), ("k", "v"))):
            stream, written = later.reads[side]
            earlier = [c for c in every if c.writes[0] == stream and c.writes[1] < written]
            frames += [_pairs(one, later, kind) for one in earlier for kind in kinds]
    if not frames:
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    return tidy(frame, chance=model.cfg.d_model**-0.5)


def strongest_composition(model: HookedTransformer) -> pd.DataFrame:
    """Of `composition`, for each head the one that it reads most."""
    frame = composition(model)
    if not len(frame):
        return frame
    best = frame.groupby(["site", "layer", "head", "metric"])["value"].idxmax()
    return frame.loc[best.sort_values()].reset_index(drop=True)


def _pairs(earlier: Circuits, later: Circuits, kind: str) -> pd.DataFrame:
    """One kind of composition between the heads of two layers."""
    left, right = {
        "q": (later.q, later.k),
        "k": (later.k, later.q),
        "v": (later.v, later.o.transpose(1, 2)),
    }[kind]
    # With V = Q R and Q orthonormal, |V X| = |R X|: products of d_head by d_head are enough.
    before = torch.linalg.qr(earlier.v, mode="r")[1]
    after = torch.linalg.qr(right, mode="r")[1].transpose(1, 2)
    middle = torch.einsum("ned,hdf->nhef", before @ earlier.o, left) @ after
    norms = (before @ earlier.o).norm(dim=(1, 2))[:, None] * (left @ after).norm(dim=(1, 2))
    value = middle.norm(dim=(2, 3)) / torch.where(norms > 0, norms, 1)
    writer, reader = torch.meshgrid(*map(torch.arange, value.shape), indexing="ij")
    return pd.DataFrame(
        {
            "site": later.site,
            "layer": later.layer,
            "head": reader.flatten().tolist(),
            "from_site": earlier.site,
            "from_layer": pd.array([earlier.layer] * value.numel(), dtype="Int64"),
            "from_head": pd.array(writer.flatten().tolist(), dtype="Int64"),
            "metric": f"{kind} composition",
            "value": value.flatten().tolist(),
        }
    )
