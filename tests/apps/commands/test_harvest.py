"""`interp harvest` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from interp.activations import Store, files
from interp.pretrained.folder import save_folder
from tests.apps.test_cli import run
from tests.data.test_treebank import FRENCH
from tests.model.configurations import build
from tests.model.texts import BOS, byte_tokenizer

SAID = ["a cat sat", "on", "the old mat of the dog"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two checkpoints of a tiny decoder, and an encoder-decoder beside it."""
    folder = tmp_path_factory.mktemp("models")
    for step in (10, 200):
        model = build("decoder", seed=step, d_vocab=259, bos_token_id=BOS)
        model.tokenizer = byte_tokenizer()
        save_folder(model, folder / "run" / "checkpoints" / f"step-{step:08}")
    pair = build("pair-original", d_vocab=259)
    pair.tokenizer = byte_tokenizer()
    save_folder(pair, folder / "pair")
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "said.txt").write_text("\n".join(SAID) + "\n", "utf-8")
    return tmp_path / "said.txt"


@pytest.fixture
def step(models: Path) -> str:
    return str(models / "run" / "checkpoints" / "step-00000010")


def test_every_checkpoint_of_a_run_gets_a_store(
    models: Path, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["harvest", str(models / "run"), str(texts), "--out", str(out), "--json"]
    code, said, error = run(*arguments, capsys=capsys)
    assert code == 0 and error.startswith("2 checkpoints, each 33 rows, ")
    stores = [Store.open(Path(json.loads(line)["folder"])) for line in said.splitlines()]
    assert [store.folder.name for store in stores] == ["step-00000010", "step-00000200"]
    assert list(stores[0].sites) == [f"blocks.{i}.hook_resid_post" for i in range(3)]
    assert list(stores[0].texts["said"]) == SAID
    assert stores[0].about["weights"] != stores[1].about["weights"]
    assert not torch.equal(stores[0].read("resid_post1"), stores[1].read("resid_post1"))
    before = (stores[0].folder / "manifest.json").stat().st_mtime_ns
    assert run(*arguments, capsys=capsys)[0] == 0  # nothing is done again
    assert (stores[0].folder / "manifest.json").stat().st_mtime_ns == before


def test_a_treebank_gives_rows_of_words(
    step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "t.conllu", tmp_path / "out"
    path.write_text(FRENCH, "utf-8")
    code, said, error = run(
        "harvest", step, "--treebank", str(path), "--out", str(out),
        "--sites", "blocks.*.attn.hook_[qk]", "--precision", "bfloat16", "--classes", "upos",
        capsys=capsys,
    )  # fmt: skip
    assert code == 0 and "1 text cut" in error and said.startswith("10 rows of 6 sites")
    store = Store.open(out)
    # The context holds 23 bytes after the first token: the last words of the sentence are cut off.
    assert list(store.places["form"])[-4:] == ["tout", ",", "Oui", "!"]
    assert store.classes == sorted({"PRON", "ADV", "VERB", "ADP", "DET", "INTJ", "PUNCT"})
    assert store.summary.moments["blocks.0.attn.hook_q"].class_n.sum() == 10
    assert (store.places["stop"] - store.places["start"]).eq(1).all()  # the last token of each


@pytest.mark.parametrize(("pool", "rows"), [("mean", 3), ("none", 33)])
def test_pooling(
    pool: str,
    rows: int,
    models: Path,
    texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, _ = run(
        "harvest", str(models / "pair"), str(texts), "--out", str(tmp_path / "o"), "--pool", pool,
        "--precision", "none", "--moments", capsys=capsys,
    )  # fmt: skip
    store = Store.open(tmp_path / "o")
    assert code == 0 and len(store) == rows and store.precision is None
    assert all(site.startswith("encoder.") for site in store.sites)


def test_refusals(
    step: str,
    models: Path,
    texts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = ["--out", str(tmp_path / "out")]

    def refused(*arguments: str) -> str:
        code, said, error = run("harvest", *arguments, *out, capsys=capsys)
        assert (code, said) == (2, "")
        return error

    assert "Give files of texts, or --treebank" in refused(step)
    assert "not a hook point" in refused(step, str(texts), "--sites", "blocks.9.hook_resid_post")
    assert "is missing" in refused(step, "--treebank", "no.conllu")
    assert "no column 'upos'" in refused(step, str(texts), "--classes", "upos")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    error = refused(str(models / "run"), str(texts))  # one checkpoint would fit, two do not
    assert "2 checkpoints, each" in error and "its disk has 10,000 left" in error
    assert not (tmp_path / "out").exists()
