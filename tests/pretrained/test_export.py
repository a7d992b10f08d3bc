"""Models made or changed here, as models of the transformers library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp import ConfigError, TransformerConfig, UnsupportedModelError
from interp.pretrained.families import FAMILIES
from tests.model.configurations import CONFIGURATIONS, build, example
from tests.pretrained.hf_models import make, output


def test_the_zoo_is_open_to_others(tmp_path: Path) -> None:
    import transformers

    model = interp.load("stories")
    model.save_hf(tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    encode = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "Once upon a time there was a little"
    ids = encode(text, return_tensors="pt")["input_ids"]
    assert torch.equal(ids, model.to_tokens(text, prepend_bos=False))
    with torch.no_grad():
        assert (theirs(ids).logits - model(ids)).abs().max() < 5e-5


# Configuration of our own -> the class of the first family that can hold it.
MADE_HERE: dict[str, tuple[dict[str, Any], str]] = {
    "gpt2": ({}, "GPT2LMHeadModel"),
    "llama": (
        {
            "positional_embedding_type": "rotary",
            "normalization_type": "RMS",
            "gated_mlp": True,
            "act_fn": "silu",
            "qkv_bias": False,
            "attn_out_bias": False,
            "mlp_bias": False,
            "n_key_value_heads": 2,
        },
        "LlamaForCausalLM",
    ),
    "neox": (
        {"positional_embedding_type": "rotary", "parallel_attn_mlp": True, "rotary_dim": 4},
        "GPTNeoXForCausalLM",
    ),
    "bert": (
        {
            "shape": "encoder",
            "head": "mlm",
            "norm_position": "post",
            "embed_norm": True,
            "n_segments": 2,
            "unembed_bias": True,
        },
        "BertForMaskedLM",
    ),
    "marian": (
        {
            "shape": "encoder_decoder",
            "positional_embedding_type": "sinusoidal",
            "norm_position": "post",
            "unembed_bias": True,
            "embed_scale": 4.0,
            "act_fn": "relu",
            "tie_word_embeddings": True,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
        },
        "MarianMTModel",
    ),
}


@pytest.mark.parametrize("name", MADE_HERE)
def test_a_model_made_here_finds_its_family(name: str) -> None:
    fields, architecture = MADE_HERE[name]
    cfg = TransformerConfig(d_model=16, n_layers=2, n_heads=2, d_vocab=29, n_ctx=24, **fields)
    model = build(cfg)
    theirs = model.to_hf()
    assert type(theirs).__name__ == architecture
    inputs = example(cfg)
    renamed = {"tokens": "input_ids", "decoder_tokens": "decoder_input_ids"}
    with torch.no_grad():
        expected = output(theirs(**{renamed.get(key, key): v for key, v in inputs.items()}))
        assert (expected - model(**inputs)).abs().max() < 5e-5


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("decoder-alibi", "positional_embedding_type"),
        ("decoder-attn-only", "attn_only"),
        ("decoder-soft-cap", "attn_scores_soft_cap"),
        ("decoder-gemma", "output_logits_soft_cap"),
        ("encoder-mean-classification", "pooling"),
        ("pair-pre-norm", "positional_embedding_type"),
    ],
)
def test_what_no_family_can_hold_is_refused_by_field(name: str, field: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"{field}.*save_folder"):
        build(name).to_hf()


def test_every_configuration_is_exact_or_refused() -> None:
    """No variant is lost on the way: what is written computes the same."""
    written = set()
    for name, cfg in CONFIGURATIONS.items():
        # Most families take heads of one width only, d_model / n_heads.
        for changes in ({}, {"d_head": cfg.d_model // cfg.n_heads // 2 * 2}):
            try:
                model = build(cfg.replace(**changes))
                theirs = model.to_hf()
            except (UnsupportedModelError, ConfigError):
                continue
            written.add(name)
            inputs = example(cfg)
            with torch.no_grad():
                difference = interp.load(theirs)(**inputs) - model(**inputs)
            assert difference.abs().max() < 1e-6, name
    assert len(written) >= 12


def test_folding_is_exact_or_refused() -> None:
    """A folded GPT-2 has a bias on its logits, for which the library's GPT-2 has no place."""
    model = interp.load(make("gpt2")).folded()
    with pytest.raises(UnsupportedModelError, match="unembed_bias"):
        model.to_hf()


def test_changed_weights_go_along() -> None:
    model = interp.load(make("bert-classes"))
    with torch.no_grad():
        model.output.classifier.weight.mul_(2)
    theirs = model.to_hf()
    assert torch.equal(theirs.classifier.weight, model.output.classifier.weight)
    assert theirs.classifier.weight is not model.output.classifier.weight


def test_precision_mode_and_random_state() -> None:
    model = interp.load(make("llama"), dtype=torch.float64).train()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    theirs = model.to_hf()
    assert torch.equal(torch.rand(3), expected)
    assert theirs.dtype == torch.float64
    assert theirs.training
    assert not model.eval().to_hf().training


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    interp.load(make("gpt2")).save_hf(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("card")
    interp.load(make("bert")).save_hf(tmp_path / "m")
    assert (tmp_path / "m" / "README.md").read_text() == "card"
    assert interp.load(tmp_path / "m").cfg.original_architecture == "BertForMaskedLM"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_each_class_of_a_table_exists(family: Any) -> None:
    import transformers

    for architecture in family.heads:
        assert hasattr(transformers, architecture)
