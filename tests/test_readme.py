"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a Markdown text in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_example_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = blocks((repository / "README.md").read_text(encoding="utf-8"), "python")[:2]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "why.html").stat().st_size > 0
    assert (tmp_path / "report.html").stat().st_size > 0
    assert not names["changed"].equal(names["logits"])


def test_the_example_with_a_run_works(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a tiny model that learns to copy."""
    import interp
    from interp.data.synthetic.repeated import RepeatedTokens

    example = blocks((repository / "README.md").read_text(encoding="utf-8"), "python")[2]
    monkeypatch.chdir(tmp_path)
    cfg = interp.TransformerConfig(d_model=8, n_layers=1, n_heads=1, d_vocab=9, n_ctx=8)
    asked = interp.Settings(steps=520, precision="float32")
    source = RepeatedTokens(d_vocab=9, rows=2, length=8, seed=0)
    interp.fit(interp.HookedTransformer(cfg), source, asked, folder="run", progress=False)
    names: dict[str, object] = {"interp": interp}
    exec(compile(example, "README.md", "exec"), names)
    assert names["late"].cfg == cfg


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_first_commands_are_targets_of_the_makefile(repository: Path) -> None:
    first = blocks((repository / "README.md").read_text(encoding="utf-8"))[0]
    commands = [line.split("#")[0].split() for line in first.splitlines()]
    assert commands == [["make", "explore"], ["make", "test"]]
    for make, target in commands:
        done = subprocess.run(
            [make, "--dry-run", target], cwd=repository, capture_output=True, text=True, check=True
        )
        assert done.stdout
