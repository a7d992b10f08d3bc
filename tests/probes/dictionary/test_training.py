from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from interp.errors import ConfigError, InputError, LoadError, TrainingError
from probes.dictionary import Coder, Settings, fit_of_rows, train
from probes.dictionary.objective import KINDS, JumpReLU, jump
from probes.dictionary.settings import Kind
from probes.dictionary.training import STATE, Run
from tests.probes.dictionary.planted import Planted

SITE = "blocks.0.hook_resid_post"


def settings(**changes: object) -> Settings:
    asked = {"latents": 32, "l0": 2, "steps": 400, "rate": 5e-3, "dead_after": 5000}
    return Settings(**{**asked, **changes})  # type: ignore[arg-type]


def tensors(coder: Coder) -> dict[str, Tensor]:
    return {name: value for name, value in vars(coder).items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_planted_directions_are_found(kind: Kind) -> None:
    planted = Planted()
    coder = train(planted, settings(kind=kind), site=SITE)
    nearest = (planted.directions @ coder.W_dec.t()).max(1).values
    assert nearest.mean() > 0.9
    assert torch.allclose(coder.W_dec.norm(dim=1), torch.ones(32), atol=1e-5)
    fit = fit_of_rows(coder, [planted.batch(10_000 + i) for i in range(4)])
    found = {measure.metric: measure.value for measure in fit.measures()}
    assert found["l0"] == pytest.approx(2, rel=0.25)
    assert found["fvu"] < 0.2
    # The training said the same of its own batches, in its own units.
    assert coder.about["last_fvu"] == pytest.approx(found["fvu"], abs=0.05)


def test_a_transcoder_learns_the_map_between_two_sites() -> None:
    planted = Planted()
    turn = torch.linalg.qr(torch.randn(20, 16, generator=torch.Generator().manual_seed(1))).Q.t()

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for x in planted:
            yield x, 3 * x @ turn + 1.0

    coder = train(pairs(), settings(), site=SITE, target="blocks.0.hook_mlp_out")
    assert (coder.d_in, coder.d_out, coder.is_transcoder) == (16, 20, True)
    nearest = (planted.directions @ turn @ coder.W_dec.t()).max(1).values
    assert nearest.mean() > 0.9
    x = planted.batch(9999)
    fit = fit_of_rows(coder, [(x, 3 * x @ turn + 1.0)])
    assert fit.measures()[0].value < 0.2


def test_dead_latents_are_revived() -> None:
    """Latents far below zero stay dead without AuxK; with it they are put to use."""
    planted, dead, fvu = Planted(rows=64), {}, {}
    for weight in (0.0, 1 / 32):
        asked = settings(steps=200, rate=2e-2, dead_after=1000, aux_weight=weight)
        run = Run.begin(asked, planted.batch(0), planted.batch(0), SITE, SITE)
        with torch.no_grad():
            run.trainee.b_enc[:16] = -6.0
        for step in range(asked.steps):
            x = planted.batch(step)
            run.one_step(x, x)
        dead[weight], fvu[weight] = run.n_dead, run.fvu
    assert dead[0.0] == 16
    assert dead[1 / 32] <= 12
    assert fvu[1 / 32] < fvu[0.0]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_resumed_training_equals_one_without_a_break(kind: Kind, tmp_path: Path) -> None:
    planted = Planted(rows=32)
    asked = settings(kind=kind, latents=128, steps=20, warmup_steps=3, dead_after=64)
    whole = train(planted, asked, site=SITE)

    class Broken(Planted):
        def since(self, step: int) -> Iterator[Tensor]:
            for i in range(step, 11):
                yield self.batch(i)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Broken(rows=32), asked, site=SITE, folder=tmp_path)
    steps_read = []

    class Noted(Planted):
        def batch(self, step: int) -> Tensor:
            steps_read.append(step)
            return super().batch(step)

    resumed = train(Noted(rows=32), asked, site=SITE, folder=tmp_path)
    assert steps_read[0] == 11
    for name, value in tensors(whole).items():
        assert torch.equal(value, getattr(resumed, name)), name
    assert whole.about == resumed.about
    # A plain iterable is read again from its beginning.
    (tmp_path / STATE).unlink()
    with pytest.raises(TrainingError, match="ended after 11 of 20"):
        train([planted.batch(i) for i in range(11)], asked, site=SITE, folder=tmp_path)
    again = train([planted.batch(i) for i in range(20)], asked, site=SITE, folder=tmp_path)
    assert torch.equal(again.W_enc, whole.W_enc)


def test_the_seed_decides() -> None:
    planted = Planted(rows=32)
    one, other = (train(planted, settings(steps=3, seed=s), site=SITE) for s in (0, 1))
    assert not torch.equal(one.W_dec, other.W_dec)


