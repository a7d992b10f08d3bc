"""The recipes that made the models of the zoo: `interp zoo build NAME` runs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """Where a recipe is.

    Attributes:
        module: with its `build(out, work, ...)`.
        reads_data: whether it reads data sets.
        given: arguments of `build` that the name stands for.
    """

    module: str
    reads_data: bool = True
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def build(self) -> Callable[..., None]:
        """The function that trains the model and writes its folder."""
        found: Callable[..., None] = import_module(self.module).build
        return found


RECIPES: dict[str, Entry] = {
    "grokking": Entry("interp.zoo.recipes.grokking", reads_data=False),
    "induction": Entry("interp.zoo.recipes.induction", reads_data=False),
    "planted": Entry("interp.zoo.recipes.planted"),
    "reviews": Entry("interp.zoo.recipes.reviews"),
    "stories": Entry("interp.zoo.recipes.stories"),
    "stories-suite": Entry("interp.zoo.recipes.stories_suite"),
    "translate-en-de": Entry("interp.zoo.recipes.translate", given={"language": "de"}),
    "translate-en-fr": Entry("interp.zoo.recipes.translate", given={"language": "fr"}),
}


def work_folder(out: Path) -> Path:
    """Where the trainings of a build lie unless told otherwise: beside what they make."""
    return out.with_name(f"{out.name}-work")
