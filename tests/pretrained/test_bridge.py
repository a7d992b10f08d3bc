"""Models without a table, through TransformerLens's bridge, behind the protocol of our own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import interp
from interp import (
    ConfigError,
    HookedTransformer,
    HookError,
    InputError,
    LoadError,
    UnsupportedModelError,
)
from interp.model.protocol import LanguageModel
from interp.pretrained import BridgedTransformer
from tests.model.configurations import build
from tests.pretrained.test_folder import tokenizer

N = 50


def _gptj() -> Any:
    config = transformers.GPTJConfig(
        vocab_size=N, n_positions=32, n_embd=32, n_layer=2, n_head=4, rotary_dim=4
    )
    return transformers.GPTJForCausalLM(config)


def _wide(kind: str, **more: Any) -> Any:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=N,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        **more,
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config)


MAKERS: dict[str, Any] = {
    "gptj": _gptj,
    "opt": lambda: _wide("OPT", ffn_dim=64, word_embed_proj_dim=32),
    "phi": lambda: _wide("Phi", intermediate_size=64),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


@cache
def pair(name: str) -> tuple[BridgedTransformer, Any]:
    torch.manual_seed(0)
    theirs = MAKERS[name]().eval()
    return interp.load(theirs, tokenizer=tokenizer()), theirs


def ids(length: int = 7) -> Tensor:
    return torch.randint(4, N, (2, length), generator=torch.Generator().manual_seed(2))


@EVERY
def test_logits_and_loss(name: str) -> None:
    model, theirs = pair(name)
    with torch.no_grad():
        expected = theirs(ids())
        assert (model(ids()) - expected.logits).abs().max() < 5e-5
        loss = theirs(ids(), labels=ids()).loss
        assert (model(ids(), return_type="loss") - loss).abs() < 5e-5
        assert (model(input_ids=ids()) - expected.logits).abs().max() < 5e-5


@EVERY
def test_padding_on_either_side(name: str) -> None:
    model, _ = pair(name)
    padding = torch.full((2, 3), 4)
    real = torch.ones(2, 7, dtype=torch.long)
    with torch.no_grad():
        alone = model(ids())
        left = model(
            torch.cat([padding, ids()], 1),
            attention_mask=torch.cat([torch.zeros_like(padding), real], 1),
        )
        right = model(
            torch.cat([ids(), padding], 1),
            attention_mask=torch.cat([real, torch.zeros_like(padding)], 1),
        )
    assert (left[:, 3:] - alone).abs().max() < 5e-5
    assert (right[:, :7] - alone).abs().max() < 5e-5


@EVERY
def test_hidden_states_and_attentions(name: str) -> None:
    model, theirs = pair(name)
    theirs.set_attn_implementation("eager")
    with torch.no_grad():
        result = theirs(ids(), output_hidden_states=True, output_attentions=True)
        logits, cache = model.run_with_cache(ids())
    assert (logits - result.logits).abs().max() < 5e-5
    assert isinstance(cache, Mapping)
    for i in range(2):
        assert (cache["resid_pre", i] - result.hidden_states[i]).abs().max() < 5e-5
        assert (cache["pattern", i] - result.attentions[i]).abs().max() < 5e-5
    assert list(cache) == list(model.hook_points)


@EVERY
def test_shapes_are_those_of_the_table(name: str) -> None:
    model, _ = pair(name)
    cfg = model.cfg
    sizes = {"batch": 2, "pos": 7, "query_pos": 7, "key_pos": 7, "d_model": cfg.d_model}
    sizes |= {"head": cfg.n_heads, "kv_head": cfg.n_heads, "d_head": cfg.d_head, "1": 1}
    sizes["d_mlp"] = cfg.d_mlp
    _, cache = model.run_with_cache(ids())
    for point, value in cache.items():
        assert list(value.shape) == [sizes[d] for d in model.hook_points[point].shape.split()]


@pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale")
@EVERY
def test_an_edit_changes_the_logits_or_is_refused(name: str) -> None:
    """Law (d): no point takes an edit and forgets it."""
    model, _ = pair(name)
    refused = []
    with torch.no_grad():
        logits = model(ids())
        for point in model.hook_points:
            edit = [(point, lambda value, hook: value + 0.5 * value.abs() + 0.1)]
            try:
                assert not torch.equal(model.run_with_hooks(ids(), fwd_hooks=edit), logits), point
            except HookError:
                refused.append(point.rsplit(".", 1)[-1])
    assert set(refused) <= {"hook_pattern", "hook_resid_mid"}
    # What the bridge gets right stays open, and what the library computes inside itself does not.
    assert ("hook_pattern" in refused) == (name != "phi")


def test_reading_is_allowed_where_editing_is_not() -> None:
    model, _ = pair("opt")
    seen: list[Tensor] = []
    model.run_with_hooks(
        ids(), fwd_hooks=[("blocks.0.hook_resid_mid", lambda value, hook: seen.append(value))]
    )
    _, cache = model.run_with_cache(ids())
    assert torch.equal(seen[0], cache["resid_mid", 0])
    assert torch.allclose(cache["resid_mid", 0], cache["resid_pre", 0] + cache["attn_out", 0])
    with pytest.raises(HookError, match="skip path"):
        model.run_with_hooks(
            ids(), fwd_hooks=[("blocks.0.hook_resid_mid", lambda value, hook: value.mul_(2))]
        )


def test_nothing_stays_after_a_call_or_an_exception() -> None:
    model, _ = pair("gptj")
    with torch.no_grad():
        logits = model(ids())

        def stop(value: Tensor, hook: Any) -> None:
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            model.run_with_hooks(ids(), fwd_hooks=[("hook_embed", stop)])
        with model.hooks([("hook_embed", lambda value, hook: value * 0)]):
            assert not torch.equal(model(ids()), logits)
        assert torch.equal(model(ids()), logits)


def test_the_given_model_is_left_alone() -> None:
    theirs = MAKERS["gptj"]().eval()
    before = str(theirs)
    interp.load(theirs)
    assert str(theirs) == before


def test_gradients() -> None:
    torch.manual_seed(0)
    model = interp.load(MAKERS["gptj"]().eval(), dtype=torch.float64)
    point = "blocks.0.hook_resid_pre"
    loss, cache = model.run_with_cache(ids(), return_type="loss", incl_bwd=True)
    gradient = cache[f"{point}_grad"]
    seen: list[Tensor] = []
    keep = [(point, lambda gradient, hook: seen.append(gradient))]
    value = model.run_with_hooks(ids(), return_type="loss", bwd_hooks=keep)
    value.backward()
    assert torch.allclose(seen[0], gradient)
    assert torch.equal(value.detach(), loss)

    # Against a difference quotient along one direction.
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)

    def at(step: float) -> float:
        shift = [(point, lambda value, hook: value + step * direction)]
        return model.run_with_hooks(ids(), return_type="loss", fwd_hooks=shift).item()

    slope = (at(1e-6) - at(-1e-6)) / 2e-6
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_filters_slices_and_short_names() -> None:
    model, _ = pair("phi")
    logits, cache = model.run_with_cache(ids(), names_filter=["blocks.1.attn.hook_q"], pos_slice=-1)
    assert logits is None
    assert list(cache) == ["blocks.1.attn.hook_q"]
    assert cache["q", 1].shape == (2, 1, 4, 8)
    _, cache = model.run_with_cache(ids()[:1], remove_batch_dim=True)
    assert cache["resid_post", -1].shape == (7, 32)


def test_text() -> None:
    model, _ = pair("phi")
    assert model.to_tokens("a b").tolist() == [[1, 3, 4]]
    assert model.to_str_tokens("a c") == ["<bos>", "a", "c"]
    assert model.to_single_token("b") == 4
    assert model.to_string(torch.tensor([3, 4])) == "a b"
    with torch.no_grad():
        padded = model(["a b c", "a"])
        assert (padded[1, :2] - model("a")[0]).abs().max() < 5e-5


def test_weights() -> None:
    model, theirs = pair("phi")
    assert torch.equal(model.W_E, theirs.get_input_embeddings().weight)
    assert torch.equal(model.W_U, theirs.lm_head.weight.T)
    with torch.no_grad():
        logits, cache = model.run_with_cache(ids())
        assert (model.finish(cache["resid_post", -1]) - logits).abs().max() < 5e-5


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: m(torch.tensor([[N]])), InputError),
        (lambda m: m(torch.tensor([[-1]])), InputError),
        (lambda m: m(torch.zeros(1, 33, dtype=torch.long)), InputError),
        (lambda m: m(torch.zeros(1, 0, dtype=torch.long)), InputError),
        (lambda m: m(ids(), attention_mask=torch.ones(2, 3)), InputError),
        (lambda m: m(ids().float()), InputError),
        (lambda m: m(None), InputError),
        (lambda m: m(ids(), return_type="logit"), InputError),
        (lambda m: m.run_with_hooks(ids(), fwd_hooks=[("hook_embed", 3)]), InputError),
        (lambda m: m.run_with_cache(ids(), incl_bwd=True), InputError),
        (lambda m: m.run_with_cache(ids(), names_filter="hook_embet"), HookError),
        (lambda m: m.run_with_cache(ids(), names_filter="blocks.7.hook_mlp_out"), HookError),
    ],
)
def test_bad_input(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(pair("phi")[0])


def test_a_bridge_object_and_the_bridge_on_request(tmp_path: Path) -> None:
    from tests.pretrained.hf_models import make

    native = interp.load(make("gpt2"))
    bridged = interp.load(make("gpt2"), bridge=True)
    assert isinstance(bridged, BridgedTransformer)
    make("gpt2").save_pretrained(tmp_path)
    again = interp.load(interp.load(tmp_path, bridge=True).bridge)
    with torch.no_grad():
        logits, cache = native.run_with_cache(ids())
        for other in (bridged, again):
            theirs, values = other.run_with_cache(ids())
            assert (theirs - logits).abs().max() < 5e-5
            for point, value in values.items():
                assert (cache[point] - value).abs().nan_to_num(0, 0, 0).max() < 5e-5, point


def test_an_encoder_decoder() -> None:
    torch.manual_seed(0)
    halves = {
        f"{half}_{name}": n
        for half in ("encoder", "decoder")
        for name, n in (("layers", 2), ("ffn_dim", 64), ("attention_heads", 4))
    }
    config = transformers.BartConfig(
        vocab_size=N, d_model=32, max_position_embeddings=32, pad_token_id=1, **halves
    )
    theirs = transformers.BartForConditionalGeneration(config).eval()
    model = interp.load(theirs)
    assert model.cfg.shape == "encoder_decoder"
    with torch.no_grad():
        expected = theirs(ids(), decoder_input_ids=ids(5), output_attentions=True)
        theirs.set_attn_implementation("eager")
        attentions = theirs(ids(), decoder_input_ids=ids(5), output_attentions=True)
        logits, cache = model.run_with_cache(ids(), decoder_tokens=ids(5))
    assert (logits - expected.logits).abs().max() < 5e-5
    pairs = {
        "encoder.1.attn": attentions.encoder_attentions,
        "decoder.1.attn": attentions.decoder_attentions,
        "decoder.1.cross_attn": attentions.cross_attentions,
    }
    for path, patterns in pairs.items():
        assert (cache[f"{path}.hook_pattern"] - patterns[1]).abs().max() < 5e-5


def test_a_folder_that_lacks_weights(tmp_path: Path) -> None:
    """The transformers library would draw them at random."""
    from safetensors.torch import load_file, save_file

    pair("gptj")[1].save_pretrained(tmp_path)
    with torch.no_grad():
        assert (interp.load(tmp_path)(ids()) - pair("gptj")[0](ids())).abs().max() < 5e-5
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["transformer.h.1.mlp.fc_in.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match=r"h\.1\.mlp\.fc_in\.weight"):
        interp.load(tmp_path)


def test_the_bridge_takes_no_other_context() -> None:
    with pytest.raises(InputError, match="n_ctx"):
        interp.load(MAKERS["gptj"](), n_ctx=64)


def test_what_the_bridge_cannot_open() -> None:
    config = transformers.ElectraConfig(
        vocab_size=N, hidden_size=32, num_hidden_layers=1, num_attention_heads=4
    )
    with pytest.raises(UnsupportedModelError, match="no adapter"):
        interp.load(transformers.ElectraForPreTraining(config))


def test_no_unembedding_is_said_in_our_words() -> None:
    model = BridgedTransformer(_WithoutUnembedding(pair("gptj")[0].bridge))
    with pytest.raises(ConfigError, match="no unembedding"):
        _ = model.W_U


class _WithoutUnembedding:
    """A bridge that finds no output."""

    def __init__(self, bridge: Any):
        self.original_model = bridge.original_model
        self.cfg = bridge.cfg

    @property
    def W_U(self) -> Tensor:
        raise AttributeError("unembed")


def _members() -> list[str]:
    own = set(vars(LanguageModel)) | set(LanguageModel.__annotations__)
    return sorted(n for n in own if not n.startswith("_") or n == "__call__")


def test_both_kinds_of_model_satisfy_the_protocol() -> None:
    bridged, _ = pair("gptj")
    native = build("decoder")
    assert len(_members()) > 10
    for name in _members():
        for model in (bridged, native):
            assert hasattr(model, name)
        # What an explainer passes by name to the one, the other takes too.
        ours, theirs = getattr(HookedTransformer, name, 0), getattr(BridgedTransformer, name, 0)
        if inspect.isfunction(ours) and name != "run_with_hooks":
            wanted = set(inspect.signature(getattr(LanguageModel, name)).parameters)
            wanted -= {"args", "inputs", "options"}
            assert wanted <= set(inspect.signature(ours).parameters)
            assert wanted <= set(inspect.signature(theirs).parameters)
