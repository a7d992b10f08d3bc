"""The atlas finds what is planted where it is planted, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

import interp
from interp.errors import HookError, InputError
from interp.figures.atlas import atlas_chart
from interp.model.transformer import HookedTransformer
from probes.atlas import SCRIPT, atlas
from probes.frames import KEYS, VALUES
from probes.labelled import Labelled, Parts
from tests.figures.spec import drawn, texts_of

WORDS = "the a dog cat bird tree house girl boy ran sat saw ate took big red old sad and or".split()
CLASS = {word: "DNVAC"[min(i // 4, 4)] for i, word in enumerate(WORDS)}


def tiny(shape: str = "decoder", seed: int = 3, **changes: Any) -> HookedTransformer:
    """A small model with the tokenizer of one of the zoo, and weights that were never trained."""
    zoo = interp.load("stories" if shape == "decoder" else "translate-en-fr")
    sizes = {"d_model": 16, "n_heads": 2, "d_head": 8, "rotary_dim": 8, "attn_scale": 8**0.5}
    cfg = zoo.cfg.replace(n_layers=2, d_mlp=32, n_key_value_heads=2, **sizes, **changes)
    return HookedTransformer(cfg, zoo.tokenizer, seed=seed).eval()


def corpus(kind: str, n: int = 120) -> Parts:
    """Sentences of random words, labelled by the class of each word, of the word before it, or by
    nothing at all."""
    generator = np.random.default_rng(0)
    words = [list(generator.choice(WORDS, 6)) for _ in range(n)]
    if kind == "word":
        labels = [[CLASS[word] for word in sentence] for sentence in words]
    elif kind == "before":
        labels = [[None, *(CLASS[word] for word in sentence[:-1])] for sentence in words]
    else:
        labels = [list(generator.choice(list("XYZ"), 6)) for _ in words]
    return Parts.by_document(Labelled.words(words, labels))


def ask(parts: Parts, model: Any = None, **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {"task": "planted", "controls": 1, "twins": 1, "draws": 200}
    return atlas(model or tiny(), data=parts, **{**defaults, **options})


def by_layer(frame: pd.DataFrame, metric: str, split: str = "test") -> list[float]:
    chosen = frame[(frame["metric"] == metric) & (frame["split"] == split)]
    return chosen.sort_values("layer")["value"].tolist()


def test_the_class_of_a_word_is_in_its_embedding() -> None:
    frame = ask(corpus("word"))
    assert list(frame.columns[:2]) == ["run", "step"] and set(VALUES) <= set(frame.columns)
    accuracy = by_layer(frame, "accuracy")
    assert len(accuracy) == 3 and accuracy[0] > 0.99
    assert by_layer(frame, "type_majority") == [1.0]
    assert by_layer(frame, "auroc")[0] > 0.99 and by_layer(frame, "bits")[0] > 1.5
    # Words that were not fitted to have nothing in common with their class here.
    assert max(by_layer(frame, "accuracy", "new types")) < 0.6
    # The control task is a task of words as well, and all words were seen.
    assert by_layer(frame, "control_accuracy")[0] > 0.99
    assert abs(by_layer(frame, "selectivity")[0]) < 0.02


def test_what_only_the_context_knows_is_not_in_the_embedding() -> None:
    model = interp.Run.open("stories-suite").final
    frame = ask(corpus("before", 240), model)
    accuracy = by_layer(frame, "accuracy")
    assert accuracy[0] < 0.35 < 0.6 < max(accuracy[1:])
    gains = frame[(frame["metric"] == "gain_over_embedding") & (frame["layer"] > 0)]
    assert (gains["ci_low"] > 0).any() and gains["p"].min() < 0.01
    best = frame[frame["metric"] == "best"]
    assert best["value"].sum() == pytest.approx(1) and best["value"].iloc[0] == 0


def test_nothing_is_found_where_there_is_nothing() -> None:
    frame = ask(corpus("nothing"))
    accuracy = frame[(frame["metric"] == "accuracy") & (frame["split"] == "test")]
    assert (accuracy["ci_low"] < 1 / 3 + 0.05).all() and (accuracy["value"] < 0.45).all()
    assert (frame.loc[frame["metric"] == "bits", "value"] < 0.05).all()
    gains = frame[frame["metric"] == "gain_over_embedding"]
    assert gains["p"].dropna().min() > 0.05


def test_an_untrained_model_gains_nothing_over_its_twins() -> None:
    frame = ask(corpus("word"), twins=3)
    assert set(frame.loc[frame["metric"] == "twin_accuracy", "draw"]) == {0, 1, 2}
    assert max(map(abs, by_layer(frame, "gain_over_twin"))) < 0.05


@pytest.mark.parametrize("probe", ["ridge", "lda", "nearest_mean", "mlp:8"])
def test_other_probes_are_asked_alike(probe: str) -> None:
    frame = ask(corpus("word"), probe=probe, twins=0, sites="blocks.0.hook_resid_pre")
    assert by_layer(frame, "accuracy")[0] > 0.7
    assert ("strength" in frame.columns) == (probe not in ("lda", "nearest_mean"))


def test_sites_of_unequal_width_and_an_encoder() -> None:
    sites = ["hook_embed", "blocks.1.mlp.hook_post"]
    frame = ask(corpus("word"), sites=sites, twins=0)
    layers = frame.loc[frame["metric"] == "bits", ["site", "layer"]].to_numpy().tolist()
    assert layers == [["hook_embed", 0], ["blocks.1.mlp.hook_post", 2]]
    encoder = ask(corpus("word"), tiny("encoder_decoder", n_decoder_layers=1), twins=0)
    found = encoder.loc[encoder["metric"] == "bits", "site"].tolist()
    assert found[0] == "encoder.0.hook_resid_pre" and found[-1] == "encoder.1.hook_resid_post"
    assert by_layer(encoder, "accuracy")[0] > 0.9


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(HookError, match=r"blocks\.9"):
        ask(corpus("word"), sites="blocks.9.hook_resid_post")
    lone = Labelled.words([["big", "dog"], ["red", "cat"]], [["A", "N"], ["A", "X"]])
    other = [Labelled.words([[f"{name} dog"]], [["N"]]) for name in ("old", "sad")]
    with pytest.raises(InputError, match="one example to fit the label 'N'"):
        ask(Parts(lone, *other))
    with pytest.raises(InputError, match="no treebank 'nowhere'"):
        atlas(tiny(), data="nowhere")


def test_an_analysis_is_called_by_the_name_of_its_module() -> None:
    import probes

    same = probes.atlas(tiny(), "planted", corpus("word"), controls=0, twins=0, draws=50)
    other = atlas(tiny(), "planted", corpus("word"), controls=0, twins=0, draws=50)
    pd.testing.assert_frame_equal(same, other)
    assert "control_accuracy" not in set(same["metric"])
    with pytest.raises(AttributeError, match="nothing"):
        _ = probes.nothing


def test_what_depends_on_the_lemma_alone_is_lost_with_the_lemma() -> None:
    """Forms of a lemma share its class and nothing else: a probe that saw one form knows no other,
    and knows none that it saw neither of. A corpus without lemmas has no such split."""
    generator = np.random.default_rng(0)
    words = [list(generator.choice(WORDS, 6)) for _ in range(120)]
    labels = [[CLASS[word] for word in sentence] for sentence in words]
    lemmas = [[str(WORDS.index(word) // 4) for word in sentence] for sentence in words]
    frame = ask(Parts.by_document(Labelled.words(words, labels, lemmas=lemmas)), twins=0)
    assert set(frame["split"]) == {"test", "new types", "new lemmas"}
    # With a lemma goes its whole class, and a class without examples is never said.
    assert by_layer(frame, "accuracy", "new lemmas") == [0.0] * 3
    assert max(by_layer(frame, "accuracy", "new types")) > 0
    assert "new lemmas" not in set(ask(corpus("word"), twins=0, controls=0)["split"])


def test_p_values_are_corrected_over_all_layers_of_all_models() -> None:
    models = [tiny(seed=seed, model_name=f"tiny {seed}") for seed in (3, 4)]
    frame = atlas(models, "planted", corpus("before"), controls=2, twins=0, draws=50)
    for metric, family in (("selectivity", 6), ("gain_over_embedding", 4)):
        p = frame[frame["metric"] == metric].dropna(subset="p")
        assert len(p) == family and set(p["run"]) == {"tiny 3", "tiny 4"}
        np.testing.assert_allclose(p["p_bh"], false_discovery_control(p["p"]), rtol=1e-12)
        ranked = p["p"].sort_values()
        holm = (ranked * np.arange(family, 0, -1)).cummax().clip(upper=1.0)
        np.testing.assert_allclose(p["p_holm"], holm.reindex(p.index), rtol=1e-12)
    assert frame.loc[frame["p"].isna(), ["p_holm", "p_bh"]].isna().all(axis=None)


def test_better_than_the_control_is_what_no_memory_solves() -> None:
    """Where every word is a type of its own, no probe can remember the control task, so that it has
    what guessing has; a task of words is better by far, one of nothing is not."""

    def apart(parts: Parts) -> Parts:
        sides = ("train", "dev", "test")
        return replace(
            parts,
            **{
                side: replace(part, types=tuple(f"{side} {i}" for i in range(len(part))))
                for side in sides
                if (part := getattr(parts, side))
            },
        )

    for kind, better in (("word", True), ("nothing", False)):
        frame = ask(apart(corpus(kind)), controls=2, twins=0)
        p = frame.loc[frame["metric"] == "selectivity", ["p", "p_holm", "p_bh"]]
        assert len(p) == 3 and ((p < 0.01) == better).all(axis=None)


def test_the_chart_says_what_was_found() -> None:
    frame = ask(corpus("word"))
    steps = [frame.assign(run="made", step=step) for step in (0, 10)]
    both = pd.concat([*steps, frame], ignore_index=True)
    figure = atlas_chart(both)
    assert "made: the probe reads the labels best at the embedding" in figure.alt
    words = texts_of(drawn(figure.chart))
    assert {"the embedding", "block 2", "control task", "the task, words never seen"} <= set(words)
    with pytest.raises(InputError, match="no accuracy"):
        atlas_chart(frame[frame["metric"] == "bits"])


def test_the_command_reads_a_treebank(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("INTERP_DATA", str(shared_data))
    monkeypatch.setattr("probes.labelled.open_treebank", _first_sentences)
    out = tmp_path / "atlas.parquet"
    arguments = ["--run", "stories-suite", "--steps", "0", "--task", "feature:Number"]
    assert SCRIPT.main([*arguments, "--twins", "0", "--controls", "1", "--out", str(out)]) == 0
    assert pd.read_parquet(out)["task"].unique().tolist() == ["feature:Number"]
    assert set(KEYS) & set(pd.read_parquet(out).columns) >= {"run", "step", "layer", "draw"}


def _first_sentences(name: str, data: Path, split: str) -> Any:
    from interp.data.treebank import open_treebank

    return open_treebank(name, data, split)[:150]
