"""What the pages show works as it stands there, block after block; what is not tried says why."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_readme import blocks

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
ALL = [*PAGES, "README.md", "README.zh.md", "CONTRIBUTING.md", "notebooks/README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def texts(folder: Path) -> dict[str, object]:
    return {"texts": [f"A text about {word} and more." for word in "cats dogs trees".split()] * 20}


def a_run(folder: Path) -> dict[str, object]:
    """`run`: a tiny model that learnt to copy."""
    import interp
    from interp.data.synthetic.repeated import RepeatedTokens

    cfg = interp.TransformerConfig(d_model=8, n_layers=1, n_heads=1, d_vocab=9, n_ctx=8)
    source = RepeatedTokens(d_vocab=9, rows=2, length=8, seed=0)
    asked = interp.Settings(steps=1000, precision="float32")
    interp.fit(interp.HookedTransformer(cfg), source, asked, folder="run", progress=False)
    return {}


def tables(folder: Path) -> dict[str, object]:
    """Examples of two classes that a word tells apart."""
    for name in ("train", "dev", "test"):
        with Path(f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            written = csv.writer(file)
            written.writerow(["text", "label"])
            written.writerows([[f"A {word} day.", word] for word in ("good", "bad")] * 3)
    return {}


# What has to lie in the folder, or what a page takes as given.
PREPARED: dict[str, Callable[[Path], dict[str, object]]] = {
    "docs/data.md": texts,
    "docs/finetuning.md": tables,
    "docs/training.md": a_run,
}
# (page, how the block begins) -> why it is not run.
NOT_RUN = {
    ("docs/harvesting.md", "from interp.activations.ray_data"): "a Ray cluster with GPUs",
    ("docs/finetuning.md", "train, dev = ("): "a public set, and four minutes of training",
    (
        "docs/records/induction-phase.md",
        "from pathlib import Path",
    ): "a record: minutes of training",
}
# What a plain block or one of a shell may hold, and who tries it.
COMMANDS = {
    r"interp |(\w+=\S+ )?interp |(\w+=\S+ )?python -m probes\.": "tests/apps/test_command_line.py",
    r"make (explore|test|docs)": "tests/test_readme.py",
    r"(OMP_NUM_THREADS=1 )?python -m (benchmarks|notebooks|apps)\.": "its module has tests",
    r"torchrun ": "tests/train, tests/activations: the same call in two processes",
    r"pip |pip-audit |python -m venv |docker ": "a network, or a container, changes the machine",
    r"--\w": "goes on with the line above",
}


def python_blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [block for block in blocks(text, "python") if not _skipped(page, block)]


def _skipped(page: str, block: str) -> bool:
    return any(page == name and block.startswith(start) for name, start in NOT_RUN)


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)])
def test_the_python_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    names |= PREPARED.get(page, lambda folder: {})(tmp_path)
    for i, block in enumerate(python_blocks(page)):
        exec(compile(block, f"{page}, block {i}", "exec"), names)


@pytest.mark.parametrize("page", ALL)
def test_every_other_block_is_tried_somewhere(page: str) -> None:
    """Blocks of a shell hold nothing but commands that are parsed, run, or named with a reason."""
    for language, block in FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        assert language in ("python", "sh", "toml", ""), f"{page} has a block of {language!r}"
        if language in ("python", "toml"):
            continue
        for line in filter(None, map(str.strip, block.replace("\\\n", " ").splitlines())):
            assert any(re.match(known, line) for known in COMMANDS), f"{page}: {line}"


@pytest.mark.parametrize(("page", "start"), NOT_RUN)
def test_what_is_not_run_is_still_there_and_is_python(page: str, start: str) -> None:
    shown = blocks((ROOT / page).read_text(encoding="utf-8"), "python")
    for block in (block for block in shown if block.startswith(start)):
        compile(block, page, "exec")
        return
    raise AssertionError(f"{page} has no block that begins with {start!r}")


def method_rows() -> dict[str, list[str]]:
    """Name of an explainer -> its cells of the table of methods."""
    text = (ROOT / "docs" / "explaining.md").read_text(encoding="utf-8")
    table = text.partition("## Methods")[2].partition("## Whole")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}


def test_every_explainer_has_its_line_and_no_other_has() -> None:
    from interp.explain import METHODS

    rows = method_rows()
    assert set(rows) == set(METHODS)
    assert all(len(row) == 5 and all(row) for row in rows.values())


def test_explainers_cost_what_the_table_says() -> None:
    import interp

    model = interp.load("stories")
    for name, row in method_rows().items():
        if row[2] == "as there":
            continue
        why = interp.attribute(model, "The cat sat", method=name)
        units, forwards, backwards = len(why.scores), why.cost.forwards, why.cost.backwards
        number, _, kind = row[2].partition(" ")
        if kind.startswith("backward"):
            least = int(number)
            more = "more" in kind
            assert backwards >= least if more else backwards == least, (name, why.cost)
        elif number == "backwards,":
            assert backwards >= model.cfg.n_layers, (name, why.cost)
        else:
            most = {"1": 1, "a": units, "2^n": 2**units, "forwards,": 10_000}[number]
            assert backwards == 0 and forwards <= most + 4, (name, why.cost)
