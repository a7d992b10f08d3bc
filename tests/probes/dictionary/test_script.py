from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from interp.errors import InputError
from probes.dictionary import SCRIPT, load
from probes.subjects import subjects


def options(tmp_path: Path, *more: str) -> argparse.Namespace:
    text = tmp_path / "text.txt"
    text.write_text("The dog saw a very old cat. It was too late to run.\n\nAnd so on.\n" * 8)
    parser = argparse.ArgumentParser()
    SCRIPT.fill(parser)
    return parser.parse_args(
        [
            *("--run", "induction", "--site", "blocks.0.hook_resid_post", "--latents", "48"),
            *(
                "--learn",
                str(text),
                "--texts",
                str(text),
                "--tokens",
                "200",
                "--batch-tokens",
                "64",
            ),
            *("--train-steps", "4", "--l0", "4", "8", "--folder", str(tmp_path / "kept"), *more),
        ]
    )


def test_dictionaries_are_made_once_and_measured(tmp_path: Path) -> None:
    asked = options(tmp_path, "--run", "stories", "--kind", "topk", "gated")
    frame = SCRIPT.frame(subjects("stories"), asked)
    folders = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(folders) == 4 and all("blocks.0.hook_resid_post" in name for name in folders)
    assert not list((tmp_path / "kept").rglob("training.safetensors"))
    assert set(frame["kind"]) == {"topk", "gated"} and set(frame["wanted_l0"]) == {4, 8}
    assert {"fvu", "l0", "dead", "loss_recovered_mean"} <= set(frame["metric"])
    coder = load(tmp_path / "kept" / next(name for name in folders if "topk-48-4" in name))
    assert (coder.k, coder.latents, coder.about["model"]) == (4, 48, "stories")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*")}
    again = SCRIPT.frame(subjects("stories"), asked)
    assert again.equals(frame)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*")}
    with pytest.raises(InputError, match="other settings"):
        SCRIPT.frame(subjects("stories"), options(tmp_path, "--run", "stories", "--seed", "1"))
    assert SCRIPT.chart is not None
    assert "active latents" in SCRIPT.chart(frame, "light").alt
