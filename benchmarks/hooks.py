"""What hooks cost: this model beside Hugging Face, TransformerLens and a model without hooks.

    python -m benchmarks.hooks [--quick] [--device cpu|cuda] [--json FILE] [--write]

prints one table of medians and ratios, and the targets with what was measured for them. See
`docs/benchmarks.md` for what each line means.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks import peers, report
from benchmarks.measure import Timings, held_bytes, interleave
from benchmarks.opening import measure_opening
from benchmarks.peers import BRIDGE, GPT2_SMALL, HF, INTERP, NAMES, SMALL, TWIN, Shape
from benchmarks.report import OWN, Line, Report, Target
from benchmarks.steps import steps
from interp.train.precision import fastest_dtype

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
FORWARD, HELD = "forward", "memory held by the cache"
EAGER, COMPILED = "training step", "training step, compiled"
OPENING, STARTING = "Opening a folder of GPT-2 small", "Starting"
TIME, PRIVATE, RESIDENT = "time", "memory of its own", "memory with mapped pages of the file"
IMPORT, HELP = "import, beyond Python's start", "interp --help"
_DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        rounds: samples of each task; `few` for what takes seconds each, `many` for the training
            step of the small model, where a target of two per cent must be told from noise.
        least: seconds a sample lasts at least.
    """

    device: str
    shapes: tuple[Shape, ...]
    rounds: int
    few: int
    many: int
    least: float
    dtypes: tuple[torch.dtype, ...]
    compiled: bool
    opening: bool

    def interleave(self, tasks: Any, rounds: int | None = None) -> Timings[Any]:
        wait = torch.cuda.synchronize if self.device == "cuda" else lambda: None
        return interleave(tasks, rounds=rounds or self.rounds, least=self.least, wait=wait)


def full(device: str) -> Plan:
    """The plan behind the table in the documentation."""
    return Plan(
        device=device,
        shapes=(GPT2_SMALL, SMALL),
        rounds=15,
        few=3,
        many=300,
        least=0.02,
        dtypes=tuple(_DTYPES) if fastest_dtype(device) == torch.bfloat16 else (torch.float32,),
        compiled=shutil.which("c++") is not None,
        opening=True,
    )


def quick(device: str) -> Plan:
    """The small model alone: shows in seconds whether everything runs, not how fast."""
    return Plan(
        device=device,
        shapes=(SMALL,),
        rounds=3,
        few=1,
        many=3,
        least=0.002,
        dtypes=(torch.float32,),
        compiled=False,
        opening=False,
    )


# -- the sections of the table ---------------------------------------------------------------------


