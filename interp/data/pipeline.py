"""Cleaning as a list of named steps, from a document's text to a text, or to a reason against it.

A step looks at one text and nothing else, so texts are cleaned in any order and on any number of
processes with the same result. Only the search for duplicates knows other documents; it comes last
and lives in `interp.data.clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from interp.data import filters, privacy, repairs
from interp.data.language import LANGUAGES
from interp.errors import ConfigError


class Outcome(NamedTuple):
    """What a step makes of a text.

    Attributes:
        text: the text afterwards; of a removed one, as it came.
        removed: why it is removed, empty if it stays.
        found: how much personal data of each type was replaced.
    """

    text: str
    removed: str = ""
    found: Mapping[str, int] = {}


@dataclass(frozen=True)
class Step:
    """A named function of a text.

    Attributes:
        kind: what `function` returns: the changed text (`change`); why the text is removed, or
            nothing (`filter`); the changed text and what was found in it (`scrub`).
        about: what the step does, one sentence for the data card.
        settings: further arguments of `function`.
    """

    name: str
    kind: Literal["change", "filter", "scrub"]
    function: Callable[..., Any]
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, text: str) -> Outcome:
        result = self.function(text, **self.settings)
        if self.kind == "change":
            return Outcome(result)
        if self.kind == "filter":
            return Outcome(text, removed=result)
        return Outcome(result[0], found=result[1])


def language_step(languages: tuple[str, ...]) -> Step:
    """A filter that keeps documents in some of `interp.data.language.LANGUAGES`.

    Raises:
        ConfigError: a language that is not known.
    """
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown or not languages:
        raise ConfigError(
            f"Languages that can be told apart are {', '.join(LANGUAGES)}; "
            f"{', '.join(unknown) or 'none'} was asked for."
        )
    about = "keeps documents in the chosen languages, known by their small words"
    return Step("language", "filter", filters.wrong_language, about, {"languages": languages})


def length_step(min_words: int, max_words: int = 100_000) -> Step:
    """A filter that keeps documents of so many words."""
    if not 0 <= min_words <= max_words:
        raise ConfigError(f"No document has {min_words} to {max_words} words.")
    about = "keeps documents that are neither too short nor too long"
    settings = {"min_words": min_words, "max_words": max_words}
    return Step("length", "filter", filters.wrong_length, about, settings)


ENCODING = Step(
    "encoding", "change", repairs.repair_encoding, "undoes wrongly decoded characters and entities"
)
UNICODE = Step(
    "unicode", "change", repairs.normalize_unicode, "one form (NFC) for equal characters"
)
CONTROLS = Step(
    "controls", "change", repairs.remove_controls, "takes out invisible and steering characters"
)
BOILERPLATE = Step(
    "boilerplate", "change", repairs.remove_boilerplate, "takes out tags and web page furniture"
)
PUNCTUATION = Step(
    "punctuation", "change", repairs.normalize_punctuation, "quotes and hyphens as they are typed"
)
WHITESPACE = Step(
    "whitespace", "change", repairs.normalize_whitespace, "no more blanks than tell words apart"
)
QUALITY = Step("quality", "filter", filters.poor_quality, "Gopher's rules of quality")
REPETITION = Step("repetition", "filter", filters.repetitive, "Gopher's rules of repetition")
PRIVACY = Step("privacy", "scrub", privacy.scrub, "replaces personal data by its type")


@dataclass(frozen=True)
class Pipeline:
    """The steps in their order, and which duplicates are removed after them.

    Attributes:
        exact: remove documents whose text was there before.
        near: remove documents that share at least this part of their runs of five words with one
            that was there before (the Jaccard index); 0 keeps them.
    """

    steps: tuple[Step, ...]
    exact: bool = True
    near: float = 0.7

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ConfigError(f"Two steps have one name: {', '.join(names)}.")
        if not 0 <= self.near <= 1:
            raise ConfigError(f"The threshold of near duplicates is {self.near}, not 0 to 1.")

    def run(self, text: str) -> Iterator[tuple[Step, str, Outcome]]:
        """Each step, the text that it got and what it made of it, until one removes the text."""
        for step in self.steps:
            before, outcome = text, step(text)
            yield step, before, outcome
            if outcome.removed:
                return
            text = outcome.text

    def with_step(self, step: Step) -> Pipeline:
        """With a step in the place of the one of its name, else before the first filter."""
        names = [old.name for old in self.steps]
        if step.name in names:
            return replace(
                self, steps=tuple(step if s.name == step.name else s for s in self.steps)
            )
        place = next((i for i, s in enumerate(self.steps) if s.kind != "change"), len(names))
        return replace(self, steps=(*self.steps[:place], step, *self.steps[place:]))

    def without(self, *names: str) -> Pipeline:
        """Without some steps; `exact` and `near` name the two searches for duplicates.

        Raises:
            ConfigError: there is no such step.
        """
        unknown = set(names) - {step.name for step in self.steps} - {"exact", "near"}
        if unknown:
            raise ConfigError(
                f"There is no step {', '.join(sorted(unknown))} here; there are "
                f"{', '.join(step.name for step in self.steps)}, exact, near."
            )
        return Pipeline(
            tuple(step for step in self.steps if step.name not in names),
            exact=self.exact and "exact" not in names,
            near=0.0 if "near" in names else self.near,
        )

    def describe(self) -> dict[str, Any]:
        """Everything that its result depends on, as plain values."""
        steps = [{"name": s.name, "settings": _plain(s.settings)} for s in self.steps]
        return {"steps": steps, "exact": self.exact, "near": self.near}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


_REPAIRS = (ENCODING, UNICODE, CONTROLS)

PIPELINES = {
    "repair": Pipeline((*_REPAIRS, WHITESPACE, length_step(1, 10**9)), exact=False, near=0.0),
    "standard": Pipeline((*_REPAIRS, PUNCTUATION, WHITESPACE, length_step(1, 10**9), PRIVACY)),
    "web": Pipeline(
        (
            *(*_REPAIRS, BOILERPLATE, PUNCTUATION, WHITESPACE),
            *(length_step(50), QUALITY, REPETITION, PRIVACY),
        )
    ),
}
"""`repair` mends characters and drops what is empty; `standard` also normalises punctuation, scrubs
personal data and removes duplicates; `web` adds the filters for pages of the web."""
