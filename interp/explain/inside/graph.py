"""The computational graph of a pre-norm Transformer: who writes to the stream, and who reads it.

The stream is a sum (Elhage et al. 2021, transformer-circuits.pub/2021/framework), so whatever
reads it has one incoming edge from everything written before. Writers are the embeddings, each
head and each feed-forward layer; readers are the queries, keys and values of each head, the input
of each feed-forward layer, and the logits (Goldowsky-Dill et al. 2023, arXiv 2304.05969).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.core import Transformer


@dataclass(frozen=True)
class Write:
    """Writers whose activations lie in one tensor.

    Attributes:
        part: `embed` and `mlp` write one vector a position, `head` one for each head.
        point: where: what is written, of heads before the output matrix (`hook_z`).
        layer: None for the embeddings.
        nodes: indices of the writers.
    """

    part: Literal["embed", "head", "mlp"]
    point: str
    layer: int | None
    nodes: range


@dataclass(frozen=True)
class Read:
    """Readers whose inputs lie in one tensor.

    Attributes:
        channel: what is made of the stream.
        layer: the block; `n_layers` for the logits.
        stream: the point where the stream is read, [batch, pos, d_model].
        point: the point where the stream of each reader can be edited; of heads, one each.
        product: the point of what the readers make of it: queries, keys, values. Of the others,
            the stream itself.
        readers: their indices.
        n_writers: it reads the first so many writers.
    """

    channel: Literal["q", "k", "v", "mlp", "logits"]
    layer: int
    stream: str
    point: str
    product: str
    readers: range
    n_writers: int


@dataclass(frozen=True)
class Graph:
    """Writers and readers in the order of the forward pass.

    Of a model with grouped keys and values, a group's are read once for all of its heads.

    Attributes:
        writers: names: `embed`, `pos_embed`, `L0H3`, `L0MLP`.
        readers: names: `L1H3.q`, `L1H3.k`, `L1H3.v` (`L1KV0.k` if grouped), `L1MLP`, `logits`.
        feeds: reader -> the writers that it is an input of.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    writes: tuple[Write, ...]
    reads: tuple[Read, ...]
    feeds: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, model: Any) -> Graph:
        """
        Raises:
            UnsupportedModelError: the stream is no sum, there are two of them, or the model is
                another library's.
            InputError: the model has no blocks.
        """
        _check(model)
        return _Builder(model).graph()

    @property
    def n_edges(self) -> int:
        """For E embeddings, L blocks of H heads with K key-value heads and M feed-forward layers
        (0 or 1): (H + 2K + M)(LE + (H + M) L (L - 1) / 2) + E + (H + M) L, and L H more where the
        feed-forward layer reads what the attention before it wrote."""
        return sum(len(read.readers) * read.n_writers for read in self.reads)

    @cached_property
    def edges(self) -> Tensor:
        """[reader, writer] of bool."""
        edges = torch.zeros(len(self.readers), len(self.writers), dtype=torch.bool)
        for read in self.reads:
            edges[read.readers, : read.n_writers] = True
        return edges

    @property
    def points(self) -> set[str]:
        """Where what is written, and the stream that is read, are found in a run."""
        return {write.point for write in self.writes} | {read.stream for read in self.reads}

    @property
    def n_embeddings(self) -> int:
        """The first so many writers are embeddings."""
        return sum(write.part == "embed" for write in self.writes)

    def on_paths(self, kept: Tensor) -> Tensor:
        """Of kept edges [reader, writer], those on a path of kept edges from an embedding to the
        logits."""
        inputs: list[list[int]] = [[] for _ in self.writers]  # writer -> its readers
        for reader, fed in enumerate(self.feeds):
            for writer in fed:
                inputs[writer].append(reader)
        kept = kept.cpu()
        reached = torch.zeros(len(self.writers), dtype=torch.bool)
        reached[: self.n_embeddings] = True
        for writer in range(self.n_embeddings, len(self.writers)):
            reached[writer] = (kept[inputs[writer]] & reached).any()
        useful = torch.zeros(len(self.readers), dtype=torch.bool)
        useful[-1] = True
        for writer in reversed(range(len(self.writers))):
            if (kept[:, writer] & useful).any():
                useful[inputs[writer]] = True
        return kept & reached & useful[:, None]

    def writer(self, name: str) -> int:
        """The index of a writer."""
        return _index(self.writers, name, "writer")

    def reader(self, name: str) -> int:
        """The index of a reader."""
        return _index(self.readers, name, "reader")