def test_units_of_the_activations_do_not_matter() -> None:
    """What is learnt from c (x + m) is what is learnt from x, in other units."""
    planted, shift = Planted(rows=32), torch.linspace(-3, 3, 16)
    asked = settings(steps=10, warmup_steps=2, kind="jumprelu")
    plain = train(planted, asked, site=SITE)
    scaled = train((8 * (x + shift) for x in planted), asked, site=SITE)
    assert torch.allclose(plain.W_dec, scaled.W_dec, atol=1e-4)
    x = planted.batch(77)
    codes = 8 * plain.encode(x), scaled.encode(8 * (x + shift))
    # Rounding may push a value over its threshold.
    assert torch.isclose(*codes, rtol=0.01, atol=0.01).float().mean() > 0.99


def test_the_gradient_of_a_threshold_is_the_kernel_estimate() -> None:
    """Rajamanoharan et al. 2024, equations 11 and 12, written out value by value."""
    width, threshold = 0.5, torch.tensor([0.7, 1.1], requires_grad=True)
    before = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    z, active = jump(before, threshold, width)
    up_z, up_active = torch.randn(40, 2), torch.randn(40, 2)
    (z * up_z + active * up_active).sum().backward()
    expected = torch.zeros(2)
    for i in range(40):
        for j in range(2):
            if abs(before[i, j] - threshold[j]) < width / 2:
                expected[j] -= (threshold[j] * up_z[i, j] + up_active[i, j]).detach() / width
    assert threshold.grad is not None and torch.allclose(threshold.grad, expected, atol=1e-5)
    assert before.grad is not None
    assert torch.equal(before.grad, torch.where(before > threshold, up_z, 0.0))


def test_the_first_thresholds_leave_as_many_active_as_are_wanted() -> None:
    trainee = JumpReLU(16, 16, True, settings(kind="jumprelu", latents=64, l0=5))
    x = F.normalize(torch.randn(500, 16), dim=1) * 4
    trainee.start(x, x)
    assert trainee(x, x, None).l0 == pytest.approx(5, abs=0.01)


def test_the_gradient_of_directions_has_nothing_along_them() -> None:
    trainee = KINDS["topk"](16, 16, True, settings())
    x = Planted().batch(0)
    trainee(x, x, None).error.backward()
    trainee.project_gradient()
    assert trainee.decoder.grad is not None
    along = (trainee.decoder.grad * trainee.decoder).sum(1)
    assert along.abs().max() < 1e-7 * max(1.0, trainee.decoder.grad.abs().max().item())


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (lambda: torch.zeros(4), "matrix"),
        (lambda: torch.zeros(4, 3, dtype=torch.int64), "matrix"),
        (lambda: torch.zeros(0, 3), "empty"),
        (lambda: torch.ones(4, 3), "the same"),
        (lambda: torch.tensor([[0.0], [torch.inf]]), "Row 1 of the batch of step 0"),
        (lambda: (torch.randn(4, 3), torch.randn(5, 3)), "as many rows"),
    ],
)
def test_bad_batches_are_refused(batch: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train([batch()], settings(steps=1), site=SITE)  # type: ignore[list-item]


def test_a_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    planted = Planted(rows=32)
    train(planted, settings(steps=2), site=SITE, folder=tmp_path)
    with pytest.raises(TrainingError, match="its settings is"):
        train(planted, settings(steps=3), site=SITE, folder=tmp_path)
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LoadError, match="truncated"):
        train(planted, settings(steps=2), site=SITE, folder=tmp_path)


def test_a_lost_training_leaves_the_sound_state(tmp_path: Path) -> None:
    planted = Planted(rows=32)
    batches = [planted.batch(0), planted.batch(1), planted.batch(2) * 1e30]
    with pytest.raises(TrainingError, match="loss is"):
        train(batches, settings(steps=3, save_every=0), site=SITE, folder=tmp_path)
    sound = [planted.batch(i) for i in range(3)]
    resumed = train(sound, settings(steps=3, save_every=0), site=SITE, folder=tmp_path)
    assert torch.equal(resumed.W_enc, train(sound, settings(steps=3), site=SITE).W_enc)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "relu"}, "kind is 'relu'"),
        ({"l0": 40}, "l0 is 40"),
        ({"steps": 0}, "steps is 0"),
        ({"rate": 0.0}, "rate"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"decay_share": 0.0}, "decay_share"),
        ({"aux_weight": -1.0}, "aux_weight"),
        ({"warmup_steps": -1}, "warmup_steps"),
    ],
)
def test_settings_check_themselves(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**changes)
