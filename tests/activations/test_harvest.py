"""Harvests: the same rows and moments whether in one go, after a kill, or by several processes."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from interp.activations import (
    Places,
    Reader,
    Store,
    estimate,
    gather,
    harvest,
    summarise,
)
from interp.activations import files as files_module
from interp.errors import InputError, LoadError, StoreError
from interp.model.transformer import HookedTransformer
from interp.processes import World
from tests.activations.harvests import SITES, some_model, some_plan
from tests.model.configurations import build


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return some_model()


@pytest.fixture(scope="module")
def whole(model: HookedTransformer, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return harvest(model, some_plan(), tmp_path_factory.mktemp("harvest") / "whole")


def run(folder: Path, dies_after: int = 0, processes: int = 1) -> int:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes)]
    command += ["-m", "tests.activations.harvests", str(folder), str(dies_after)]
    done = subprocess.run(
        command,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, -9), done.stderr[-3000:]
    return done.returncode


def same(a: Store, b: Store, tolerance: float = 0.0) -> None:
    """The same rows, labels and moments."""
    pd.testing.assert_frame_equal(a.places, b.places)
    for site in SITES:
        torch.testing.assert_close(a.read(site), b.read(site), rtol=0, atol=tolerance)
    one, other = a.summary.to_tensors(), b.summary.to_tensors()
    assert one.keys() == other.keys()
    for name, value in one.items():
        # Sums come in another order, of products in float32.
        size = max(float(other[name].abs().max()), 1.0)
        torch.testing.assert_close(value, other[name], rtol=0, atol=1e-6 * size, msg=name)


def test_a_store_has_what_the_model_computes(model: HookedTransformer, whole: Store) -> None:
    plan = some_plan()
    rows = gather(model, plan.texts, SITES, tokens=60)
    assert plan.labels is not None and plan.about is not None
    assert (whole.places[["text", "start", "stop"]] == rows.places.to_frame()).all(axis=None)
    assert list(whole.places["tag"].fillna("-")) == list(plan.labels["tag"].fillna("-"))
    assert list(whole.texts["document"]) == list(plan.about["document"])
    assert [list(ids) for ids in whole.texts["tokens"]] == plan.texts.source.tokens
    for site in SITES:
        assert torch.equal(whole.read(site), rows.values[site])
    whole.verify()


def test_moments_of_the_same_pass_are_those_of_the_rows(whole: Store) -> None:
    tag = whole.places["tag"]
    for site in SITES:
        x = whole.read(site).double()
        found = whole.summary.moments[site]
        away = x - x.mean(0)
        assert found.n == len(x)
        torch.testing.assert_close(found.mean, x.mean(0), rtol=0, atol=1e-6)
        torch.testing.assert_close(found.scatter, away.T @ away, rtol=1e-5, atol=1e-5)
        for i, name in enumerate(["noun", "verb"]):
            of_class = x[torch.tensor((tag == name).to_numpy(dtype=bool))]
            assert found.class_n[i] == len(of_class)
            torch.testing.assert_close(found.class_sums[i], of_class.sum(0), rtol=0, atol=1e-4)
    assert whole.classes == ["noun", "verb"]
    x, y = (whole.read(site).double() for site in (SITES[0], SITES[2]))
    cross = whole.summary.cross[SITES[0], SITES[2]].scatter
    torch.testing.assert_close(cross, (x - x.mean(0)).T @ (y - y.mean(0)), rtol=1e-5, atol=1e-5)


def test_a_killed_harvest_goes_on_with_the_shard_it_was_in(
    model: HookedTransformer, whole: Store, tmp_path: Path
) -> None:
    sizes = whole.about["shard_rows"]
    assert len(sizes) > 3
    at = sum(sizes[:2]) + 5  # in the third shard
    assert run(tmp_path / "s", dies_after=at) == -9
    assert not (tmp_path / "s" / "manifest.json").exists()
    reads: list[tuple[int, int]] = []
    store = harvest(model, some_plan(), tmp_path / "s", progress=lambda *done: reads.append(done))
    assert reads[-1] == (sum(sizes[2:]), sum(sizes[2:]))
    same(store, whole)
    assert store.about["sha256"] == whole.about["sha256"]
    store.verify()
    assert not (tmp_path / "s" / ".harvest").exists()
    reads.clear()
    (tmp_path / "s" / ".harvest").mkdir()  # as a kill at the very end leaves it
    again = harvest(model, some_plan(), tmp_path / "s", progress=lambda *done: reads.append(done))
    assert not reads and len(again) == len(whole)
    assert not (tmp_path / "s" / ".harvest").exists()


@pytest.mark.slow
def test_two_processes_harvest_what_one_does(whole: Store, tmp_path: Path) -> None:
    assert run(tmp_path / "s", processes=2) == 0
    store = Store.open(tmp_path / "s")
    same(store, whole, 1e-6)
    assert store.about["sha256"] == whole.about["sha256"]
    store.verify()


def test_ranks_share_the_shards_and_what_they_leave_is_gone_on_with(
    model: HookedTransformer, whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = some_plan(moments=False, classes=None, pairs=())
    _begin(model, tmp_path)
    monkeypatch.setattr(World, "wait", lambda self: None)
    reads: list[tuple[int, int]] = []

    def progress(*done: int) -> None:
        reads.append(done)

    with pytest.raises(LoadError, match="unfinished"):  # the second process alone
        harvest(model, plan, tmp_path, world=World(1, 2), progress=progress)
    sizes = whole.about["shard_rows"]
    assert reads[-1][0] == sum(sizes[1::2])
    store = harvest(model, plan, tmp_path, progress=progress)
    assert reads[-1][0] == sum(sizes[::2])
    assert store.about["sha256"] == whole.about["sha256"]


def _begin(model: HookedTransformer, folder: Path) -> None:
    """The files that the first process makes."""

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        harvest(model, some_plan(moments=False, classes=None, pairs=()), folder, progress=stop)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sites": SITES[:2], "pairs": ()}, "other sites"),
        ({"rows": "bfloat16"}, "other rows"),
        ({"n": 39}, "other texts"),
        ({"labels": None, "classes": None}, "other labels"),
    ],
)
def test_a_folder_of_another_harvest_is_refused(
    model: HookedTransformer, whole: Store, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(StoreError, match=words):
        harvest(model, some_plan(**change), whole.folder)


def test_a_folder_of_other_weights_is_refused_finished_or_not(
    model: HookedTransformer, whole: Store, tmp_path: Path
) -> None:
    other = build("decoder", seed=1)
    with pytest.raises(StoreError, match="other weights"):
        harvest(other, some_plan(), whole.folder)
    _begin(model, tmp_path)
    with pytest.raises(StoreError, match="other weights"):
        harvest(other, some_plan(moments=False, classes=None, pairs=()), tmp_path)


def test_a_disk_without_room_is_refused_before_anything_is_read(
    model: HookedTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = some_plan()
    said = estimate(model, plan, tmp_path / "not" / "yet")
    assert (
        said.fits and said.seconds > 0 and said.rows == len(Reader(model, plan.texts, SITES).places)
    )
    monkeypatch.setattr(files_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000))
    assert not estimate(model, plan, tmp_path).fits
    reads: list[tuple[int, int]] = []
    with pytest.raises(StoreError, match=r"needs .* kB, and its disk has 9 kB left"):
        harvest(model, plan, tmp_path / "s", progress=lambda *done: reads.append(done))
    assert not reads and not list((tmp_path / "s").glob("*.bin"))


def test_the_estimate_is_what_the_rows_take(model: HookedTransformer, tmp_path: Path) -> None:
    for rows in ("float32", "bfloat16", "int8"):
        plan = some_plan(rows=rows, moments=False, classes=None, pairs=())
        store = harvest(model, plan, tmp_path / rows)
        taken = sum(path.stat().st_size for path in store.folder.glob("*.bin"))
        assert estimate(model, plan, tmp_path).n_bytes == taken


def test_a_disk_that_fills_up_costs_the_current_shard_alone(
    model: HookedTransformer, whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = os.pwrite, []

    def full(file: int, data: Any, at: int) -> int:
        written.append(len(data))
        if sum(written) > whole.about["shard_rows"][0] * (16 + 32 + 16) * 4 + 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(files_module.os, "pwrite", full)
        with pytest.raises(StoreError, match=r"is full.*are kept"):
            harvest(model, some_plan(), tmp_path / "s")
    reads: list[tuple[int, int]] = []
    store = harvest(model, some_plan(), tmp_path / "s", progress=lambda *done: reads.append(done))
    assert reads[-1][1] == sum(whole.about["shard_rows"][1:])
    same(store, whole)


def test_rows_that_were_begun_and_are_gone(model: HookedTransformer, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harvest(model, some_plan(), tmp_path, progress=stop)
    (tmp_path / f"{SITES[0]}.bin").unlink()
    with pytest.raises(StoreError, match="is gone"):
        harvest(model, some_plan(), tmp_path)


def test_one_process_at_a_time(model: HookedTransformer, tmp_path: Path) -> None:
    def second(done: int, total: int) -> None:
        with pytest.raises(StoreError, match="Another process"):
            harvest(model, some_plan(), tmp_path)

    harvest(model, some_plan(), tmp_path, progress=second)


def test_moments_alone_keep_no_rows(model: HookedTransformer, whole: Store, tmp_path: Path) -> None:
    store = harvest(model, some_plan(rows=None), tmp_path)
    assert not list(tmp_path.glob("*.bin"))
    one, other = store.summary.to_tensors(), whole.summary.to_tensors()
    assert all(torch.equal(one[name], other[name]) for name in other)
    with pytest.raises(InputError, match="Only moments"):
        store.read(SITES[0])


def test_moments_without_a_folder(model: HookedTransformer, whole: Store) -> None:
    plan = some_plan()
    codes = whole.places["tag"].map({"noun": 0, "verb": 1}).fillna(-1).to_numpy(np.int64)
    found = summarise(
        model,
        plan.texts,
        SITES,
        labels=torch.from_numpy(codes),
        n_classes=2,
        pairs=[(SITES[0], SITES[2])],
    ).to_tensors()
    for name, value in whole.summary.to_tensors().items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": "float16"}, "not as 'float16'"),
        ({"rows": None, "moments": False, "classes": None, "pairs": ()}, "Neither"),
        ({"moments": False}, "are for moments"),
        ({"classes": "case"}, "no column 'case'"),
        ({"labels": pd.DataFrame({"tag": ["a"]})}, "has 1 lines for"),
        ({"about": pd.DataFrame({"tokens": range(40)})}, "'tokens', a name that is taken"),
        ({"pairs": [("hook_embed", SITES[0])]}, "needs hook_embed"),
        ({"shard": 0}, "shard of 0 rows"),
    ],
)
def test_plans_that_contradict_themselves(
    model: HookedTransformer, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        harvest(model, some_plan(**change), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_harvest_that_meets_nan_keeps_what_was_finished(tmp_path: Path) -> None:
    model = some_model()
    plan = some_plan(moments=False, classes=None, pairs=())
    shortest = int(np.argmin(plan.texts.source.lengths))  # read last
    token = plan.texts.source.tokens[shortest][0]
    plan = dataclasses.replace(
        plan,
        places=Places.of(
            [
                [0] if i == shortest else [1] * (len(t) > 1 and token not in t)
                for i, t in enumerate(plan.texts.source.tokens)
            ]
        ),
        labels=None,
    )
    plan = dataclasses.replace(plan, shard=5)
    kept = model.embed.weight[token].clone()
    model.embed.weight[token] = torch.nan
    with pytest.raises(InputError, match=rf"is NaN at token 0 of text {shortest}"):
        harvest(model, plan, tmp_path)
    assert list((tmp_path / ".harvest").glob("*.safetensors"))
    model.embed.weight[token] = kept
    with pytest.raises(StoreError, match="other weights"):
        harvest(model, plan, tmp_path)
