"""One question to any number of models: what each of their layers knows about labelled words."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.activations import Texts, encode, gather
from interp.errors import InputError
from interp.model.hook_points import NamesFilter, select
from interp.model.protocol import LanguageModel
from interp.model.transformer import HookedTransformer
from probes.controls import control_labels, majority, type_folds, type_majority
from probes.frames import tidy
from probes.labelled import Labelled, Parts, Pooling
from probes.scores import UNKNOWN, Floats, Ints, Judged, means
from probes.solvers.families import Family, family
from probes.solvers.logistic import Problems
from probes.statistics import DRAWS, best_of_many, sign_flips

_FOLDS = 5
_PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Read:
    """A part as a model reads it; words that it cannot read are left out.

    Attributes:
        values: site -> standardised activations, [word, d].
        classes: [word]; `UNKNOWN` for a label that is not fitted to.
        labels, types: [word].
        text: which text each word is of, [word].
        left_out: share of the words that the model could not read.
    """

    values: dict[str, Tensor]
    classes: Ints
    labels: list[str]
    types: list[str]
    text: Ints
    left_out: float


@dataclass(frozen=True)
class Study:
    """The question; calling it with a model asks it. See `probes.atlas.atlas` for its parts.

    Models of one configuration share their random twins.
    """

    parts: Parts
    probe: Family = field(default_factory=lambda: family("logistic"))
    sites: NamesFilter = None
    pooling: Pooling = "last"
    controls: int = 3
    twins: int = 3
    draws: int = DRAWS
    _twins: dict[Any, Floats] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        counts = Counter(self.parts.train.labels)
        if len(counts) < 2:
            raise InputError(f"All words to fit to have the label {next(iter(counts))!r}.")
        lone = sorted(label for label, n in counts.items() if n == 1)
        if lone:
            raise InputError(
                f"There is one example to fit the label {lone[0]!r} to ({len(lone)} such labels); "
                "a probe cannot tell it from its word. Fit to more text, or leave such words out."
            )

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that are fitted to, in the order of their numbers."""
        return tuple(sorted(set(self.parts.train.labels)))

    def __call__(self, model: LanguageModel) -> pd.DataFrame:
        """Rows about a model, for `tidy`."""
        names = stream(model) if self.sites is None else select(model.hook_points, self.sites)
        texts = {part: encode(model, self._part(part).texts, truncate=True) for part in _PARTS}
        parts = self._read(model, texts, names)
        train, test = parts["train"], parts["test"]
        prior = np.bincount(train.classes, minlength=len(self.classes)) / len(train.classes)
        logits, strengths = self._of_task(parts)
        judged = Judged.of(logits, test.classes, prior)
        control, unseen = self._controlled(parts, strengths, prior)
        columns = {
            "control_accuracy": control,
            "unseen": unseen,
            "twin_accuracy": self._of_twins(model, texts, names),
            "majority": _right(majority(train.labels, len(test.labels)), test),
            "type_majority": _right(type_majority(train.types, train.labels, test.types), test),
        }
        point, drawn = means(judged, len(self.classes), test.text, columns, self.draws)
        depths = [depth(name, model) for name in names]
        rows = list(_rows(_derived(point, depths), _derived(drawn, depths)))
        rows += [{"metric": "auroc", "place": i, "value": v} for i, v in enumerate(judged.auroc)]
        best = best_of_many(judged.right, test.text, draws=self.draws)
        rows += [{"metric": "best", "place": i, "value": value} for i, value in enumerate(best)]
        rows.append({"metric": "left_out", "value": test.left_out})
        frame = pd.DataFrame(rows)
        return self._named(frame, names, depths, strengths, _p_values(judged.right, depths, test))

    def _part(self, part: str) -> Labelled:
        labelled: Labelled = getattr(self.parts, part)
        return labelled

    def _read(
        self, model: LanguageModel, texts: dict[str, Texts], names: list[str]
    ) -> dict[str, Read]:
        """All parts, standardised by the mean and the spread of what is fitted to."""
        number = {label: i for i, label in enumerate(self.classes)}
        parts: dict[str, Read] = {}
        for name in _PARTS:
            part = self._part(name)
            decoder = names[0].startswith("decoder")
            side = texts[name].target if decoder else texts[name].source
            if side is None:
                raise InputError(
                    f"{names[0]} lies in a decoder that reads translations, which a treebank does "
                    "not have; probe the encoder."
                )
            places, kept = part.places(side, self.pooling)
            values = gather(model, texts[name], names, places).values
            labels = [part.labels[i] for i in kept]
            parts[name] = Read(
                {site: value.float() for site, value in values.items()},
                np.array([number.get(label, UNKNOWN) for label in labels], np.int64),
                labels,
                [part.types[i] for i in kept],
                part.text[kept],
                1 - len(kept) / len(part),
            )
        for site, value in parts["train"].values.items():
            mean, spread = value.mean(0), value.std(0, correction=0)
            spread[spread == 0] = 1.0  # a constant coordinate stays one
            for read in parts.values():
                read.values[site].sub_(mean).div_(spread)
        return parts

    def _of_task(self, parts: dict[str, Read]) -> tuple[Tensor, list[float]]:
        """Scores on the test part [site, word, class], and the strength that did best on the dev
        part for each site; of equally good ones the strongest."""
        train, dev, test = (parts[part] for part in _PARTS)
        strengths = self.probe.strengths
        logits: dict[str, Tensor] = {}
        chosen: dict[str, float] = {}
        for sites in _by_width(train.values):
            problems = Problems.cross(len(sites), 1, 1, strengths)
            labels = torch.from_numpy(train.classes)[None]
            fit = self.probe.fit(
                _stacked(train, sites), labels, problems, n_classes=len(self.classes)
            )
            for i, site in enumerate(sites):
                places = range(i * len(strengths), (i + 1) * len(strengths))
                said = [
                    fit.logits(dev.values[site], place).argmax(1).cpu().numpy() for place in places
                ]
                right = [(one == dev.classes).mean() for one in said]
                best = max(range(len(strengths)), key=lambda k: (right[k], strengths[k]))
                logits[site] = fit.logits(test.values[site], places[best])
                chosen[site] = strengths[best]
        return torch.stack([logits[site] for site in train.values]), [
            chosen[site] for site in train.values
        ]

    def _controlled(
        self, parts: dict[str, Read], strengths: list[float], prior: Floats
    ) -> tuple[Floats, Floats]:
        """At the strengths of the task: which words are right in each draw of the control task
        [word, site, draw], and in the task by a probe that never saw their type [word, site]."""
        train, test = parts["train"], parts["test"]
        fold, test_fold = type_folds(train.types, _FOLDS), type_folds(test.types, _FOLDS)
        tables = [train.classes, *self._control(train.types, prior)]
        truths = [*self._control(test.types, prior)]
        weights = np.stack([np.ones(len(fold)), *(fold != f for f in range(_FOLDS))])
        jobs = [(1 + c, 0) for c in range(self.controls)] + [(0, 1 + f) for f in range(_FOLDS)]
        n_sites, n = len(train.values), len(test.classes)
        control, unseen = np.zeros((n, n_sites, self.controls)), np.zeros((n, n_sites))
        place_of = {site: i for i, site in enumerate(train.values)}
        for sites in _by_width(train.values):
            asked = [(i, *job, strengths[place_of[s]]) for i, s in enumerate(sites) for job in jobs]
            fit = self.probe.fit(
                _stacked(train, sites),
                torch.from_numpy(np.stack(tables)),
                Problems.of(asked),
                n_classes=len(self.classes),
                weights=torch.from_numpy(weights).float(),
            )
            for at, (i, label, weight, _) in enumerate(asked):
                place, site = place_of[sites[i]], sites[i]
                if label:
                    logits = fit.logits(test.values[site], at)[None]
                    control[:, place, label - 1] = Judged.of(
                        logits, truths[label - 1], prior
                    ).right[:, 0]
                else:
                    mine = test_fold == weight - 1
                    logits = fit.logits(test.values[site][torch.from_numpy(mine)], at)[None]
                    unseen[mine, place] = Judged.of(logits, test.classes[mine], prior).right[:, 0]
        return control, unseen

    def _control(self, types: list[str], prior: Floats) -> Iterator[Ints]:
        return (control_labels(types, prior, draw) for draw in range(self.controls))

    def _of_twins(self, model: LanguageModel, texts: dict[str, Texts], names: list[str]) -> Floats:
        """Which words are right by probes of models with random weights, [word, site, twin]; none
        for models that are not built here."""
        if not isinstance(model, HookedTransformer) or not self.twins:
            return np.zeros((len(self.parts.test), len(names), 0))
        key = (model.cfg, *(tuple(map(tuple, text.source.tokens)) for text in texts.values()))
        if key not in self._twins:
            found = []
            for seed in range(self.twins):
                twin = HookedTransformer(model.cfg, model.tokenizer, seed=_TWIN + seed).eval()
                parts = self._read(twin, texts, names)
                prior = np.full(len(self.classes), 1 / len(self.classes))
                found.append(Judged.of(self._of_task(parts)[0], parts["test"].classes, prior).right)
            self._twins[key] = np.stack(found, 2)
        return self._twins[key]

    def _named(
        self,
        frame: pd.DataFrame,
        names: list[str],
        depths: list[int],
        strengths: list[float],
        p: dict[int, float],
    ) -> pd.DataFrame:
        """The rows with their sites in the place of the places of those."""
        place = frame.pop("place")
        known = place.dropna().astype(int)
        for column, values in (("site", names), ("layer", depths), ("strength", strengths)):
            frame[column] = known.map(dict(enumerate(values))).reindex(frame.index)
        if len(self.probe.strengths) == 1:
            del frame["strength"]
        gains = frame["metric"] == "gain_over_embedding"
        frame["p"] = place.where(gains).map(p)
        unseen = frame["metric"] == "unseen"
        frame["split"] = np.where(unseen, "new types", "test")
        frame.loc[unseen, "metric"] = "accuracy"
        frame["n"] = len(self.parts.test)
        return tidy(frame)


