"""Speed is what the clock says, read off between the shapes that were measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.train.size import Speed, measure_speed, training_flops
from interp.train.size.shapes import decoder
from interp.train.size.throughput import training_step

SHAPES = [decoder(width, d_vocab=64, n_ctx=8) for width in (32, 64, 128, 256)]


class Machine:
    """A clock that only steps move: so many operations a second, and a slow first step."""

    def __init__(self, flops_per_second: float):
        self.now, self.rate = 0.0, flops_per_second
        self.trained: list[int] = []

    def step_of(self, cfg: TransformerConfig) -> Callable[[], int]:
        self.trained.append(cfg.d_model)
        first = True

        def step() -> int:
            nonlocal first
            seconds = 100 * training_flops(cfg) / self.rate
            self.now += 9 * seconds if first else seconds
            first = False
            return 100

        return step


@given(rate=st.floats(1e6, 1e15))
def test_what_is_measured_is_what_the_machine_does(rate: float) -> None:
    machine = Machine(rate)
    speed = measure_speed(
        SHAPES[::-1], machine.step_of, seconds=1e10 / rate, clock=lambda: machine.now
    )
    assert machine.trained == [32, 64, 128, 256]
    for cfg in (*SHAPES, decoder(96, d_vocab=64, n_ctx=8), decoder(512, d_vocab=64, n_ctx=8)):
        assert speed(cfg) == pytest.approx(rate / training_flops(cfg))


def test_measuring_ends_before_a_step_takes_too_long() -> None:
    machine = Machine(1.0)
    limit = 150.0 * training_flops(SHAPES[1])
    speed = measure_speed(SHAPES, machine.step_of, seconds=limit, clock=lambda: machine.now)
    assert machine.trained == [32, 64]
    assert speed.largest == training_flops(SHAPES[1])


def test_the_smallest_shape_is_measured_however_long_it_takes() -> None:
    machine = Machine(1.0)
    speed = measure_speed(SHAPES, machine.step_of, seconds=1e-9, clock=lambda: machine.now)
    assert len(speed.measured) == 1


def test_between_two_shapes_lies_what_lies_between_them() -> None:
    costs = [float(training_flops(SHAPES[i])) for i in (0, 2)]
    speed = Speed(((costs[0], 1e9 / costs[0]), (costs[1], 4e9 / costs[1])))
    rates = [speed(cfg) * training_flops(cfg) for cfg in SHAPES]
    assert rates[0] == pytest.approx(1e9)
    assert rates[2] == pytest.approx(4e9) and rates[3] == pytest.approx(4e9)
    assert 1e9 < rates[1] < 4e9
    assert Speed(speed.measured[::-1])(SHAPES[1]) == speed(SHAPES[1])


@pytest.mark.parametrize("measured", [(), ((1e6, 0.0),), ((1e6, float("nan")),)])
def test_no_speed_is_refused(measured: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(InputError, match="positive number of tokens per second"):
        Speed(measured)
    with pytest.raises(InputError, match="at least one shape"):
        measure_speed([])


def test_a_step_trains_on_as_many_tokens_as_it_says() -> None:
    cfg = decoder(32, d_vocab=64, n_ctx=128)
    step = training_step(cfg)
    assert step() == step() == 2048
    longer_than_a_step = training_step(decoder(32, d_vocab=64, n_ctx=4096))
    assert longer_than_a_step() == 4096