def analysis(plan: Plan, shape: Shape, dtype: torch.dtype) -> list[Line]:
    """The forward pass and what one may want to see of it, on one shape."""
    contestants = _quietly(lambda: peers.build(shape, plan.device, dtype))
    tokens = shape.tokens(plan.device)
    section = _section(shape, dtype)
    with torch.no_grad():
        tasks: dict[tuple[str, str], Callable[[], Any]] = {}
        for peer in contestants:
            tasks[FORWARD, peer.name] = lambda peer=peer: peer.logits(tokens)
            can_do = peer.analyses(tokens, shape.n_layers // 2 - 1)
            tasks.update({(line, peer.name): task for line, task in can_do.items()})
        timings = plan.interleave(tasks)
        held = {}
        for peer in contestants:
            make = peer.analyses(tokens, 0).get(peers.FULL_CACHE)
            if make is not None:
                (logits, _), size = held_bytes(make)
                held[peer.name] = size - logits.untyped_storage().nbytes()
    order = [FORWARD, peers.FULL_CACHE, peers.READ_PATTERN, peers.READ_ALL]
    order += [peers.EARLY, peers.TOLD, peers.LATE]
    lines = [_timed(timings, section, name, own=FORWARD) for name in order]
    return [*lines, Line(section, HELD, "MiB", held)]


def training(plan: Plan, shape: Shape) -> list[Line]:
    """The training step on one shape, eager and compiled."""
    # On a GPU in the precision that people train in there; processors are mostly slower with it.
    dtype = torch.bfloat16 if plan.device == "cuda" else torch.float32
    contestants = _quietly(lambda: peers.build(shape, plan.device, dtype, train=True))
    tasks = steps(contestants, shape.tokens(plan.device), compiled=plan.compiled)
    timings = plan.interleave(
        {(COMPILED if compiled else EAGER, name): task for (name, compiled), task in tasks.items()},
        rounds=plan.many if shape == SMALL else plan.rounds,
    )
    names = (EAGER, COMPILED) if plan.compiled else (EAGER,)
    return [_timed(timings, f"{_section(shape, dtype)}, training", name) for name in names]


def opening(plan: Plan) -> list[Line]:
    """Time and memory of opening a checkpoint."""
    found, size = measure_opening(GPT2_SMALL, plan.few)
    section = f"{OPENING} ({size / 2**20:.0f} MiB)"
    lines = []
    for name, key, unit in (
        (TIME, "seconds", "s"),
        (PRIVATE, "private", "MiB"),
        (RESIDENT, "resident", "MiB"),
    ):
        values = {peer: sample[key] for peer, sample in found.items() if key in sample}
        lines.append(Line(section, name, unit, values))
    return lines


def starting(plan: Plan) -> list[Line]:
    """How long a user waits for an import or for the help of the command."""
    code = {"python": "pass", INTERP: "import interp"}
    commands = {name: ["-c", line] for name, line in code.items()}
    if find_spec("apps.cli") is not None:
        commands[HELP] = ["-m", "apps.cli", "--help"]
    light = interleave(_runs(commands), rounds=plan.rounds, warmup=1)
    imports = {INTERP: light.median(INTERP) - light.median("python")}
    heavy = {"python": ["-c", "pass"], HF: ["-c", "from transformers import GPT2LMHeadModel"]}
    if BRIDGE in peers.installed():
        heavy[BRIDGE] = ["-c", "from transformer_lens.model_bridge import TransformerBridge"]
    slow = interleave(_runs(heavy), rounds=plan.few, warmup=1)
    for name in heavy.keys() - {"python"}:
        imports[name] = slow.median(name) - slow.median("python")
    lines = [Line(STARTING, IMPORT, "s", imports)]
    if HELP in commands:
        lines.append(Line(STARTING, HELP, "s", {INTERP: light.median(HELP)}))
    return lines


def _section(shape: Shape, dtype: torch.dtype) -> str:
    return f"{shape}, {_DTYPES[dtype]}"


def _timed(timings: Timings[Any], section: str, name: str, own: str | None = None) -> Line:
    """A line from the times of (line, contestant); `own` is the line of our forward pass."""
    values = {peer: timings.median((name, peer)) for peer in NAMES if (name, peer) in timings}
    bases = {peer: (name, peer) for peer in (HF, BRIDGE, TWIN)}
    if own not in (None, name):
        bases[OWN] = (own, INTERP)
    ratios = {
        base: timings.ratio((name, INTERP), key)
        for base, key in bases.items()
        if INTERP in values and key in timings
    }
    return Line(section, name, "ms", values, ratios)


def _runs(commands: dict[str, list[str]]) -> dict[str, Callable[[], object]]:
    def run(command: list[str]) -> Callable[[], object]:
        full = [sys.executable, *command]
        return lambda: subprocess.run(full, check=True, stdout=subprocess.DEVNULL)

    return {name: run(command) for name, command in commands.items()}


def _quietly(build: Callable[[], Any]) -> Any:
    """Without the remarks that libraries print while they build a model."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return build()


# -- the targets -----------------------------------------------------------------------------------


def targets(lines: Sequence[Line]) -> list[Target]:
    """What was promised, for those lines that were measured. All limits are upper ones."""
    gpt2, small = (_section(shape, torch.float32) for shape in (GPT2_SMALL, SMALL))
    found: list[Target] = []

    def promise(name: str, section: str, line: str, limit: float, base: str | None = None) -> None:
        measured = report.look_up(lines, section, line)
        if measured is None or INTERP not in measured.values:
            return
        if base is None:
            scale = 2**-20 if measured.unit == "MiB" else 1.0
            found.append(Target(name, measured.values[INTERP] * scale, limit))
        elif base in measured.ratios:
            found.append(Target(name, measured.ratios[base].median, limit))

    promise("forward at GPT-2 small / HF", gpt2, FORWARD, 1.00, HF)
    promise("forward of the small model / HF", small, FORWARD, 0.70, HF)
    promise("full cache / own forward", gpt2, peers.FULL_CACHE, 1.05, OWN)
    promise("MiB held by the cache", gpt2, HELD, 25)
    promise("reading one pattern / own forward", gpt2, peers.READ_PATTERN, 0.15, OWN)
    promise("stream after block 5 of 12 / own forward", gpt2, peers.EARLY, 0.50, OWN)
    for section in (f"{gpt2}, training", f"{small}, training"):
        of = section.split(",")[0]
        # A speed of 0.98 is a time of 1 / 0.98 = 1.02.
        promise(f"compiled training step of {of} / twin", section, COMPILED, 1.02, TWIN)
        promise(f"compiled training step of {of} / HF", section, COMPILED, 1.00, HF)
        promise(f"training step of {of} / HF", section, EAGER, 1.00, HF)
    promise("seconds of `import interp`", STARTING, IMPORT, 0.30)
    promise("seconds of `interp --help`", STARTING, HELP, 0.50)
    return [*found, *_opening_target(lines)]


def _opening_target(lines: Sequence[Line]) -> list[Target]:
    for line in lines:
        if line.section.startswith(OPENING) and line.name == PRIVATE and INTERP in line.values:
            size = float(line.section.rpartition("(")[2].split()[0]) * 2**20
            return [Target("memory of opening / file", line.values[INTERP] / size, 1.20)]
    return []


# -- the command -----------------------------------------------------------------------------------


def run(plan: Plan) -> Report:
    """Measures everything in the plan."""
    jobs: list[tuple[str, Callable[[], list[Line]]]] = [("starting", lambda: starting(plan))]
    for shape in plan.shapes:
        for dtype in plan.dtypes:
            jobs.append((_section(shape, dtype), lambda s=shape, d=dtype: analysis(plan, s, d)))
        jobs.append((f"{shape}, training", lambda s=shape: training(plan, s)))
    if plan.opening:
        jobs.append(("opening", lambda: opening(plan)))
    lines: list[Line] = []
    for number, (name, job) in enumerate(jobs, 1):
        print(f"[{number}/{len(jobs)}] {name}", file=sys.stderr, flush=True)
        lines += job()
        gc.collect()
    absent = [name for name in NAMES if name not in peers.installed()]
    return Report(report.machine(plan.device, absent), lines, targets(lines))


def main(arguments: Sequence[str] | None = None) -> Report:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hooks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small model, in seconds")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    chosen = parser.parse_args(arguments)
    done = run((quick if chosen.quick else full)(chosen.device))
    print(done.to_text())
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(done.to_dict(), indent=1) + "\n", encoding="utf-8")
    if chosen.write:
        report.write_between_markers(PAGE, done.to_markdown())
    return done


if __name__ == "__main__":
    # The contestants are made here; a library that asks a hub for news only loses time.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
