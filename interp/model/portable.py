"""A model as an object or a folder of the transformers library."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from interp.model.core import Transformer

# What knows other libraries' formats lives a floor above the model. It is reached by name, when it
# is called: this file imports nothing of it, and a model without these calls never loads it.
_EXPORT = "interp.pretrained.export"


class Portable(Transformer):
    """The part of a model that leaves for another library."""

    def to_hf(self) -> Any:
        """The same model in the transformers library; see `interp.pretrained.to_hf`."""
        return import_module(_EXPORT).to_hf(self)

    def save_hf(self, folder: Path | str) -> None:
        """A folder for the transformers library; see `interp.pretrained.save_hf`."""
        import_module(_EXPORT).save_hf(self, folder)
