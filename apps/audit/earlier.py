"""An audit that was made before, as far as another is compared with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.audit.report import FORMAT
from interp import LoadError
from interp.untrusted import read_json


def read_earlier(folder: Path) -> dict[str, Any]:
    """What an earlier audit says, as far as it is compared.

    Raises:
        LoadError: there is no audit, or not one of this format.
    """
    values = read_json(folder / "audit.json")
    if values.get("format") != FORMAT:
        raise LoadError(f"{folder / 'audit.json'} is no audit of the format {FORMAT}.")
    try:
        return {
            "name": _text(values["name"]),
            "date": _text(values["date"]),
            "recipe": dict(values["recipe"]),
            "findings": {
                _text(f["key"]): (_text(f["level"]), _text(f["sentence"]))
                for f in values["findings"]
            },
            "measures": {
                _text(name): float("nan") if value is None else float(value)
                for name, value in values["measures"].items()
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LoadError(f"{folder / 'audit.json'} is damaged: {error!r}.") from error


def _text(value: Any) -> str:
    """Text that tables can hold: JSON may have halves of surrogate pairs."""
    return str(value).encode("utf-8", "replace").decode("utf-8")
