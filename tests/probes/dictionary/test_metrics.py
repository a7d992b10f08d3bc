from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import interp
from interp.data.examples import Examples
from interp.errors import HookError, InputError
from probes.dictionary import Coder, evaluate, fit_of_rows
from probes.dictionary.stream import activations, counted
from probes.passages import Passages, batches
from tests.probes.dictionary.planted import identity, random_coder

SITE = "blocks.0.hook_resid_post"


def value(measures: list, name: str) -> float:
    return next(m.value for m in measures if m.metric == name)


def rows(n: int = 200, d: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, d, generator=generator, dtype=torch.float64) + 10.0


def test_the_mean_has_an_fvu_of_one_and_a_copy_of_zero() -> None:
    x = rows()
    mean = fit_of_rows(identity(6, SITE, x.mean(0)), x.split(30)).measures()
    copy = fit_of_rows(identity(6, SITE), x.split(30)).measures()
    assert value(mean, "fvu") == pytest.approx(1, abs=1e-12)
    assert value(copy, "fvu") == pytest.approx(0, abs=1e-12)
    assert value(copy, "l0") == 6


@pytest.mark.parametrize("k", [None, 3])
def test_values_are_those_of_the_whole_whatever_the_batches(k: int | None) -> None:
    x, coder = rows(), random_coder(k=k)
    z, y = coder.encode(x), coder(x)
    expected = {
        "fvu": float((x - y).square().sum() / (x - x.mean(0)).square().sum()),
        "l0": float((z > 0).double().sum() / len(x)),
        "dead": float((z <= 0).all(0).double().mean()),
    }
    for size in (1, 7, 200):
        fit = fit_of_rows(coder, x.split(size))
        for name, number in expected.items():
            assert value(fit.measures(), name) == pytest.approx(number, rel=1e-10), (name, size)
        frame = fit.latents()
        density = frame[frame["metric"] == "density"]["value"].to_numpy()
        assert density == pytest.approx((z > 0).double().mean(0).numpy())
        strongest = frame[frame["metric"] == "strongest"]["value"].to_numpy()
        assert strongest == pytest.approx(z.amax(0).numpy())


def test_intervals_are_over_units() -> None:
    """Tokens of a text say nothing new if they are copies of each other."""
    x = rows(20)
    alone = fit_of_rows(random_coder(k=3), x.split(1)).measures()[0]
    copied = fit_of_rows(random_coder(k=3), [r.repeat(50, 1) for r in x.split(1)]).measures()[0]
    assert (alone.n, copied.n) == (20, 20)
    assert (copied.ci_low, copied.ci_high) == pytest.approx((alone.ci_low, alone.ci_high))
    assert alone.ci_low < alone.value < alone.ci_high


def test_rows_without_variance_are_refused() -> None:
    with pytest.raises(InputError, match="no variance"):
        fit_of_rows(identity(6, SITE), [torch.ones(5, 6)]).measures()
    with pytest.raises(InputError, match="no token"):
        fit_of_rows(identity(6, SITE), []).measures()
    with pytest.raises(InputError, match="should write"):
        fit_of_rows(identity(6, SITE), [(torch.ones(5, 6), torch.ones(5, 7))])


# -- in a model ----------------------------------------------------------------------------------


def small(**changes: object) -> interp.HookedTransformer:
    asked = {"d_model": 16, "n_layers": 2, "n_heads": 2, "d_vocab": 40, "n_ctx": 24}
    asked |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    cfg = interp.TransformerConfig(**{**asked, **changes})  # type: ignore[arg-type]
    model = interp.HookedTransformer(cfg, seed=3).double()
    with torch.no_grad():  # so that the loss depends on what is in between
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    return model


def examples(model: interp.HookedTransformer) -> Examples:
    generator = torch.Generator().manual_seed(0)
    lengths = [5, 9, 12, 7, 12]
    texts = [torch.randint(3, 40, (n,), generator=generator).tolist() for n in lengths]
    if model.cfg.shape == "encoder":
        labels = [[t if i == 2 else -100 for i, t in enumerate(row)] for row in texts]
        return Passages(texts, labels, 2, tokens=30)
    read = [[0, *row[:-1]] for row in texts]
    sources = None if model.cfg.shape == "decoder" else [[*row[::-1], 1] for row in texts]
    return Passages(read, texts, 2, sources, tokens=30)


