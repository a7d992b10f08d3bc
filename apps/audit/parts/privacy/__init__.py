"""What a model remembers of its training data, and who could show it."""

from __future__ import annotations

from apps.audit.audited import Audited
from apps.audit.joined import asked, joined
from apps.audit.parts.privacy.canaries import canaries
from apps.audit.parts.privacy.extraction import extraction
from apps.audit.parts.privacy.membership import membership
from apps.audit.parts.privacy.personal import personal
from apps.audit.section import Section

_QUESTIONS = (
    ("privacy.canaries", "whether it remembers secrets that stood in its training data", canaries),
    ("privacy.extraction", "whether it recites its training data", extraction),
    ("privacy.membership", "whether somebody could tell what it learnt from", membership),
    ("privacy.personal", "whether it writes personal data", personal),
)

_TEXT = (
    "Somebody could want to know what was in the training data. Two kinds of people are thought "
    "of, who both know what kind of text it was, and do not have it. Who only reads what the model "
    "writes could get texts out of it word for word, and personal data among them. Who also sees "
    "how probable it finds a text - everybody who has its file, and whoever asks a service that "
    "tells probabilities - could complete a secret of which he knows the beginning, or tell "
    "whether a text that he has was learnt from.",
    "What is protected here is one record. Of a person who wrote several, more can be told: for a "
    "claim about people, make one record of all that a person wrote.",
)
_OPEN = (
    "Attacks show the least that is remembered. That these find nothing does not show that nothing "
    "is there.",
)


def part(audited: Audited) -> Section:
    """Four questions: canaries, extraction, membership, personal data."""
    answers = [asked(*question, audited) for question in _QUESTIONS]
    title = "What it remembers of its training data"
    return joined("privacy", title, _TEXT, answers, _OPEN)
