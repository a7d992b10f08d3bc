"""One text and where it comes from: what readers give and cleaning passes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """A text with its origin.

    Attributes:
        text: valid Unicode: no half of a surrogate pair.
        id: unique among documents that were read together.
        source: the file, and the member of an archive, that it came from.
        metadata: the columns that the reader was asked to keep.
    """

    text: str
    id: str = ""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON; `metadata` is left out where there is none."""
        fields: dict[str, Any] = {"text": self.text, "id": self.id, "source": self.source}
        if self.metadata:
            fields["metadata"] = dict(self.metadata)
        line = json.dumps(fields, ensure_ascii=False, default=str)
        return sound(line, "backslashreplace")  # a lone surrogate in the metadata stays readable


def sound(text: str, errors: str = "replace") -> str:
    """The text with surrogate pairs joined, and lone halves, which UTF-8 cannot hold, replaced."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        if errors == "replace":
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", errors)
        return text.encode("utf-8", errors).decode("utf-8")
    return text
