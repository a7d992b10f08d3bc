"""TransformerLens's own tools run on our model unchanged, and find what they find on its own.

The oracle is a `TransformerBridge` around a tiny random GPT-2 of the transformers library with the
same weights. In "compatibility mode" the bridge folds norms and centres weights, so it is compared
with `model.folded()`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from tokenizers import models, pre_tokenizers
from torch import Tensor

from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from tests.model.configurations import CONFIGURATIONS, build, example, shared_model

# Importing it reads and patches much, so it happens in this file alone.
transformer_lens = pytest.importorskip("transformer_lens")

from transformer_lens import head_detector, model_protocol, patching  # noqa: E402
from transformer_lens.model_bridge.sources._bridge_builder import (  # noqa: E402
    build_bridge_from_module,
)
from transformer_lens.tools import training  # noqa: E402
from transformer_lens.tools.analysis import direct_logit_attribution  # noqa: E402

N_VOCAB, N_CTX = 29, 16
CLEAN = torch.tensor([[0, 3, 7, 3, 9, 11], [0, 4, 8, 4, 10, 12]])
CORRUPTED = torch.tensor([[0, 5, 6, 5, 9, 11], [0, 1, 2, 1, 10, 12]])
SENTENCE = "w3 w7 w3 w9 w3 w7 w11"


# -- one set of weights, three models ------------------------------------------------------------


def gpt2() -> transformers.GPT2LMHeadModel:
    """A fresh copy of the same random model: a bridge takes it over."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        n_embd=16,
        n_layer=2,
        n_head=4,
        vocab_size=N_VOCAB,
        n_positions=N_CTX,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0.0,  # so that a training step is the same on both sides
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def words() -> transformers.PreTrainedTokenizerFast:
    """Token i is the word `wi`; token 0 begins a text."""
    vocabulary = {"<|endoftext|>": 0} | {f"w{i}": i for i in range(1, N_VOCAB)}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="w1"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    role = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "pad")}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **role)


def ours() -> HookedTransformer:
    theirs = {name: value.clone() for name, value in gpt2().transformer.state_dict().items()}
    cfg = TransformerConfig(
        d_model=16,
        n_layers=2,
        n_heads=4,
        d_vocab=N_VOCAB,
        n_ctx=N_CTX,
        tie_word_embeddings=True,
        bos_token_id=0,
    )
    state = {
        "embed.weight": theirs["wte.weight"],
        "output.unembed.weight": theirs["wte.weight"],
        "input.positions.weight": theirs["wpe.weight"],
        "ln_final.weight": theirs["ln_f.weight"],
        "ln_final.bias": theirs["ln_f.bias"],
    }
    layers = {"attn.qkv": "attn.c_attn", "attn.out": "attn.c_proj"}
    layers |= {"mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj", "ln1": "ln_1", "ln2": "ln_2"}
    for i in range(2):
        for mine, other in layers.items():
            weight = theirs[f"h.{i}.{other}.weight"]
            state[f"blocks.{i}.{mine}.weight"] = weight.t() if weight.ndim == 2 else weight
            state[f"blocks.{i}.{mine}.bias"] = theirs[f"h.{i}.{other}.bias"]
    model = HookedTransformer(cfg, Tokenizer.from_hf(words()))
    model.load_state_dict(state)
    return model.eval()


def bridge(compatible: bool = False) -> Any:
    module = gpt2()
    built = build_bridge_from_module(module, "GPT2LMHeadModel", hf_config=module.config)
    # A bridge takes only tokenizers that were loaded from somewhere, so it borrows ours.
    text = ours()
    built.to_tokens, built.to_single_token = text.to_tokens, text.to_single_token
    if compatible:
        built.enable_compatibility_mode(disable_warnings=True)
    return built.eval()


@pytest.fixture(scope="module")
def plain() -> tuple[HookedTransformer, Any]:
    """Ours and theirs, weights as they are."""
    return ours(), bridge()


@pytest.fixture(scope="module")
def folded() -> tuple[HookedTransformer, Any]:
    """Ours and theirs, folded and centred."""
    return ours().folded(), bridge(compatible=True)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def close(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs.to(mine.dtype), atol=2e-5, rtol=2e-5)


