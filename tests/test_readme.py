"""What the README shows works as it stands there, in both languages."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

LANGUAGES = ["README.md", "README.zh.md"]


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of a Markdown text in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def read(repository: Path, name: str = "README.md") -> str:
    return (repository / name).read_text(encoding="utf-8")


def section(text: str, number: int) -> str:
    """The part under the heading of that number."""
    return re.split(r"^## ", text, flags=re.MULTILINE)[number]


@pytest.mark.slow
def test_the_example_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = blocks(read(repository), "python")[:2]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    assert (tmp_path / "why.html").stat().st_size > 0
    assert (tmp_path / "audit" / "audit.html").stat().st_size > 0
    assert not names["changed"].equal(names["logits"])


def test_the_example_with_a_run_works(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a tiny model that learns to copy."""
    import interp
    from interp.data.synthetic.repeated import RepeatedTokens

    example = blocks(read(repository), "python")[2]
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
    first = blocks(read(repository))[0]
    commands = [line.split("#")[0].split() for line in first.splitlines()]
    assert commands == [["make", "explore"], ["make", "test"]]
    for make, target in [*commands, ["make", "docs"]]:
        done = subprocess.run(
            [make, "--dry-run", target], cwd=repository, capture_output=True, text=True, check=True
        )
        assert done.stdout


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_command_and_every_model_is_named(name: str, repository: Path) -> None:
    from apps.cli import COMMANDS
    from interp.zoo import ZOO

    text = read(repository, name)
    shown = set(re.findall(r"`(?:interp )?([a-z-]+)`", text))
    assert set(COMMANDS) - shown == set()
    assert set(ZOO) - set(re.findall(r"^\| `([a-z-]+)`", text, flags=re.MULTILINE)) == set()


def test_its_figures_stand_in_the_pages_that_it_names(repository: Path) -> None:
    """How fast and how sure: each number is one of the page that its part or line links to."""
    text = read(repository)
    fast, sure = (section(text, number) for number in (4, 5))
    tables = [(fast, "benchmarks.md"), (sure.partition("\n- ")[0], "planted-truth.md")]
    for part, page in tables:
        known = read(repository, f"docs/{page}")
        rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
        assert page in part and len(rows) >= 5
        for row in rows:
            figures = re.findall(r"\d+\.\d+", row.partition("|")[2].partition("|")[2])
            assert figures
            assert [figure for figure in figures if figure not in known] == [], row
    records = re.findall(r"^- (.*?)\]\((docs/\S+)\)", sure, flags=re.MULTILINE | re.DOTALL)
    assert len(records) == 4
    for claim, page in records:
        known = read(repository, page).replace(" %", "%")
        assert [n for n in re.findall(r"\d[\d.]*%?", claim) if n not in known] == [], claim


def test_both_languages_show_the_same(repository: Path) -> None:
    """The same code, links, pictures, tables and figures, part by part."""
    english, chinese = (read(repository, name) for name in LANGUAGES)
    everything = r"^```\w*\n.*?^```$"
    shown = [re.findall(everything, text, re.MULTILINE | re.DOTALL) for text in (english, chinese)]
    assert shown[0] == shown[1]

    def prose(text: str) -> list[str]:
        bare = re.sub(everything, "", text, flags=re.MULTILINE | re.DOTALL)
        return re.split(r"^## ", bare, flags=re.MULTILINE)

    alike = [r"\]\(([^)]+)\)", r"^\|", r"^(?:-|\d\.) ", r"`([^`\n]+)`"]
    for i, (one, other) in enumerate(zip(prose(english), prose(chinese), strict=True)):
        for what in [*alike, r"\d+\.\d+"] if i in (4, 5) else alike:
            found = [re.findall(what, part, flags=re.MULTILINE) for part in (one, other)]
            if what.startswith(r"\]"):  # each links to the other
                found = [[link for link in links if link not in LANGUAGES] for links in found]
            assert sorted(found[0]) == sorted(found[1]), (what, one.partition("\n")[0])
