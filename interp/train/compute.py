"""The forward and backward pass of training: weights in float32, products in what is fastest."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from interp.data.batch import IGNORED, Batch
from interp.data.order import stream_seed
from interp.errors import ConfigError
from interp.model.transformer import HookedTransformer
from interp.processes import World
from interp.train.objective import Objective
from interp.train.settings import Settings


class _Loss(nn.Module):
    """A model with its objective: what several processes wrap."""

    def __init__(self, model: HookedTransformer, objective: Objective):
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch) -> Tensor:
        return self.objective(self.model, batch)


class Compute:
    """Adds up a step's gradients on float32 weights.

    The products run on a copy of the model in `dtype`; in float32 the copy shares the parameters.
    What makes the copy fast (compiling, recomputing, wrapping) never touches the model itself.

    Args:
        model: the float32 weights to begin with.
        objective: what is summed.
        dtype: to compute in.
        compile: whether to compile the copy.

    Attributes:
        weights: the model whose parameters receive the gradients and are to be moved: the given
            one, or with `fsdp` a copy of which each process holds a share.
    """

    def __init__(
        self,
        model: HookedTransformer,
        objective: Objective,
        settings: Settings,
        world: World,
        dtype: torch.dtype,
        *,
        compile: bool,
    ):
        self.model, self.objective, self.settings, self.world = model, objective, settings, world
        self.sharded = not world.alone and settings.parallel == "fsdp"
        self.shares = dtype == torch.float32 or self.sharded
        if self.shares and not self.sharded:
            self.fast = _copy(model, sharing=True)
        else:
            self.fast = _copy(model, sharing=False).to(torch.float32 if self.sharded else dtype)
        self.weights = self.fast if self.sharded else model
        if settings.recompute:
            for block in _blocks(self.fast):
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if compile and not self.sharded:
            self.fast.compile()
        self.loss: nn.Module = _Loss(self.fast, objective)
        if self.sharded:
            _shard(self.fast, self.loss, dtype, compile=compile)
        elif not world.alone:
            self.loss = DistributedDataParallel(self.loss)
        self.random = model.cfg.dropout > 0
        self.load()

    # -- a step ----------------------------------------------------------------------------------

    def gradients(self, batch: Batch, step: int) -> float:
        """Adds the gradients of the mean loss of a step; returns that loss.

        Every process is given the whole batch and computes its share of the rows.
        """
        self.fast.train()
        count = self.objective.count(batch)
        if count == 0:
            raise ConfigError(f"The batch of step {step} has no label: nothing is to be learnt.")
        parts = list(_parts(batch, self.settings.micro_batches, self.world))
        device = next(self.weights.parameters()).device
        total = torch.zeros((), device=device)
        for i, part in enumerate(parts):
            if self.random:  # a stream of its own for each part: nothing to save, nothing disturbed
                key = ("dropout", self.settings.seed, step, i, self.world.rank)
                torch.manual_seed(stream_seed(*key))
            with self._together(last=i == len(parts) - 1):
                loss = self.loss(part.to(device))
                # Several processes average their gradients; the loss is to be summed over them.
                (loss * (self.world.size / count)).backward()
            total += loss.detach()
            self._collect()
        return float(self.world.sum(total)) / count

    def load(self) -> None:
        """Takes over the weights of the model, after each change of them."""
        if not self.shares:
            with torch.no_grad():
                torch._foreach_copy_(
                    list(self.fast.parameters()), [p.detach() for p in self.model.parameters()]
                )

    def _collect(self) -> None:
        """Moves the gradients of the copy to the float32 parameters, where they add up exactly."""
        if self.shares:
            return
        for slow, fast in zip(self.model.parameters(), self.fast.parameters(), strict=True):
            if fast.grad is None:
                continue
            if slow.grad is None:
                slow.grad = fast.grad.float()
            else:
                slow.grad += fast.grad
            fast.grad = None

    def _together(self, *, last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once, with the last part. A copy in another format hands
        its gradients on after each part, so there they are exchanged each time."""
        if isinstance(self.loss, DistributedDataParallel) and not last and self.shares:
            return self.loss.no_sync()
        if self.sharded:
            cast(Any, self.loss).set_requires_gradient_sync(last)
        return nullcontext()

    def gather(self) -> None:
        """Brings the weights together in the given model, where each process holds only a share."""
        if not self.sharded:
            return
        with torch.no_grad():
            for whole, share in zip(
                self.model.parameters(), self.weights.parameters(), strict=True
            ):
                whole.copy_(cast(Any, share).full_tensor())


def _shard(model: HookedTransformer, root: nn.Module, dtype: torch.dtype, *, compile: bool) -> None:
    """Splits every block's parameters over the processes, and then what is left of `root`."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for block in _blocks(model):
        if compile:
            block.compile()
        fully_shard(block, mp_policy=policy)
    fully_shard(root, mp_policy=policy)


def _blocks(model: HookedTransformer) -> Iterator[nn.Module]:
    names = ("encoder", "decoder") if model.cfg.shape == "encoder_decoder" else ("blocks",)
    for name in names:
        yield from getattr(model, name)


def _copy(model: HookedTransformer, *, sharing: bool) -> HookedTransformer:
    """The model as modules of their own, around the same parameters or copies of them."""
    kept: list[Any] = [model.tokenizer]
    if sharing:
        kept += [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(thing): thing for thing in kept})


def _parts(batch: Batch, n: int, world: World) -> Iterator[Batch]:
    """This process's rows in `n` parts, or fewer if there are not enough rows."""
    mine = batch.rows(slice(world.rank, None, world.size))
    most = -(-len(batch) // world.size)  # the rows of the process that has the most
    n = min(n, most)
    size = -(-most // n)
    for start in range(0, most, size):
        part = mine.rows(slice(start, start + size))
        if len(part) == 0:  # the others have a row more: take part without a say
            part = batch.rows(slice(0, 1))
            part = Batch(part.inputs, torch.full_like(part.labels, IGNORED))
        yield part
