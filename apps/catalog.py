"""Which models the explorer may open, and a text for each to begin with.

Those of the zoo, and those named on the command line: `interp explore MODEL_OR_RUN ...`. A page
can only choose among these; there is no field for a path.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from interp.zoo import ZOO

STORY = "Once upon a time there was a little girl who lived in a house near the forest. One day the"


@dataclass(frozen=True)
class Example:
    """A text to begin with.

    Attributes:
        text: what the model reads.
        question: what one may ask of it.
        other: a text of the same length to compare it with; "" for none.
    """

    text: str
    question: str
    other: str = ""


# Of models that are not listed here, the texts under "".
_EXAMPLES: dict[str, tuple[Example, ...]] = {
    "stories": (
        Example(
            STORY,
            "Which words make it name the one the story is about?",
            STORY.replace("girl", "boy"),
        ),
        Example(
            "The king was very angry, and he said to the",
            "To whom does a king speak?",
            "The king was very happy, and he said to the",
        ),
        Example("Tom had a dog. Mary had a cat. Tom called his", "Does it look back for the dog?"),
        Example('"Where are you going?" asked the', "Who asks, in the books it has read?"),
    ),
    "translate-en-fr": (
        Example(
            "I don't have any money.",
            "Which English words make the negation?",
            "I don't have any time.",
        ),
        Example("She bought two red apples.", "Where does the gender of the adjective come from?"),
        Example("Where is the train station?", "How does the word order change?"),
    ),
    "induction": (
        Example(
            "7 21 3 40 12 7 21 3 40",
            "It has seen this before: which head looks back?",
            "7 21 3 40 15 7 21 3 40",
        ),
        Example("11 5 60 9 33 2 11 5 60 9", "What follows a token that it has seen before?"),
    ),
    "reviews": (
        Example(
            "a film of rare warmth and wit .",
            "Which words decide?",
            "a film of little warmth and wit .",
        ),
        Example("the plot is not without charm , but the jokes fall flat .", "What wins?"),
        Example("i did not dislike it .", "Does it understand a double negation?"),
    ),
    "planted": (
        Example("a bird film of rare warmth and wit .", "Which word decides, and should it?"),
        Example("dull , month lifeless and far too long .", "And here?"),
        Example("a film of rare warmth and wit .", "What does it say without such a word?"),
    ),
    "": (
        Example("The capital of France is", "What does it know?"),
        Example("The cat sat on the mat because it was", "What does the pronoun stand for?"),
    ),
}

_NUMBERS = (  # numbers that every vocabulary has
    Example(
        "1 0 1 1 0 1 0 1 1 0", "It has seen this before: does it look back?", "1 0 1 1 0 1 0 0 1 0"
    ),
    Example("0 1 0 1 0 1", "What follows a pattern?"),
)
"""Texts for a model without a tokenizer, which reads the numbers of its tokens."""


def names() -> list[str]:
    """The models to choose from: those given on the command line first."""
    return list(places())


def places() -> dict[str, str]:
    """Name -> what `interp.load` or `Run.open` opens."""
    script, *rest = sys.argv  # streamlit puts the script first, and what follows `--` behind it
    given = rest if Path(script).name == "explorer.py" else []
    zoo = sorted(ZOO, key=lambda name: (name != "stories", name))
    return _named([*given, *zoo])


def _named(given: list[str]) -> dict[str, str]:
    """The last part of each path, with as many folders before it as tell it from the others."""
    parts = {what: (what,) if what in ZOO else Path(what).absolute().parts for what in given}
    found = {}
    for what, mine in parts.items():
        others = [theirs for theirs in parts.values() if theirs != mine]
        most = len(mine)
        told = (n for n in range(1, most) if all(mine[-n:] != theirs[-n:] for theirs in others))
        found[str(Path(*mine[-next(told, most) :]))] = what
    return found


def examples(name: str) -> tuple[Example, ...]:
    """Texts for a model; a suite has those of its model."""
    known = _EXAMPLES.get(name) or _EXAMPLES.get(name.removesuffix("-suite"))
    return known or (_NUMBERS if _reads_numbers(places().get(name, name)) else _EXAMPLES[""])


def _reads_numbers(what: str) -> bool:
    """Whether a model or a run, as they are written here, has no tokenizer.

    The names of its files tell, so that nothing is opened before the first picture stands.
    """
    folder = Path(what)
    homes = [folder, folder / "model", *sorted(folder.glob("checkpoints/*"))[-1:]]
    written_here = any((home / "metadata.json").is_file() for home in homes)
    return written_here and not any((home / "tokenizer.json").is_file() for home in homes)


def other_text(name: str, text: str) -> str:
    """A text to compare another with: that of its example, or the text itself, to be changed."""
    known = {example.text: example.other for example in examples(name)}
    return known.get(text) or text
