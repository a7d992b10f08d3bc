"""One step of training, the same for all contestants: forward, loss, backward, AdamW."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers import BRIDGE, INTERP, TWIN, Peer

Logits = Callable[[Tensor], Tensor]


def steps(peers: list[Peer], tokens: Tensor, *, compiled: bool) -> dict[tuple[str, bool], object]:
    """A training step of each contestant, by its name and whether it is compiled.

    The compiled step of a contestant shares its weights and optimiser with the eager one. The
    bridge has none: it does not compile as one graph.
    """
    tasks: dict[tuple[str, bool], object] = {}
    for peer in peers:
        # The fused kernel, and a rate at which random weights stay ordinary numbers.
        optimizer = torch.optim.AdamW(peer.model.parameters(), lr=1e-6, fused=True)
        tasks[peer.name, False] = _step(peer.logits, optimizer, tokens)
        if compiled and peer.name != BRIDGE:
            whole = peer.name in (INTERP, TWIN)
            logits: Logits = torch.compile(peer.logits, fullgraph=whole, dynamic=False)
            tasks[peer.name, True] = _step(logits, optimizer, tokens)
    return tasks


def _step(logits: Logits, optimizer: torch.optim.Optimizer, tokens: Tensor) -> Callable[[], object]:
    target = tokens[:, 1:].flatten()

    def step() -> None:
        loss = F.cross_entropy(logits(tokens)[:, :-1].flatten(0, 1), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
