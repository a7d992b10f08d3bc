"""Ranks are those of brute force, and what was never seen has the exposure of chance."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

from interp.errors import InputError, UnsupportedModelError
from interp.model.transformer import HookedTransformer
from probes.privacy import ranking
from probes.privacy.canaries import Canary, make_canaries
from probes.privacy.exposure import CHANCE, exposure
from tests.train.tasks.small import model


def of(frame: pd.DataFrame, metric: str) -> np.ndarray:
    rows = frame[(frame["metric"] == metric) & frame["unit_id"].notna()]
    return rows.sort_values("unit_id")["value"].to_numpy()


@torch.no_grad()
def brute_rank(reader: HookedTransformer, canary: Canary) -> int:
    """Every secret is written out and read as a text of its own."""
    size = 10 ** len(canary.secret)
    secrets = [f"{n:0{len(canary.secret)}d}" for n in range(size)]
    pair = reader.cfg.shape == "encoder_decoder"
    tokenizer = reader.require_tokenizer()
    heads = tokenizer.encode(canary.prefix)
    if pair:
        rows = [tokenizer.encode(secret) for secret in secrets]
    else:
        rows = [tokenizer.encode(f"{canary.prefix} {secret}")[len(heads) :] for secret in secrets]
    scores = []
    for row in rows:
        if pair:
            source = torch.tensor([tokenizer.encode(canary.prefix, add_special_tokens=True)])
            start = reader.cfg.decoder_start_token_id
            read = torch.tensor([[start, *row[:-1]]])
            logits = reader(source, decoder_tokens=read)[0]
        else:
            whole = [tokenizer.bos_token_id, *heads, *row]
            logits = reader(torch.tensor([whole[:-1]]))[0, len(heads) :]
        log_p = logits.log_softmax(-1)
        scores.append(float(sum(log_p[i, token] for i, token in enumerate(row))))
    return int((np.array(scores) >= scores[int(canary.secret)]).sum())


@pytest.mark.parametrize("shape", ["decoder", "encoder_decoder"])
@pytest.mark.parametrize("memory", [1, 2**25])
def test_ranks_are_those_of_brute_force(
    shape: str, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_BYTES", memory)  # many small batches, or one large
    reader = model(shape).double()
    canaries = [
        Canary("cat", "07", 0),
        Canary("the cat sat on a mat has", "93", 1),
        Canary("who", "55", 1),
    ]
    found = of(exposure(reader, canaries), "rank")
    assert found.tolist() == [brute_rank(reader, canary) for canary in canaries]


def test_controls_have_the_exposure_of_chance() -> None:
    """Exact p-values of a random model are uniform, and their mean exposure is log2 e."""
    from scipy.stats import kstest

    frame = exposure(model(), make_canaries((0,), 300, digits=2))
    p = of(frame, "p_value")
    assert kstest(p - np.random.default_rng(0).random(300) / 100, "uniform").pvalue > 0.01
    mean = of(frame, "exposure").mean()
    assert abs(mean - CHANCE) < 4 * CHANCE / math.sqrt(300)
    joint = frame.loc[frame["metric"] == "joint_p_value", "value"].item()
    assert 0.001 < joint < 0.999


def test_a_model_that_tells_nothing_apart_remembers_nothing() -> None:
    reader = model()
    with torch.no_grad():
        reader.output.unembed.weight.zero_()
    frame = exposure(reader, make_canaries((0, 3), 2, digits=2))
    assert set(of(frame, "exposure")) == {0.0}
    assert set(of(frame, "p_value")) == {1.0}


def test_a_planted_secret_has_all_bits_and_costs_a_handful_of_forwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = model(unembed_bias=True)
    tokenizer = reader.require_tokenizer()
    with torch.no_grad():
        for token in tokenizer.encode(" 7777"):
            reader.output.unembed.bias[token] = 50.0
    read = []
    exposures = import_module("probes.privacy.exposure")  # the package's own name is a function
    real = exposures.ranks
    monkeypatch.setattr(exposures, "ranks", lambda *a, on_done: real(*a, on_done=read.append))
    frame = exposure(reader, [Canary("dogs", "7777", 5), Canary("cat", "7777", 5)])
    assert of(frame, "exposure") == pytest.approx([math.log2(10**4)] * 2)
    assert sum(read) <= 2 * 5
    remembered = frame[frame["metric"] == "remembered"]
    assert remembered["value"].item() == 1.0
    assert frame.loc[frame["metric"] == "joint_p_value", "value"].item() < 1e-6


def test_the_joint_p_value_is_that_of_summed_exponentials() -> None:
    """For two canaries with p-values p and q: P(product <= pq) = pq (1 - log pq)."""
    frame = exposure(model(), make_canaries((0,), 2, digits=2, seed=5))
    p, q = of(frame, "p_value")
    joint = frame.loc[frame["metric"] == "joint_p_value", "value"].item()
    assert joint == pytest.approx(p * q * (1 - math.log(p * q)))


def test_corrected_p_values_are_those_of_two_families_by_holm() -> None:
    """By the definition: sorted p-values times how many are left, never falling, at most 1."""
    frame = exposure(model(), make_canaries((0, 1, 4), 3, digits=2))
    corrected = frame[frame["metric"] == "corrected_p_value"]
    raw = frame[frame["metric"].isin(["p_value", "joint_p_value"])]
    for inserted, size in ((False, 4), (True, 8)):
        mine, of_raw = (part[(part["duplicates"] > 0) == inserted] for part in (corrected, raw))
        largest, wanted = 0.0, {}
        p = of_raw.sort_values("value", kind="stable")
        for left, row in zip(range(size, 0, -1), p.itertuples(), strict=True):
            largest = max(largest, min(1.0, left * row.value))
            wanted[row.unit_id, row.duplicates] = largest
        found = {(row.unit_id, row.duplicates): row.value for row in mine.itertuples()}
        assert found == pytest.approx(wanted)


def test_what_cannot_be_ranked_is_refused() -> None:
    canaries = make_canaries((0,), 2, digits=2)
    with pytest.raises(UnsupportedModelError, match="use membership"):
        exposure(model("encoder"), canaries)
    with pytest.raises(InputError, match="secrets of one length"):
        exposure(model(), [*canaries, Canary("cat", "123", 0)])
    with pytest.raises(InputError, match="leaves no room"):
        exposure(model(), [Canary("the cat sat " * 15, "12", 0)])
