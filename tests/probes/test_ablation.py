"""What goes with a part: as by hand, nothing where a part says nothing, and the heads that repeat
where it is known that heads repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.data.records import Example, Pair
from interp.errors import InputError, UnsupportedModelError
from interp.figures.ablation import ablation_chart
from interp.train.tasks.preferring import Preferring
from interp.train.tasks.sequence import Translation
from probes.ablation import SCRIPT, ablation, parts_of
from probes.frames import tidy
from probes.stakes import Answered, commonest, staked
from tests.figures.spec import drawn
from tests.probes.planting import TASK, classifier, reviews
from tests.train.tasks.small import model, pairs, preferences, sentences


def _value(frame: object, part: tuple[str, int, int | None], metric: str) -> float:
    site, layer, head = part
    mine = frame[(frame["site"] == site) & (frame["layer"] == layer)]  # type: ignore[index]
    mine = mine[mine["head"].isna() if head is None else mine["head"] == head]
    (row,) = mine[mine["metric"] == metric].itertuples()
    return float(row.value)


def test_a_head_at_its_mean_costs_what_it_costs_by_hand() -> None:
    speaker, texts = model().double(), sentences(7)
    frame = ablation(speaker, texts)
    ids = [speaker.to_tokens(text)[0] for text in texts]
    name = "blocks.1.attn.hook_z"
    with torch.no_grad():
        mean = torch.cat([speaker.run_with_cache(one[None])[1][name][0] for one in ids]).mean(0)

        def silence(z: torch.Tensor, hook: object) -> torch.Tensor:
            z = z.clone()
            z[:, :, 1] = mean[1]
            return z

        moved, lost, changed = [], [], []
        for one in ids:  # one by one, without padding
            before = speaker(one[None])[0, :-1].log_softmax(-1)
            hooks = [(name, silence)]
            after = speaker.run_with_hooks(one[None], fwd_hooks=hooks)[0, :-1].log_softmax(-1)
            moved.append((before.exp() * (before - after)).sum(-1).mean())
            lost.append((before - after).gather(-1, one[1:, None]).mean())
            changed.append((before.argmax(-1) != after.argmax(-1)).double().mean())
    for metric, by_hand in (("moved", moved), ("lost", lost), ("changed", changed)):
        expected = float(torch.stack(by_hand).mean())
        assert _value(frame, ("head", 1, 1), metric) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_every_shape_has_all_its_parts_and_padding_changes_nothing(shape: str) -> None:
    speaker = model(shape).double()
    pair = shape == "encoder_decoder"
    records, task = (pairs(6), Translation()) if pair else (sentences(6), None)
    frame = ablation(speaker, records, task)
    expected = {"head": 4, "attention": 2, "mlp": 2}
    if pair:
        expected = {
            f"{side} {k}": n for side in ("encoder", "decoder") for k, n in expected.items()
        }
        expected |= {"decoder cross head": 4, "decoder cross attention": 2}
    assert frame[frame["metric"] == "p"].groupby("site").size().to_dict() == expected
    assert len(parts_of(speaker)) == sum(expected.values())
    whole = frame[frame["site"] == "model"].set_index("metric")["value"]
    nats = n = 0.0
    for i, record in enumerate(records):
        if shape == "encoder":
            continue  # what is masked depends on the place among the texts
        ((_, batch),) = staked(speaker, [record], task)
        with torch.no_grad():
            one = Answered.of(speaker(**batch.inputs), batch.labels).stakes()
        nats, n = nats + one[0, 0], n + one[0, 2]
        assert i < len(records)
    if n:
        assert whole["loss"] == pytest.approx(nats / n, abs=1e-8)


def test_a_part_that_says_the_same_of_all_moves_nothing() -> None:
    speaker = model().double()
    with torch.no_grad():
        speaker.blocks[1].attn.out.weight.zero_()
    frame = ablation(speaker, sentences(8))
    for head in (0, 1):
        assert _value(frame, ("head", 1, head), "moved") == pytest.approx(0, abs=1e-12)
        assert _value(frame, ("head", 1, head), "p") == 1
    assert _value(frame, ("attention", 1, None), "moved, chance") == pytest.approx(0, abs=1e-12)
    assert _value(frame, ("mlp", 0, None), "moved") > 0


def test_the_heads_that_repeat_are_found_in_a_model_without_a_tokenizer() -> None:
    speaker = interp.load("induction")
    half = torch.randint(
        1, speaker.cfg.d_vocab, (40, 20), generator=torch.Generator().manual_seed(0)
    )
    frame = ablation(speaker, torch.cat([half, half], 1).tolist())
    whole = frame[frame["site"] == "model"].set_index("metric")["value"]
    heads = frame[frame["head"].notna() & (frame["metric"] == "accuracy")]
    worst = heads.loc[heads["value"].idxmin()]
    assert worst["value"] < whole["accuracy"] - 0.05
    key = ("head", int(worst["layer"]), int(worst["head"]))
    assert _value(frame, key, "p") < 0.05
    assert _value(frame, key, "moved") > 2 * _value(frame, key, "moved, chance")


def test_classes_are_asked_for_and_examples_are_units() -> None:
    speaker, records = classifier(False), reviews(60)
    frame = ablation(speaker, records, TASK)
    whole = frame[frame["site"] == "model"].set_index("metric")
    hits = TASK.answer(speaker, records).argmax(1) == [TASK.labels.index(e.label) for e in records]
    assert whole.loc["accuracy", "value"] == pytest.approx(hits.mean(), abs=1e-9)
    assert (frame["n"] == 60).all()
    again = ablation(speaker, records, TASK)
    assert frame.equals(again)
    labels = [e.label for e in records]
    most = max(labels.count(label) for label in TASK.labels) / 60
    assert commonest(staked(speaker, records, TASK)) == pytest.approx(most)


def test_the_divergence_is_that_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[1, -100, 2, 0], [0, 1, -100, -100], [4, 4, 4, 4]])
    before, after = Answered.of(one, labels), Answered.of(other, labels)
    found = after.moved_from(before)
    p, q = one.softmax(-1), other.softmax(-1)
    kl = (p * (p / q).log()).sum(-1)
    expected = [float(kl[i][labels[i] != -100].sum()) for i in range(3)]
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-10)
    assert before.moved_from(before).tolist() == [[0, 0]] * 3


def test_the_chart_names_the_first_part() -> None:
    frame = tidy(ablation(model(), sentences(8)), run="tiny", step=None)
    figure = ablation_chart(frame)
    assert "changes the most answers" in figure.alt
    assert "head 1.0" in drawn(ablation_chart(frame, "dark").chart)
    with pytest.raises(InputError, match="no parts"):
        ablation_chart(frame[frame["metric"] == "loss"])


def test_what_cannot_be_asked_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no examples"):
        ablation(model(), [])
    with pytest.raises(InputError, match="no token"):
        ablation(model(), [""])
    with pytest.raises(UnsupportedModelError, match="task"):
        ablation(model("encoder_decoder"), [Pair("the cat", ("cat",))])
    with pytest.raises(UnsupportedModelError, match="right answer"):
        ablation(model(), preferences(3), Preferring())
    with pytest.raises(InputError, match="none of the 2 classes"):
        ablation(classifier(False), [Example("the film", "odd")], TASK)
    with pytest.raises(InputError, match="ids"):
        ablation(interp.load("induction"), ["words"])
    assert SCRIPT.main(["--run", "reviews"]) == 2
    assert "--files" in capsys.readouterr().err
