"""What the layers of a model know, where its answer is formed, and what its heads look at."""

from __future__ import annotations

from apps.audit.audited import Audited
from apps.audit.joined import asked, joined
from apps.audit.parts.probes.forming import forming
from apps.audit.parts.probes.layers import layers
from apps.audit.parts.probes.looking import looking
from apps.audit.section import Section

_QUESTIONS = (
    ("probes.layers", "what its layers know", layers),
    ("probes.forming", "where in the model its answer is formed", forming),
    ("probes.heads", "what its attention heads look at", looking),
)

_TEXT = (
    "A model is a row of blocks, each of which changes what the one before has handed on. Here it "
    "is read what stands between them. Each figure has beside it what it must be held against: "
    "what a word alone gives away, the same model with random weights, and a task that can only be "
    "learnt by heart.",
)
_OPEN = (
    "That something can be read off a layer does not show that the model uses it; what is used is "
    "seen when it is taken away (interventions).",
)


def part(audited: Audited) -> Section:
    """Three questions: layers, the forming of the answer, heads."""
    answers = [asked(*question, audited) for question in _QUESTIONS]
    return joined("probes", "What its layers know", _TEXT, answers, _OPEN)
