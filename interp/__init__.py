"""Train, open and explain Transformer language models, with the evidence for every explanation.

The public names below are imported where they live on first use, so that `import interp` loads
no torch and takes milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interp.errors import (
    CacheError,
    ConfigError,
    HookError,
    InputError,
    InterpError,
    LoadError,
    StoreError,
    TrainingError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    from interp.explain import (
        AnswerAttribution,
        Attribution,
        AttributionReport,
        Baseline,
        Scorecard,
        Target,
        attribute,
        attribute_answer,
        attribution_report,
        scorecard,
    )
    from interp.model.config import RopeScaling, TransformerConfig
    from interp.model.tap import NO_TAP, Tap
    from interp.model.transformer import HookedTransformer
    from interp.pretrained import load
    from interp.train.evaluate import evaluate
    from interp.train.finetune import finetune
    from interp.train.loop import fit
    from interp.train.run import Run
    from interp.train.settings import Settings

__version__ = "0.1.0"

# Public name -> the module that defines it; the imports above tell type checkers the same.
_HOME = {
    "AnswerAttribution": "interp.explain",
    "Attribution": "interp.explain",
    "AttributionReport": "interp.explain",
    "Baseline": "interp.explain",
    "HookedTransformer": "interp.model.transformer",
    "NO_TAP": "interp.model.tap",
    "RopeScaling": "interp.model.config",
    "Run": "interp.train.run",
    "Scorecard": "interp.explain",
    "Settings": "interp.train.settings",
    "Tap": "interp.model.tap",
    "Target": "interp.explain",
    "TransformerConfig": "interp.model.config",
    "attribute": "interp.explain",
    "attribute_answer": "interp.explain",
    "attribution_report": "interp.explain",
    "evaluate": "interp.train.evaluate",
    "finetune": "interp.train.finetune",
    "fit": "interp.train.loop",
    "load": "interp.pretrained",
    "scorecard": "interp.explain",
}

__all__ = [
    "NO_TAP",
    "AnswerAttribution",
    "Attribution",
    "AttributionReport",
    "Baseline",
    "CacheError",
    "ConfigError",
    "HookError",
    "HookedTransformer",
    "InputError",
    "InterpError",
    "LoadError",
    "RopeScaling",
    "Run",
    "Scorecard",
    "Settings",
    "StoreError",
    "Tap",
    "Target",
    "TrainingError",
    "TransformerConfig",
    "UnsupportedModelError",
    "__version__",
    "attribute",
    "attribute_answer",
    "attribution_report",
    "evaluate",
    "finetune",
    "fit",
    "load",
    "scorecard",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
