"""How far an attribution can be trusted: section by section, with controls and intervals."""

from interp.explain.scorecard.card import Scorecard, scorecard

__all__ = ["Scorecard", "scorecard"]
