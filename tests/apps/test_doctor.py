"""The doctor says what is broken, and only that."""

from __future__ import annotations

import json
import shutil
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch

import interp.zoo
from apps import doctor
from apps.doctor import EXTRAS, Check
from interp.train import precision
from tests.apps.test_cli import run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is measured at once, and a zoo of one model."""
    monkeypatch.setattr(
        precision, "matmul_seconds", lambda device: {torch.float32: 1e-3, torch.bfloat16: 2e-3}
    )
    monkeypatch.setattr(interp.zoo, "names", lambda: ["induction"])


def of(part: str) -> dict[str, Check]:
    return {check.name: check for check in doctor.checks() if check.part == part}


def test_json_is_one_object_and_nothing_is_broken_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERP_DATA", raising=False)
    code, out, err = run("doctor", "--json", capsys=capsys)
    read = json.loads(out)
    broken = [check for check in read["checks"] if check["state"] == "broken"]
    assert (code, err, broken, read["broken"]) == (0, "", [], 0)
    assert {check["part"] for check in read["checks"]} >= {"packages", "machine", "speed", "models"}
    (speed,) = [check for check in read["checks"] if check["name"].startswith("matrix products")]
    assert "float32 268.4 GFLOP/s, bfloat16 134.2" in speed["found"]  # 2 * 512^3 in 1 and 2 ms


def test_a_flipped_bit_of_the_zoo_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "induction"
    shutil.copytree(interp.zoo.zoo_folder("induction"), copy)
    weights = copy / "checkpoints" / "step-00000512" / "model.safetensors"
    monkeypatch.setattr(interp.zoo, "zoo_folder", lambda name: copy)
    assert of("models")["induction"].state == "ok"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert of("models")["induction"].state == "broken"
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 1 and "1 of" in out and "step-00000512" in out
    shutil.rmtree(copy)
    assert of("models")["induction"].state == "broken"


def test_a_package_that_is_missing_or_too_old_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["there>=2", "old>=2", "gone>=2", "zstandard>=1; extra == 'zstd'"]
    have = {"there": "2.1", "old": "1.9", "zstandard": "1.0"}

    def version(name: str) -> str:
        if name not in have:
            raise metadata.PackageNotFoundError(name)
        return have[name]

    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(metadata, "version", version)
    states = {name: check.state for name, check in of("packages").items()}
    assert states == {"there": "ok", "old": "broken", "gone": "broken"}
    del have["zstandard"]
    extra = of("extras")["zstd"]
    assert extra.state == "note" and "zstandard" in extra.found and "interp[zstd]" in extra.advice


def test_a_folder_of_data_that_is_none_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERP_DATA", str(tmp_path / "absent"))
    assert of("places")["INTERP_DATA"].state == "broken"
    monkeypatch.setenv("INTERP_DATA", str(tmp_path))
    (tmp_path / "names").mkdir()
    assert "has 1 of" in of("places")["INTERP_DATA"].found


def test_every_extra_of_the_package_is_explained(repository: Path) -> None:
    """The doctor can only say what an extra would give if it knows it."""
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["optional-dependencies"]) - {"dev", "all"} == set(EXTRAS)
