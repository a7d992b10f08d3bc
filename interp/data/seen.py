"""The documents that were kept so far, as far as duplicates are looked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import islice

from interp.data.duplicates import ExactIndex, Fingerprint, NearIndex, fingerprint
from interp.data.pipeline import Pipeline
from interp.data.tally import Tally
from interp.data.workers import Workers

ABOUT = {
    "exact": "removes documents whose text was there before",
    "near": "removes documents of nearly the same words as one before",
}
"""What each search for duplicates does, for the data card."""


class Seen:
    """Decides one document after the other, in the order of the input."""

    def __init__(self, pipeline: Pipeline):
        self.exact = ExactIndex() if pipeline.exact else None
        self.near = NearIndex(pipeline.near) if pipeline.near else None

    def is_new(self, text: str, print_: Fingerprint, tally: Tally) -> bool:
        """Whether a document stays; counts it, and remembers it if so."""
        if self.exact is not None:
            if print_.exact in self.exact:
                tally.step("exact").removed(text, "the same text")
                return False
            tally.step("exact").changed(text, text)
        if self.near is not None:
            share = self.near.match(print_)
            if share:
                reason = (
                    "the same words" if share == 1 else f"{int(10 * share)}0% of the words or more"
                )
                tally.step("near").removed(text, reason)
                return False
            tally.step("near").changed(text, text)
        self._add(print_)
        return True

    def restore(self, workers: Workers, texts: Iterable[str]) -> None:
        """Remembers the texts that an interrupted run has written."""
        if self.exact is None and self.near is None:
            return
        work = partial(_fingerprints, self.near.threshold if self.near else 0.0)
        source = iter(texts)
        for prints in workers.map(work, iter(lambda: list(islice(source, 500)), [])):
            for print_ in prints:
                self._add(print_)

    def _add(self, print_: Fingerprint) -> None:
        if self.exact is not None:
            self.exact.add(print_.exact)
        if self.near is not None:
            self.near.add(print_)


def _fingerprints(threshold: float, texts: list[str]) -> list[Fingerprint]:
    return [fingerprint(text, threshold) for text in texts]
