"""Training speed: this project's loop beside a plain GPT and Hugging Face's, in the same loop.

    python -m benchmarks.training [--shape small|gpt2] [--compiled] [--device cpu|cuda] [--write]

prints tokens per second and ratios, in float32 and in bfloat16. See `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import peers, report
from benchmarks.measure import Ratio, Timings, interleave
from benchmarks.peers import HF, INTERP, TWIN, Shape
from interp.data.batch import Batch
from interp.processes import World
from interp.train.linear_cross_entropy import linear_cross_entropy
from interp.train.loop import Loop
from interp.train.objective import CrossEntropy
from interp.train.precision import fastest_dtype
from interp.train.settings import Settings

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PLAIN = "plain loop"
SHAPES = {
    "small": Shape("6 layers of 384", 384, 6, 6, 4096, 256, batch=8, pos=256),
    "gpt2": Shape("GPT-2 small", 768, 12, 12, 50304, 1024, batch=16, pos=1024),
}
# Dense bfloat16 peaks of the makers' data sheets, in FLOP/s.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Random:
    """Batches of random tokens: their content changes nothing about the time."""

    shape: Shape

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        size = (self.shape.batch, self.shape.pos + 1)
        tokens = torch.randint(self.shape.d_vocab, size, generator=generator)
        return Batch({"tokens": tokens[:, :-1]}, tokens[:, 1:].contiguous())


class Adapted(nn.Module):
    """A peer's model with what the loop asks of one; its parts are its own."""

    def __init__(self, model: nn.Module, stream: Callable[[Any, Tensor], Tensor], head: str):
        super().__init__()
        self.inner, self.stream, self.head = model, stream, head
        self.cfg = SimpleNamespace(dropout=0.0)
        self.tokenizer = None

    def forward(self, tokens: Tensor) -> Tensor:
        """[batch, pos] -> the normalised stream before the output layer, [batch, pos, d_model]."""
        return self.stream(self.inner, tokens)


class PeerLoss(CrossEntropy):
    """The same loss on a peer's stream."""

    def __call__(self, model: Any, batch: Batch) -> Tensor:
        stream = model(batch.inputs["tokens"])
        weight = model.inner.get_parameter(model.head)
        return linear_cross_entropy(stream.flatten(0, 1), weight, None, batch.labels.flatten())


def _stream_of_twin(model: Any, tokens: Tensor) -> Tensor:
    x = model.tokens(tokens) + model.positions(torch.arange(tokens.shape[1], device=tokens.device))
    for layer in model.layers:
        x = layer(x)
    out: Tensor = model.ln(x)
    return out


def _stream_of_hf(model: Any, tokens: Tensor) -> Tensor:
    out: Tensor = model.transformer(tokens, use_cache=False).last_hidden_state
    return out


def contestants(shape: Shape) -> dict[str, nn.Module]:
    """The models by name, with the same random weights."""
    import interp

    source = peers.gpt2(shape)
    return {INTERP: interp.load(source), HF: source, TWIN: peers.twin_of(source)}


def same_loop(shape: Shape, settings: Settings, device: str) -> Iterator[tuple[str, Loop]]:
    """The contestants, each in this project's loop."""
    for name, module in contestants(shape).items():
        model: Any = module
        objective = CrossEntropy() if name == INTERP else PeerLoss()
        if name == TWIN:
            model = Adapted(model, _stream_of_twin, "tokens.weight")
        elif name == HF:
            model = Adapted(model, _stream_of_hf, "transformer.wte.weight")
        yield name, Loop(model.to(device), Random(shape), settings, objective, None, World())


