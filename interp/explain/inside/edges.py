"""What every edge carries, from one backward pass: edge attribution patching and its kin.

To first order, an edge that carries what its writer wrote in another run changes a metric m by
(u' - u) . dm/d(reader's input).

- `eap`: at the clean run (Syed et al. 2023, arXiv 2310.10348).
- `eap_ig`: the gradient averaged over runs on the path between the two runs' embeddings (Hanna et
  al. 2024, arXiv 2403.17806, "inputs"), by Gauss-Legendre quadrature. What the embeddings' edges
  carry then adds up to the whole change of the metric, so the error is measured.

A reader's gradient is that of its queries, keys or values, taken back through its own weights and
the norm, so no forward with an input of its own for each head is needed. What heads wrote is kept
before their output matrix, and widened for one layer at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.edge_scores import EdgeScores
from interp.explain.inside.graph import Graph, Read
from interp.explain.inside.pairs import Metric, Pairs, Texts, gradients
from interp.explain.inside.run import TOKENS
from interp.explain.inside.written import (
    Ablation,
    Written,
    reference,
    value_if_all_patched,
    written,
)
from interp.explain.rules import backward_rules
from interp.model.tap import NO_TAP, Record, Tap, chain

Method = Literal["eap", "eap_ig"]

_STEPS = 8  # on the path, to begin with


def edge_attribution(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    metric: Metric | None = None,
    *,
    method: Method = "eap_ig",
    rules: str | None = None,
    ablation: Ablation = "corrupted",
    tolerance: float = 0.01,
    max_steps: int = 64,
) -> EdgeScores:
    """A first-order estimate of what patching each edge would do, for all edges at once.

    Args:
        model: a pre-norm decoder or encoder.
        clean, corrupted: texts of as many tokens each, or ids [pair, pos]; run together.
        metric: what is read of the clean run; by default the logit of its own prediction. It must
            be differentiable.
        method: see above.
        rules: of the backward pass, in place of true gradients: `gim` (Edin et al. 2025, arXiv
            2505.17630), or another of `interp.explain.rules`.
        ablation: what a patched edge carries.
        tolerance: of `eap_ig`, the largest completeness error (see `EdgeScores`).
        max_steps: runs on the path at most; they are doubled until the error is small enough. When
            it is not, a warning says so.

    Raises:
        InputError: texts that do not fit, an unknown method, a metric without gradient.
        UnsupportedModelError: the model has no edges, see `Graph.of`.
    """
    graph = Graph.of(model)
    with torch.inference_mode(False):
        pairs = Pairs.read(model, clean, corrupted, metric, graph.points)
        return score_edges(pairs, graph, method, rules, ablation, tolerance, max_steps)


def score_edges(
    pairs: Pairs,
    graph: Graph,
    method: Method,
    rules: str | None,
    ablation: Ablation,
    tolerance: float = 0.01,
    max_steps: int = 64,
) -> EdgeScores:
    """The same of texts that have been run."""
    if method not in get_args(Method):
        raise InputError(
            f"There is no method {method!r}; there are: {', '.join(get_args(Method))}."
        )
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    if type(max_steps) is not int or max_steps < 1:
        raise InputError(f"max_steps is {max_steps!r}; it must be a whole number from 1.")
    own = written(pairs, graph)
    change = reference(pairs, graph, ablation).minus(own)
    backward = NO_TAP if rules is None else backward_rules(pairs.model, rules)
    line = _Line(pairs, graph, own, change, backward)
    if method == "eap":
        by_pair, error = line.integrate(torch.ones(1), torch.ones(1)), None
    else:
        by_pair, error = line.integrate_within(tolerance, max_steps)
    return EdgeScores(
        graph=graph,
        by_pair=by_pair,
        method=method if rules is None else f"{method} under {rules}",
        metric=pairs.description,
        value=float(pairs.value.mean()),
        reference_value=float(value_if_all_patched(pairs, graph, change.total()).mean()),
        completeness_error=error,
    )


def _quadrature(steps: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre places on the path from 0 to 1 and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@dataclass(frozen=True)
class _Line:
    """Runs whose embeddings lie between those of the clean texts (1) and the other run's (0)."""

    pairs: Pairs
    graph: Graph
    own: Written
    change: Written
    rules: Tap

    def integrate_within(self, tolerance: float, max_steps: int) -> tuple[Tensor, float | None]:
        """The scores and their completeness error, with twice as many places until it is small
        enough. Under rules nothing adds up, and there is no error."""
        steps = min(_STEPS, max_steps)
        while True:
            found = self.integrate(*_quadrature(steps))
            if self.rules is not NO_TAP:
                return found, None
            error = self.completeness_error(found)
            if error <= tolerance:
                return found, error
            if 2 * steps > max_steps:
                warnings.warn(
                    f"What the edges from the embeddings carry misses the change of the metric by "
                    f"{error:.1%} after {steps} steps (tolerance {tolerance:.1%}). Allow more with "
                    "max_steps.",
                    stacklevel=4,
                )
                return found, error
            steps *= 2

    def integrate(self, places: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum over places of change . gradient, [pair, reader, writer]."""
        found = torch.zeros(len(self.pairs), *self.graph.edges.shape, dtype=torch.float64)
        chunk = max(1, TOKENS // self.pairs.n_tokens)
        for some, weight in zip(places.split(chunk), weights.split(chunk), strict=True):
            for first, n_writers, gradient in self._gradients(some, weight):
                readers = slice(first, first + gradient.shape[2])
                for write in self.graph.writes:
                    if write.nodes.start < n_writers:
                        writers = slice(write.nodes.start, write.nodes.stop)
                        carried = torch.einsum("bprd,bpwd->brw", gradient, self.change.of(write))
                        found[:, readers, writers] += carried.double().cpu()
        return found

    def completeness_error(self, by_pair: Tensor) -> float:
        """See `EdgeScores`."""
        with torch.no_grad():
            start = self.pairs.values(self.pairs.clean, self._put(torch.zeros(1)))[0]
        difference = (start - self.pairs.value).double().cpu()
        embeddings = by_pair[:, :, : self.graph.n_embeddings].sum((1, 2))
        missed, moved = (embeddings - difference).abs().sum(), difference.abs().sum()
        # The metric is not known better than it is rounded.
        least = 1e3 * torch.finfo(start.dtype).eps * self.pairs.value.abs().sum()
        return float(missed / moved.clamp(min=max(float(least), 1e-30)))

    def _gradients(self, places: Tensor, weights: Tensor) -> Iterator[tuple[int, int, Tensor]]:
        """For readers of the same writers: the first of them, how many writers they read, and the
        gradient with respect to what each reads, weighted over places, [pair, pos, reader,
        d_model]."""
        reads, model = self.graph.reads, self.pairs.model
        products = Record([read.product for read in reads], on_path=True)
        streams = Record([read.stream for read in reads if read.stream != read.product])
        tap = chain(self._put(places), self.rules, streams, products)
        with torch.enable_grad():
            value = self.pairs.values(self.pairs.clean.repeat(len(places), 1), tap).sum()
            of = [products.values[read.product] for read in reads]
            found = dict(zip(reads, gradients(value, of), strict=True))
        for n_writers, group in groupby(reads, lambda read: read.n_writers):
            together = list(group)
            by_reader = [
                _to_stream(model, read, streams.values.get(read.stream), found[read], self.rules)
                for read in together
            ]
            gradient = torch.cat(by_reader, 2).unflatten(0, (len(places), -1))
            weighted = torch.einsum("n,nbprd->bprd", weights.to(gradient), gradient)
            yield together[0].readers.start, n_writers, weighted

    def _put(self, places: Tensor) -> Tap:
        """Sets the embeddings of copies of the pairs, one for each place."""
        hooks: list[tuple[str, Any]] = []
        for write in self.graph.writes:
            if write.part == "embed":
                own, change = self.own.values[write.point], self.change.values[write.point]
                left = (1 - places).to(own)[:, None, None, None]
                value = (own + left * change).flatten(0, 1)
                hooks.append((write.point, lambda _, hook, value=value: value))
        tap: Tap = self.pairs.model.hooks_tap(hooks)
        return tap


def _to_stream(
    model: Any, read: Read, stream: Tensor | None, gradient: Tensor, rules: Tap
) -> Tensor:
    """The gradient of what readers make of the stream as one of what each reads of it,
    [batch, pos, reader, d_model]."""
    if stream is None:  # it is the stream itself
        return gradient.unsqueeze(2)
    block = model.blocks[read.layer]
    weight = {"q": block.attn.W_Q, "k": block.attn.W_K, "v": block.attn.W_V}[read.channel]
    normed = torch.einsum("bphe,hde->bphd", gradient, weight.detach())
    with torch.enable_grad():
        each = stream.unsqueeze(2).expand_as(normed).detach().requires_grad_()
        out = block.normed_before("ln1", each, rules.scope(f"blocks.{read.layer}"))
        (found,) = torch.autograd.grad(out, each, normed)
    return found
