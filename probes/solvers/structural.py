"""Whether a syntax tree lies in the geometry of activations (Hewitt & Manning 2019).

A map B turns the activations of a sentence so that the squared distance of two words is their
distance in the tree, or the squared length of a word its depth:

    d_B(i, j)^2 = |B (h_i - h_j)|^2        depth_B(i) = |B h_i|^2

The loss is the mean absolute difference over the pairs, or words, of a sentence, averaged over
sentences. Maps of all sites are fitted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from torch import Tensor

from interp.errors import InputError

Kind = Literal["distance", "depth"]
Floats = NDArray[np.float64]


def tree_distances(heads: Sequence[int]) -> Floats:
    """Edges between each two words, [word, word].

    Args:
        heads: which word each depends on; -1 for the root.

    Raises:
        InputError: heads that are no tree.
    """
    n = len(heads)
    edges = np.zeros((n, n))
    for word, head in enumerate(heads):
        if head >= 0:
            edges[word, head] = 1
    found: Floats = shortest_path(edges, directed=False, unweighted=True)
    if sum(head < 0 for head in heads) != 1 or not np.isfinite(found).all():
        raise InputError(f"The heads {list(heads)} are no tree with one root.")
    return found


def tree_depths(heads: Sequence[int]) -> Floats:
    """Edges from each word to the root, [word]."""
    distances = tree_distances(heads)
    root = next(i for i, head in enumerate(heads) if head < 0)
    return np.asarray(distances[root])


@dataclass(frozen=True)
class StructuralProbe:
    """Fitted maps: `maps` [site, rank, d], and the loss that each ended with, [site]."""

    maps: Tensor
    loss: Tensor
    kind: Kind

    def predict(self, rows: Tensor) -> Tensor:
        """Of the words of one sentence, [site, word, d]: their squared distances
        [site, word, word], or their depths [site, word]."""
        turned = rows @ self.maps.mT
        if self.kind == "depth":
            return turned.square().sum(-1)
        return _squared_distances(turned)


def fit_structural(
    rows: Sequence[Tensor],
    trees: Sequence[Sequence[int]],
    kind: Kind = "distance",
    *,
    rank: int = 64,
    epochs: int = 30,
    batch: int = 20,
    rate: float = 1e-2,
    seed: int = 0,
) -> StructuralProbe:
    """Fits a map for each site by Adam (Kingma & Ba 2015) with a rate that falls to zero.

    Args:
        rows: standardised activations of each sentence, [site, word, d].
        trees: heads of its words; -1 for the root.
        rank: rows of the map; at most d.

    Raises:
        InputError: a sentence whose words are not those of its tree, or none with two words.
    """
    for i, (sentence, heads) in enumerate(zip(rows, trees, strict=True)):
        if sentence.shape[1] != len(heads):
            raise InputError(
                f"Sentence {i} has {sentence.shape[1]} rows and a tree of {len(heads)} words."
            )
    usable = [i for i, heads in enumerate(trees) if len(heads) > 1]
    if not usable:
        raise InputError("No sentence has two words; there is no distance to fit.")
    measure = tree_distances if kind == "distance" else tree_depths
    truths = {i: torch.from_numpy(measure(trees[i])).to(rows[i]) for i in usable}
    n_sites, _, d = rows[usable[0]].shape
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n_sites, min(rank, d), d, generator=generator) / d**0.5
    maps = maps.to(rows[usable[0]]).requires_grad_()
    steps = epochs * -(-len(usable) // batch)
    optimizer = torch.optim.Adam([maps], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses = maps.new_zeros(n_sites)
    with torch.enable_grad():
        for _ in range(epochs):
            # Sentences of like length share a batch, so that little is padding.
            order = [usable[i] for i in torch.randperm(len(usable), generator=generator).tolist()]
            order.sort(key=lambda i: len(trees[i]))
            batches = [order[i : i + batch] for i in range(0, len(order), batch)]
            losses = maps.new_zeros(n_sites)
            for at in torch.randperm(len(batches), generator=generator).tolist():
                chosen = batches[at]
                loss = _loss(maps, [rows[i] for i in chosen], [truths[i] for i in chosen], kind)
                optimizer.zero_grad()
                loss.sum().backward()  # sites share nothing, nor does Adam mix them
                optimizer.step()
                schedule.step()
                losses += loss.detach() * len(chosen) / len(usable)
    return StructuralProbe(maps.detach(), losses, kind)


def _loss(maps: Tensor, rows: list[Tensor], truths: list[Tensor], kind: Kind) -> Tensor:
    """Mean over sentences of the mean absolute difference, [site]."""
    lengths = torch.tensor([sentence.shape[1] for sentence in rows], device=maps.device)
    longest = int(lengths.max())
    padded = maps.new_zeros(len(rows), len(maps), longest, maps.shape[2])
    shape = (longest, longest) if kind == "distance" else (longest,)
    truth = maps.new_zeros(len(rows), *shape)
    for i, (sentence, true) in enumerate(zip(rows, truths, strict=True)):
        padded[i, :, : sentence.shape[1]] = sentence
        truth[i][tuple(slice(size) for size in true.shape)] = true
    turned = padded @ maps.mT
    real = torch.arange(longest, device=maps.device) < lengths[:, None]
    if kind == "depth":
        found, mask = turned.square().sum(-1), real
    else:
        found, mask = _squared_distances(turned), real[:, :, None] & real[:, None, :]
    apart = (found - truth[:, None]).abs() * mask[:, None]
    counts = mask.flatten(1).sum(1)
    return (apart.flatten(2).sum(2) / counts[:, None]).mean(0)


def _squared_distances(turned: Tensor) -> Tensor:
    """[..., word, rank] -> [..., word, word], never below zero."""
    squares = turned.square().sum(-1)
    inner = turned @ turned.mT
    return (squares[..., :, None] + squares[..., None, :] - 2 * inner).clamp(min=0)


def attachment(distances: Floats, heads: Sequence[int], skip: Sequence[bool] = ()) -> float:
    """Share of the tree's edges that the minimum spanning tree of predicted distances has (UUAS,
    undirected and unlabelled).

    Args:
        distances: [word, word].
        skip: words that are left out of both, as punctuation is in the paper.

    Returns:
        NaN where no edge is left.
    """
    keep = [i for i in range(len(heads)) if not (len(skip) and skip[i])]
    inside = set(keep)
    gold = {frozenset((i, heads[i])) for i in keep if heads[i] in inside}
    if not gold:
        return float("nan")
    # A graph leaves out edges of length zero, so all are lengthened alike, which changes no tree.
    lengths = distances[np.ix_(keep, keep)] + 1.0
    tree = minimum_spanning_tree(np.triu(lengths, 1)).tocoo()
    found = {frozenset((keep[i], keep[j])) for i, j in zip(tree.row, tree.col, strict=True)}
    return len(gold & found) / len(gold)


def rank_agreement(predicted: Floats, true: Floats) -> float:
    """Spearman's correlation of predicted with true distances, or depths, of a sentence: the mean
    over its words for distances. Constant predictions agree as much as chance does, 0."""
    from scipy.stats import rankdata

    rows = zip(np.atleast_2d(predicted), np.atleast_2d(true), strict=True)
    found = []
    for mine, other in rows:
        a, b = (x - x.mean() for x in (rankdata(mine), rankdata(other)))
        size = np.sqrt((a**2).sum() * (b**2).sum())
        found.append(float((a * b).sum() / size) if size > 0 else 0.0)
    return float(np.mean(found))
