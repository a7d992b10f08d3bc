"""A source can be made again from its description, and gives the same batches."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from interp.data.corpus import PackedCorpus, pack
from interp.data.corruption import SpanCorruption, sentinels
from interp.data.masking import MaskedTokens
from interp.data.packing import NextToken
from interp.data.sources import _KINDS, open_source
from interp.data.synthetic.copying import Copying
from interp.data.synthetic.modular import ModularAddition
from interp.data.synthetic.repeated import RepeatedTokens
from interp.data.synthetic.worlds import Worlds
from interp.data.tokenizing import train_tokenizer
from interp.errors import InputError, LoadError

TEXTS = [f"the {i} cat sat on the mat and saw {i * 7} dogs run home ." for i in range(60)]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PackedCorpus]:
    folder = tmp_path_factory.mktemp("corpora")
    kinds: dict[str, dict[str, Any]] = {
        "bpe": {},
        "wordpiece": {"shape": "encoder"},
        "unigram": {"shape": "encoder_decoder", "extra": sentinels(20)},
    }
    return {
        kind: pack(TEXTS, train_tokenizer(TEXTS, kind, 400, **options), folder / kind)
        for kind, options in kinds.items()
    }


MAKERS: dict[str, Callable[[dict[str, PackedCorpus]], Any]] = {
    "NextToken": lambda c: NextToken(c["bpe"], 3, 12, seed=1),
    "MaskedTokens": lambda c: MaskedTokens(c["wordpiece"], 3, length=16, seed=1, share=0.3),
    "SpanCorruption": lambda c: SpanCorruption(c["unigram"], rows=2, length=30, seed=4),
    "RepeatedTokens": lambda c: RepeatedTokens(40, 3, 16, 0),
    "ModularAddition": lambda c: ModularAddition(p=7, split="train"),
    "Copying": lambda c: Copying(20, 3, (2, 6), seed=0, backwards=True),
    "Worlds": lambda c: Worlds(3, rows=2, seed=0, split="train"),
}


def test_every_kind_is_tried() -> None:
    assert MAKERS.keys() == _KINDS.keys()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_description_makes_the_same_source(kind: str, corpora: dict[str, PackedCorpus]) -> None:
    source = MAKERS[kind](corpora)
    again = open_source(json.loads(json.dumps(source.to_dict())))
    for other in (again, copy.deepcopy(source)):
        for step in (0, 5):
            first, second = source.batch(step), other.batch(step)
            assert torch.equal(first.labels, second.labels)
            assert first.inputs.keys() == second.inputs.keys()
            for name, tensor in first.inputs.items():
                assert torch.equal(tensor, second.inputs[name])


def test_a_corpus_may_move_but_not_change(corpora: dict[str, PackedCorpus], tmp_path: Path) -> None:
    description = NextToken(corpora["bpe"], 3, 12, seed=1).to_dict()
    moved = shutil.copytree(corpora["bpe"].folder, tmp_path / "moved")
    description["corpus"]["folder"] = str(tmp_path / "gone")
    assert torch.equal(
        open_source(description, moved).batch(3).labels,
        NextToken(corpora["bpe"], 3, 12, seed=1).batch(3).labels,
    )
    with pytest.raises(LoadError, match="no longer"):
        open_source(description)
    with pytest.raises(LoadError, match="not the one"):
        open_source(description, corpora["wordpiece"].folder)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(InputError, match="kind 'Pairs'"):
        open_source({"kind": "Pairs"})
    with pytest.raises(InputError, match="does not fit"):
        open_source({"kind": "RepeatedTokens", "rows": 3})
