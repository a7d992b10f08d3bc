"""Blind to turns and scale, one for itself, zero for what has nothing in common."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from interp.errors import InputError
from interp.figures.similarity import similarity_chart
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from probes.hsic import Interaction, jackknife_interval
from probes.passages import Passages, repeats
from probes.similarity import compare, similarity
from probes.stream import read_stream
from probes.subjects import subjects
from tests.figures.spec import drawn


def gaussians(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def of(frame: pd.DataFrame, metric: str, a: int = 0, b: int = 1) -> float:
    return float(frame.query("metric == @metric and a == @a and b == @b")["value"].iloc[0])


def own_texts(n: int) -> Tensor:
    return torch.arange(n)


# -- the estimate ----------------------------------------------------------------------------------


def brute_hsic(x: Tensor, y: Tensor) -> float:
    """Equation 5 of Song et al. (2012), with the matrices written out."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    k.fill_diagonal_(0)
    m.fill_diagonal_(0)
    one = torch.ones(n, dtype=x.dtype)
    terms = (
        (k @ m).trace()
        + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ m @ one)
    )
    return float(terms / (n * (n - 3)))


def test_hsic_of_sums_is_hsic_of_gram_matrices() -> None:
    x, y = gaussians(20, 5) + 2, gaussians(20, 7, seed=1) - 1
    assert float(Interaction.of(x, y).hsic()) == pytest.approx(brute_hsic(x, y), rel=1e-9)
    # It does not depend on where the origin is.
    moved = Interaction.of(x - x.mean(0), y).hsic()
    assert float(moved) == pytest.approx(brute_hsic(x, y), rel=1e-9)


def test_what_is_left_out_is_as_if_it_had_never_been_there() -> None:
    x, y = gaussians(20, 5), gaussians(20, 4, seed=1)
    part = torch.arange(20) % 3
    found = Interaction.of(x, y, part)
    for g in range(3):
        rest = part != g
        assert float(found.hsic()[1 + g]) == pytest.approx(brute_hsic(x[rest], y[rest]), rel=1e-9)
        assert float(found.trace_x()[1 + g]) == pytest.approx(float(x[rest].var(0).sum()))


def test_independent_gaussians_have_no_similarity_where_the_biased_one_sees_a_fifth() -> None:
    debiased, biased = [], []
    for seed in range(300):
        x, y = gaussians(32, 8, seed=2 * seed), gaussians(32, 8, seed=2 * seed + 1)
        hsic = [float(Interaction.of(*pair).hsic()) for pair in ((x, y), (x, x), (y, y))]
        debiased.append(hsic[0] / np.sqrt(hsic[1] * hsic[2]))
        x, y = x - x.mean(0), y - y.mean(0)
        norms = (x.T @ x).norm() * (y.T @ y).norm()
        biased.append(float((x.T @ y).square().sum() / norms))
    error = np.std(debiased) / np.sqrt(len(debiased))
    assert abs(np.mean(debiased)) < 3 * error and error < 0.01
    assert np.mean(biased) == pytest.approx(0.198, abs=0.02)


def test_the_jackknife_covers_the_truth() -> None:
    """Of a mean: its interval is Student's."""
    covered = 0
    for seed in range(200):
        x = gaussians(20, seed=seed)
        left_out = (x.sum() - x) / 19
        low, high = jackknife_interval(left_out, float(x.mean()))
        covered += low <= 0 <= high
    assert 180 <= covered <= 199
    assert all(np.isnan(jackknife_interval(torch.ones(1), 1.0)))


# -- the measures ----------------------------------------------------------------------------------


def test_turns_and_scale_are_not_seen_and_oneself_is_one() -> None:
    x = gaussians(60, 8) * torch.arange(1, 9)
    turn = torch.linalg.qr(gaussians(8, 8, seed=1))[0]
    other = gaussians(60, 5, seed=2) + x[:, :5]
    values = [x, 3.0 * x @ turn + 7.0, other, -2.0 * other]
    frame = compare(values, own_texts(60))
    for metric in ("cka", "svcca", "rsa"):
        assert of(frame, metric, 0, 0) == pytest.approx(1.0, abs=1e-8)
        assert of(frame, metric, 0, 1) == pytest.approx(1.0, abs=1e-8)
        between = of(frame, metric, 0, 2)
        assert 0.05 < between < 0.95
        assert of(frame, metric, 1, 3) == pytest.approx(between, abs=1e-8)


def test_what_does_not_vary_is_like_nothing() -> None:
    frame = compare([torch.ones(40, 3), gaussians(40, 3)], own_texts(40))
    for metric in ("cka", "svcca", "rsa"):
        assert of(frame, metric) == 0.0 and of(frame, metric, 0, 0) == 0.0


def test_chance_of_svcca_is_what_independent_rows_have() -> None:
    frame = compare([gaussians(60, 20), gaussians(60, 20, seed=1)], own_texts(60))
    row = frame.query("metric == 'svcca' and a == 0 and b == 1").iloc[0]
    assert row["value"] == pytest.approx(row["chance"], abs=0.08) and row["chance"] > 0.3


