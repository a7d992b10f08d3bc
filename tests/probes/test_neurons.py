"""Neurons over a data set: brute force agrees, a planted neuron is found, and memory is bounded."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from interp.data.batch import IGNORED
from interp.errors import InputError, UnsupportedModelError
from interp.figures.contexts import contexts_html
from interp.model.transformer import HookedTransformer
from probes.neurons import Context, Extremes, Neurons, contexts, neurons, writes
from probes.passages import Passages
from tests.figures.hostile import STORABLE
from tests.model.configurations import build, shared_model

SHAPES = ["decoder", "decoder-llama", "encoder-bert", "pair-pre-norm"]


def some(model: HookedTransformer, tokens: int = 2048) -> Passages:
    generator = np.random.default_rng(1)
    rows = [generator.integers(3, 29, n).tolist() for n in (4, 12, 7, 7, 9, 5)]
    sources = [[*row[::-1], 5] for row in rows] if model.cfg.shape == "encoder_decoder" else None
    labels = [[IGNORED] * len(row) for row in rows]
    return Passages(rows, labels, sources=sources, tokens=tokens)


def alone(model: HookedTransformer, texts: Passages, layer: Neurons) -> list[torch.Tensor]:
    """The activations of each text, read by itself, [pos, neuron]."""
    name = f"{layer.site.split('.')[0]}.{layer.layer}.mlp.hook_post"
    found = []
    for i in range(len(texts)):
        _, cache = model.run_with_cache(**texts.collate([i]).inputs, names_filter=[name])
        found.append(cache[name][0])
    return found


def _of(extremes: Extremes, neuron: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return extremes.value[neuron], extremes.text[neuron], extremes.position[neuron]


@pytest.mark.parametrize("name", SHAPES)
def test_sums_and_extremes_are_those_of_brute_force(name: str) -> None:
    model = shared_model(name, torch.float64)
    texts = some(model)
    for layer in neurons(model, texts, k=3):
        acts = alone(model, texts, layer)
        every = torch.cat(acts)
        assert layer.n == len(every)
        assert torch.allclose(layer.mean, every.mean(0), atol=1e-10)
        assert torch.allclose(layer.std, every.std(0, correction=0), atol=1e-7)
        assert torch.equal(layer.density, (every > 0).double().mean(0))
        for extremes, sign in ((layer.highest, 1), (layer.lowest, -1)):
            if extremes is None:
                continue
            best = torch.stack([(sign * one).max(0).values for one in acts], 1)
            expected = sign * best.sort(1, descending=True).values[:, :3]
            assert torch.allclose(extremes.value, expected, atol=1e-10)
            for neuron in range(0, len(best), 7):
                for value, text, place in zip(*_of(extremes, neuron), strict=True):
                    assert float(acts[text][place, neuron]) == pytest.approx(float(value), abs=1e-9)


def test_batches_change_nothing_and_memory_does_not_grow() -> None:
    model = shared_model("decoder", torch.float64)
    (whole, *_), (small, *_) = (neurons(model, some(model, n), k=2) for n in (2048, 1))
    assert torch.equal(whole.highest.text, small.highest.text)
    assert torch.equal(whole.highest.position, small.highest.position)
    assert torch.allclose(whole.mean, small.mean, atol=1e-12)
    assert whole.highest.value.shape == (model.cfg.d_mlp, 2)


def planted(token: int) -> HookedTransformer:
    """Neuron 3 of layer 0 responds to one token and to nothing else."""
    model = build("decoder-attn-only", attn_only=False, act_fn="relu", dtype=torch.float64)
    block = model.blocks[0]
    with torch.no_grad():
        model.embed.weight.zero_()
        model.embed.weight[:, 0] = -10
        model.embed.weight[token, 0] = 10
        block.attn.out.weight.zero_()
        block.ln2.weight.fill_(1)
        block.ln2.bias.zero_()
        block.mlp.up.weight[3].zero_()
        block.mlp.up.weight[3, 0] = 1
        block.mlp.up.bias[3] = 0
    return model


def test_a_planted_neuron_is_found() -> None:
    model = planted(11)
    rows = [[4, 5, 6, 7], [8, 11, 9], [5, 5, 11, 11, 5], [3, 4]]
    texts = Passages(rows, [[IGNORED] * len(row) for row in rows])
    layer = neurons(model, texts, k=4)[0]
    assert float(layer.density[3]) == pytest.approx(3 / 14)
    assert set(layer.highest.text[3, :2].tolist()) == {1, 2}
    assert layer.highest.value[3, 2:].tolist() == [0, 0]
    shown = contexts(model, texts, layer, 3, most=2, before=1, after=1)
    for one in shown:
        assert one.tokens[one.position] == "11"
        assert one.value == max(one.activations) > 0
        around = rows[one.text]
        where = int(layer.highest.position[3, shown.index(one)])
        assert one.tokens == [str(i) for i in around[max(0, where - 1) : where + 2]]
    frame = layer.to_frame()
    (best,) = frame[(frame["neuron"] == 3) & (frame["metric"] == "maximum")].to_dict("records")
    assert rows[best["text"]][best["position"]] == 11


@pytest.mark.parametrize("name", SHAPES)
def test_contexts_show_what_was_measured(name: str) -> None:
    model = shared_model(name, torch.float64)
    texts = some(model)
    layer = neurons(model, texts, k=4)[-1]
    for neuron in (0, 5):
        shown = [one.value for one in contexts(model, texts, layer, neuron)]
        assert shown == pytest.approx(layer.highest.value[neuron].tolist(), abs=1e-9)
    if layer.lowest is not None:
        lowest = contexts(model, texts, layer, 0, lowest=True)
        assert lowest[0].value == min(one.value for one in lowest)


@pytest.mark.parametrize("name", ["decoder", "decoder-llama", "pair-pre-norm"])
def test_what_a_neuron_writes_is_its_row_through_the_folded_unembedding(name: str) -> None:
    model = shared_model(name, torch.float64)
    folded = model.folded()
    frame = writes(model, 1, [2, 7], most=3)
    for neuron in (2, 7):
        logits = (folded.W_out[1, neuron] @ folded.W_U).detach()
        rows = frame[frame["neuron"] == neuron]
        up = rows[rows["side"] == "promoted"]
        down = rows[rows["side"] == "suppressed"]
        assert up["token_id"].to_list() == logits.argsort(descending=True)[:3].tolist()
        assert down["token_id"].to_list() == logits.argsort()[:3].tolist()
        for row in rows.to_dict("records"):
            assert row["value"] == pytest.approx(float(logits[row["token_id"]]), abs=1e-9)


def test_what_cannot_be_asked_is_refused() -> None:
    model = shared_model("decoder")
    texts = some(model)
    layer = neurons(model, texts, k=1, layers=[1])[0]
    assert layer.layer == 1
    with pytest.raises(InputError, match="neuron 99"):
        contexts(model, texts, layer, 99)
    with pytest.raises(InputError, match="one side"):
        contexts(model, texts, layer, 0, lowest=True)
    with pytest.raises(InputError, match="layer 9"):
        neurons(model, texts, layers=[9])
    with pytest.raises(InputError, match="at least one"):
        neurons(model, texts, k=0)
    with pytest.raises(UnsupportedModelError):
        neurons(shared_model("decoder-attn-only"), texts)
    with pytest.raises(UnsupportedModelError):
        writes(shared_model("decoder-post-norm"), 0)
    broken = build("decoder")
    with torch.no_grad():
        broken.blocks[1].mlp.up.bias[4] = torch.nan
    with pytest.raises(InputError, match=r"layer 1: neuron 4 is not finite"):
        neurons(broken, texts)


class _Reader(HTMLParser):
    """Collects the elements of a fragment and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_contexts_are_drawn_whatever_the_tokens_hold() -> None:
    reader = _Reader()
    one = Context(0, 0, list(STORABLE), [float(i) - 1 for i in range(len(STORABLE))])
    html = contexts_html([one, Context(3, 1, ["a", "<script>"], [0.0, 2.5])], title="<b>neuron")
    reader.feed(html)
    allowed = {"figure", "figcaption", "p", "span", "br", "div", "i", "b", "style"}
    assert reader.tags <= allowed
    assert "<script>" in reader.text and "<b>neuron" in reader.text
    assert "text 3: +2.50 at “<script>”" in reader.text
    with pytest.raises(InputError, match="no contexts"):
        contexts_html([])
