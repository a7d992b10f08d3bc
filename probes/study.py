"""One question to any number of models: what each of their layers knows about labelled words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.activations import Texts
from interp.errors import InputError
from interp.model.hook_points import NamesFilter, select
from interp.model.protocol import LanguageModel
from interp.model.transformer import HookedTransformer
from probes.controls import control_labels, held_out, majority, type_majority
from probes.frames import tidy
from probes.labelled import Parts, Pooling
from probes.reading import PARTS, Read, depth, encoded, read_parts, stream
from probes.scores import Floats, Ints, Judged, means
from probes.solvers.families import Family, family
from probes.solvers.logistic import Problems
from probes.statistics import DRAWS, best_of_many, sign_flips

_FOLDS = 5
_FLIPS = 10_000  # of signs: as p-values are corrected for hundreds of cells, they must be fine


@dataclass(frozen=True)
class Study:
    """The question; calling it with a model asks it. See `probes.atlas.atlas` for its parts; with
    `by_label`, `f1` of each label is answered too.

    Models of one configuration share their random twins.
    """

    parts: Parts
    probe: Family = field(default_factory=lambda: family("logistic"))
    sites: NamesFilter = None
    pooling: Pooling = "last"
    controls: int = 3
    twins: int = 3
    draws: int = DRAWS
    by_label: bool = False
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

    def __call__(self, model: LanguageModel) -> pd.DataFrame:
        """Rows about a model, for `tidy`."""
        names = stream(model) if self.sites is None else select(model.hook_points, self.sites)
        texts = encoded(model, self.parts)
        parts = self._read(model, texts, names)
        train, test = parts["train"], parts["test"]
        classes = self._classes
        prior = np.bincount(train.classes, minlength=classes) / len(train.classes)
        logits, strengths = self._of_task(parts)
        judged = Judged.of(logits, test.classes, prior)
        control, unseen = self._controlled(parts, strengths, prior)
        columns = {
            "control_accuracy": control,
            **unseen,
            "twin_accuracy": self._of_twins(model, texts, names),
            "majority": _right(majority(train.labels, len(test.labels)), test),
            "type_majority": _right(type_majority(train.types, train.labels, test.types), test),
        }
        point, drawn = means(judged, classes, test.text, columns, self.draws)
        depths = [depth(name, model) for name in names]
        f1 = {"f1": point.pop("f1")}, {"f1": drawn.pop("f1")}
        rows = list(_rows(_derived(point, depths), _derived(drawn, depths)))
        if self.by_label:
            rows += self._by_label(_rows(*f1, ("place", "label")), test)
        rows += [{"metric": "auroc", "place": i, "value": v} for i, v in enumerate(judged.auroc)]
        best = best_of_many(judged.right, test.text, draws=self.draws)
        rows += [{"metric": "best", "place": i, "value": value} for i, value in enumerate(best)]
        rows.append({"metric": "left_out", "value": test.left_out})
        p = {
            "gain_over_embedding": _over_embedding(judged.right, depths, test),
            "selectivity": _over_control(judged.right, control, test),
        }
        return self._named(pd.DataFrame(rows), names, depths, strengths, p)

    def _by_label(self, rows: Iterator[dict[str, Any]], test: Read) -> Iterator[dict[str, Any]]:
        """Rows with the names of the labels that the test part has, and how often."""
        names, counts = sorted(set(self.parts.train.labels)), Counter(test.labels)
        for row in rows:
            label = names[row["label"]]
            if counts[label]:
                yield {**row, "label": label, "n": counts[label]}

    @property
    def _classes(self) -> int:
        """How many labels are fitted to."""
        return len(set(self.parts.train.labels))

    def _read(
        self, model: LanguageModel, texts: Mapping[str, Texts], names: list[str]
    ) -> dict[str, Read]:
        return read_parts(
            model, self.parts, texts, names, None if self.probe.pools else self.pooling
        )

    def _of_task(self, parts: dict[str, Read]) -> tuple[Tensor, list[float]]:
        """Scores on the test part [site, word, class], and the strength that did best on the dev
        part for each site; of equally good ones the strongest."""
        train, dev, test = (parts[part] for part in PARTS)
        strengths = self.probe.strengths
        logits: dict[str, Tensor] = {}
        chosen: dict[str, float] = {}
        for sites in _by_width(train.values):
            problems = Problems.cross(len(sites), 1, 1, strengths)
            labels = torch.from_numpy(train.classes)[None]
            fit = self.probe.fit(train.rows(sites), labels, problems, n_classes=self._classes)
            for i, site in enumerate(sites):
                places = range(i * len(strengths), (i + 1) * len(strengths))
                said = [
                    fit.logits(dev.rows(site), place).argmax(1).cpu().numpy() for place in places
                ]
                right = [(one == dev.classes).mean() for one in said]
                best = max(range(len(strengths)), key=lambda k: (right[k], strengths[k]))
                logits[site] = fit.logits(test.rows(site), places[best])
                chosen[site] = strengths[best]
        return torch.stack([logits[site] for site in train.values]), [
            chosen[site] for site in train.values
        ]

    def _controlled(
        self, parts: dict[str, Read], strengths: list[float], prior: Floats
    ) -> tuple[Floats, dict[str, Floats]]:
        """At the strengths of the task: which words are right in each draw of the control task
        [word, site, draw]; and, by what was held out, which are in the task by a probe that never
        saw their type, or lemma [word, site]."""
        train, test = parts["train"], parts["test"]
        folds = [
            (split, *masks)
            for split, names in _HELD_OUT.items()
            if getattr(train, names) and getattr(test, names)
            for masks in held_out(getattr(train, names), getattr(test, names), _FOLDS)
        ]
        tables = [train.classes, *self._control(train.types, prior)]
        truths = [*self._control(test.types, prior)]
        weights = np.stack([np.ones(len(train.types)), *(fitted for _, fitted, _ in folds)])
        jobs = [(1 + c, 0) for c in range(self.controls)] + [(0, 1 + f) for f in range(len(folds))]
        n_sites, n = len(train.values), len(test.classes)
        control = np.zeros((n, n_sites, self.controls))
        unseen = {split: np.zeros((n, n_sites)) for split, *_ in folds}
        place_of = {site: i for i, site in enumerate(train.values)}
        for sites in _by_width(train.values):
            asked = [(i, *job, strengths[place_of[s]]) for i, s in enumerate(sites) for job in jobs]
            fit = self.probe.fit(
                train.rows(sites),
                torch.from_numpy(np.stack(tables)),
                Problems.of(asked),
                n_classes=self._classes,
                weights=torch.from_numpy(weights).float(),
            )
            for at, (i, label, weight, _) in enumerate(asked):
                place, site = place_of[sites[i]], sites[i]
                if label:
                    logits = fit.logits(test.rows(site), at)[None]
                    right = Judged.of(logits, truths[label - 1], prior).right
                    control[:, place, label - 1] = right[:, 0]
                else:
                    split, _, mine = folds[weight - 1]
                    logits = fit.logits(test.rows(site, torch.from_numpy(mine)), at)[None]
                    right = Judged.of(logits, test.classes[mine], prior).right
                    unseen[split][mine, place] = right[:, 0]
        return control, unseen

    def _control(self, types: list[str], prior: Floats) -> Iterator[Ints]:
        return (control_labels(types, prior, draw) for draw in range(self.controls))

    def _of_twins(
        self, model: LanguageModel, texts: Mapping[str, Texts], names: list[str]
    ) -> Floats:
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
                prior = np.full(self._classes, 1 / self._classes)
                found.append(Judged.of(self._of_task(parts)[0], parts["test"].classes, prior).right)
            self._twins[key] = np.stack(found, 2)
        return self._twins[key]

    def _named(
        self,
        frame: pd.DataFrame,
        names: list[str],
        depths: list[int],
        strengths: list[float],
        p: Mapping[str, Mapping[int, float]],
    ) -> pd.DataFrame:
        """The rows with their sites in the place of the places of those."""
        place = frame.pop("place")
        known = place.dropna().astype(int)
        for column, values in (("site", names), ("layer", depths), ("strength", strengths)):
            frame[column] = known.map(dict(enumerate(values))).reindex(frame.index)
        if len(self.probe.strengths) == 1:
            del frame["strength"]
        frame["p"] = [
            p.get(metric, {}).get(at, np.nan)
            for metric, at in zip(frame["metric"], place, strict=True)
        ]
        unseen = frame["metric"].isin(_HELD_OUT)
        frame["split"] = frame["metric"].where(unseen, "test")
        frame.loc[unseen, "metric"] = "accuracy"
        everything = pd.Series(len(self.parts.test), frame.index)
        frame["n"] = frame["n"].fillna(everything) if self.by_label else everything
        return tidy(frame)


_HELD_OUT = {"new types": "types", "new lemmas": "lemmas"}
"""The name of a split -> by which names of `Read` words are held out for it."""

_TWIN = 10_000  # seeds of random twins, far from those that people train with


def _by_width(values: dict[str, Tensor]) -> list[list[str]]:
    """The sites that can be stacked."""
    widths: dict[int, list[str]] = {}
    for site, value in values.items():
        widths.setdefault(value.shape[1], []).append(site)
    return list(widths.values())


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


def _rows(
    point: dict[str, Floats], drawn: dict[str, Floats], axes: tuple[str, ...] = ("place", "draw")
) -> Iterator[dict[str, Any]]:
    """A row for each value, with its interval and its place on each axis; `place` is that of its
    site."""
    for metric, values in point.items():
        low, high = np.quantile(drawn[metric], (0.025, 0.975), axis=0)
        for at in np.ndindex(values.shape):
            row = {"metric": metric, "value": values[at], "ci_low": low[at], "ci_high": high[at]}
            yield {**row, **dict(zip(axes, at, strict=False))}


def _over_embedding(right: Floats, depths: list[int], test: Read) -> dict[int, float]:
    """P-value of each place, that it is no better than the embedding; corrected for all places."""
    if 0 not in depths:
        return {}
    first = depths.index(0)
    others = [i for i in range(len(depths)) if i != first]
    if not others:
        return {}
    p = sign_flips(right[:, others] - right[:, first, None], test.text)
    return dict(zip(others, p.tolist(), strict=True))


def _over_control(right: Floats, control: Floats, test: Read) -> dict[int, float]:
    """P-value of each place, that the task is no easier than the control task there."""
    if not control.shape[-1]:
        return {}
    p = sign_flips(right - control.mean(-1), test.text, draws=_FLIPS, corrected=False)
    return dict(enumerate(p.tolist()))
