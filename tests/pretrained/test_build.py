"""A model that is opened costs its weights and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from transformers import GPT2Config, GPT2LMHeadModel

OPEN = """
import sys
import interp
interp.load(sys.argv[1], tokenizer=False)
assert "torch._dynamo" not in sys.modules
"""


def test_opening_a_model_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 8, "vocab_size": 11, "n_positions": 6}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(tmp_path)
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
