"""Coalitions that begin alike, run together: each beginning once.

In a causal model, what happens at a position depends on what is there and before it. So coalitions
are the paths of a tree whose nodes are their distinct beginnings. All nodes go through the model in
one forward, as one text in which each sees its ancestors alone (the tree attention of speculative
decoding: Miao et al. 2023, arXiv 2305.09781). All coalitions of n tokens have 2^(n+1) - 2
beginnings, where to run each of them takes n 2^n positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interp.explain.head import read_terms
from interp.explain.points import Point
from interp.model.mask import Mask, Surroundings
from interp.model.resume import Prefix
from interp.model.stack import Stack, Trace
from interp.model.tap import Tap


def branched_terms(
    point: Point, baseline: Tensor, absent: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """The target where some tokens are as in the baseline: coalitions, by index, and their terms
    [coalition, term], some at a time.

    Args:
        baseline: embeddings of what the causal stack reads, [pos, d_model].
        absent: [coalition, pos], True where those are as in the baseline; one coalition at least,
            each of which lacks something.
    """
    positions = point.target.positions
    assert positions is not None
    absent = absent[:, : max(positions) + 1]  # nobody reads what comes after it
    first = torch.where(absent.any(1), absent.int().argmax(1), absent.shape[1] - 1)
    order = torch.from_numpy(np.lexsort(absent.numpy().T[::-1]).copy())
    # Attention is square in what goes together, so short texts go in small groups.
    n_pos, room = len(point.embedded), point.rows * len(point.embedded)
    most = min(room, max(2 * n_pos, room // 4))
    for rows in _gathered(order, absent, first, len(positions), most):
        point.forwards += len(rows)
        yield rows, _terms(point, baseline, Tree.of(absent[rows], int(first[rows].min())))


def _gathered(
    order: Tensor, absent: Tensor, first: Tensor, reads: int, most: int
) -> Iterator[Tensor]:
    """Coalitions in order, as many at a time as have `most` nodes and that many predictions."""
    n_pos = absent.shape[1]
    news = (n_pos - _in_common(absent[order])).clamp(min=reads).tolist()
    paths = (n_pos - first[order]).tolist()  # of the text itself, from where the earliest branches
    begin, nodes = 0, 0
    for i, (new, path) in enumerate(zip(news, paths, strict=True)):
        if i > begin and nodes + new + path > most:
            yield order[begin:i]
            begin, nodes = i, 0
        nodes += new if i > begin else 0
    yield order[begin:]


def _in_common(texts: Tensor) -> Tensor:
    """[text], at how many positions each begins as the one above; 0 of the first."""
    differ = texts[1:] != texts[:-1]
    common = torch.where(differ.any(1), differ.int().argmax(1), texts.shape[1])
    return torch.cat([common.new_zeros(1), common])


@dataclass(frozen=True)
class Tree:
    """The distinct beginnings of some coalitions, from the first position where they may differ.

    Attributes:
        start: that position; before it, all are as the text.
        paths: [coalition, pos - start], the node of each at each position.
        position: [node], where it ends.
        absent: [node], True where its last token is as in the baseline.
        ancestry: [node, node], True where the second begins the first, or is the same.
    """

    start: int
    paths: Tensor
    position: Tensor
    absent: Tensor
    ancestry: Tensor

    @classmethod
    def of(cls, absent: Tensor, start: int) -> Tree:
        """Of coalitions [coalition, pos] in alphabetical order."""
        fresh = (torch.arange(absent.shape[1]) >= _in_common(absent)[:, None])[:, start:]
        owner, place = fresh.nonzero().T
        node = torch.arange(len(owner))
        # A beginning that is not new is that of the coalition above, so the latest at its place.
        paths = torch.zeros_like(fresh, dtype=torch.long).masked_scatter_(fresh, node)
        paths = paths.cummax(0).values
        later = torch.arange(paths.shape[1]) > place[:, None]
        ancestors = torch.where(later, node[:, None], paths[owner])
        ancestry = torch.zeros(len(node), len(node), dtype=torch.bool)
        position = start + place
        return cls(
            start, paths, position, absent[owner, position], ancestry.scatter_(1, ancestors, True)
        )


def _terms(point: Point, baseline: Tensor, tree: Tree) -> Tensor:
    """[coalition, term] of the coalitions of a tree."""
    model, (written, ids) = point.model, list(point.parts.items())[-1]
    part: Stack = model.stack(model.last_stack)
    trace: Trace = point.cache.require_replay().traces[part.name]
    place, device = tree.position, point.embedded.device
    embedded = torch.where(
        tree.absent[:, None].to(device), baseline[place], point.embedded[-ids.shape[1] :][place]
    )
    segments = point.inputs.get("token_type_ids")
    stream = part.begin(
        ids[:, place],
        trace.position_ids[:, place],
        None if segments is None else segments[:, place],
        _Put(written, embedded[None]),
    )
    assert point.target.positions is not None
    read = torch.tensor(point.target.positions)
    late = read >= tree.start
    nodes, column = tree.paths[:, read[late] - tree.start].unique(return_inverse=True)
    left = _through(point, part, trace, tree, stream, nodes) if part.blocks else stream[:, nodes]
    # What is predicted before the first change is as in the text.
    kept = trace.streams[-1][0, read[~late]]
    rows = torch.empty(len(tree.paths), len(read), dtype=torch.long)
    rows[:, ~late] = torch.arange(len(kept))
    rows[:, late] = len(kept) + column
    return read_terms(model, point.target, torch.cat([kept, left[0]])[rows])


def _through(
    point: Point, part: Stack, trace: Trace, tree: Tree, stream: Tensor, nodes: Tensor
) -> Tensor:
    """What leaves the last block at some nodes, of the stream that enters the first at all."""
    end = tree.start + tree.paths.shape[1]
    source = trace.around.memory
    text = part.surroundings(
        trace.position_ids[:, tree.start : end],
        end,
        None if trace.keys is None else trace.keys[:, :end],
        stream.dtype,
        source,
        None if source is None else point.cache.require_replay().batch.mask,
    )
    every = torch.arange(len(tree.position))
    around = _surroundings(text, tree, every, stream.dtype)
    trunk = [part.kept_keys_values(trace, i) for i in range(len(part.blocks))]
    before = [Prefix(k[:, : tree.start], v[:, : tree.start]) for k, v in trunk]
    stream = part.run(stream, around, stop=len(part.blocks) - 1, memories=before)
    # In the last block every node is a key and a value, but only those that are read ask.
    block = part.blocks[-1]
    own = block.attn.keys_values(block.normed_before("ln1", stream), around.rotation)
    asking = _surroundings(text, tree, nodes, stream.dtype)
    out: Tensor = block(stream[:, nodes], asking, memory=_Known(*before[-1].extend(*own)))
    return out


def _surroundings(
    text: Surroundings, tree: Tree, nodes: Tensor, dtype: torch.dtype
) -> Surroundings:
    """Those of some nodes of a tree, of those of a text that goes on at its start.

    Keys are the text before the start, and all nodes. A node sees what its position sees in a
    text, if that is on its path.
    """
    asking = tree.position[nodes] - tree.start
    keys = torch.cat([torch.arange(tree.start), tree.position])
    trunk = torch.ones(len(nodes), tree.start, dtype=torch.bool)
    path = torch.cat([trunk, tree.ancestry[nodes]], 1)[None, None]
    masks = {}
    for kind, mask in text.masks.items():
        allowed, bias = (
            None if x is None else x[:, :, asking][..., keys] for x in (mask.allowed, mask.bias)
        )
        allowed = path.to(keys.device) if allowed is None else allowed & path.to(allowed.device)
        fused = None if bias is None else bias.to(dtype).masked_fill(~allowed, -torch.inf)
        masks[kind] = Mask(allowed, bias, fused=allowed if fused is None else fused)
    rotation = text.rotation
    if rotation is not None:
        rotation = rotation[0][:, asking], rotation[1][:, asking]
    return text._replace(masks=masks, rotation=rotation)


class _Known:
    """Keys and values of all nodes, whichever ask."""

    def __init__(self, k: Tensor, v: Tensor):
        self.k, self.v = k, v

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return self.k, self.v

    def once(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        return project()


class _Put(Tap):
    """Sets one activation."""

    def __init__(self, name: str, value: Tensor):
        self.name, self.value = name, value

    def wants(self, name: str) -> bool:
        return name == self.name

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        return self.value