# -- the model itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocol",
    ["TransformerLensModel", "TransformerLensModelWithWeights", "TrainableTransformerLensModel"],
)
def test_the_protocols(protocol: str) -> None:
    kind = getattr(model_protocol, protocol)
    model = shared_model("decoder")
    assert isinstance(model, kind)
    # Python 3.12 and later look members up in this way, in which submodules are invisible.
    members = [name for name in dir(kind) if not name.startswith("_")]
    assert all(inspect.getattr_static(model, name, None) is not None for name in members)


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_every_activation_is_the_bridges(pair: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(pair)
    logits, cache = mine.run_with_cache(CLEAN)
    other_logits, other = theirs.run_with_cache(CLEAN)
    close(logits, other_logits)
    only_here = {f"blocks.{i}.hook_mlp_in" for i in range(2)}  # theirs waits for a switch
    for name in set(cache) - only_here:
        allowed = torch.isfinite(cache[name])  # masked scores are -inf, or in raw mode -3.4e38
        close(cache[name][allowed], other[name][allowed])


def test_folding_is_what_compatibility_mode_does(folded: tuple[HookedTransformer, Any]) -> None:
    mine, theirs = folded
    for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_E", "W_U", "W_pos"):
        close(getattr(mine, name), getattr(theirs, name))
    for name in ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"):
        close(getattr(mine, name), getattr(theirs, name))


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_directions_and_biases(pair: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(pair)
    tokens: list[Any] = ["w3", 3, torch.tensor(3), torch.tensor([3]), torch.tensor([[3]])]
    tokens += [torch.tensor([3, 5]), torch.tensor([[3, 5, 7], [1, 2, 4]])]
    for token in tokens:
        direction = theirs.tokens_to_residual_directions(token)
        assert mine.tokens_to_residual_directions(token).shape == direction.shape
        close(mine.tokens_to_residual_directions(token), direction)
    for layer in range(3):
        for with_mlps in (True, False):
            for mlp_input in (True, False) if layer < 2 else (False,):
                args = (layer, mlp_input, with_mlps)
                close(mine.accumulated_bias(*args), theirs.accumulated_bias(*args))


# -- patching ------------------------------------------------------------------------------------


def metric(logits: Tensor) -> Tensor:
    return (logits[:, -1, 7] - logits[:, -1, 8]).mean()


SWEEPS = [
    "resid_pre",
    "attn_out",
    "mlp_out",
    *(f"attn_head_{part}_by_pos" for part in ("out", "q", "k", "v", "pattern")),
    *(f"attn_head_{part}_all_pos" for part in ("out", "q", "k", "v", "pattern")),
    "attn_head_pattern_dest_src_pos",
    "attn_head_all_pos_every",
    "attn_head_by_pos_every",
    "block_every",
]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_patching(sweep: str, plain: tuple[HookedTransformer, Any]) -> None:
    function = getattr(patching, f"get_act_patch_{sweep}")
    results = []
    for model in plain:
        _, clean_cache = model.run_with_cache(CLEAN)
        results.append(function(model, CORRUPTED, clean_cache, metric))
    close(results[0], results[1])
    assert results[0].unique().numel() > 1  # patches differ, so equality says something


def test_patching_by_example_with_a_baseline(plain: tuple[HookedTransformer, Any]) -> None:
    results = []
    for model in plain:
        _, clean_cache = model.run_with_cache(CLEAN)
        result = patching.get_act_patch_block_every(
            model,
            CORRUPTED,
            clean_cache,
            lambda logits: logits[:, -1, 7],
            reduce="none",
            baseline=True,
        )
        results.append(result)
    close(results[0].values, results[1].values)
    close(results[0].effect(), results[1].effect())


def test_patching_the_middle_of_the_stream(plain: tuple[HookedTransformer, Any]) -> None:
    """TransformerLens 4's bridge patches what the feed-forward layer reads and not the skip path.

    Patched at all positions, the clean stream must give the clean logits. On our model it does,
    to the last bit; on the bridge the stream that leaves the block is partly the corrupted one.
    """
    mine, _ = plain
    for model in plain:
        clean, cache = model.run_with_cache(CLEAN)
        corrupted = model(CORRUPTED)
        for layer in range(2):
            name = f"blocks.{layer}.hook_resid_mid"
            hook = [(name, lambda value, hook, clean=cache[name]: clean)]
            patched = model.run_with_hooks(CORRUPTED, fwd_hooks=hook)
            if model is mine:
                assert torch.equal(patched, clean)
            else:
                assert (patched - clean).abs().max() > 0.1 * (corrupted - clean).abs().max()
    # The tool, which patches one position at a time: the last row of the last layer alone decides
    # what the last position says.
    clean, cache = mine.run_with_cache(CLEAN)
    recovered = patching.get_act_patch_resid_mid(mine, CORRUPTED, cache, metric)
    torch.testing.assert_close(recovered[1, -1], metric(clean), atol=1e-6, rtol=0)


def test_patching_single_paths(plain: tuple[HookedTransformer, Any]) -> None:
    """From one head into the query, key or value of a later one (Wang et al. 2022)."""
    for component in ("q", "k", "v"):
        results = []
        for model in plain:
            _, clean = model.run_with_cache(CLEAN)
            _, corrupted = model.run_with_cache(CORRUPTED)
            result = patching.get_act_patch_direct_path_all_sources(
                model, CORRUPTED, clean, corrupted, metric, component, verbose=False
            )
            results.append(result)
        close(results[0], results[1])
        assert results[0][0, :, 1].unique().numel() > 1


@pytest.mark.parametrize("name", ["decoder-llama", "decoder-parallel", "decoder-attn-only"])
def test_patching_other_variants(name: str) -> None:
    """Grouped heads, rotation, parallel and missing feed-forward layers: no bridge to compare
    with, but patching the last layer's stream at the last position must give the clean metric."""
    model = shared_model(name)
    clean, corrupted = (example(model.cfg, seed=seed)["tokens"] for seed in (0, 1))
    logits, cache = model.run_with_cache(clean)
    heads = patching.get_act_patch_attn_head_all_pos_every(model, corrupted, cache, metric)
    assert heads.shape == (5, 3, 4) and heads.isfinite().all()
    streams = patching.get_act_patch_resid_pre(model, corrupted, cache, metric)
    expected = metric(model.run_with_hooks(corrupted, fwd_hooks=[_put(cache, -1)]))
    torch.testing.assert_close(streams[-1, -1], expected)
    assert streams.unique().numel() > 1
    assert logits.isfinite().all()


def _put(cache: Any, position: int) -> tuple[str, Callable[..., Tensor]]:
    def hook(value: Tensor, hook: Any) -> Tensor:
        value[:, position] = cache[hook.name][:, position]
        return value

    return "blocks.2.hook_resid_pre", hook


# -- heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["previous_token_head", "duplicate_token_head", "induction_head"])
@pytest.mark.parametrize("measure", ["mul", "abs"])
@pytest.mark.parametrize("exclude", [False, True])
def test_head_detection(
    head: str, measure: str, exclude: bool, plain: tuple[HookedTransformer, Any]
) -> None:
    scores = [
        head_detector.detect_head(
            model,
            SENTENCE,
            head,
            exclude_bos=exclude,
            exclude_current_token=exclude,
            error_measure=measure,
        )
        for model in plain
    ]
    # "abs" rounds to three digits
    torch.testing.assert_close(*scores, atol=1e-3 if measure == "abs" else 2e-5, rtol=0)
    assert scores[0].unique().numel() > 1


def test_head_detection_in_several_texts_and_with_a_pattern_of_ones_own() -> None:
    model = ours()
    texts = [SENTENCE, "w1 w2 w1 w2 w1 w2 w1"]
    scores = [head_detector.detect_head(model, text, "induction_head") for text in texts]
    together = head_detector.detect_head(model, texts, "induction_head")
    close(together, torch.stack(scores).mean(0))
    first = torch.zeros(8, 8)
    first[:, 0] = 1.0
    mine = head_detector.detect_head(model, SENTENCE, first, heads=[(1, 2)])
    pattern = model.run_with_cache(SENTENCE)[1]["pattern", 1][0, 2]
    close(mine[1, 2], (pattern * first).sum() / pattern.sum())
    assert (mine == -1).sum() == 7


# -- direct logit attribution --------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["component", "layer", "head"])
@pytest.mark.parametrize("pos", [-1, None, (1, 4)])
@pytest.mark.parametrize("incorrect", [None, "w8"])
def test_direct_logit_attribution(
    unit: str, pos: Any, incorrect: str | None, folded: tuple[HookedTransformer, Any]
) -> None:
    mine, theirs = (
        direct_logit_attribution(model, CLEAN, "w7", incorrect, unit=unit, pos=pos)
        for model in folded
    )
    assert mine.labels == theirs.labels
    close(mine.attribution, theirs.attribution)


def test_direct_logit_attribution_needs_no_folding_here(
    plain: tuple[HookedTransformer, Any], folded: tuple[HookedTransformer, Any]
) -> None:
    """The bridge refuses raw weights, for which TransformerLens's sum leaves out the gain."""
    mine, theirs = plain
    with pytest.raises(ValueError, match="compatibility mode"):
        direct_logit_attribution(theirs, CLEAN, "w7", "w8")
    raw = direct_logit_attribution(mine, SENTENCE, "w7", "w8")
    logits, cache = mine.run_with_cache(SENTENCE)
    whole = raw.attribution.sum(0) + cache.logit_bias(7, 8)
    close(whole, logits[:, -1, 7] - logits[:, -1, 8])
    # What folding moves into the bias is constant; what depends on the text is the same.
    processed = direct_logit_attribution(folded[0], SENTENCE, "w7", "w8")
    _, folded_cache = folded[0].run_with_cache(SENTENCE)
    close(processed.attribution.sum(0) + folded_cache.logit_bias(7, 8), whole)


# -- analyses of a cache -------------------------------------------------------------------------

ANALYSES: dict[str, dict[str, Any]] = {
    "accumulated": {"method": "accumulated_resid"},
    "accumulated-mid": {"method": "accumulated_resid", "incl_mid": True},
    "accumulated-ln": {"method": "accumulated_resid", "apply_ln": True},
    "accumulated-ln-1": {"method": "accumulated_resid", "layer": 1, "apply_ln": True},
    "accumulated-mlp-input": {"method": "accumulated_resid", "layer": 1, "mlp_input": True},
    "accumulated-pos": {"method": "accumulated_resid", "pos_slice": -1},
    "decompose": {"method": "decompose_resid"},
    "decompose-0": {"method": "decompose_resid", "layer": 0},
    "decompose-ln": {"method": "decompose_resid", "apply_ln": True},
    "decompose-ln-1": {"method": "decompose_resid", "layer": 1, "apply_ln": True},
    "decompose-mlp-input": {
        "method": "decompose_resid",
        "layer": 1,
        "mlp_input": True,
        "apply_ln": True,
    },
    "decompose-attn": {"method": "decompose_resid", "mode": "attn", "pos_slice": (1, 3)},
    "decompose-mlp": {"method": "decompose_resid", "mode": "mlp", "incl_embeds": False},
    "heads": {"method": "stack_head_results"},
    "heads-1": {"method": "stack_head_results", "layer": 1, "incl_remainder": True},
    "heads-ln": {"method": "stack_head_results", "apply_ln": True, "pos_slice": -1},
    "heads-0": {"method": "stack_head_results", "layer": 0},
    "neurons": {"method": "stack_neuron_results", "layer": -1},
    "neurons-1": {"method": "stack_neuron_results", "layer": 1, "incl_remainder": True},
    "neurons-some": {"method": "stack_neuron_results", "layer": 2, "neuron_slice": (0, 8, 3)},
    "neurons-one": {"method": "stack_neuron_results", "layer": 2, "neuron_slice": 5},
    "neurons-ln": {"method": "stack_neuron_results", "layer": 2, "apply_ln": True},
    "neurons-mlp-input": {
        "method": "stack_neuron_results",
        "layer": 1,
        "mlp_input": True,
        "incl_remainder": True,
        "apply_ln": True,
    },
    "full": {"method": "get_full_resid_decomposition"},
    "full-ln": {"method": "get_full_resid_decomposition", "apply_ln": True},
    "full-layers": {"method": "get_full_resid_decomposition", "expand_neurons": False},
    "full-1": {"method": "get_full_resid_decomposition", "layer": 1, "pos_slice": [0, 2]},
    "full-mlp-input": {
        "method": "get_full_resid_decomposition",
        "layer": 1,
        "mlp_input": True,
        "apply_ln": True,
    },
}
PROJECTED = ["neurons", "neurons-1", "neurons-ln", "neurons-mlp-input", "full", "full-ln", "full-1"]


def three_ways(models: tuple[HookedTransformer, Any], call: Callable[[Any], Any]) -> list[Any]:
    """Our cache; TransformerLens's class on our activations and our model; the bridge's cache."""
    mine, theirs = models
    _, cache = mine.run_with_cache(CLEAN)
    adopted = transformer_lens.ActivationCache(dict(cache), mine)
    _, other = theirs.run_with_cache(CLEAN)
    return [call(cache), call(adopted), call(other)]


def same(results: list[Any]) -> None:
    for other in results[1:]:
        if isinstance(other, tuple):
            assert results[0][1] == other[1]
            close(results[0][0], other[0])
        else:
            close(results[0], other)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_analyses_of_a_cache(analysis: str, folded: tuple[HookedTransformer, Any]) -> None:
    options = dict(ANALYSES[analysis])
    method = options.pop("method")
    same(three_ways(folded, lambda c: getattr(c, method)(return_labels=True, **options)))


@pytest.mark.parametrize("analysis", PROJECTED)
@pytest.mark.parametrize("shape", [(16,), (16, 3)])
def test_projected_analyses(
    analysis: str, shape: tuple[int, ...], folded: tuple[HookedTransformer, Any]
) -> None:
    options = dict(ANALYSES[analysis])
    method = options.pop("method")
    onto = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    same(three_ways(folded, lambda c: getattr(c, method)(project_output_onto=onto, **options)))


TOKENS: dict[str, Any] = {
    "text": "w3",
    "id": 3,
    "per-row": torch.tensor([3, 5]),
    "per-position": torch.arange(6)[None],
    "each": torch.arange(12).reshape(2, 6),
}


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("difference", [False, True])
def test_logit_attributions(
    tokens: str, difference: bool, folded: tuple[HookedTransformer, Any]
) -> None:
    right = TOKENS[tokens]
    wrong: Any = None
    if difference:
        wrong = "w4" if right == "w3" and isinstance(right, str) else (right + 7) % N_VOCAB
    same(three_ways(folded, lambda c: c.logit_attrs(c.decompose_resid(), right, wrong)))


@pytest.mark.parametrize("rows", [0, (0, 1), [1, 0]])
def test_logit_attributions_of_some_rows(rows: Any, folded: tuple[HookedTransformer, Any]) -> None:
    same(three_ways(folded, lambda c: c.logit_attrs(c.decompose_resid(), 3, batch_slice=rows)))


@pytest.mark.parametrize("pair", ["plain", "folded"])
def test_single_neurons_and_stacks(pair: str, request: pytest.FixtureRequest) -> None:
    models = request.getfixturevalue(pair)
    same(three_ways(models, lambda c: c.get_neuron_results(1, neuron_slice=(2, 5), pos_slice=-1)))
    same(three_ways(models, lambda c: c.stack_activation("pattern")))
    same(three_ways(models, lambda c: c.stack_activation("scale", 2, "ln2")))
    same(three_ways(models, lambda c: c["resid_post", -1]))


def test_where_transformer_lens_is_wrong(plain: tuple[HookedTransformer, Any]) -> None:
    """Without folding its sum of attributions misses the logit difference; ours does not."""
    mine, _ = plain
    logits, cache = mine.run_with_cache(CLEAN)
    difference = logits[..., 7] - logits[..., 8]
    adopted = transformer_lens.ActivationCache(dict(cache), mine)
    bias = cache.logit_bias(7, 8)
    exact = cache.logit_attrs(cache.decompose_resid(), 7, 8).sum(0) + bias
    close(exact, difference)
    other = adopted.logit_attrs(adopted.decompose_resid(), 7, 8).sum(0) + bias
    assert (other - difference).abs().max() > 0.1


# -- training ------------------------------------------------------------------------------------


# Texts that count upwards: the next token is certain. A list, since iterating a map-style dataset
# that never raises IndexError does not end.
COUNTING: Any = [{"tokens": (torch.arange(8) + i) % N_VOCAB} for i in range(32)]


@torch.enable_grad()
def test_training(tmp_path: Path) -> None:
    config = training.TrainConfig(
        num_epochs=30,
        batch_size=8,
        lr=1e-2,
        max_grad_norm=1.0,
        warmup_steps=5,
        save_every=4,
        save_dir=str(tmp_path),
        device="cpu",
        print_every=None,
    )
    model = ours()
    tokens = torch.stack([row["tokens"] for row in COUNTING])
    before = model(tokens, return_type="loss").item()
    trained = training.train(model, config, COUNTING)
    assert trained is model and model.training
    assert model.eval()(tokens, return_type="loss").item() < 0.1 < before
    saved = torch.load(tmp_path / "model_0.pt", weights_only=True)
    assert saved.keys() == model.state_dict().keys()


@torch.enable_grad()
def test_training_is_that_of_the_bridge() -> None:
    """One step of the same loop on the same weights."""
    config = training.TrainConfig(
        num_epochs=1, batch_size=32, lr=0.1, optimizer_name="SGD", device="cpu", print_every=None
    )
    models = ours(), bridge()
    before = models[0](CLEAN)
    for model in models:
        training.train(model, config, COUNTING)
    after = models[0].eval()(CLEAN)
    close(after, models[1].eval()(CLEAN))
    assert (after - before).abs().max() > 0.1


def test_every_decoder_has_what_the_tools_read() -> None:
    """The fields of a configuration and the members of a model that the tools ask for."""
    for name, cfg in CONFIGURATIONS.items():
        if cfg.shape == "decoder" and cfg.norm_position == "pre":
            assert isinstance(build(name), model_protocol.TransformerLensModelWithWeights)
            for field in ("n_layers", "n_heads", "n_key_value_heads", "d_mlp", "n_ctx", "device"):
                assert hasattr(cfg, field)
            assert cfg.normalization_type in ("LN", "RMS")
