"""Sources that can be made again from what they say of themselves, so that a training can show
exactly what a step read, years later."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from interp.data.batch import Source
from interp.errors import InputError, LoadError

# Kind -> where the class lives.
_KINDS = {
    "Copying": "interp.data.synthetic.copying",
    "MaskedTokens": "interp.data.masking",
    "ModularAddition": "interp.data.synthetic.modular",
    "NextToken": "interp.data.packing",
    "RepeatedTokens": "interp.data.synthetic.repeated",
    "SpanCorruption": "interp.data.corruption",
    "Worlds": "interp.data.synthetic.worlds",
}


class Described:
    """A source that remembers what it was made with.

    Its arguments are plain values, or a packed corpus, which is remembered by its folder and hash.
    """

    made_with: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        if args or kwargs:  # not when it is copied
            bound = inspect.signature(cls).bind(*args, **kwargs)
            bound.apply_defaults()
            self.made_with = dict(bound.arguments)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The description that `open_source` reads, plain values for JSON."""
        made_with = dict(self.made_with)
        if "corpus" in made_with:
            corpus = made_with["corpus"]
            made_with["corpus"] = {
                "folder": str(corpus.folder.resolve()),
                "sha256": corpus.manifest.sha256["tokens.bin"],
            }
        return {"kind": type(self).__name__, **made_with}


def open_source(description: dict[str, Any], corpus: str | Path | None = None) -> Source:
    """The source of a description.

    Args:
        corpus: where the packed corpus lies now, if it has moved.

    Raises:
        InputError: there is no such kind of source.
        LoadError: the corpus is gone, or is not the one that was read.
    """
    values = dict(description)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(
            f"A source of the kind {kind!r} cannot be made again from its description; these can: "
            f"{', '.join(_KINDS)}."
        )
    if "corpus" in values:
        from interp.data.corpus import PackedCorpus

        folder = Path(corpus or values["corpus"]["folder"])
        if not folder.is_dir():
            raise LoadError(f"The corpus is no longer in {folder}; say where it is now.")
        opened = PackedCorpus.open(folder)
        if opened.manifest.sha256["tokens.bin"] != values["corpus"]["sha256"]:
            raise LoadError(f"The corpus in {folder} is not the one that was read.")
        values["corpus"] = opened
    cls = getattr(import_module(_KINDS[kind]), kind)
    try:
        made: Source = cls(**values)
    except TypeError as error:
        raise InputError(f"The description of a {kind} does not fit it: {error}.") from error
    return made
