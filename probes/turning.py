"""Which pieces turn what a model says of texts: a search in rounds, and what it found, measured.

A piece *turns* a text to an answer if the model was sure of another one and, with the piece put in,
is sure of this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.errors import InputError
from interp.train.metrics.interval import Measure, proportion
from probes.statistics import cluster_bootstrap
from probes.verdicts import Floats, Pieces, Verdicts

ANYWHERE = "anywhere"

_SCREEN = 6  # texts of each of the first two rounds
_SECOND = 150  # pieces of the second round
_CLEARLY = 0.1  # by so much a place must be better than all together to be named
_RIVAL = 0.25  # of the texts that the strongest piece of an answer turns, to be a rival
_NUMBERS = 2**24  # probabilities that are held at once

Slot = tuple[int, str]
"""A text, and the place in it."""


@dataclass(frozen=True)
class Turner:
    """A piece and the answer that it turns to.

    Attributes:
        place: of `probes.verdicts.PLACES`, or `anywhere`.
        score: mean probability of the answer with the piece put in, over texts of other answers.
    """

    piece: Any
    answer: int
    place: str
    score: float


class Turning:
    """Texts with what a model says of them, and pieces to be put into them.

    Args:
        base: what the model says of the texts as they are, [text, answer].

    Raises:
        InputError: the model is sure of too few of the texts.
    """

    def __init__(self, asked: Verdicts, base: Floats, random: np.random.Generator):
        self.asked, self.base, self.random = asked, base, random
        self.verdict = base.argmax(1)
        self.sure = np.flatnonzero(base.max(1) >= asked.sure)
        if len(self.sure) < 4 * _SCREEN:
            raise InputError(
                f"The model is sure (at least {asked.sure:.0%}) of {len(self.sure)} of "
                f"{len(base)} texts; it takes {4 * _SCREEN} to see what turns them. Give more."
            )
        # Short texts cost less and are turned more easily: what turns none of them turns nothing.
        shortest = sorted(self.sure.tolist(), key=lambda i: (len(asked.texts[i]), i))
        self.screens = self._even(shortest[: max(2 * _SCREEN, len(self.sure) // 4)])
        self.rest = np.setdiff1d(self.sure, np.concatenate(self.screens))

    def _even(self, pool: list[int]) -> list[list[int]]:
        """Two lists of texts, of each verdict as many as there are, in turn."""
        seen: Counter[int] = Counter()
        turns = []
        for i in pool:
            verdict = int(self.verdict[i])
            turns.append((seen[verdict], verdict, i))
            seen[verdict] += 1
        chosen = sorted(turns)[: 2 * _SCREEN]
        return [[i for n, _, i in chosen if n % 2 == half] for half in (0, 1)]

    # -- the search ------------------------------------------------------------------------------

    def search(self, pieces: Sequence[Any], most: int) -> list[Turner]:
        """The strongest of the pieces in two rounds, at most so many, the answers in turn; some of
        them twice, anywhere and at one place."""
        texts, places = self.screens[0], self.asked.places
        seen: Counter[int] = Counter()
        slots = []
        for i in texts:  # so that each verdict meets every place
            slots.append((i, places[seen[int(self.verdict[i])] % len(places)]))
            seen[int(self.verdict[i])] += 1
        every = list(self._scored(pieces, slots))
        average = sorted(every, key=lambda found: -found[ANYWHERE].score)
        peak = sorted(every, key=lambda found: -max(one.score for one in found.values()))
        best = [*average[: 2 * _SECOND // 3], *peak[:_SECOND]]
        kept = list(dict.fromkeys(found[ANYWHERE].piece for found in best))[:_SECOND]
        slots = [(i, place) for i in self.screens[1] or texts for place in places]
        named = [_named(found) for found in self._scored(kept, slots)]
        named.sort(key=lambda ones: -ones[0].score)
        rank: Counter[int] = Counter()
        turns = []
        for ones in named:
            turns.append((rank[ones[0].answer], -ones[0].score, ones))
            rank[ones[0].answer] += 1
        turns.sort(key=lambda turn: turn[:2])
        return [one for _, _, ones in turns[:most] for one in ones]

    def _scored(self, pieces: Sequence[Any], slots: Sequence[Slot]) -> Iterator[dict[str, Turner]]:
        """Of each piece its best answer at each place, and at all places together."""
        other = np.ones((len(slots), self.base.shape[1]))  # [slot, answer], what can be turned
        other[np.arange(len(slots)), self.verdict[[i for i, _ in slots]]] = 0
        at = {ANYWHERE: list(range(len(slots)))}
        for n, (_, place) in enumerate(slots):
            at.setdefault(place, []).append(n)
        block = max(1, _NUMBERS // other.size)
        for start in range(0, len(pieces), block):
            some = pieces[start : start + block]
            said = self.put_in([(slot, piece) for piece in some for slot in slots]).reshape(
                len(some), *other.shape
            )
            means = {
                place: (said[:, n] * other[n]).sum(1) / np.maximum(other[n].sum(0), 1)
                for place, n in at.items()
            }
            for k, piece in enumerate(some):
                yield {
                    place: Turner(piece, int(mean[k].argmax()), place, float(mean[k].max()))
                    for place, mean in means.items()
                }

    def put_in(self, wanted: Sequence[tuple[Slot, Any]]) -> Floats:
        """What the model says of texts with a piece put in each, [wanted, answer]."""
        variants: list[tuple[int, Pieces]] = [
            (i, self.asked.put_in(i, piece, place, self.random)) for (i, place), piece in wanted
        ]
        return self.asked.probabilities(variants)

    # -- measures --------------------------------------------------------------------------------

    def chosen(self, answer: int, texts: int) -> list[int]:
        """Texts of the last round that the model is sure have another answer, at most so many."""
        others = self.rest[self.verdict[self.rest] != answer]
        return sorted(self.random.permutation(others)[:texts].tolist())

    def turned(
        self, pieces: Sequence[Any], answer: int, place: str, texts: Sequence[int]
    ) -> Floats:
        """For each text whether a piece turns it (1 or 0) and by how much it shifts the log-odds
        of the answer, [text, 2]; as many pieces as texts."""
        places = self.asked.places
        slots = [
            (i, places[n % len(places)] if place == ANYWHERE else place)
            for n, i in enumerate(texts)
        ]
        after = self.put_in(list(zip(slots, pieces, strict=True)))[:, answer]
        shift = _log_odds(after) - _log_odds(self.base[list(texts), answer])
        return np.stack([after >= self.asked.sure, shift], 1).astype(np.float64)

    def last(self, best: Sequence[Turner], texts: int) -> Iterator[tuple[Turner, list[Measure]]]:
        """What each of the pieces does to at most so many texts that were not used before; see
        `probes.shortcuts.shortcuts`.

        Of two pieces that decide, only one can have its way, so that texts are left out in the end
        which hold the strongest piece of another answer, or one that turns half of the texts to it.
        """
        every = []
        for one in best:
            chosen = self.chosen(one.answer, texts)
            if chosen:
                found = self.turned([one.piece] * len(chosen), one.answer, one.place, chosen)
                every.append((one, chosen, found))
        shares = {n: found[:, 0].mean() for n, (_, _, found) in enumerate(every)}
        first = {every[n][0].answer: n for n in sorted(shares, key=lambda n: shares[n])}
        strong = {n for n in first.values() if shares[n] >= _RIVAL}
        while True:  # without the rivals of one, another may be found to turn half
            keep = [self._without(every, n, strong) for n in range(len(every))]
            now = {n for n, (_, _, found) in enumerate(every) if found[keep[n], 0].mean() >= 0.5}
            if now <= strong:
                break
            strong |= now
        for (one, _, found), kept in zip(every, keep, strict=True):
            yield one, list(self._about(one, found[kept], texts))

    def _without(
        self, every: Sequence[tuple[Turner, list[int], Floats]], n: int, strong: set[int]
    ) -> list[int]:
        """Which of its texts hold no strong piece of another answer; all, if each of them does."""
        one, chosen, _ = every[n]
        rivals = {every[k][0].piece for k in strong if every[k][0].answer != one.answer}
        kept = [k for k, i in enumerate(chosen) if rivals.isdisjoint(self.asked.texts[i])]
        return kept or list(range(len(chosen)))

    def _about(self, one: Turner, found: Floats, texts: int) -> Iterator[Measure]:
        yield proportion("turned", int(found[:, 0].sum()), len(found))
        low, high = cluster_bootstrap(found[:, 1], np.arange(len(found)))
        yield Measure("shift", float(found[:, 1].mean()), float(low), float(high), len(found))
        having = [i for i, pieces in enumerate(self.asked.texts) if one.piece in pieces]
        yield from self._needed(one, [i for i in having if self.verdict[i] == one.answer][:texts])
        yield from self._against(one, having)

    def _needed(self, one: Turner, having: list[int]) -> Iterator[Measure]:
        """Whether the verdict stays when the piece is taken out, or another."""
        variants: list[list[tuple[int, Pieces]]] = [[], []]
        for i in having:
            pieces = self.asked.texts[i]
            rest = tuple(piece for piece in pieces if piece != one.piece)
            if not rest:
                continue
            places = [n for n, piece in enumerate(pieces) if piece != one.piece]
            gone = places[int(self.random.integers(len(places)))]
            variants[0].append((i, rest))
            variants[1].append((i, pieces[:gone] + pieces[gone + 1 :]))
        if not variants[0]:
            return
        for metric, some in zip(("needed", "needed, another"), variants, strict=True):
            some = [(i, pieces) for i, pieces in some if pieces]
            changed = self.asked.probabilities(some).argmax(1) != one.answer
            yield proportion(metric, int(changed.sum()), len(some))

    def _against(self, one: Turner, having: list[int]) -> Iterator[Measure]:
        """How often the model is right where the truth is not the piece's answer."""
        truths = self.asked.labels
        if truths is None:
            return
        said = [self.asked.name(int(answer)) for answer in self.verdict]
        against = [i for i in having if truths[i] != self.asked.name(one.answer)]
        without = sorted(set(range(len(truths))) - set(having))
        for metric, some in (("right against", against), ("right", without)):
            if some:
                hits = sum(said[i] == truths[i] for i in some)
                yield proportion(metric, hits, len(some))


def _named(found: dict[str, Turner]) -> list[Turner]:
    """A piece anywhere, and before it at the place that is clearly better, if there is one."""
    best = max(found.values(), key=lambda one: one.score)
    anywhere = found[ANYWHERE]
    return [best, anywhere] if best.score > anywhere.score + _CLEARLY else [anywhere]


def _log_odds(p: Floats) -> Floats:
    p = np.clip(np.asarray(p, dtype=np.float64), 1e-9, 1 - 1e-9)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds
