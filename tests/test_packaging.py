"""What is built holds everything that an installed package needs, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

PACKAGES = ("interp", "probes", "apps")
DATA = [
    "interp/py.typed",
    "interp/data/registry.json",
    "interp/train/size/stories.json",
    "interp/zoo/stories/model.safetensors",
    "interp/zoo/stories/README.md",
    "interp/zoo/stories-suite/checkpoints/step-00000000/model.safetensors",
    "interp/zoo/planted/held_out.jsonl",
    "apps/audit/schema.json",
    "apps/chinese.tsv",
    "apps/sentences.txt",
    "apps/.streamlit/config.toml",
]


def included(repository: Path, kind: str) -> set[str]:
    """The paths in the archive that hatchling would write."""
    if kind == "wheel":
        from hatchling.builders.wheel import WheelBuilder as Builder
    else:
        from hatchling.builders.sdist import SdistBuilder as Builder
    files = Builder(str(repository)).recurse_included_files()
    return {file.distribution_path.replace(os.sep, "/") for file in files}


def tracked(repository: Path, *folders: str) -> set[str]:
    """The paths that the repository knows, or has not been told of yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a clone made by git")
    return {path for path in done.stdout.splitlines() if (repository / path).is_file()}


def test_the_wheel_holds_the_packages_and_nothing_else(repository: Path) -> None:
    pytest.importorskip("hatchling")
    wheel = included(repository, "wheel")
    assert wheel == tracked(repository, *PACKAGES)
    assert set(DATA) <= wheel
    stray = [
        path for path in wheel if re.search(r"__pycache__|\.(pyc|log|tmp|partial|pt|pkl)$", path)
    ]
    assert stray == []


def test_the_source_archive_can_be_tested(repository: Path) -> None:
    pytest.importorskip("hatchling")
    archive = included(repository, "sdist")
    assert tracked(repository, *PACKAGES, "tests", "docs", "benchmarks") <= archive
    assert {"README.md", "CHANGELOG.md", "Makefile", "Dockerfile", ".dockerignore"} <= archive


def test_what_is_imported_without_leave_is_a_dependency(repository: Path) -> None:
    """Each library that a file imports is required, or refused with the words how to get it."""
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    needs = [*project["dependencies"], *chain.from_iterable(extras)]
    owners = {re.split(r"[\[<>=~ ]", need)[0].lower().replace("_", "-") for need in needs}
    of = metadata.packages_distributions()
    strange = {}
    for folder in PACKAGES:
        for path in (repository / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            for name in re.findall(r"^\s*(?:import|from) ([a-z_0-9]+)", text, flags=re.MULTILINE):
                if name in sys.stdlib_module_names or name in PACKAGES or name not in of:
                    continue
                if not {o.lower().replace("_", "-") for o in of[name]} & owners:
                    strange[name] = str(path.relative_to(repository))
    assert strange == {}


def test_the_settings_of_the_explorer_go_with_it(repository: Path, tmp_path: Path) -> None:
    script = (
        "import streamlit.config as c\n"
        f"c._main_script_path = {str(repository / 'apps' / 'explorer.py')!r}\n"
        "names = ('server.address', 'server.allowedHosts', 'theme.light.primaryColor')\n"
        "import json; print(json.dumps([c.get_option(n) for n in names]))"
    )
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text('[server]\naddress = "0.0.0.0"\n')
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["127.0.0.1", ["localhost", "127.0.0.1"], "#1f5f99"]


def test_the_container_gets_only_what_it_copies(repository: Path) -> None:
    copied = re.findall(
        r"^COPY (?!--)(.*) \S+$", (repository / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    lines = (repository / ".dockerignore").read_text("utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    assert sent == {name for line in copied for name in line.split()}
    assert all((repository / name).exists() for name in sent)


@pytest.mark.slow
def test_a_built_wheel_runs_without_the_repository(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("build")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), "."]
    subprocess.run([sys.executable, *command], cwd=repository, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert any(name.endswith("entry_points.txt") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    (tmp_path / "elsewhere").mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path / "elsewhere",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import interp, probes, apps; print(interp.__file__, probes.__file__)")
    assert where.count(str(tmp_path / "site")) == 2
    assert "stories-suite" in run("-m", "apps.cli", "zoo", "list")
    explained = run("-m", "apps.cli", "explain", "stories", "She was very", "--json")
    assert json.loads(explained)["converged"] is True
    page = ("--chart", "heads.html", "--steps", "-1")
    run("-m", "apps.cli", "probe", "heads", "--run", "induction", *page)
    assert "image/svg" in (tmp_path / "elsewhere" / "heads.html").read_text("utf-8")
