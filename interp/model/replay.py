"""Recomputing one part of a forward from what the forward kept.

A forward without interventions is determined by its inputs, and each block by the stream that
enters it. So a run keeps the streams between blocks, and everything else is recomputed, one block
at a time, when somebody asks. Two checks make that exact: the weights must be those of the run
(by torch's version counters), and what is recomputed must end in what the run kept: a block in the
next stream, the final norm and the head in the output for one position.

The second is for changes that the counters do not see (`parameter.data.add_(1)`, a NumPy array on
the same memory). It looks at the weights that an answer is made of, when it is made: a hidden
change elsewhere does not matter to it and stays unnoticed, and so does one that is smaller than
rounding. `resume` computes what nobody has kept, so for it the counters are the only check.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
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
    """The kept streams of one forward of `model` on `batch`, which ended in `out`."""

    def __init__(self, model: Transformer, batch: Inputs, traces: dict[str, Trace], out: Tensor):
        self.model = model
        self.batch = batch
        self.traces = traces
        self.corner = _corner(out.detach()).clone()
        self.version = weights_version(model)
        self.streams_version = self._streams_version()

    def tensors(self) -> Iterator[Tensor]:
        """All that is held; some share their memory."""
        yield self.corner
        for trace in self.traces.values():
            yield from trace.tensors()

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
            self._finish(name, stack.finish(trace.streams[-1], record), record)
        else:
            block = stack.blocks[index]
            out = block(trace.streams[index], trace.around, record.scope(f"{name}.{index}"))
            self._verify(out, trace.streams[index + 1], f"{name}.{index}")

    def _finish(self, name: str, resid: Tensor, record: Record) -> None:
        """From the final norm of a stack on."""
        if name != self.model.last_stack:
            memory = self.traces[self.model.last_stack].around.memory
            assert memory is not None
            self._verify(resid, memory, f"the final norm of {name}")
            return
        mask = self.batch.of(name)[1]
        if set(record.names) & self._output_points():
            corner = _corner(self.model.output(resid, mask, record))
        elif self.model.cfg.head == "classification":  # it reads all positions
            corner = self.model.output(resid[:1], None if mask is None else mask[:1])
        else:  # a large vocabulary at all positions would cost as much as several blocks
            corner = self.model.output(_corner(resid))
        self._verify(corner, self.corner, "the output")

    def _output_points(self) -> set[str]:
        return {point.name for point in self.model.output.hook_points()}

    def _verify(self, now: Tensor, then: Tensor, what: str) -> None:
        if torch.equal(now, then):
            return
        allowed = _TOLERANCE.get(then.dtype, _HALF_TOLERANCE) * then.abs().max()
        if not (now - then).abs().max() <= allowed:
            raise CacheError(
                f"Recomputing {what} does not lead to what the run has kept: weights were "
                "changed behind autograd's back (`.data`), or a cached tensor was written into. "
                "Run the model again; clone what you want to change."
            )


def _corner(out: Tensor) -> Tensor:
    """The first row of an output, and of that, if it has positions, the last."""
    return out[:1, -1:] if out.ndim == 3 else out[:1]
