"""`interp.load`: names, folders and objects, and every way in which there is nothing to open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import interp
from interp import HookedTransformer, InputError, LoadError, UnsupportedModelError
from interp.pretrained import save_folder
from tests.model.configurations import build
from tests.pretrained.hf_models import PAD, VOCABULARY, make, output
from tests.pretrained.test_folder import tokenizer


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    make("gpt2").save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def ids(length: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(5, VOCABULARY, (2, length), generator=generator)


# -- what opens ----------------------------------------------------------------------------------


def test_a_zoo_name() -> None:
    model = interp.load("stories")
    assert isinstance(model, HookedTransformer)
    assert model.cfg.model_name == "stories"
    assert model.tokenizer is not None


def test_folders_by_path_and_by_text(gpt2: Path, tmp_path: Path) -> None:
    save_folder(build("decoder"), tmp_path / "own")
    for folder in (gpt2, tmp_path / "own"):
        by_path, by_text = interp.load(folder), interp.load(str(folder))
        assert by_path.cfg == by_text.cfg
        assert torch.equal(by_path.embed.weight, by_text.embed.weight)


def test_several_files_equal_one(gpt2: Path, tmp_path: Path) -> None:
    make("gpt2").save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    one, parts = interp.load(gpt2), interp.load(tmp_path / "parts")
    for key, value in one.state_dict().items():
        assert torch.equal(parts.state_dict()[key], value)


def test_a_hub_id_fetches_safe_files_only(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(gpt2)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    model = interp.load("some-one/tiny.gpt2", tokenizer=False)
    assert asked["name"] == "some-one/tiny.gpt2" and asked["revision"] is None
    interp.load("some-one/tiny.gpt2", tokenizer=False, revision="step1000")
    assert asked["revision"] == "step1000"
    assert not any(p.endswith((".bin", ".py", ".pt", "*")) for p in asked["patterns"])
    with torch.no_grad():
        assert (model(ids()) - make("gpt2")(ids()).logits).abs().max() < 5e-5


def test_the_bare_model_s_files_have_no_prefix(tmp_path: Path) -> None:
    """GPT-2's own checkpoint on the hub is one of the bare model under the name of the whole."""
    theirs = make("gpt2")
    theirs.transformer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"architectures": ["GPT2LMHeadModel"]})
    )
    with torch.no_grad():
        assert (interp.load(tmp_path)(ids()) - theirs(ids()).logits).abs().max() < 5e-5


def test_old_names_of_gain_and_shift(tmp_path: Path) -> None:
    """`bert-base-uncased` on the hub keeps TensorFlow's names, and the heads of both its tasks."""
    from safetensors.torch import load_file, save_file

    theirs = make("bert-pretraining")
    theirs.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in tensors.items()
    }
    assert renamed.keys() != tensors.keys()
    save_file(renamed, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForMaskedLM"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = interp.load(tmp_path)
    with torch.no_grad():
        assert (model(ids()) - theirs(ids()).prediction_logits).abs().max() < 5e-5


def test_calls_of_the_library_s_own_examples(tmp_path: Path) -> None:
    """`model(**tokenizer(texts))` with ids, mask and segments."""
    theirs = make("bert-classes")
    theirs.save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a"]
    words += [f"w{i}" for i in range(VOCABULARY - len(words))]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    encode = transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"))
    encode.save_pretrained(tmp_path)
    model = interp.load(tmp_path)
    batch = encode(["a good film", "bad"], ["a film", "w3"], padding=True, return_tensors="pt")
    assert {"input_ids", "attention_mask", "token_type_ids"} <= batch.keys()
    with torch.no_grad():
        assert (model(**batch) - theirs(**batch).logits).abs().max() < 5e-5
        alone = encode("a good film", return_tensors="pt")
        assert (model("a good film") - theirs(**alone).logits).abs().max() < 5e-5
    assert model.to_str_tokens("bad film") == ["[CLS]", "bad", "film", "[SEP]"]
    model.save_hf(tmp_path / "again")
    reopened = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    assert reopened("a bad film")["input_ids"] == encode("a bad film")["input_ids"]


def test_options(gpt2: Path) -> None:
    assert interp.load(gpt2, dtype=torch.float64)(ids()).dtype == torch.float64
    assert interp.load(gpt2, tokenizer=tokenizer()).to_tokens("a b").tolist() == [[1, 3, 4]]
    with pytest.raises(InputError, match="table of 48 positions"):
        interp.load(gpt2, n_ctx=64)
    llama = interp.load(make("llama"), n_ctx=60)
    assert llama(ids(60)).shape == (2, 60, VOCABULARY)


def test_the_device_of_an_object_is_kept_or_changed() -> None:
    assert interp.load(make("gpt2")).cfg.device == "cpu"
    assert interp.load(make("gpt2"), device="cpu").embed.weight.device.type == "cpu"


# -- what does not -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["./nowhere", "/nowhere/at/all", Path("nowhere"), "~/nowhere"])
def test_a_folder_that_is_not_there(what: Any) -> None:
    with pytest.raises(LoadError, match="no folder"):
        interp.load(what)


@pytest.mark.parametrize("what", ["what is this", "", "a/b/c", "Ünknown!"])
def test_text_that_names_nothing(what: str) -> None:
    with pytest.raises(LoadError):
        interp.load(what)


def test_an_unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def snapshot(name: str, **options: Any) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(
        LoadError, match=r"zoo \(grokking, induction, .*no route to host.*folder of a copy"
    ):
        interp.load("storys")


def test_a_revision_that_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from httpx import Request, Response
    from huggingface_hub.errors import RevisionNotFoundError

    def snapshot(name: str, **options: Any) -> str:
        answer = Response(404, request=Request("GET", "https://hub.invalid"))
        raise RevisionNotFoundError("no such revision", response=answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(LoadError, match="no revision 'step7'"):
        interp.load("some-one/tiny", revision="step7")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickles(tmp_path: Path, name: str) -> None:
    torch.save(make("gpt2").state_dict(), tmp_path / name)
    make("gpt2").config.save_pretrained(tmp_path)
    for what in (tmp_path, tmp_path / name):
        with pytest.raises(LoadError, match="safe_serialization=True"):
            interp.load(what)
    with pytest.raises(LoadError, match="safe_serialization=True"):
        interp.load(tmp_path, bridge=True)


def test_a_file_in_place_of_its_folder(gpt2: Path) -> None:
    with pytest.raises(LoadError, match="give the folder"):
        interp.load(gpt2 / "model.safetensors")


@pytest.mark.parametrize("what", [None, 3, torch.nn.Linear(2, 2)])
def test_objects_that_are_no_models(what: Any) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        interp.load(what)


def test_a_truncated_file_names_the_tensor(gpt2: Path) -> None:
    path = gpt2 / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LoadError, match="truncated: the tensor 'transformer"):
        interp.load(gpt2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_embd": 48}, r"'wte\.weight'.*\[61, 32\].*\[61, 48\]"),
        ({"n_layer": 3}, r"lacks .*h\.2\."),
        ({"n_layer": 1}, r"has .*h\.1\."),
        ({"n_head": 5}, "contradicts itself"),
    ],
)
def test_a_configuration_of_another_model(gpt2: Path, change: dict[str, int], message: str) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(LoadError, match=message):
        interp.load(gpt2)


