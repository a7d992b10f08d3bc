"""Time and memory of opening a checkpoint folder, each time in a process of its own.

`python -m benchmarks.opening NAME FOLDER` is that process; it prints what it measured as JSON.
Imports are not counted. Opening ends with logits, so that nobody gains by reading weights later.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.peers import BRIDGE, HF, INTERP, Shape, gpt2, installed, tokenizer_folder, twin_of

STATUS = Path("/proc/self/status")


def measure_opening(shape: Shape, rounds: int) -> tuple[dict[str, dict[str, float]], int]:
    """Medians by contestant and the size of the weights' file in bytes.

    The measurements of a contestant are `seconds`, `private` (bytes that only this process holds,
    at their peak) and `resident` (the same with the pages of files that it has mapped, which the
    system can take back at any time); the two are missing where the system does not tell.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in installed()}
    with tokenizer_folder() as folder:
        size = _save(shape, Path(folder))
        for _ in range(rounds):
            for name, samples in found.items():
                samples.append(_in_process(name, folder))
    medians = {
        name: {key: median(sample[key] for sample in samples) for key in samples[0]}
        for name, samples in found.items()
    }
    return medians, size


def _save(shape: Shape, folder: Path) -> int:
    """Writes the checkpoint as Hugging Face does, and the twin's in its own folder."""
    from safetensors.torch import save_file

    source = gpt2(shape)
    source.save_pretrained(folder)
    twin = {k: v for k, v in twin_of(source).state_dict().items() if k != "unembed.weight"}
    (folder / "twin").mkdir()
    save_file(twin, folder / "twin" / "model.safetensors")
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _in_process(name: str, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.opening", name, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} could not open the folder:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _opener(name: str, folder: str) -> Callable[[], Callable[..., Any]]:
    """A function that opens the folder; what it needs is imported here, before the clock runs."""
    if name == INTERP:
        import interp.model.transformer
        import interp.pretrained

        return lambda: interp.load(folder)
    if name == HF:
        from transformers import GPT2LMHeadModel

        return lambda: GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    if name == BRIDGE:
        from transformer_lens.model_bridge import TransformerBridge

        return lambda: TransformerBridge.boot_transformers(folder, device="cpu")
    from benchmarks.twin import Twin

    return lambda: Twin.open(Path(folder) / "twin", Path(folder) / "config.json")


def main(name: str, folder: str) -> None:
    """Opens a folder and prints what that took."""
    opener = _opener(name, folder)
    tokens = torch.zeros(1, 1, dtype=torch.long)
    watch = _Watch()
    start = time.perf_counter()
    with torch.no_grad():
        model = opener()
        model(tokens)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, **watch.growth()}))


class _Watch:
    """How far the memory of this process grows from now on, on Linux."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._private = 0.0
        if not STATUS.exists():
            return
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
        self._before = _status()
        # The system keeps no peak of private memory, so somebody has to look all the time.
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.001):
            self._private = max(self._private, _status()["RssAnon"])

    def growth(self) -> dict[str, float]:
        """Bytes by kind; empty where the system does not tell."""
        if not STATUS.exists():
            return {}
        self._stop.set()
        self._thread.join()
        after = _status()
        private = max(self._private, after["RssAnon"]) - self._before["RssAnon"]
        return {"private": private, "resident": after["VmHWM"] - self._before["VmRSS"]}


def _status() -> dict[str, float]:
    """Sizes in bytes by the system's names."""
    lines = (line.split() for line in STATUS.read_text(encoding="ascii").splitlines())
    return {part[0].rstrip(":"): int(part[1]) * 1024 for part in lines if part[-1] == "kB"}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