SHAPES = {
    "decoder": ({}, "blocks.0.hook_resid_post"),
    "encoder": ({"shape": "encoder", "head": "mlm"}, "blocks.1.hook_attn_out"),
    "heads": ({}, "blocks.1.attn.hook_z"),
    "source": (
        {"shape": "encoder_decoder", "n_decoder_layers": 2, "decoder_start_token_id": 0},
        "encoder.1.hook_resid_post",
    ),
    "target": (
        {"shape": "encoder_decoder", "n_decoder_layers": 2, "decoder_start_token_id": 0},
        "decoder.0.hook_mlp_out",
    ),
}


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_copy_recovers_all_of_the_loss_and_the_mean_nothing(shape: str) -> None:
    changes, site = SHAPES[shape]
    model = small(**changes)
    texts = examples(model)
    found = [
        activations(model, b, [site])[site][counted(model, site, b)] for _, b in batches(texts)
    ]
    x = torch.cat(found)
    frame, fit = evaluate(model, identity(16, site), texts)
    copy = frame.set_index("metric")["value"]
    assert copy["loss_reconstructed"] == pytest.approx(copy["loss"], abs=1e-8)
    assert copy["loss_recovered_mean"] == pytest.approx(1, abs=1e-8)
    assert copy["loss_recovered_zero"] == pytest.approx(1, abs=1e-8)
    assert copy["fvu"] == pytest.approx(0, abs=1e-12)
    assert fit.n == len(x) and set(frame["tokens"]) == {len(x)} and set(frame["n"]) == {5}
    frame, _ = evaluate(model, identity(16, site, x.mean(0)), texts)
    mean = frame.set_index("metric")["value"]
    assert mean["loss_recovered_mean"] == pytest.approx(0, abs=1e-8)
    assert mean["fvu"] == pytest.approx(1, abs=1e-10)
    # Other values of another ablation: the two are not the same question.
    assert mean["loss_zero_ablated"] != pytest.approx(mean["loss_mean_ablated"], abs=1e-6)


def test_the_losses_are_those_of_hooks_by_hand() -> None:
    """One text at a time, with the special first token left alone."""
    model, coder = small(), random_coder(k=3, d_in=16, d_out=16, latents=24)
    texts = examples(model)
    summed, n = 0.0, 0
    for i in range(len(texts)):
        batch = texts.collate([i])
        tokens = batch.inputs["tokens"]

        def replace(x: torch.Tensor, hook: object) -> torch.Tensor:
            return torch.cat([x[:, :1], coder(x[:, 1:])], 1)

        logits = model.run_with_hooks(tokens, fwd_hooks=[(SITE, replace)])
        summed += F.cross_entropy(logits[0], batch.labels[0], reduction="sum").item()
        n += batch.labels.numel()
    frame, _ = evaluate(model, coder, texts)
    assert frame.set_index("metric")["value"]["loss_reconstructed"] == pytest.approx(summed / n)


def test_a_transcoder_stands_in_for_its_layer() -> None:
    """One that computes the layer itself costs nothing."""
    model = small(act_fn="relu")
    mlp = model.blocks[1].mlp
    coder = Coder(
        W_enc=mlp.W_in.detach(),
        b_enc=mlp.b_in.detach(),
        W_dec=mlp.W_out.detach(),
        b_dec=mlp.b_out.detach(),
        site="blocks.1.ln2.hook_normalized",
        target="blocks.1.hook_mlp_out",
        threshold=torch.zeros(model.cfg.d_mlp, dtype=torch.float64),
    )
    frame, _ = evaluate(model, coder, examples(model))
    found = frame.set_index("metric")["value"]
    assert found["fvu"] == pytest.approx(0, abs=1e-12)
    assert found["loss_recovered_mean"] == pytest.approx(1, abs=1e-8)


def test_a_site_that_the_model_lacks_is_refused() -> None:
    model = small()
    with pytest.raises(HookError, match="layers 0 to 1"):
        evaluate(model, identity(16, "blocks.7.hook_resid_post"), examples(model))
    with pytest.raises(InputError, match="width 16; this dictionary reads 8"):
        evaluate(model, identity(8, SITE), examples(model))


def test_activations_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        model.blocks[0].mlp.W_out[:] = torch.nan
    with pytest.raises(InputError, match=r"blocks\.0\.hook_resid_post is not finite at position 1"):
        evaluate(model, identity(16, SITE), examples(model))
