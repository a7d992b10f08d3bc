"""What a model brings in is named, what it does not is not, and random weights raise no claim."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from apps.audit.audited import Audited, Examples
from apps.audit.parts.probes import part
from apps.audit.parts.probes.forming import _verdict, forming
from apps.audit.parts.probes.layers import layers
from apps.audit.parts.probes.looking import looking
from apps.audit.section import Finding, Section
from interp.data.records import Tagged
from interp.train.tasks.classification import Classification
from tests.train.tasks.small import examples, model, pairs, sentences, tagged

CLASSES = {"head": "classification", "n_classes": 2, "class_names": ("neg", "pos")}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time."""
    for name in ("layers", "forming", "looking"):
        module = import_module(f"apps.audit.parts.probes.{name}")
        monkeypatch.setattr(module, "figure_html", lambda draw: "")


def audit(of: Any, records: list[Any] | None = None, **more: Any) -> Audited:
    held_out = None if records is None else Examples(records, "out")
    known: dict[str, Any] = {"run": None, "task": None, "learnt": None, "seed": 0}
    return Audited("small", of, None, held_out=held_out, depth="quick", **{**known, **more})


def finding(section: Section, key: str) -> Finding:
    (found,) = (one for one in section.findings if one.key == f"probes.{key}")
    return found


@pytest.mark.usefixtures("undrawn")
def test_blocks_that_do_nothing_bring_in_nothing() -> None:
    of = model("encoder")
    for block in of.blocks:
        for part_ in (block.attn.W_O, block.attn.b_O, block.mlp.W_out, block.mlp.b_out):
            part_.data.zero_()
    section = layers(audit(of, sentences(150)))
    for key in ("word_before", "length_of_the_word"):
        assert section.measures[f"{key}.p"] == 1.0
        assert "no more than chance" in finding(section, key).sentence
    table = section.tables["layers"]
    chosen = (table["metric"] == "gain_over_embedding") & (table["task"] == "word before")
    assert (table.loc[chosen, "value"] == 0).all()


@pytest.mark.usefixtures("undrawn")
def test_random_weights_are_said_to_look_at_nothing() -> None:
    """All looks together raise a claim for one random model in a hundred."""
    claims = 0
    for seed in range(12):
        section = looking(audit(model(initializer_range=0.02, seed=seed), seed=seed))
        claims += any("beyond what random weights do:" in f.sentence for f in section.findings)
    assert claims <= 1


def test_heads_that_look_are_named(induction: Audited) -> None:
    section = looking(induction)
    assert "head 1.0 gives it 99.8%" in finding(section, "heads_induction").sentence
    assert finding(section, "heads_induction").weight > 0.9
    table = section.tables["heads"]
    early = table[(table["metric"] == "induction") & (table["step"] == 0)]
    assert early["value"].max() < 0.1  # before the training there was none
    assert table["step"].nunique() == 4


def test_the_block_of_the_largest_rise_is_named() -> None:
    middle = _verdict({0: 0.1, 1: 0.12, 2: 0.81, 3: 1.0}, 500).sentence
    assert "mostly in block 2 of 3: before it 12% of 500 answers" in middle
    assert "after it 81%; most of them stand from block 2 on." in middle
    last = _verdict({0: 0.1, 1: 0.3, 2: 1.0}, 500).sentence
    assert "in the last of its 2 blocks: before it 30% of 500 answers" in last
    assert "with the embedding" in _verdict({0: 0.9, 1: 1.0}, 5).sentence


@pytest.mark.usefixtures("undrawn")
def test_the_answer_is_formed_in_the_block_that_alone_does_something() -> None:
    of = model("decoder", n_layers=3)
    for i in (0, 2):
        block = of.blocks[i]
        for part_ in (block.attn.W_O, block.attn.b_O, block.mlp.W_out, block.mlp.b_out):
            part_.data.zero_()
    section = forming(audit(of, sentences(60)))
    assert "mostly in block 2 of 3" in finding(section, "forming").sentence
    assert section.measures["forming.after_2"] == 1.0
    assert section.measures["forming.after_1"] == section.measures["forming.after_0"] < 1.0


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder", "classifier", "tags"])
def test_every_shape_is_answered_and_twice_alike(shape: str) -> None:
    records: list[Any] = sentences(100)
    more: dict[str, Any] = {}
    if shape == "classifier":
        of, records = model("encoder", **CLASSES), list(examples(100))
        more = {"task": Classification(("neg", "pos"))}
    elif shape == "tags":
        of, records = model("encoder", **{**CLASSES, "head": "token_classification"}), tagged(100)
        assert isinstance(records[0], Tagged)
    else:
        of = model(shape)
        records = list(pairs(100)) if shape == "encoder_decoder" else records
    one, two = (part(audit(of, records, **more)) for _ in range(2))
    assert one.findings == two.findings and one.measures == two.measures
    for name, table in one.tables.items():
        assert table.equals(two.tables[name])
    keys = {found.key for found in one.findings}
    assert {"probes.word_before", "probes.forming", "probes.heads_previous"} <= keys
    assert ("probes.class_of_the_text" in keys) == (shape == "classifier")
    assert ("probes.tag_of_the_word" in keys) == (shape == "tags")
    levels = {found.key: found.level for found in one.findings}
    assert levels.pop("probes.forming") == ("unknown" if shape == "tags" else "fine")
    assert set(levels.values()) == {"fine"}


@pytest.mark.usefixtures("undrawn")
def test_without_examples_it_says_what_to_give(induction: Audited) -> None:
    section = part(audit(model()))
    assert "--data" in finding(section, "layers").sentence
    assert finding(section, "forming").level == "fine"  # on random tokens
    assert finding(layers(induction), "layers").level == "unknown"