def _index(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise InputError(f"There is no {what} {name!r}; there are: {', '.join(names)}.")
    return names.index(name)


def _check(model: Any) -> None:
    if not isinstance(model, Transformer):
        raise UnsupportedModelError(
            f"Edges are patched inside the model, and {type(model).__name__} is not a "
            "HookedTransformer. Load the checkpoint with interp.load, or patch nodes."
        )
    if model.cfg.shape == "encoder_decoder":
        raise UnsupportedModelError(
            "An encoder-decoder has two streams, and its cross-attention no inputs of single "
            "heads; edges are those of one stream. Patch nodes (`attribution_patching`)."
        )
    if model.cfg.norm_position == "post":
        raise UnsupportedModelError(
            "The blocks of this model normalise the stream itself (post-norm), so it is no sum of "
            "what was written and has no edges. Patch nodes (`attribution_patching`)."
        )
    if not model.cfg.n_layers:
        raise InputError("A model without blocks has no edges but those to its logits.")


class _Builder:
    """Goes through the forward pass and notes who writes and who reads."""

    def __init__(self, model: Transformer):
        self.model = model
        self.writers: list[str] = []
        self.readers: list[str] = []
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.feeds: list[tuple[int, ...]] = []

    def graph(self) -> Graph:
        points = [point.name for point in self.model.stack("blocks").input.hook_points()]
        for point in ["hook_full_embed"] if "hook_full_embed" in points else points:
            self._write("embed", point, None, [point.removeprefix("hook_")])
        for layer in range(self.model.cfg.n_layers):
            self._block(layer)
        last = self.model.cfg.n_layers
        stream = f"blocks.{last - 1}.hook_resid_post"
        self._read("logits", last, (stream, stream, stream), ["logits"], [()])
        return Graph(
            tuple(self.writers),
            tuple(self.readers),
            tuple(self.writes),
            tuple(self.reads),
            tuple(self.feeds),
        )

    def _block(self, layer: int) -> None:
        cfg, at = self.model.cfg, f"blocks.{layer}"
        n_heads, n_kv = cfg.n_heads, cfg.n_key_value_heads
        first, seen = len(self.writers), len(self.writers)
        grouped, per_kv = n_kv != n_heads, n_heads // n_kv
        q_heads = [(first + i,) for i in range(n_heads)]
        kv_heads = [tuple(range(first + i * per_kv, first + (i + 1) * per_kv)) for i in range(n_kv)]
        for channel in ("q", "k", "v"):
            is_q = channel == "q"
            letter = "KV" if grouped and not is_q else "H"
            names = [f"L{layer}{letter}{i}.{channel}" for i in range(n_heads if is_q else n_kv)]
            fed = q_heads if is_q else kv_heads
            points = (
                f"{at}.hook_resid_pre",
                f"{at}.hook_{channel}_input",
                f"{at}.attn.hook_{channel}",
            )
            self._read(channel, layer, points, names, fed)
        heads = [f"L{layer}H{i}" for i in range(n_heads)]
        self._write("head", f"{at}.attn.hook_z", layer, heads)
        if not cfg.attn_only:
            stream, name = f"{at}.hook_mlp_in", f"L{layer}MLP"
            sees = seen if cfg.parallel_attn_mlp else len(self.writers)
            feeds = [(len(self.writers),)]
            self._read("mlp", layer, (stream, stream, stream), [name], feeds, sees)
            self._write("mlp", f"{at}.hook_mlp_out", layer, [name])

    def _write(self, part: Any, point: str, layer: int | None, names: list[str]) -> None:
        start = len(self.writers)
        self.writers += names
        self.writes.append(Write(part, point, layer, range(start, len(self.writers))))

    def _read(
        self,
        channel: Any,
        layer: int,
        points: tuple[str, str, str],
        names: list[str],
        feeds: Sequence[tuple[int, ...]],
        n_writers: int | None = None,
    ) -> None:
        start = len(self.readers)
        self.readers += names
        self.feeds += feeds
        seen = len(self.writers) if n_writers is None else n_writers
        readers = range(start, len(self.readers))
        self.reads.append(Read(channel, layer, *points, readers, seen))
