"""The head atlas finds what was planted, gives even heads their share, and disturbs nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from interp.data.batch import IGNORED
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from probes.head_weights import composition, copying, positivity, strongest_composition
from probes.heads import SCRIPT, attention_scores, heads
from probes.passages import Passages, repeats
from tests.model.configurations import shared_model

V, N = 16, 24  # tokens, positions
SURE = 400.0  # a score that leaves nothing to the others


def planted() -> HookedTransformer:
    """Two layers whose stream holds the position, the token, and (from layer 1 on) the token
    before, each as one of n. Layer 0: heads that look at the token before, at the first and at the
    same token; layer 1: a head that looks at what followed. The fourth head of each, and all others
    of layer 1, look at everything alike."""
    wide = N + 2 * V
    cfg = TransformerConfig(
        d_model=wide,
        d_head=wide,
        n_layers=2,
        n_heads=4,
        d_vocab=V,
        n_ctx=N,
        attn_only=True,
        normalization_type="RMS",
        attn_scale=1.0,
        bos_token_id=0,
        dtype=torch.float64,
    )
    model = HookedTransformer(cfg).eval()
    place, token, before = slice(0, N), slice(N, N + V), slice(N + V, wide)
    shift = torch.diag(torch.ones(N - 1), -1)  # position p asks for p - 1
    shift[0, 0] = 1
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for name, parameter in model.named_parameters():
            if "ln" in name and name.endswith("weight"):
                parameter.fill_(1)
        model.embed.weight[:, token] = torch.eye(V).double()
        model.input.positions.weight[:, place] = torch.eye(N).double()
        first, second = (block.attn for block in model.blocks)
        identity = torch.eye(wide).double()
        first.W_K[:3] = identity
        first.W_Q[0, place, place] = SURE * shift.double()
        first.W_Q[1, place, 0] = SURE
        first.W_Q[2, token, token] = SURE * torch.eye(V).double()
        first.W_Q[2, place, place] = -2 * SURE * torch.eye(N).double()  # but not at itself
        first.W_V[0, token, token] = first.W_O[0, token, before] = torch.eye(V).double()
        second.W_Q[0, token, before] = SURE * torch.eye(V).double()
        second.W_K[0] = identity
    return model


def of(frame: pd.DataFrame, metric: str, layer: int, head: int) -> pd.Series:
    (row,) = frame[
        (frame["metric"] == metric) & (frame["layer"] == layer) & (frame["head"] == head)
    ].to_dict("records")
    return pd.Series(row)


def test_hand_built_heads_score_one() -> None:
    model = planted()
    frame = attention_scores(model, repeats(model, rows=8, length=N - 2))
    for metric, layer, head in (
        ("previous", 0, 0),
        ("first", 0, 1),
        ("duplicate", 0, 2),
        ("induction", 1, 0),
    ):
        assert of(frame, metric, layer, head)["value"] == pytest.approx(1, abs=1e-8)
    # and what they do not do, they do not score for
    assert of(frame, "induction", 0, 0)["value"] < 0.2
    assert of(frame, "previous", 1, 0)["value"] < 0.2


def test_even_heads_score_their_chance() -> None:
    model = planted()
    frame = attention_scores(model, repeats(model, rows=8, length=N - 2))
    even = frame[(frame["layer"] == 1) & (frame["head"] > 0)]
    assert set(even["metric"]) == {"previous", "first", "duplicate", "induction"}
    assert (even["value"] - even["chance"]).abs().max() < 1e-12
    assert (frame["ci_low"] <= frame["value"] + 1e-12).all()
    assert (frame["value"] <= frame["ci_high"] + 1e-12).all()


def even_model(name: str) -> HookedTransformer:
    """A model of another shape whose heads all look at everything alike."""
    import copy

    model = copy.deepcopy(shared_model(name, torch.float64))
    with torch.no_grad():
        for stack in model.stack_names():
            for block in model.stack(stack).blocks:
                for attn in (block.attn, block.cross_attn):
                    if attn is not None:
                        attn.W_Q.zero_()
                        attn.b_Q.zero_()
    return model


def test_even_heads_of_an_encoder_score_one_of_k() -> None:
    model = even_model("encoder-bert")
    k = 9
    rows = [[1, *range(5, 5 + k - 2), 2], [1, 7, 7, 8, 2]]
    texts = Passages(rows, [[IGNORED] * len(row) for row in rows])
    frame = attention_scores(model, texts)
    assert set(frame["metric"]) == {"previous", "next", "first", "last", "duplicate", "induction"}
    for metric, expected in {
        "previous": (8 / 9 + 4 / 5) / 12,
        "next": (8 / 9 + 4 / 5) / 12,
        "first": (8 / 9 + 4 / 5) / 12,
        "last": (8 / 9 + 4 / 5) / 12,
        "duplicate": 1 / 5,
        "induction": 1 / 5,
    }.items():
        values = frame.loc[frame["metric"] == metric, "value"]
        assert values.to_numpy() == pytest.approx(expected, abs=1e-12), metric


def test_cross_attention_has_the_scores_that_make_sense_there() -> None:
    model = even_model("pair-pre-norm")
    sources = [[3, 4, 5, 6, 1], [7, 8, 1]]
    read = [[0, 3, 4, 5], [0, 9]]
    texts = Passages(read, [[1] * len(row) for row in read], sources=sources)
    frame = attention_scores(model, texts)
    cross = frame[frame["site"] == "decoder.cross_attn"].groupby("metric")["value"].first()
    # every token of the first target but its start stands in the source, in a text of 5
    assert cross["duplicate"] == pytest.approx(1 / 5, abs=1e-12)
    assert cross["induction"] == pytest.approx(1 / 5, abs=1e-12)
    assert cross["first"] == pytest.approx((4 / 5 + 2 / 3) / 6, abs=1e-12)
    assert cross["last"] == pytest.approx((4 / 5 + 2 / 3) / 6, abs=1e-12)
    assert "previous" not in cross
    assert set(frame["site"]) == {"encoder.attn", "decoder.attn", "decoder.cross_attn"}


def test_padding_changes_no_score() -> None:
    model = shared_model("decoder", torch.float64)
    rows = [[0, 5, 6, 5, 6, 5], [0, 7, 8, 9, 10, 11, 12, 13, 7, 8]]
    labels = [[IGNORED] * len(row) for row in rows]
    together = attention_scores(model, Passages(rows, labels))
    alone = attention_scores(model, Passages(rows, labels, tokens=1))
    assert together["n"].equals(alone["n"])
    assert (together["value"] - alone["value"]).abs().max() < 1e-12


def test_scoring_leaves_a_cache_as_it_was() -> None:
    model = shared_model("decoder", torch.float32)
    texts = repeats(model, rows=4)
    tokens = texts.collate([0, 1]).inputs["tokens"]
    logits, cache = model.run_with_cache(tokens)
    cache.materialize()
    before = {name: value.clone() for name, value in cache.items()}
    heads(model, texts)
    assert all(torch.equal(cache[name], value) for name, value in before.items())
    assert torch.equal(model(tokens), logits)


@pytest.mark.parametrize("kind", ["previous", "duplicate", "induction"])
def test_scores_are_those_of_transformer_lens(kind: str) -> None:
    """Its score is over all queries, ours over those that have such a token."""
    from transformer_lens.head_detector import detect_head

    model = shared_model("decoder")
    row = [0, 5, 6, 7, 8, 5, 6, 9, 5, 6, 7, 7, 8, 9]
    tokens = torch.tensor([row])
    _, cache = model.run_with_cache(tokens, remove_batch_dim=True)
    double: Any = SimpleNamespace(cfg=model.cfg, to_tokens=lambda seq: tokens)
    name: Any = f"{kind}_head" if kind == "induction" else f"{kind}_token_head"
    theirs = detect_head(double, "", name, cache=cache)
    frame = attention_scores(model, Passages([row], [[IGNORED] * len(row)]))
    ours = frame[frame["metric"] == kind]
    scaled = torch.tensor((ours["value"] * ours["n"] / len(row)).to_list(), dtype=torch.float32)
    assert torch.allclose(scaled, theirs.flatten(), atol=1e-6)


# -- weights -------------------------------------------------------------------------------------


def test_copying_is_the_eigenvalues_of_the_whole_vocabulary_matrix() -> None:
    model = shared_model("decoder", torch.float64)
    folded = model.folded()
    frame = copying(model)
    W_E, W_U = folded.W_E.detach(), folded.W_U.detach()
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):
            attn = folded.blocks[layer].attn
            whole = W_E @ attn.W_V[head] @ attn.W_O[head] @ W_U
            values = torch.linalg.eigvals(whole.detach())
            expected = float(values.real.sum() / values.abs().sum())
            assert of(frame, "copying", layer, head)["value"] == pytest.approx(expected, abs=1e-6)


def test_a_head_that_copies_scores_one_and_its_opposite_minus_one() -> None:
    model = planted()
    with torch.no_grad():
        model.output.unembed.weight.copy_(model.embed.weight)
        token = slice(N, N + V)
        for head, sign in ((0, 1.0), (1, -1.0)):
            model.blocks[0].attn.W_V[head] = 0
            model.blocks[0].attn.W_O[head] = 0
            model.blocks[0].attn.W_V[head, token, token] = torch.eye(V).double()
            model.blocks[0].attn.W_O[head, token, token] = sign * torch.eye(V).double()
    frame = copying(model)
    for metric in ("copying", "ov eigenvalues"):
        assert of(frame, metric, 0, 0)["value"] == pytest.approx(1, abs=1e-10)
        assert of(frame, metric, 0, 1)["value"] == pytest.approx(-1, abs=1e-10)
        assert of(frame, metric, 0, 3)["value"] == 0  # a head without weights
    turned = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    assert float(positivity(turned)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["decoder", "decoder-llama"])
def test_composition_is_that_of_transformer_lens(name: str) -> None:
    from transformer_lens import FactoredMatrix
    from transformer_lens.utilities import composition_scores

    model = shared_model(name, torch.float64).folded()
    frame = composition(model)
    W_Q, W_K, W_V, W_O = (
        _every(model, getattr(model, f"W_{kind}").detach()) for kind in ("Q", "K", "V", "O")
    )
    OV, QK = FactoredMatrix(W_V, W_O), FactoredMatrix(W_Q, W_K.transpose(-2, -1))
    for kind, right in (("q", QK), ("k", QK.T), ("v", OV)):
        theirs = composition_scores(OV, right)
        rows = frame[frame["metric"] == f"{kind} composition"]
        assert len(rows) == 3 * model.cfg.n_heads**2  # three pairs of layers
        for row in rows.to_dict("records"):
            place = (row["from_layer"], row["from_head"], row["layer"], row["head"])
            assert row["value"] == pytest.approx(float(theirs[place]), abs=1e-8)


def _every(model: HookedTransformer, weight: Tensor) -> Tensor:
    return weight.repeat_interleave(model.cfg.n_heads // weight.shape[1], 1)


def test_random_turns_give_the_chance_of_composition() -> None:
    cfg = TransformerConfig(
        d_model=32, n_layers=2, n_heads=8, d_vocab=7, n_ctx=4, attn_only=True, dtype=torch.float64
    )
    frame = composition(HookedTransformer(cfg, seed=3))
    mean_square = frame.groupby("metric")["value"].apply(lambda values: (values**2).mean())
    assert mean_square.to_numpy() == pytest.approx(1 / 31, rel=0.25)  # the mean is not read
    assert frame["chance"].iloc[0] == pytest.approx(32**-0.5)


def test_composition_follows_the_planted_circuit() -> None:
    frame = strongest_composition(planted())
    found = of(frame, "k composition", 1, 0)
    assert (found["from_layer"], found["from_head"]) == (0, 0)
    # sixteen directions of equal weight, all of them read
    assert found["value"] == pytest.approx(V**-0.5, abs=1e-10)


def test_cross_attention_reads_heads_of_the_encoder() -> None:
    model = shared_model("pair-pre-norm", torch.float64)
    frame = composition(model)
    cross = frame[frame["site"] == "decoder.cross_attn"]
    writers = cross.groupby("metric")["from_site"].agg(set).to_dict()
    assert writers["k composition"] == writers["v composition"] == {"encoder.attn"}
    assert writers["q composition"] == {"decoder.attn", "decoder.cross_attn"}
    first = cross[(cross["layer"] == 0) & (cross["metric"] == "q composition")]
    assert set(first["from_site"]) == {"decoder.attn"}  # written just before, in the same block


# -- the script ----------------------------------------------------------------------------------


def test_the_phase_change_of_induction_is_seen(tmp_path: Any) -> None:
    out, chart = tmp_path / "heads.parquet", tmp_path / "heads.html"
    steps = ["--steps", "64", "200", "2000"]
    command = ["--run", "induction", *steps, "--tokens", "1000", "--out", str(out)]
    assert SCRIPT.main([*command, "--chart", str(chart)]) == 0
    frame = pd.read_parquet(out)
    best = frame[frame["metric"] == "induction"].groupby("step")["value"].max()
    assert best[64] < 0.06 < 0.5 < best[200] < best[2000]
    assert "induction" in chart.read_text(encoding="utf-8")
