"""Recomputing one part of a forward from what the forward kept.

A forward without interventions is determined by its inputs, and each block by the stream that
enters it. So a run keeps the streams between blocks, and everything else is recomputed, one block
at a time, when somebody asks. Two checks make that exact: the weights must be those of the run
(by torch's version counters), and the recomputed block must end in the stream that the run kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.errors import CacheError
from interp.model.inputs import Inputs
from interp.model.stack import Trace
from interp.model.tap import Record

if TYPE_CHECKING:
    from interp.model.core import Transformer

INPUT, OUTPUT = -1, -2
Stage = tuple[str, int]
"""A stack and the index of a block, or INPUT or OUTPUT."""

# Largest difference between a stream and its recomputation, relative to the largest entry. Equal
# bits are the rule; another number of threads or another batch shape may round differently.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
_HALF_TOLERANCE = 3e-2


def weights_version(model: torch.nn.Module) -> tuple[tuple[int, int], ...]:
    """Changes whenever a weight is written to or replaced."""
    return tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in model.parameters())


class Replay:
    """The kept streams of one forward of `model` on `batch`."""

    def __init__(self, model: Transformer, batch: Inputs, traces: dict[str, Trace]):
        self.model = model
        self.batch = batch
        self.traces = traces
        self.version = weights_version(model)
        self.streams_version = self._streams_version()

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return sum(s.nbytes for trace in self.traces.values() for s in trace.streams)

    def stage(self, name: str) -> Stage:
        """Where the activation `name` arises."""
        block = re.match(r"(blocks|encoder|decoder)\.(\d+)\.", name)
        if block:
            return block[1], int(block[2])
        for stack in self.traces:
            prefix = self.model.stack(stack).input_prefix
            local = name.removeprefix(f"{prefix}.") if prefix else name
            if local in {point.name for point in self.model.stack(stack).input.hook_points()}:
                return stack, INPUT
        for stack in self.traces:
            if name.startswith(self.model.stack(stack).norm_name + "."):
                return stack, OUTPUT
        return self.model.last_stack, OUTPUT

    def kept(self, name: str) -> Tensor | None:
        """The activation `name` if the run kept it: what enters a block, and what leaves it."""
        found = re.fullmatch(r"(blocks|encoder|decoder)\.(\d+)\.hook_(\w+)", name)
        if found is None:
            return None
        post_norm = self.model.cfg.norm_position == "post"
        last = "normalized_resid_post" if post_norm else "resid_post"
        offset = {"resid_pre": 0, last: 1}.get(found[3])
        if offset is None:
            return None
        self.check_weights()
        return self.traces[found[1]].streams[int(found[2]) + offset]

    def compute(self, stage: Stage, names: Collection[str]) -> dict[str, Tensor]:
        """The activations `names` of one stage.

        Raises:
            CacheError: the weights, or a kept stream, have changed since the run.
        """
        self.check_weights()
        record = Record(names)
        with torch.no_grad():
            self._run(stage, record)
        return record.values

    def check_weights(self) -> None:
        """Raises CacheError if the weights, or the kept streams, are not those of the run."""
        if weights_version(self.model) != self.version:
            raise CacheError(
                "The model's weights have changed since this cache was made, so its activations "
                "can no longer be recomputed. Run the model again, or keep what you need before "
                "the change with `cache.materialize(names)`."
            )
        if self._streams_version() != self.streams_version:
            raise CacheError(
                "A tensor of this cache, or one that shares its memory, was written into, so what "
                "follows from it can no longer be recomputed. Run the model again; clone what you "
                "want to change."
            )

    def _streams_version(self) -> list[int]:
        streams = (s for trace in self.traces.values() for s in trace.streams)
        return [0 if s.is_inference() else s._version for s in streams]

    def _run(self, stage: Stage, record: Record) -> None:
        name, index = stage
        trace, stack = self.traces[name], self.model.stack(name)
        if index == INPUT:
            tokens, _ = self.batch.of(name)
            segments = self.batch.token_type_ids
            embedded = self.batch.embedded if name != "decoder" else None
            out = stack.begin(tokens, trace.position_ids, segments, record, embedded)
            self._verify(out, trace.streams[0], "the embeddings")
        elif index == OUTPUT:
            out = stack.finish(trace.streams[-1], record)
            if name == self.model.last_stack and set(record.names) & self._output_points():
                self.model.output(out, self.batch.of(name)[1], record)
        else:
            block = stack.blocks[index]
            out = block(trace.streams[index], trace.around, record.scope(f"{name}.{index}"))
            self._verify(out, trace.streams[index + 1], f"{name}.{index}")

    def _output_points(self) -> set[str]:
        return {point.name for point in self.model.output.hook_points()}

    def _verify(self, now: Tensor, then: Tensor, what: str) -> None:
        if torch.equal(now, then):
            return
        allowed = _TOLERANCE.get(then.dtype, _HALF_TOLERANCE) * then.abs().max()
        if not (now - then).abs().max() <= allowed:
            raise CacheError(
                f"Recomputing {what} does not lead to the stream that the run kept: weights were "
                "changed behind autograd's back (`.data`), or a cached tensor was written into. "
                "Run the model again; clone what you want to change."
            )
