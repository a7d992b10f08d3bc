"""Opening a folder needs little more memory than its file is long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from interp import HookedTransformer, TransformerConfig
from interp.pretrained import save_folder

# Prints by how many bytes the peak of the resident memory grew, from before the opening.
MEASURE = """
import resource, sys
import torch
import interp.pretrained

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024

before = resident()
model = interp.pretrained.load(sys.argv[1], tokenizer=False)
print(peak() - before, sum(p.numel() for p in model.parameters()))
"""


def growth(folder: Path) -> float:
    """Peak growth over the length of the file."""
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, check=True
    )
    return int(out.stdout.split()[0]) / (folder / "model.safetensors").stat().st_size


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_a_folder_of_the_shape_of_gpt2_small(tmp_path: Path, record_property: object) -> None:
    cfg = TransformerConfig(
        d_model=768, n_layers=12, n_heads=12, d_vocab=50257, n_ctx=1024, tie_word_embeddings=True
    )
    model = HookedTransformer(cfg)
    save_folder(model, tmp_path / "own")
    ratio = growth(tmp_path / "own")
    record_property("own", ratio)  # type: ignore[operator]
    assert 1.0 <= ratio <= 1.2

    model.save_hf(tmp_path / "hf")
    ratio = growth(tmp_path / "hf")
    record_property("hf", ratio)  # type: ignore[operator]
    # Everything that the transformers library needs to read a configuration is in the figure.
    assert 1.0 <= ratio <= 1.2


def test_weights_are_read_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor that is laid out alike is read anywhere else first."""
    from interp.pretrained import load_folder
    from interp.pretrained.weights_file import WeightFiles

    cfg = TransformerConfig(d_model=16, n_layers=2, n_heads=2, d_vocab=29, n_ctx=24)
    save_folder(HookedTransformer(cfg), tmp_path / "m")

    def read(self: WeightFiles, name: str) -> torch.Tensor:
        raise AssertionError(f"{name} was read into a tensor of its own")

    with monkeypatch.context() as patch:
        patch.setattr(WeightFiles, "read", read)
        load_folder(tmp_path / "m")
        with pytest.raises(AssertionError, match="of its own"):
            load_folder(tmp_path / "m", dtype=torch.float64)