def plain_loop(
    peer: peers.Peer, shape: Shape, dtype: torch.dtype, device: str, *, compiled: bool
) -> Callable[[], None]:
    """A step as people write it: all logits, autocast for bfloat16, fused AdamW."""
    model = peer.model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    logits = torch.compile(peer.logits) if compiled else peer.logits
    half = dtype == torch.bfloat16
    source, step = Random(shape), 0

    def run() -> None:
        nonlocal step
        batch = source.batch(step).to(device)
        step += 1
        with torch.autocast(device, torch.bfloat16) if half else nullcontext():
            found = logits(batch.inputs["tokens"])
            loss = F.cross_entropy(found.flatten(0, 1).float(), batch.labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return run


def measure(
    shape: Shape, dtype: torch.dtype, device: str, *, compiled: bool, rounds: int
) -> Timings[str]:
    """Seconds of a training step of each contestant, taken in turns."""
    precision: Any = str(dtype).removeprefix("torch.")
    settings = Settings(
        steps=10**6, learning_rate=1e-4, precision=precision, compile=compiled, spike=0.0
    )
    tasks: dict[str, Callable[[], object]] = {
        peer: loop.one_step for peer, loop in same_loop(shape, settings, device)
    }
    for name, model in contestants(shape).items():
        if name != INTERP:
            peer = peers.HuggingFace(name, model) if name == HF else peers.Peer(name, model)
            task = plain_loop(peer, shape, dtype, device, compiled=compiled)
            tasks[f"{name}, {PLAIN}"] = task
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    return interleave(tasks, rounds=rounds, warmup=3, wait=wait)


def flops_per_token(shape: Shape) -> float:
    """Of forward and backward: 6 for each weight of a product, and the attention's own."""
    weights = 12 * shape.n_layers * shape.width**2 + shape.d_vocab * shape.width
    return 6 * weights + 12 * shape.n_layers * shape.width * shape.pos


def peak() -> float | None:
    """FLOP/s of this GPU in bfloat16, by its data sheet."""
    name = torch.cuda.get_device_name()
    return next((flops for part, flops in PEAKS.items() if part in name), None)


@dataclass(frozen=True)
class Row:
    """A contestant's line: tokens per second, and our speed in units of its speed."""

    precision: str
    name: str
    speed: float
    ratio: Ratio | None

    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else str(self.ratio)
        return [f"{self.precision}, {self.name}", f"{self.speed:,.0f}", ratio]


def rows_of(timings: Timings[str], shape: Shape, precision: str) -> list[Row]:
    tokens = shape.batch * shape.pos
    found = []
    for name in timings.seconds:
        # The speed of ours by theirs is the time of theirs by ours.
        ratio = None if name == INTERP else timings.ratio(name, INTERP)
        found.append(Row(precision, name, tokens / timings.median(name), ratio))
    return found


HEADER = ["precision and contestant", "tokens/s", "interp's speed / theirs"]


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--batch", type=int, help="rows a step")
    parser.add_argument("--compiled", action="store_true", help="all under torch.compile")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    chosen = parser.parse_args(arguments)
    shape = SHAPES[chosen.shape]
    if chosen.batch:
        shape = dataclasses.replace(shape, batch=chosen.batch)
    rows: list[Row] = []
    dtypes = [torch.float32]
    if fastest_dtype(chosen.device) == torch.bfloat16:
        dtypes.append(torch.bfloat16)
    for dtype in dtypes:
        timings = measure(
            shape, dtype, chosen.device, compiled=chosen.compiled, rounds=chosen.rounds
        )
        rows += rows_of(timings, shape, str(dtype).removeprefix("torch."))
    how = "compiled" if chosen.compiled else "eager"
    machine = report.machine(chosen.device, [])
    title = f"{shape}, {how}"
    if len(dtypes) == 1:
        title += "; bfloat16 is slower than float32 on this machine and was left out"
    lines = [", ".join(f"{k}: {v}" for k, v in machine.items()), title]
    table = [row.cells() for row in rows]
    print("\n".join(lines), report.as_text(HEADER, table), sep="\n\n")
    best = peak() if chosen.device == "cuda" and len(dtypes) == 2 else None
    if best is not None:
        ours = next(r for r in rows if r.name == INTERP and r.precision == "bfloat16")
        print(f"share of the bfloat16 peak: {ours.speed * flops_per_token(shape) / best:.1%}")
    if chosen.write:
        shown = "\n\n".join([*lines, report.as_markdown(HEADER, table)])
        report.write_between_markers(PAGE, shown, f"training {chosen.device} {how}")
    return rows


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
