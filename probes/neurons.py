"""What neurons respond to, how often, and what they write: in one pass over a data set.

    python -m probes.neurons --run stories --texts childrens_stories --data DATA

Memory does not grow with the data: of each neuron the sums and the few texts with the highest
activations are kept (and, where neurons have two sides, the lowest). `contexts` reads those texts
again to show a neuron on every token, `writes` says which tokens a neuron promotes.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.data.examples import Examples
from interp.errors import InputError, UnsupportedModelError
from interp.figures.neurons import density_chart
from probes.contexts import Context, Extremes, best_of, context, extremes_of
from probes.directions import head_of, promoted
from probes.frames import tidy
from probes.passages import add_text_arguments, batches, read_by, read_texts
from probes.script import Script

_POINT = re.compile(r"(\w+)\.(\d+)\.mlp\.hook_post")


@dataclass(frozen=True)
class Neurons:
    """What one feed-forward layer did over a data set.

    Attributes:
        site, layer: such as `blocks.mlp`, 3.
        highest: where activations were largest.
        lowest: where they were smallest; None where a neuron has one side only, as its activation
            function lets nothing of size through below zero.
        n: tokens that were read.
        mean, std: of the activations, [neuron].
        density: the share of tokens with an activation above zero, [neuron].
    """

    site: str
    layer: int
    highest: Extremes
    lowest: Extremes | None
    n: int
    mean: Tensor
    std: Tensor
    density: Tensor

    def to_frame(self) -> pd.DataFrame:
        """A row per neuron and metric: `density`, `mean`, `std`, `maximum`, and `minimum` where
        neurons have two sides. Where the extremes are: columns `text` and `position`."""
        columns = {"density": self.density, "mean": self.mean, "std": self.std}
        frames = [self._rows(name, values) for name, values in columns.items()]
        for name, extremes in (("maximum", self.highest), ("minimum", self.lowest)):
            if extremes is not None:
                frame = self._rows(name, extremes.value[:, 0])
                frame["text"] = pd.array(extremes.text[:, 0].tolist(), dtype="Int64")
                frame["position"] = pd.array(extremes.position[:, 0].tolist(), dtype="Int64")
                frames.append(frame)
        return tidy(pd.concat(frames, ignore_index=True))

    def _rows(self, metric: str, values: Tensor) -> pd.DataFrame:
        neuron = range(len(values))
        return pd.DataFrame(
            {
                "site": self.site,
                "layer": self.layer,
                "neuron": pd.array(neuron, dtype="Int64"),
                "metric": metric,
                "value": values.tolist(),
                "n": self.n,
            }
        )


@torch.no_grad()
def neurons(
    model: Any, examples: Examples, *, k: int = 10, layers: Sequence[int] | None = None
) -> list[Neurons]:
    """What every neuron responds to over a data set, a record for each feed-forward layer.

    Args:
        examples: what is read; padding counts nowhere.
        k: texts to keep of each neuron.
        layers: only these; of an encoder-decoder, in both stacks.

    Raises:
        UnsupportedModelError: the model has no feed-forward layer whose neurons can be read.
        InputError: `k` is not positive, there is no such layer, or an activation is not finite.
    """
    places = _places(model, layers)
    if k < 1:
        raise InputError(f"k is {k}; keep at least one text of each neuron.")
    two_sided = bool(getattr(model.cfg, "gated_mlp", False)) or model.cfg.act_fn == "tanh"
    tallies = {name: _Tally(min(k, len(examples)), two_sided) for name in places}
    for chosen, batch in batches(examples, model.W_E.device):
        _, cache = model.run_with_cache(**batch.inputs, names_filter=list(places))
        texts = torch.as_tensor(chosen, device=model.W_E.device)
        for name, (stack, _) in places.items():
            tallies[name].add(cache[name], read_by(stack, batch)[1], texts)
    return [tallies[name].done(f"{stack}.mlp", layer) for name, (stack, layer) in places.items()]


def _places(model: Any, layers: Sequence[int] | None) -> dict[str, tuple[str, int]]:
    found = [_POINT.fullmatch(name) for name in model.hook_points]
    every = {m[0]: (m[1], int(m[2])) for m in found if m}
    if not every:
        raise UnsupportedModelError("This model has no feed-forward layers, so no neurons.")
    known = sorted({layer for _, layer in every.values()})
    wrong = [layer for layer in layers or () if layer not in known]
    if wrong:
        raise InputError(f"There is no feed-forward layer {wrong[0]}; there are {known}.")
    return {name: p for name, p in every.items() if layers is None or p[1] in layers}


class _Tally:
    """Sums and extremes of the neurons of a layer while texts go by."""

    def __init__(self, k: int, two_sided: bool):
        self.k, self.two_sided = k, two_sided
        self.n = torch.zeros((), dtype=torch.float64)
        self.sums: Tensor | None = None  # of activations, their squares and signs, [3, neuron]
        self.best: list[Extremes | None] = [None, None]

    def add(self, acts: Tensor, real: Tensor, texts: Tensor) -> None:
        """Activations [row, pos, neuron], which of them count [row, pos], and whose they are."""
        counted = acts[real].double()
        sums = torch.stack([counted.sum(0), counted.square().sum(0), (counted > 0).double().sum(0)])
        self.sums = sums if self.sums is None else self.sums + sums
        self.n = self.n + real.sum().cpu()
        for side, sign in enumerate((1, -1) if self.two_sided else (1,)):
            self.best[side] = best_of(
                self.best[side], extremes_of(sign * acts, real, texts), self.k
            )

    def done(self, site: str, layer: int) -> Neurons:
        assert self.sums is not None
        total, squares, above = self.sums / self.n.to(self.sums.device)
        if not bool(squares.isfinite().all()):
            where = int((~squares.isfinite()).nonzero()[0])
            raise InputError(f"{site}, layer {layer}: neuron {where} is not finite on these texts.")
        high, low = self.best
        assert high is not None
        if low is not None:
            low = Extremes(-low.value, low.text, low.position)
        std = (squares - total.square()).clamp(min=0).sqrt()
        return Neurons(site, layer, high, low, int(self.n), total, std, above)


# -- one neuron ----------------------------------------------------------------------------------


@torch.no_grad()
def contexts(
    model: Any,
    examples: Examples,
    layer: Neurons,
    neuron: int,
    *,
    most: int = 10,
    before: int = 24,
    after: int = 8,
    lowest: bool = False,
) -> list[Context]:
    """A neuron in the texts in which it responds most, the strongest first, token by token.

    The texts are read again, in one forward.

    Args:
        examples: those that `layer` was measured on.
        layer: from `neurons`.
        before, after: tokens to show around the place.
        lowest: where it is lowest, of neurons with two sides.

    Raises:
        InputError: no such neuron, or one without a second side.
    """
    extremes = layer.lowest if lowest else layer.highest
    if extremes is None:
        raise InputError("The neurons of this layer have one side only; there is no lowest.")
    if not 0 <= neuron < len(extremes.value):
        last = len(extremes.value) - 1
        raise InputError(f"There is no neuron {neuron}; the layer has the neurons 0 to {last}.")
    texts = extremes.text[neuron, :most].tolist()
    places = extremes.position[neuron, :most].tolist()
    stack = layer.site.split(".")[0]
    name = f"{stack}.{layer.layer}.mlp.hook_post"
    batch = examples.collate(texts).to(model.W_E.device)
    _, cache = model.run_with_cache(**batch.inputs, names_filter=[name])
    ids, real = read_by(stack, batch)
    return [
        context(
            model,
            ids[row],
            real[row],
            cache[name][row, :, neuron],
            text=text,
            place=place,
            before=before,
            after=after,
        )
        for row, (text, place) in enumerate(zip(texts, places, strict=True))
    ]


@torch.no_grad()
def writes(
    model: Any, layer: int, chosen: Sequence[int] | None = None, *, most: int = 10
) -> pd.DataFrame:
    """Which tokens neurons of a decoder promote and which they suppress, by themselves.

    A neuron writes its row of W_out, times its activation; the value is what this adds to a token's
    logit, above the mean of all tokens, per unit of activation and before the final norm divides
    (Geva et al. 2022, arXiv 2203.14680). It is the direct effect: later layers are left out.

    Args:
        chosen: neurons; by default all.
        most: tokens on each side.

    Returns:
        A row per neuron, side (`promoted`, `suppressed`) and rank: `layer`, `neuron`, `side`,
        `rank` (1 is first), `token_id`, `token`, `metric` (`logit`), `value`.

    Raises:
        UnsupportedModelError: the stream is not read by one linear map.
        InputError: no such layer or neuron.
    """
    head_of(model)  # refuses a model without one
    blocks: Any = model.stack(model.last_stack).blocks
    if not 0 <= layer < len(blocks) or blocks[layer].mlp is None:
        raise InputError(f"There is no feed-forward layer {layer} in {model.last_stack}.")
    W_out = blocks[layer].mlp.W_out.detach()
    which = list(range(len(W_out))) if chosen is None else list(chosen)
    wrong = [i for i in which if not 0 <= i < len(W_out)]
    if wrong:
        raise InputError(f"There is no neuron {wrong[0]}; the layer has {len(W_out)}.")
    frame = promoted(model, W_out[which], most=most)
    frame["neuron"] = np.array(which)[frame.pop("direction")]
    return tidy(frame, site=f"{model.last_stack}.mlp", layer=layer, metric="logit")


# -- the script ----------------------------------------------------------------------------------


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    layers = neurons(model, read_texts(model, options), k=1)
    return pd.concat([layer.to_frame() for layer in layers], ignore_index=True)


SCRIPT = Script(
    name="neurons",
    summary="How often each neuron is active, how strongly, and where most.",
    examples=(
        "  python -m probes.neurons --run stories --texts childrens_stories --data DATA\n"
        "  python -m probes.neurons --run stories-suite --texts FILE.txt --chart neurons.html"
    ),
    measure=_measure,
    chart=density_chart,
    add_arguments=add_text_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
