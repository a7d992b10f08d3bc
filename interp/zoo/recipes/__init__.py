"""The recipes that made the models of the zoo: `interp zoo build NAME` runs one."""

from __future__ import annotations

from pathlib import Path

# Name -> the module with its `build(out, work, ...)`, and whether it reads data sets.
RECIPES: dict[str, tuple[str, bool]] = {
    "induction": ("interp.zoo.recipes.induction", False),
    "planted": ("interp.zoo.recipes.planted", True),
    "reviews": ("interp.zoo.recipes.reviews", True),
    "stories": ("interp.zoo.recipes.stories", True),
    "stories-suite": ("interp.zoo.recipes.stories_suite", True),
    "translate-en-fr": ("interp.zoo.recipes.translate", True),
}


def work_folder(out: Path) -> Path:
    """Where the trainings of a build lie unless told otherwise: beside what they make."""
    return out.with_name(f"{out.name}-work")
