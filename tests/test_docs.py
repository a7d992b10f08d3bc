"""What the pages show works as it stands there, block after block."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_readme import blocks


@pytest.mark.parametrize(
    "page",
    [
        "auditing.md",
        "behaviour.md",
        "explaining.md",
        "features.md",
        "geometry.md",
        "harvesting.md",
        "inside.md",
        "privacy.md",
        "probing.md",
    ],
)
def test_the_python_of_a_page_runs(
    page: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (repository / "docs" / page).read_text(encoding="utf-8")
    shown = blocks(text, "python")
    assert shown
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for i, block in enumerate(shown):
        exec(compile(block, f"{page}, block {i}", "exec"), names)


def test_every_explainer_has_its_line(repository: Path) -> None:
    from interp.explain import METHODS

    text = (repository / "docs" / "explaining.md").read_text(encoding="utf-8")
    table = text.partition("## Methods")[2].partition("## Whole")[0]
    assert [name for name in METHODS if f"`{name}`" not in table] == []
