"""The moments of several sites, of one pass: gathered, reduced over processes, and written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from interp.activations.moments import CrossMoments, CrossMomentsFitter, Moments, MomentsFitter
from interp.activations.places import Places
from interp.activations.reading import TOKENS, Reader
from interp.activations.texts import Texts
from interp.atomic import writing
from interp.errors import InputError, LoadError
from interp.model.hook_points import NamesFilter, select
from interp.model.protocol import LanguageModel
from interp.processes import World
from interp.untrusted import MALFORMED, read_tensors

Pair = tuple[str, str]


@dataclass(frozen=True)
class Summary:
    """Moments of some rows.

    Attributes:
        moments: site -> its moments.
        cross: pair of sites -> their cross moments.
    """

    moments: Mapping[str, Moments]
    cross: Mapping[Pair, CrossMoments]

    def __add__(self, other: Summary) -> Summary:
        """Of the rows of both."""
        return Summary(
            {site: own + other.moments[site] for site, own in self.moments.items()},
            {pair: own + other.cross[pair] for pair, own in self.cross.items()},
        )

    def reduced(self, world: World) -> Summary:
        """Of the rows of all processes, in each of them, on the CPU."""
        return Summary(
            {site: _reduced(own, world) for site, own in self.moments.items()},
            {pair: _reduced_pairs(own, world) for pair, own in self.cross.items()},
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it by name, as it is written: `SITE/mean`, ..., `SITE|SITE/scatter`."""
        found: dict[str, Tensor] = {}
        for site, own in self.moments.items():
            found[f"{site}/n"] = torch.tensor(own.n)
            for part in ("mean", "scatter", "class_n", "class_sums"):
                found[f"{site}/{part}"] = getattr(own, part).cpu().contiguous()
        for (x, y), own_pairs in self.cross.items():
            found[f"{x}|{y}/n"] = torch.tensor(own_pairs.n)
            for part in ("mean_x", "mean_y", "scatter"):
                # A copy: files of tensors take each memory once.
                found[f"{x}|{y}/{part}"] = getattr(own_pairs, part).cpu().clone()
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Summary:
        """What `to_tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            site, _, part = name.rpartition("/")
            parts.setdefault(site, {})[part] = value
        moments: dict[str, Moments] = {}
        cross: dict[Pair, CrossMoments] = {}
        for site, own in parts.items():
            n = int(own.pop("n"))
            x, sign, y = site.partition("|")
            if sign:
                cross[x, y] = CrossMoments(n, **own)
            else:
                moments[site] = Moments(n, **own)
        return cls(moments, cross)

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file."""
        from safetensors.torch import save

        with writing(Path(path), "wb") as file:
            file.write(save(self.to_tensors()))

    @classmethod
    def load(cls, path: str | Path) -> Summary:
        """Reads what `save` wrote.

        Raises:
            LoadError: the file is missing or damaged.
        """
        try:
            return cls.from_tensors(read_tensors(Path(path))[0])
        except MALFORMED as error:
            raise LoadError(f"{path} holds no moments that can be read: {error}") from error


class SummaryFitter:
    """Gathers the moments of several sites.

    Args:
        widths: site -> width of its rows.
        n_classes: how many classes labels may name.
        pairs: sites whose cross moments are gathered too.
    """

    def __init__(self, widths: Mapping[str, int], n_classes: int = 0, pairs: Iterable[Pair] = ()):
        self.widths = dict(widths)
        self.fitters = {site: MomentsFitter(n_classes) for site in self.widths}
        self.cross = {pair: CrossMomentsFitter() for pair in pairs}
        self.n_classes = n_classes
        self.empty = True

    def update(self, values: Mapping[str, Tensor], labels: Tensor | None = None) -> None:
        """Adds rows: site -> [row, d], and their classes [row]."""
        for site, fitter in self.fitters.items():
            fitter.update(values[site], labels)
        for (x, y), cross in self.cross.items():
            cross.update(values[x], values[y])
        self.empty = False

    @property
    def summary(self) -> Summary:
        """Of all rows so far; zeros if there were none."""
        if self.empty:
            return _nothing(self.widths, self.n_classes, self.cross)
        return Summary(
            {site: fitter.moments for site, fitter in self.fitters.items()},
            {pair: fitter.moments for pair, fitter in self.cross.items()},
        )


def summarise(
    model: LanguageModel,
    texts: Texts,
    sites: NamesFilter,
    places: Places | None = None,
    *,
    labels: Tensor | None = None,
    n_classes: int = 0,
    pairs: Sequence[Pair] = (),
    tokens: int = TOKENS,
) -> Summary:
    """Moments of some sites, in one pass that keeps no rows.

    Several processes share the batches, and all of them have the whole result.

    Args:
        texts, sites, places, tokens: as for `Reader`.
        labels: class of each of the places, [row]; negative for none.
        n_classes: how many classes there are.
        pairs: sites whose cross moments are wanted too.

    Raises:
        HookError, InputError: see `Reader`; labels that do not fit the places.
    """
    reader = Reader(model, texts, sites, places, tokens=tokens)
    pairs = full_pairs(model, pairs, reader.sites)
    if labels is not None and len(labels) != len(reader.places):
        raise InputError(f"There are {len(labels)} labels for {len(reader.places)} rows.")
    world = World.here()
    fitter = SummaryFitter(reader.widths(), n_classes, pairs)
    for order in reader.batches[world.rank :: world.size]:
        rows = reader.rows(order)
        fitter.update(rows.values, None if labels is None else labels[torch.from_numpy(order)])
    return fitter.summary.reduced(world) if world.size > 1 else fitter.summary


def full_pairs(model: LanguageModel, pairs: Iterable[Pair], sites: Sequence[str]) -> list[Pair]:
    """Pairs of sites under their full names.

    Raises:
        InputError: one is not among the sites that are read.
    """
    full = [(select(model.hook_points, x)[0], select(model.hook_points, y)[0]) for x, y in pairs]
    for pair in full:
        for site in pair:
            if site not in sites:
                raise InputError(f"The pair {pair} needs {site}, which is not among the sites.")
    return full


def _nothing(widths: Mapping[str, int], n_classes: int, pairs: Iterable[Pair]) -> Summary:
    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    return Summary(
        {
            site: Moments(0, zeros(d), zeros(d, d), zeros(n_classes), zeros(n_classes, d))
            for site, d in widths.items()
        },
        {
            (x, y): CrossMoments(0, zeros(widths[x]), zeros(widths[y]), zeros(widths[x], widths[y]))
            for x, y in pairs
        },
    )


def _reduced(own: Moments, world: World) -> Moments:
    pairs = _reduced_pairs(CrossMoments(own.n, own.mean, own.mean, own.scatter), world)
    class_n, class_sums = world.sum(own.class_n), world.sum(own.class_sums)
    return Moments(pairs.n, pairs.mean_x, pairs.scatter, class_n, class_sums)


def _reduced_pairs(own: CrossMoments, world: World) -> CrossMoments:
    """Chan's formula for any number of parts: each is shifted to the common mean, and summed."""
    n = int(world.sum(torch.tensor(own.n)))
    mean_x, mean_y = (world.sum(mean * own.n) / n for mean in (own.mean_x, own.mean_y))
    away_x, away_y = own.mean_x.cpu() - mean_x, own.mean_y.cpu() - mean_y
    scatter = own.scatter.cpu() + torch.outer(away_x, away_y) * own.n
    return CrossMoments(n, mean_x, mean_y, world.sum(scatter))
