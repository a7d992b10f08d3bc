"""Direct logit attribution: what every component's own writing adds to a logit.

The stream of a pre-norm model is a sum of what its components wrote, and the final norm is linear
once its scale is held at the value it had in the run. So a target that is linear in the logits is a
sum over components, biases included (Elhage et al. 2021,
transformer-circuits.pub/2021/framework; Nanda's direct logit attribution). It is a statement about
the last step only: what a component does through later components is not in its share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribute import read_target
from interp.explain.inside.labels import named, when
from interp.explain.inside.readout import Readout
from interp.explain.inside.run import Run
from interp.explain.target import Target

if TYPE_CHECKING:
    import pandas as pd

By = Literal["layer", "head", "neuron", "source"]
LINEAR = ("logit", "logit_difference", "centred_logit")


def direct_attribution(
    model: Any,
    text: str | Tensor | list[int],
    target: Target | None = None,
    *,
    by: By = "layer",
    top: int | None = None,
    inputs: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """The summands of a logit, of a difference of two, or of a logit above the mean of all.

    Args:
        model: with pre-norm blocks and a linear head: over a vocabulary, or over classes.
        text: one text, or its ids.
        target: by default the logit of the model's own prediction at the end.
        by: `layer`: what each attention and each feed-forward layer wrote; `head`: heads one by
            one; `source`: heads, split by the positions whose values they fetched; `neuron`: heads
            and the neurons of feed-forward layers one by one.
        top: keep the components with the largest shares, as many as this, and add up the others
            in one row, `others`.
        inputs: further inputs of the forward.

    Returns:
        A row per component, in the order in which they wrote; its values add up to the target's.
        Columns: component (its label), part (`embed`, `attn`, `cross_attn`, `mlp`, `bias`,
        `others`), layer, head, neuron, source (each missing where it does not apply), position
        (that is read; missing if it is several), metric, value.

    Raises:
        UnsupportedModelError: a post-norm model, a head that is not linear, a model of another
            library.
        InputError: a target that is not linear in the logits, or what the model refuses.
    """
    import pandas as pd

    if by not in get_args(By):
        raise InputError(f"by is {by!r}; it must be one of {', '.join(get_args(By))}.")
    if top is not None and (type(top) is not int or top < 1):
        raise InputError(f"top is {top!r}; it must be a whole number from 1.")
    wanted = read_target(target)
    if wanted.kind not in LINEAR:
        raise InputError(
            f"A {wanted.kind.replace('_', ' ')} is not linear in the logits, so it is no sum over "
            "what components wrote. Use Target.logit, Target.logit_difference or "
            "Target.centred_logit."
        )
    with torch.inference_mode(False), torch.no_grad():
        run = Run.read(model, text, wanted, inputs)
        resolved = run.resolve(wanted)
        readout = Readout.of(run, resolved)
        rows = [{**named(label), "value": share} for label, share in _BY[by](run, readout)]
    frame = pd.DataFrame(sorted(rows, key=when))
    for column in ("layer", "head", "neuron", "source"):
        frame[column] = frame[column].astype("Int64")
    frame["position"] = pd.array([resolved.position] * len(frame), dtype="Int64")
    frame["metric"] = resolved.description + readout.note
    frame = frame[[*(name for name in frame if name != "value"), "value"]]
    return frame if top is None else _largest(frame, top)


def _largest(frame: pd.DataFrame, top: int) -> pd.DataFrame:
    """The rows with the largest shares, and one for the sum of the others."""
    import pandas as pd

    kept = frame["value"].abs().rank(method="first", ascending=False) <= top
    if kept.all():
        return frame
    others = frame[~kept].iloc[:1].assign(component="others", part="others")
    others[["layer", "head", "neuron", "source"]] = pd.NA
    others["value"] = frame.loc[~kept, "value"].sum()
    return pd.concat([frame[kept], others.astype(frame.dtypes)], ignore_index=True)


# -- the components ------------------------------------------------------------------------------

Rows = list[tuple[str, float]]
"""A label of the cache's, or one with a source position behind it, and a share."""


def _layers(run: Run, readout: Readout) -> Rows:
    components, labels = run.cache.decompose_resid(pos_slice=readout.places, return_labels=True)
    return [*zip(labels, readout(run.cache, components), strict=True), ("bias", readout.bias)]


def _heads(run: Run, readout: Readout) -> Rows:
    components, labels = run.cache.get_full_resid_decomposition(
        expand_neurons=False, pos_slice=readout.places, return_labels=True
    )
    return _with_bias(readout, labels, readout(run.cache, components))


def _neurons(run: Run, readout: Readout) -> Rows:
    # Read along the direction at once: as vectors, all neurons would be d_model times as much.
    shares, labels = run.cache.get_full_resid_decomposition(
        apply_ln=True,
        pos_slice=readout.places,
        return_labels=True,
        project_output_onto=readout.direction,
    )
    return _with_bias(readout, labels, shares[:, 0].double().mean(-1).tolist())


def _sources(run: Run, readout: Readout) -> Rows:
    rows: Rows = []
    for label, share in _heads(run, readout):
        who = named(label)
        if who["part"] not in ("attn", "cross_attn"):
            rows.append((label, share))
            continue
        written = _by_source(run, readout, who)
        shares = readout(run.cache, written)
        rows += [(f"{label} < {i}", share) for i, share in enumerate(shares)]
    return rows


def _by_source(run: Run, readout: Readout, who: dict[str, Any]) -> Tensor:
    """What a head wrote at the places, by the position it fetched it from: [source, 1, place,
    d_model]."""
    model, head = run.model, who["head"]
    stack = model.stack(run.last_stack)
    attn = getattr(stack.blocks[who["layer"]], who["part"])
    prefix = f"{stack.name}.{who['layer']}.{who['part']}"
    pattern = run.cache[f"{prefix}.hook_pattern"][:, head, readout.places]
    v = run.cache[f"{prefix}.hook_v"][:, :, head * attn.n_kv // attn.n_heads]
    moved = v @ attn.W_O[head].detach()
    return torch.einsum("bqk,bkd->kbqd", pattern, moved)


def _with_bias(readout: Readout, labels: list[str], shares: list[float]) -> Rows:
    """One row for all biases: those of the layers, the final norm and the head."""
    rows = list(zip(labels, shares, strict=True))
    label, inside = rows.pop()
    assert label == "bias"
    return [*rows, ("bias", inside + readout.bias)]


_BY: dict[str, Callable[[Run, Readout], Rows]] = {
    "layer": _layers,
    "head": _heads,
    "source": _sources,
    "neuron": _neurons,
}