def test_a_head_that_the_checkpoint_lacks(gpt2: Path) -> None:
    """The transformers library would draw it at random and warn."""
    config = json.loads((gpt2 / "config.json").read_text())
    config["architectures"] = ["GPT2ForSequenceClassification"]
    (gpt2 / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match=r"lacks .*'score\.weight'"):
        interp.load(gpt2)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_configuration(gpt2: Path, text: str) -> None:
    (gpt2 / "config.json").write_text(text)
    with pytest.raises(LoadError, match=r"config\.json"):
        interp.load(gpt2)


def test_an_unknown_type(gpt2: Path) -> None:
    config = json.loads((gpt2 / "config.json").read_text())
    (gpt2 / "config.json").write_text(json.dumps(config | {"model_type": "gpt99"}))
    with pytest.raises(UnsupportedModelError, match="gpt99"):
        interp.load(gpt2)


def test_a_broken_tokenizer(gpt2: Path) -> None:
    (gpt2 / "tokenizer.json").write_text("{")
    with pytest.raises(LoadError, match="tokenizer=False"):
        interp.load(gpt2)
    assert interp.load(gpt2, tokenizer=False).tokenizer is None


UNSUPPORTED: dict[str, Any] = {
    "gpt2": {"scale_attn_by_inverse_layer_idx": True},
    "llama": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
    "neox": {"hidden_act": "relu6"},
    "bert": {"is_decoder": True},
    "roberta": {"hidden_act": "relu"},
    "marian": {"share_encoder_decoder_embeddings": False},
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_a_variant_without_a_table_points_to_the_bridge(name: str) -> None:
    theirs = make(name)
    for key, value in UNSUPPORTED[name].items():
        setattr(theirs.config, key, value)
    with pytest.raises(UnsupportedModelError, match="bridge=True"):
        interp.load(theirs, bridge=False)


def test_a_family_without_a_table_points_to_the_bridge() -> None:
    config = transformers.BloomConfig(hidden_size=32, n_layer=1, n_head=4, vocab_size=VOCABULARY)
    with pytest.raises(UnsupportedModelError, match=r"bloom.*gpt2.*bridge=True"):
        interp.load(transformers.BloomForCausalLM(config), bridge=False)


def test_a_head_without_a_table_points_to_the_bridge() -> None:
    config = make("bert").config
    with pytest.raises(UnsupportedModelError, match=r"BertForMultipleChoice.*bridge=True"):
        interp.load(transformers.BertForMultipleChoice(config), bridge=False)


def test_an_own_folder_does_not_go_through_the_bridge(tmp_path: Path) -> None:
    save_folder(build("decoder"), tmp_path / "m")
    with pytest.raises(InputError, match="written here"):
        interp.load(tmp_path / "m", bridge=True)


def test_padding_tokens_of_a_classifier() -> None:
    """The library finds the last token by the padding id, we by the mask: the same one."""
    theirs = make("gpt2-classes")
    model = interp.load(theirs)
    tokens = ids()
    tokens[1, 4:] = PAD
    with torch.no_grad():
        expected = output(theirs(tokens, attention_mask=(tokens != PAD).long()))
        assert (model(tokens, attention_mask=tokens != PAD) - expected).abs().max() < 5e-5


def test_the_folder_of_a_run_opens_as_what_it_ended_with(tmp_path: Path) -> None:
    cfg = interp.TransformerConfig(d_model=8, n_layers=1, n_heads=1, d_vocab=9, n_ctx=8)
    for step in (1, 20):
        model = interp.HookedTransformer(cfg, seed=step)
        save_folder(model, tmp_path / "checkpoints" / f"step-{step:08}")
    assert torch.equal(interp.load(tmp_path).W_E, model.W_E)
    ended = interp.HookedTransformer(cfg, seed=5)
    save_folder(ended, tmp_path / "model")
    assert torch.equal(interp.load(tmp_path).W_E, ended.W_E)
