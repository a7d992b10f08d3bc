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


def names() -> list[str]:
    """The models to choose from: those given on the command line first."""
    return list(places())


def places() -> dict[str, str]:
    """Name -> what `interp.load` or `Run.open` opens."""
    script, *rest = sys.argv  # streamlit puts the script first, and what follows `--` behind it
    given = rest if Path(script).name == "explorer.py" else []
    named = {Path(what).name or what: what for what in given}
    zoo = sorted(ZOO, key=lambda name: (name != "stories", name))
    return named | {name: name for name in zoo if name not in named}


def examples(name: str) -> tuple[Example, ...]:
    """Texts for a model; a suite has those of its model."""
    return _EXAMPLES.get(name) or _EXAMPLES.get(name.removesuffix("-suite")) or _EXAMPLES[""]


def other_text(name: str, text: str) -> str:
    """A text to compare another with: that of its example, or the text itself, to be changed."""
    known = {example.text: example.other for example in examples(name)}
    return known.get(text) or text
