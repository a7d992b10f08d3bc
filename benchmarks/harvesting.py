"""What harvesting costs beside the bare forward pass, on the same batches.

    python -m benchmarks.harvesting [--model stories|gpt2|all] [--texts N] [--rounds N]
        [--device cpu|cuda]

prints, for each model, a table of medians and the targets with what was measured for them:

- moments of the stream before and behind every block, in units of a forward pass that ends behind
  the last block (at most 1.25);
- rows of three sites to the disk in float32 and in bfloat16: the rate, in units of that of a
  forward pass that ends behind the last of the three (at least 0.7);
- the peak of memory of gathering moments, of all texts in units of that of a quarter of them
  (about 1: it is that of a batch).

All take turns in one process; see `benchmarks.measure`. Padding is in the batches of all.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import interp
from benchmarks.measure import Ratio, interleave
from benchmarks.report import as_text
from interp.activations import Plan, Reader, Side, Texts, harvest, summarise
from interp.activations.precision import Precision
from interp.data.examples import padded
from interp.explain.memory import PeakMemory

FORWARD, SHORTER = "forward", "forward to the last of three sites"
MOMENTS = "moments of every block"
ROWS: dict[str, Precision] = {
    "rows of three sites, float32": "float32",
    "rows of three sites, bfloat16": "bfloat16",
}
MOST, LEAST = 1.25, 0.7


def stories() -> Any:
    """The decoder of the zoo."""
    return interp.load("stories")


def gpt2() -> Any:
    """A decoder of the shape of GPT-2 small, with random weights."""
    shape = {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_head": 64, "d_mlp": 3072}
    return interp.HookedTransformer(
        interp.TransformerConfig(**shape, d_vocab=50257, n_ctx=1024)
    ).eval()


MODELS: dict[str, Callable[[], Any]] = {"stories": stories, "gpt2": gpt2}


@dataclass(frozen=True)
class Result:
    """What was measured of one model.

    Attributes:
        seconds: median by task.
        tokens: that each task reads, padding left out.
        slower: a task in units of its forward pass.
        memory: peak bytes of gathering moments, of a quarter of the texts and of all.
    """

    name: str
    tokens: int
    seconds: dict[str, float]
    slower: dict[str, Ratio]
    memory: tuple[int | None, int | None]

    def __str__(self) -> str:
        rows = [
            [task, f"{took:.2f} s", f"{self.tokens / took:,.0f}", str(self.slower.get(task, ""))]
            for task, took in self.seconds.items()
        ]
        targets = [
            [MOMENTS, f"{self.slower[MOMENTS].median:.2f} of the forward", f"at most {MOST}"]
        ]
        for task in ROWS:
            rate = 1 / self.slower[task].median
            targets.append([task, f"{rate:.2f} of its rate", f"at least {LEAST}"])
        part, whole = self.memory
        if part and whole:
            grows = f"{part / 2**20:.0f} MiB, {whole / 2**20:.0f} MiB of four times as many texts"
            targets.append(["peak of memory", grows, "about the same"])
        header = ["task", "median", "tokens/s", "/ its forward"]
        return "\n\n".join(
            [
                f"{self.name}, {self.tokens:,} tokens",
                as_text(header, rows),
                as_text(["", "measured", "target"], targets),
            ]
        )


def some_texts(n: int, d_vocab: int, longest: int) -> Texts:
    """Random ids; lengths as of paragraphs, most of them short."""
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(longest / 4), 0.7, n), 4, longest).astype(int)
    return Texts(Side([random.integers(0, d_vocab, length).tolist() for length in lengths]))


def measure(name: str, model: Any, texts: Texts, rounds: int) -> Result:
    """Times of all tasks in turn, and the peak of memory.

    Every task reads all the texts, in the same batches.
    """
    n_layers = model.cfg.n_layers
    every = [f"blocks.{i}.hook_resid_pre" for i in range(n_layers)]
    every.append(f"blocks.{n_layers - 1}.hook_resid_post")
    last = max(1, n_layers * 3 // 4)
    three = [f"blocks.{i}.hook_resid_post" for i in sorted({0, last // 2, last - 1})]
    device = model.W_E.device
    reader = Reader(model, texts, every)
    batches = [
        padded([list(texts.source.tokens[i]) for i in np.unique(reader.places.text[order])], 0)
        for order in reader.batches
    ]

    def forward(stop: int) -> None:
        with torch.no_grad():
            for batch in batches:
                model(**{key: x.to(device) for key, x in batch.items()}, stop_at_layer=stop)

    folder = Path(tempfile.mkdtemp(prefix="harvesting-"))

    def rows(precision: Precision) -> None:
        harvest(model, Plan(texts, three, rows=precision), folder / "store")
        shutil.rmtree(folder / "store")

    tasks: dict[str, Callable[[], object]] = {
        FORWARD: lambda: forward(n_layers),
        MOMENTS: lambda: summarise(model, texts, every),
        SHORTER: lambda: forward(last),
        **{task: (lambda precision=p: rows(precision)) for task, p in ROWS.items()},
    }
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    try:
        timings = interleave(tasks, rounds=rounds, warmup=1, wait=wait)
        memory = [
            _peak(model, Texts(Side(texts.source.tokens[: len(texts) // share])), every)
            for share in (4, 1)
        ]
    finally:
        shutil.rmtree(folder)
    slower = {MOMENTS: timings.ratio(MOMENTS, FORWARD)}
    slower |= {task: timings.ratio(task, SHORTER) for task in ROWS}
    seconds = {task: timings.median(task) for task in tasks}
    return Result(name, int(texts.source.lengths.sum()), seconds, slower, (memory[0], memory[1]))


def _peak(model: Any, texts: Texts, sites: Sequence[str]) -> int | None:
    with PeakMemory(model.W_E.device) as memory:
        summarise(model, texts, sites)
    return memory.peak


def main(arguments: Sequence[str] | None = None) -> list[Result]:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harvesting", description=__doc__)
    parser.add_argument("--model", choices=(*MODELS, "all"), default="all")
    parser.add_argument("--texts", type=int, default=400, help="how many are read (400)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each task (5)")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    results = []
    for name in MODELS if chosen.model == "all" else [chosen.model]:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        model = MODELS[name]().to(chosen.device)
        texts = some_texts(chosen.texts, model.cfg.d_vocab, min(256, model.cfg.n_ctx))
        results.append(measure(name, model, texts, chosen.rounds))
        print(results[-1], end="\n\n", flush=True)
    return results


if __name__ == "__main__":
    main()
