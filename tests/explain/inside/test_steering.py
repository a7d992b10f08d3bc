"""Steering: the vector is a difference of means, and adding it is what a bias would do."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from interp import HookError, InputError
from interp.explain import Target
from interp.explain.inside.steering import SteeringVector, steered, steering_vector
from interp.explain.inside.steering_effect import steering_effect
from interp.pretrained.bridge import wrap
from tests.model.configurations import build, shared_model
from tests.model.transformer_lens.models import bridge, ours

SITE = "blocks.1.hook_resid_post"


def ids(n: int, seed: int, pos: int = 6) -> Tensor:
    return torch.randint(0, 29, (n, pos), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("read", ["last", "mean"])
@pytest.mark.parametrize("name", ["blocks.1.hook_resid_post", "blocks.0.attn.hook_z"])
def test_the_vector_is_the_difference_of_two_means(read: Any, name: str) -> None:
    model = shared_model("decoder", torch.float64)
    texts, others = ids(400, 0), ids(3, 1)
    found = steering_vector(model, texts, others, name, read=read)
    means = []
    for some in (texts, others):
        value = model.run_with_cache(some)[1][name]
        means.append((value[:, -1] if read == "last" else value.mean(1)).mean(0))
    torch.testing.assert_close(found.vector, means[0] - means[1], atol=1e-12, rtol=0)
    back = steering_vector(model, others, texts, name, read=read)
    torch.testing.assert_close(back.vector, -found.vector, atol=1e-12, rtol=0)
    assert found.n_texts == (400, 3) and found.norm == pytest.approx(found.vector.norm().item())


@pytest.mark.parametrize("read", ["last", "mean"])
def test_texts_of_different_lengths_count_alike(read: Any) -> None:
    """Padded together or read one by one, and their padding never read."""
    model = ours()
    texts, others = ["w3 w7", "w9 w3 w11 w2 w5", "w8"], ["w1 w2 w3", "w4"]
    found = steering_vector(model, texts, others, SITE, read=read)
    pairs = [steering_vector(model, [a], [b], SITE, read=read) for a in texts for b in others]
    mean = torch.stack([pair.vector for pair in pairs]).mean(0)
    torch.testing.assert_close(found.vector, mean, atol=1e-5, rtol=0)


def vector(model: Any, name: str = "blocks.1.hook_mlp_out") -> SteeringVector:
    return steering_vector(model, ids(4, 0), ids(4, 1), name)


def test_adding_it_everywhere_is_adding_it_to_a_bias() -> None:
    model, biased = build("decoder", dtype=torch.float64), build("decoder", dtype=torch.float64)
    v, text = vector(model), ids(2, 5)
    with torch.no_grad():
        biased.blocks[1].mlp.down.bias += 1.5 * v.vector
    with steered(model, v, 1.5):
        logits = model(text)
        texts = [model.generate(text, 6, do_sample=False, use_past_kv_cache=k) for k in (0, 1)]
    torch.testing.assert_close(logits, biased(text), atol=1e-10, rtol=0)
    assert (logits - model(text)).abs().max() > 0.1
    written = biased.generate(text, 6, do_sample=False)
    assert torch.equal(texts[0], written) and torch.equal(texts[1], written)
    assert not torch.equal(written, model.generate(text, 6, do_sample=False))


@pytest.mark.parametrize("positions", [[1, 3], slice(2, None), slice(0, 8, 3), range(7, 20)])
def test_positions_count_from_the_start_while_a_text_is_written(positions: Any) -> None:
    model = shared_model("decoder-rotary", torch.float64)
    v, text = vector(model), ids(1, 5)
    chosen = list(range(40))[positions] if isinstance(positions, slice) else list(positions)

    def add(value: Tensor, hook: Any) -> None:
        here = [i for i in chosen if i < value.shape[1]]
        value[:, here] += 3 * v.vector

    naive = text
    for _ in range(6):
        logits = model.run_with_hooks(naive, fwd_hooks=[(v.name, add)])
        naive = torch.cat([naive, logits[:, -1:].argmax(-1)], 1)
    for cached in (True, False):
        with steered(model, v, 3.0, positions):
            for _ in range(2):  # another text in the same context begins anew
                options: Any = {"do_sample": False, "use_past_kv_cache": cached}
                written = model.generate(text, 6, **options)
                assert torch.equal(written, naive)


def test_another_librarys_model_is_steered_alike() -> None:
    model, bridged = ours(), wrap(bridge())
    v = steering_vector(model, ids(4, 0), ids(4, 1), SITE)
    other = steering_vector(bridged, ids(4, 0), ids(4, 1), SITE)
    torch.testing.assert_close(other.vector, v.vector, atol=1e-4, rtol=0)
    with steered(model, v, 2.0, [2, 3]), steered(bridged, v, 2.0, [2, 3]):
        logits = model(ids(1, 3)), bridged(ids(1, 3))
    torch.testing.assert_close(*logits, atol=1e-3, rtol=0)
    frames = [steering_effect(m, ids(2, 3), v, Target.logit(4)) for m in (model, bridged)]
    assert frames[1]["change"].tolist() == pytest.approx(frames[0]["change"].tolist(), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("encoder-mean-classification", "blocks.1.hook_resid_post"),
        ("encoder-bert", "blocks.0.attn.hook_z"),
        ("pair-pre-norm", "encoder.1.hook_mlp_out"),
        ("pair-pre-norm", "decoder.1.hook_resid_pre"),
    ],
)
def test_the_effect_is_what_the_steered_model_says(name: str, site: str) -> None:
    model = shared_model(name, torch.float64)
    inputs = {"decoder_tokens": torch.tensor([[0, 5, 2]])} if name.startswith("pair") else {}
    v = steering_vector(model, ids(4, 0), ids(4, 1), site)
    frame = steering_effect(
        model, ids(3, 2), v, Target.logit(1), [-2, 0, 3], n_random=2, positions=[1], inputs=inputs
    )
    assert len(frame) == 3 * 3
    for _, row in frame[frame["direction"] == "steering"].iterrows():
        changes = []
        for text in ids(3, 2)[:, None]:
            logits = model(text, **inputs)
            with steered(model, v, row["coefficient"], [1]):
                edited = model(text, **inputs)
            last = [x if x.ndim == 2 else x[:, -1] for x in (edited, logits)]
            changes.append((last[0] - last[1])[0, 1].item())
        assert row["change"] == pytest.approx(sum(changes) / 3, abs=1e-10)
        assert row["n"] == 3
    assert (frame[frame["coefficient"] == 0]["change"].abs() < 1e-12).all()
    assert frame[frame["coefficient"] == 3]["change"].abs().min() > 1e-6


def test_random_directions_are_as_long_and_the_effect_of_a_linear_readout_is_known() -> None:
    """Without a final norm, the last stream is read by the unembedding itself."""
    model = shared_model("decoder-no-final-norm", torch.float64)
    site = "blocks.2.hook_resid_post"
    w = model.W_U[:, 7]
    v = SteeringVector(site, 2 * w / w.norm(), "last", (1, 1))
    frame = steering_effect(model, ids(2, 2), v, Target.logit(7), [1, -3], n_random=200)
    real = frame[frame["direction"] == "steering"]["change"].tolist()
    assert real == pytest.approx([2 * w.norm().item(), -6 * w.norm().item()])
    random = frame[(frame["direction"] == "random") & (frame["coefficient"] == 1)]["change"]
    assert random.nunique() == 200 and random.abs().max() < real[0]
    # The squared cosine of a random direction with a fixed one is 1 / d on average.
    assert (random**2).mean() == pytest.approx(real[0] ** 2 / 16, rel=0.35)
    again = steering_effect(model, ids(2, 2), v, Target.logit(7), [1, -3], n_random=200)
    assert again.equals(frame)
    other = steering_effect(model, ids(2, 2), v, Target.logit(7), [1, -3], n_random=200, seed=1)
    assert not other.equals(frame)


def test_intervals_are_students_and_missing_for_one_text() -> None:
    from scipy import stats

    model = shared_model("decoder", torch.float64)
    v, texts = vector(model), ids(4, 2)
    frame = steering_effect(model, texts, v, Target.logit(3), [1.0], n_random=0)
    each = [
        steering_effect(model, texts[i : i + 1], v, Target.logit(3), [1.0], n_random=0)
        for i in range(4)
    ]
    changes = [one["change"].item() for one in each]
    interval = stats.ttest_1samp(changes, 0).confidence_interval(0.95)
    assert frame["ci_low"].item() == pytest.approx(interval.low)
    assert frame["ci_high"].item() == pytest.approx(interval.high)
    assert each[0]["ci_low"].isna().all()


def test_refusals() -> None:
    model = shared_model("decoder", torch.float64)
    v = vector(model)
    with pytest.raises(InputError, match="one vector per position"):
        steering_vector(model, ids(2, 0), ids(2, 1), "blocks.1.attn.hook_pattern")
    with pytest.raises(InputError, match="outside the blocks"):
        steering_vector(model, ids(2, 0), ids(2, 1), "hook_embed")
    with pytest.raises(HookError):
        steering_vector(model, ids(2, 0), ids(2, 1), "blocks.9.hook_resid_pre")
    with pytest.raises(InputError, match="same mean"):
        steering_vector(model, ids(2, 0), ids(2, 0), SITE)
    with pytest.raises(InputError, match="'last' or 'mean'"):
        steering_vector(model, ids(2, 0), ids(2, 1), SITE, read=cast(Any, "first"))
    for nothing in ([], "a text"):
        with pytest.raises(InputError, match="list of texts"):
            steering_vector(model, nothing, ids(2, 1), SITE)
        with pytest.raises(InputError, match="list of texts"):
            steering_effect(model, nothing, v)
    with pytest.raises(InputError, match="coefficient"):
        steering_effect(model, ids(2, 0), v, coefficients=[])
    with pytest.raises(InputError, match="-1"), steered(model, v, positions=[-1]):
        pass
    narrow = SteeringVector(v.name, v.vector[:4], "last", (1, 1))
    with steered(model, narrow), pytest.raises(InputError, match=r"\[4\]"):
        model(ids(1, 0))
    with pytest.raises(InputError, match=r"\[4\]"):
        steering_effect(model, ids(1, 0), narrow)
