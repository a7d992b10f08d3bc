"""Which activations can be rows: those that are a vector at each position, or one for each text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from interp.errors import InputError
from interp.model.hook_points import HookPoint, NamesFilter, select
from interp.model.protocol import LanguageModel

SideName = Literal["source", "target", "either"]


@dataclass(frozen=True)
class Site:
    """A hook point that is read.

    Attributes:
        name: of the hook point.
        side: whose positions it has: the source's, the target's (of an encoder-decoder), or
            either, for one vector a text.
    """

    name: str
    side: SideName

    @property
    def by_position(self) -> bool:
        return self.side != "either"


def open_sites(model: LanguageModel, names: NamesFilter) -> list[Site]:
    """The sites behind names, short names or a predicate, in firing order.

    Raises:
        HookError: the model lacks one.
        InputError: one is neither a vector at each position nor one for each text, or they lie on
            both sides of an encoder-decoder.
    """
    chosen = select(model.hook_points, names)
    sites = [_site(model.hook_points[name], model.cfg.shape) for name in chosen]
    by_side = {site.side: site.name for site in sites}
    if "source" in by_side and "target" in by_side:
        raise InputError(
            f"{by_side['source']} has the positions of the source and {by_side['target']} those of "
            "the target: their rows are of different tokens. Read them in two calls."
        )
    return sites


def common_side(sites: Sequence[Site]) -> Literal["source", "target"]:
    """Whose tokens the rows of these sites are."""
    return "target" if any(site.side == "target" for site in sites) else "source"


def _site(point: HookPoint, shape: str) -> Site:
    dims = point.shape.split()
    if dims == ["batch", "d_model"]:
        return Site(point.name, "either")
    if dims[:2] not in (["batch", "pos"], ["batch", "source_pos"]):
        raise InputError(
            f"{point.name} is [{', '.join(dims)}]: its rows would be as long as the text. Only "
            "activations with a vector at each position can be harvested."
        )
    decoder = shape == "encoder_decoder" and point.name.startswith("decoder")
    return Site(point.name, "target" if decoder and dims[1] == "pos" else "source")
