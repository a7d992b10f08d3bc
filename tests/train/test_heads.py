"""A new head on an old trunk."""

from __future__ import annotations

import pytest
import torch

import interp
from interp.errors import ConfigError, InputError
from interp.train.heads import with_head
from tests.model.configurations import build, example


@pytest.mark.parametrize("name", ["decoder", "encoder-bert"])
@pytest.mark.parametrize("head", ["classification", "token_classification", "span", "none"])
def test_the_trunk_stays_and_the_head_has_the_right_size(name: str, head: str) -> None:
    model = build(name)
    names = ("a", "b", "c") if "class" in head else ()
    new = with_head(model, head, names)
    inputs = example(model.cfg)
    last = model.cfg.n_layers
    assert torch.equal(new(**inputs, stop_at_layer=last), model(**inputs, stop_at_layer=last))
    shape = {
        "classification": (2, 3),
        "token_classification": (2, 7, 3),
        "span": (2, 7, 2),
        "none": (2, 7, 16),
    }[head]
    assert new(**inputs).shape == shape
    with torch.no_grad():
        new.embed.weight += 1
    assert not torch.equal(new.embed.weight, model.embed.weight)
    assert with_head(new, head, names) is new
    if names:
        assert with_head(new, head, names[::-1]) is not new  # other classes need another head


def test_a_classifier_reads_where_the_whole_text_is_known() -> None:
    """Of a decoder that is the last real position: padding behind it changes nothing."""
    model = with_head(build("decoder"), "classification", "ab")
    assert model.cfg.pooling == "last"
    tokens = example(model.cfg)["tokens"]
    padded = torch.cat([tokens, torch.zeros_like(tokens)], 1)
    mask = torch.cat([torch.ones_like(tokens), torch.zeros_like(tokens)], 1)
    torch.testing.assert_close(model(padded, attention_mask=mask), model(tokens))
    assert with_head(build("encoder-bert"), "classification", "ab").cfg.pooler_act == "tanh"


def test_the_seed_decides_the_head_and_a_pair_of_stacks_has_none() -> None:
    one, other, same = (with_head(build("decoder"), "span", seed=seed) for seed in (1, 2, 1))
    heads = [model.output.classifier.weight for model in (one, other, same)]
    assert torch.equal(heads[0], heads[2]) and not torch.equal(heads[0], heads[1])
    with pytest.raises(ConfigError, match="writes text"):
        with_head(build("pair-t5"), "classification", "ab")


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("decoder", "GPT2LMHeadModel"),
        ("encoder-bert", "BertForMaskedLM"),
        ("encoder-bert", "DistilBertForMaskedLM"),
    ],
)
def test_a_model_of_the_transformers_library_stays_one(name: str, architecture: str) -> None:
    changes = {"tie_word_embeddings": True, "d_head": 4}
    if architecture.startswith("Distil"):
        changes |= {"n_segments": 0, "eps": 1e-12}
    model = with_head(
        build(name, original_architecture=architecture, **changes),
        "classification",
        ("bad", "good", "neither"),
    )
    family = architecture.removesuffix("LMHeadModel").removesuffix("ForMaskedLM")
    theirs = model.to_hf()
    assert type(theirs).__name__ == f"{family}ForSequenceClassification"
    assert theirs.config.id2label == {0: "bad", 1: "good", 2: "neither"}
    theirs.config.pad_token_id = 28
    tokens = example(model.cfg)["tokens"] % 28
    torch.testing.assert_close(theirs(tokens).logits, model(tokens))


def test_classes_keep_their_names_on_the_way_there_and_back() -> None:
    model = with_head(
        build("encoder-bert", original_architecture="BertForMaskedLM", d_head=4),
        "classification",
        ("no", "yes"),
    )
    theirs = model.to_hf()
    assert interp.load(theirs).cfg.class_names == ("no", "yes")
    tokens = example(model.cfg)["tokens"][:1]
    named = interp.attribute(model, tokens, "saliency", interp.Target.logit("yes"))
    assert (
        named.scores == interp.attribute(model, tokens, "saliency", interp.Target.logit(1)).scores
    )
    assert "yes" in named.target
    with pytest.raises(InputError, match="no, yes"):
        interp.attribute(model, tokens, "saliency", interp.Target.logit("maybe"))
    with pytest.raises(ConfigError, match="class_names"):
        model.cfg.replace(class_names=("no", "no"))
