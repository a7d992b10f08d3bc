"""What is audited: the model, its task, and the examples that come with it or are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.audit.audited import Audited
from apps.audit.opening import open_audited
from apps.audit.recipe import Recipe, sha256_of
from interp import ConfigError, HookedTransformer, InputError, LoadError, TransformerConfig, load
from interp.pretrained.folder import save_folder
from interp.train.heads import with_head
from interp.train.tasks import save_task
from interp.train.tasks.classification import Classification
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.sequence import Summarisation, Translation
from interp.zoo import zoo_folder


@pytest.mark.parametrize(
    ("name", "task", "learnt"),
    [
        ("stories", LanguageModelling(), True),
        ("reviews", Classification(("neg", "pos")), True),
        ("planted", Classification(("neg", "pos")), False),
        ("translate-en-fr", Translation(), True),
        ("stories-suite", LanguageModelling(), True),
    ],
)
def test_a_model_of_the_zoo_comes_with_its_task_and_examples(
    name: str, task: object, learnt: bool
) -> None:
    audited = open_audited(name)
    assert audited.task == task
    assert audited.held_out is not None
    assert audited.held_out.source == f"comes with {name}"
    assert (audited.learnt is not None) is learnt
    assert (audited.run is not None) is (name == "stories-suite")
    assert audited.folder == zoo_folder(name)


def test_a_model_for_numbers_has_no_task_and_takes_no_examples(
    induction: Audited, tmp_path: Path
) -> None:
    assert induction.task is None
    assert induction.held_out is None
    assert induction.run is not None
    (tmp_path / "x.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match="says no task"):
        open_audited("induction", data=str(tmp_path / "x.jsonl"))


def tiny(folder: Path, *labels: str) -> HookedTransformer:
    """A small encoder with a tokenizer, a classifier if there are labels."""
    tokenizer = load("reviews").tokenizer
    cfg = TransformerConfig(
        shape="encoder", head="mlm", d_model=8, n_layers=1, n_heads=1, d_vocab=6000, n_ctx=16
    )
    model = HookedTransformer(cfg, tokenizer)
    if labels:
        model = with_head(model, "classification", labels)
    save_folder(model, folder)
    return model


def test_a_folder_of_our_own(tmp_path: Path) -> None:
    tiny(tmp_path / "masked")
    audited = open_audited(str(tmp_path / "masked"))
    assert audited.name == "masked"
    assert audited.task == MaskedLM()
    assert audited.held_out is None


def test_the_task_that_a_folder_names_counts(tmp_path: Path) -> None:
    tiny(tmp_path, "no", "yes")
    task = Classification(("no", "yes"))
    save_task(task, tmp_path)
    assert open_audited(str(tmp_path)).task == task
    assert open_audited(str(tmp_path), task="classification").task == task
    assert open_audited(str(tmp_path), task="summarisation").task == Summarisation()
    with pytest.raises(ConfigError, match="no task 'x'"):
        open_audited(str(tmp_path), task="x")


def test_examples_of_a_file_take_the_place_of_those_of_the_zoo(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"text": "a fine film", "label": "pos"}) + "\n")
    audited = open_audited("reviews", data=str(file))
    assert audited.held_out is not None
    assert audited.held_out.source == "mine.jsonl"
    assert audited.held_out.sha256 == sha256_of(file)
    assert [record.text for record in audited.held_out.records] == ["a fine film"]


def test_examples_of_a_public_set(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERP_DATA", str(shared_data))
    audited = open_audited("reviews", data="set:sentence_polarity:test")
    assert audited.held_out is not None
    assert audited.held_out.source == "set:sentence_polarity:test"
    assert len(audited.held_out.sha256) == 64


def test_examples_of_another_task_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"source": "a", "target": "b"}\n')
    with pytest.raises(InputError, match="no field 'text'"):
        open_audited("reviews", data=str(tmp_path / "x.jsonl"))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError):
        open_audited(str(tmp_path / "none"))


def test_the_recipe_knows_each_thing_that_a_figure_depends_on(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"text": "a fine film", "label": "pos"}) + "\n")
    recipe = Recipe.of(open_audited("reviews"))
    assert recipe.differences(vars(recipe)) == []
    other = Recipe.of(open_audited("planted", data=str(file), depth="full", seed=1))
    assert set(recipe.differences(vars(other))) == {
        *("weights", "configuration", "held_out", "learnt", "files", "depth", "seed")
    }
