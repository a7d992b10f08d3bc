"""A fit finds the law that made the runs, and says what the runs leave open."""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interp.errors import InputError
from interp.train.size import PUBLISHED, ScalingLaw, fit, fit_file, known_law, runs
from interp.train.size.laws import COEFFICIENTS
from tests.train.size.test_laws import a_law

SMALL = a_law(E=3.0, A=60.0, B=120.0, alpha=0.33, beta=0.31)


def runs_of(law: ScalingLaw, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A grid of 30 runs over two decades of size and of length, from its middle compute."""
    n, d = law.optimum(float(np.sqrt(law.compute[0] * law.compute[1])))
    grid = product(n * np.geomspace(0.1, 10, 6), d * np.geomspace(0.1, 10, 5))
    frame = pd.DataFrame(grid, columns=["parameters", "tokens"])
    random = np.random.default_rng(seed).standard_normal(len(frame))
    frame["loss"] = law.loss(frame["parameters"], frame["tokens"]) * np.exp(noise * random)
    return frame


@pytest.mark.parametrize("law", [*PUBLISHED.values(), SMALL], ids=[*PUBLISHED, "small"])
def test_exact_runs_give_back_their_law(law: ScalingLaw) -> None:
    found = fit(runs_of(law), draws=2)
    for name in COEFFICIENTS:
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-3)
    assert found.unidentified == () and found.scatter < 1e-6


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("law", [*PUBLISHED.values(), SMALL], ids=[*PUBLISHED, "small"])
def test_noisy_runs_give_exponents_within_two_hundredths(law: ScalingLaw, seed: int) -> None:
    found = fit(runs_of(law, noise=1e-3, seed=seed), draws=2)
    assert found.alpha == pytest.approx(law.alpha, abs=0.02)
    assert found.beta == pytest.approx(law.beta, abs=0.02)
    assert found.scatter == pytest.approx(1e-3, rel=0.5)


def test_one_failed_run_does_not_bend_the_law() -> None:
    frame = runs_of(SMALL, noise=1e-3)
    frame.loc[7, "loss"] *= 1.5
    found = fit(frame, draws=2)
    assert found.alpha == pytest.approx(SMALL.alpha, abs=0.02)
    assert found.beta == pytest.approx(SMALL.beta, abs=0.02)


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    n, d = SMALL.optimum(1e13)
    inside = 0
    for seed in range(20):
        found = fit(runs_of(SMALL, noise=5e-3, seed=seed), draws=60, seed=seed)
        fresh = float(SMALL.loss(n, d)) * np.exp(
            5e-3 * np.random.default_rng(1000 + seed).standard_normal()
        )
        low, high = found.interval(n, d)
        inside += bool(low <= fresh <= high)
    assert inside >= 16  # of 20; at 95% a luckless one of a hundred tries has 17


def test_draws_depend_on_the_seed_alone() -> None:
    frame = runs_of(SMALL, noise=5e-3)
    assert fit(frame, draws=3).draws == fit(frame, draws=3).draws
    assert fit(frame, draws=3).draws != fit(frame, draws=3, seed=1).draws


def test_the_order_and_the_unit_of_runs_do_not_matter() -> None:
    frame = runs_of(SMALL, noise=2e-3)
    found = fit(frame, draws=1)
    shuffled = fit(frame.sample(frac=1, random_state=1), draws=1)
    halved = fit(frame.assign(loss=frame["loss"] / 2), draws=1, unit="bits per byte")
    assert shuffled.alpha == pytest.approx(found.alpha, rel=1e-3)
    assert halved.alpha == pytest.approx(found.alpha, rel=1e-3)
    assert pytest.approx(found.E / 2, rel=1e-3) == halved.E and halved.unit == "bits per byte"


@pytest.mark.parametrize(
    ("sizes", "tokens", "left_open"),
    [
        (np.full(12, 1e6), np.geomspace(1e5, 1e8, 12), {"E", "A", "alpha"}),
        (np.geomspace(1e5, 1e8, 12), np.full(12, 1e7), {"E", "B", "beta"}),
        (np.geomspace(1e5, 1e7, 12), 20 * np.geomspace(1e5, 1e7, 12), {"alpha", "beta"}),
    ],
    ids=["one size", "one length", "one ratio"],
)
def test_runs_that_cannot_tell_are_found_out(
    sizes: np.ndarray, tokens: np.ndarray, left_open: set[str]
) -> None:
    frame = pd.DataFrame({"parameters": sizes, "tokens": tokens})
    frame["loss"] = SMALL.loss(frame["parameters"], frame["tokens"])
    assert left_open <= set(fit(frame, draws=2).unidentified)


def test_the_range_is_that_of_the_runs() -> None:
    frame = runs_of(SMALL)
    compute = 6 * frame["parameters"] * frame["tokens"]
    found = fit(frame, draws=1)
    assert found.compute == pytest.approx((compute.min(), compute.max()))
    assert found.n_runs == len(frame)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (runs_of(SMALL).drop(columns="tokens"), "lack the column tokens"),
        (runs_of(SMALL).assign(loss=0.0), "holds 0.0 in row 0"),
        (runs_of(SMALL).assign(loss=float("nan")), "holds nan in row 0"),
        (runs_of(SMALL).assign(tokens="many"), "not numbers"),
        (runs_of(SMALL).head(5), "5 different pairs"),
        (pd.concat([runs_of(SMALL).head(3)] * 9), "3 different pairs"),
        (pd.DataFrame(), "lack the columns parameters, tokens, loss; they have none"),
    ],
)
def test_runs_that_give_no_law_are_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InputError, match=says):
        fit(frame)


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is fitted with 200 draws, which take seconds and move no coefficient."""
    monkeypatch.setattr(runs, "fit", partial(fit, draws=2))


def written(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "runs.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.usefixtures("few_draws")
def test_a_file_says_how_its_parameters_are_counted(tmp_path: Path) -> None:
    frame = runs_of(SMALL)
    frame["parameters_all"] = 3 * frame["parameters"]
    frame["d_vocab"] = 512
    path = written(tmp_path, frame)
    plain, whole = fit_file(path), fit_file(path, "all")
    assert pytest.approx(SMALL.A, rel=1e-3) == plain.A and plain.d_vocab == 512
    assert pytest.approx(SMALL.A * 3**SMALL.alpha, rel=1e-3) == whole.A
    assert (plain.counting, whole.counting) == ("matrices", "all")


@pytest.mark.usefixtures("few_draws")
def test_a_file_may_hold_bits_per_byte(tmp_path: Path) -> None:
    frame = runs_of(SMALL)
    frame["bits_per_byte"] = frame["loss"] / np.log(2) / 3.5
    both = fit_file(written(tmp_path, frame))
    assert both.unit == "nats per token" and both.bytes_per_token == pytest.approx(3.5)
    bits = fit_file(written(tmp_path, frame.drop(columns="loss")))
    assert bits.unit == "bits per byte" and pytest.approx(bits.E * np.log(2) * 3.5) == SMALL.E


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "No columns"),
        (b"\xff\xfe\x00binary", "cannot be read"),
        (b"a,b\n1,2\n", "lack the columns parameters, tokens"),
        (b'parameters,tokens,loss\n1,2\n"', "cannot be read"),
    ],
)
def test_files_that_are_no_runs_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        fit_file(path)
    with pytest.raises(InputError, match=r"absent.csv cannot be read"):
        fit_file(tmp_path / "absent.csv")


@pytest.mark.usefixtures("few_draws")
def test_losses_of_several_vocabularies_do_not_mix(tmp_path: Path) -> None:
    frame = runs_of(SMALL)
    frame["d_vocab"] = [512, 1024] * 15
    with pytest.raises(InputError, match="512, 1024 tokens"):
        fit_file(written(tmp_path, frame))
    frame = frame.rename(columns={"loss": "bits_per_byte"})
    assert fit_file(written(tmp_path, frame)).d_vocab is None


@pytest.mark.usefixtures("few_draws")
def test_the_packages_law_is_the_fit_of_its_record(repository: Path) -> None:
    for counting in ("matrices", "all", "blocks"):
        found = fit_file(repository / "docs" / "records" / "size-sweep.csv", counting)
        stored = known_law("stories", counting)
        for name in COEFFICIENTS:
            assert getattr(found, name) == pytest.approx(getattr(stored, name), rel=1e-2)