_TWIN = 10_000  # seeds of random twins, far from those that people train with


def depth(site: str, model: LanguageModel) -> int:
    """How many blocks have worked on a site, in whole or in part."""
    found = re.match(r"(?:blocks|encoder|decoder)\.(\d+)\.", site)
    if found:
        return int(found[1]) + (not site.endswith("hook_resid_pre"))
    return 0 if "embed" in site else int(model.cfg.n_layers)


def stream(model: LanguageModel) -> list[str]:
    """The residual stream before the first block and after each; the encoder's, if there is one."""
    stack = "encoder" if model.cfg.shape == "encoder_decoder" else "blocks"
    after = [f"{stack}.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers)]
    return select(model.hook_points, [f"{stack}.0.hook_resid_pre", *after])


def _by_width(values: dict[str, Tensor]) -> list[list[str]]:
    """The sites that can be stacked."""
    widths: dict[int, list[str]] = {}
    for site, value in values.items():
        widths.setdefault(value.shape[1], []).append(site)
    return list(widths.values())


def _stacked(part: Read, sites: list[str]) -> Tensor:
    return torch.stack([part.values[site] for site in sites])


def _right(said: list[str], part: Read) -> Floats:
    pairs = zip(said, part.labels, strict=True)
    return np.array([mine == label for mine, label in pairs], np.float64)


def _derived(metrics: dict[str, Floats], depths: list[int]) -> dict[str, Floats]:
    """The metrics, as measured or of a draw [..., site], with the differences between them."""
    accuracy = metrics["accuracy"]
    found = dict(metrics)
    for name, other in (("selectivity", "control_accuracy"), ("gain_over_twin", "twin_accuracy")):
        if metrics[other].shape[-1]:
            found[name] = accuracy - metrics[other].mean(-1)
    if 0 in depths:
        first = depths.index(0)
        found["gain_over_embedding"] = accuracy - accuracy[..., first, None]
    return found


def _rows(point: dict[str, Floats], drawn: dict[str, Floats]) -> Iterator[dict[str, Any]]:
    """A row for each value, with its interval; `place` is the place of its site."""
    for metric, values in point.items():
        low, high = np.quantile(drawn[metric], (0.025, 0.975), axis=0)
        for at in np.ndindex(values.shape):
            row = {"metric": metric, "value": values[at], "ci_low": low[at], "ci_high": high[at]}
            yield {**row, **dict(zip(("place", "draw"), at, strict=False))}


def _p_values(right: Floats, depths: list[int], test: Read) -> dict[int, float]:
    """Of each place, that it is no better than the embedding; corrected for all places."""
    if 0 not in depths:
        return {}
    first = depths.index(0)
    others = [i for i in range(len(depths)) if i != first]
    if not others:
        return {}
    p = sign_flips(right[:, others] - right[:, first, None], test.text)
    return dict(zip(others, p.tolist(), strict=True))