def test_an_interval_is_as_wide_as_fresh_texts_spread() -> None:
    """Texts of three rows that share a draw: the standard error is the spread over other texts."""
    turn = gaussians(5, 4, seed=9)

    def fresh(seed: int) -> pd.DataFrame:
        x = gaussians(40, 5, seed=3 * seed).repeat_interleave(3, 0)
        x = (x + 0.3 * gaussians(120, 5, seed=3 * seed + 1)) * torch.arange(1, 6)
        y = x @ turn + 6 * gaussians(40, 4, seed=3 * seed + 2).repeat_interleave(3, 0)
        frame = compare([x, y], torch.arange(40).repeat_interleave(3))
        return frame[frame["a"] != frame["b"]]

    several = pd.concat([fresh(seed) for seed in range(60)])
    for _, rows in several.groupby("metric"):
        assert ((rows["ci_low"] < rows["value"]) & (rows["value"] < rows["ci_high"])).all()
        half = (rows["value"] - rows["ci_low"]) / student.ppf(0.975, 19)
        spread = rows["value"].std()
        assert np.sqrt(half.pow(2).mean()) == pytest.approx(spread, rel=0.35) and spread > 0.01


def test_what_is_left_out_of_all_measures_is_as_if_it_had_never_been_there() -> None:
    x, y = gaussians(45, 6), gaussians(45, 4, seed=1) + gaussians(45, 6)[:, :4]
    text = torch.arange(15).repeat_interleave(3)
    whole = compare([x, y], text)
    for metric in ("cka", "svcca", "rsa"):
        left_out = [
            of(compare([x[text != t], y[text != t]], text[text != t]), metric) for t in range(15)
        ]
        row = whole.query("metric == @metric and a == 0 and b == 1").iloc[0]
        low, _ = jackknife_interval(torch.tensor(left_out, dtype=torch.float64), row["value"])
        assert row["ci_low"] == pytest.approx(low, abs=1e-9)


def test_rsa_agrees_with_rsatoolbox() -> None:
    pytest.importorskip("rsatoolbox", exc_type=ImportError)
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm
    from rsatoolbox.rdm import compare as rsa_compare

    x, y = gaussians(30, 6), gaussians(30, 9, seed=1)
    y[:, :6] += x
    rdms = [calc_rdm(Dataset(values.numpy()), method="euclidean") for values in (x, y)]
    theirs = float(rsa_compare(*rdms, method="spearman").item())
    assert of(compare([x, y], own_texts(30)), "rsa") == pytest.approx(theirs, abs=1e-8)


def test_svcca_agrees_with_canonical_correlations_of_a_peer() -> None:
    cross = pytest.importorskip("sklearn.cross_decomposition")
    x = gaussians(80, 4)
    y = gaussians(80, 4, seed=1) + x @ gaussians(4, 4, seed=2)
    peer = cross.CCA(n_components=4, scale=False, max_iter=5000, tol=1e-12).fit(x, y)
    a, b = peer.transform(x, y)
    theirs = np.mean([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(4)])
    assert of(compare([x, y], own_texts(80)), "svcca") == pytest.approx(theirs, abs=1e-4)


# -- models ----------------------------------------------------------------------------------------


def tiny(seed: int = 0, **changes: object) -> HookedTransformer:
    cfg = TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, d_vocab=20, n_ctx=32, initializer_range=0.3
    ).replace(**changes)
    return HookedTransformer(cfg, seed=seed).eval()


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_layers_of_every_shape_are_compared(shape: str) -> None:
    start = {"decoder_start_token_id": 0, "eos_token_id": 1} if shape == "encoder_decoder" else {}
    head = {"head": "mlm"} if shape == "encoder" else {}
    model = tiny(shape=shape, **start, **head)
    frame = similarity(subjects(model), lambda m: repeats(m, rows=8, length=20), by="text")
    cka = frame[frame["metric"] == "cka"]
    n = 6 if shape == "encoder_decoder" else 3
    assert len(cka) == n * (n + 1) / 2
    assert cka.loc[cka["site"] == cka["site_b"], "value"].to_numpy() == pytest.approx(1.0)


def test_a_padded_batch_gives_the_rows_of_single_texts() -> None:
    model = tiny()
    rows = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
    together = read_stream(model, Passages(rows, rows))
    assert together.tokens.tolist() == [token for row in rows for token in row]
    for i, row in enumerate(rows):
        alone = read_stream(model, Passages([row], [row]))
        for site, value in alone.values.items():
            assert torch.allclose(together.values[site][together.text == i], value, atol=1e-5)
    means = read_stream(model, Passages(rows, rows), by="text")
    site = "blocks.1.hook_resid_post"
    expected = together.values[site][together.text == 1].mean(0)
    assert torch.allclose(means.values[site][1], expected, atol=1e-5)


def test_models_are_compared_by_the_same_tokens_only() -> None:
    one, other = tiny(0, model_name="one"), tiny(1, model_name="two", d_vocab=24)
    with pytest.raises(InputError, match="other tokens"):
        similarity(subjects([one, other]), lambda m: repeats(m, rows=4, length=20))
    with pytest.raises(InputError, match="four rows"):
        compare([gaussians(3, 2)], own_texts(3))
    twin = tiny(1, model_name="two")
    frame = similarity(subjects([one, twin]), lambda m: repeats(m, rows=8, length=20), rows=100)
    cka = frame[frame["metric"] == "cka"]
    assert set(zip(cka["run"], cka["run_b"], strict=True)) == {
        ("one", "one"),
        ("one", "two"),
        ("two", "two"),
    }
    assert (cka["n"] == 100).all() and (cka["ci_low"] <= cka["value"]).all()
    several, single = (
        similarity_chart(frame, scheme="dark"),
        similarity_chart(frame[frame["run_b"] == "one"]),
    )
    assert "of 2 models" in several.alt and "of 1 model" in single.alt
    for figure in (several, single):
        assert "<svg" in drawn(figure.chart)
        assert json.dumps(figure.chart.to_dict())
