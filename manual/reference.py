"""The pages of the reference: their names come from the code, and what they say from docstrings."""

from __future__ import annotations

from importlib import import_module

import interp
import probes

_TOPIC = {
    "interp.pretrained": "Models",
    "interp.model": "Models",
    "interp.explain": "Explanations",
    "interp.train": "Training",
    "interp.errors": "Errors",
}


def pages() -> dict[str, str]:
    """Path of a page in the site -> its Markdown: a directive of mkdocstrings for each name."""
    return {
        "reference/interp.md": _interp(),
        "reference/inside.md": _inside(),
        "reference/probes.md": _probes(),
    }


def _interp() -> str:
    topics: dict[str, list[str]] = {topic: [] for topic in dict.fromkeys(_TOPIC.values())}
    for name, home in sorted(interp._HOME.items(), key=lambda pair: pair[0].lower()):
        topics[_TOPIC[".".join(home.split(".")[:2])]].append(f"interp.{name}")
    errors = [name for name in interp.__all__ if name.endswith("Error")]
    topics["Errors"] = [f"interp.{name}" for name in errors]
    intro = "Everything here is a name of `interp` itself: `interp.load`, `interp.Target`."
    sections = (f"## {topic}\n\n{_directives(names)}" for topic, names in topics.items())
    return "\n\n".join(["# interp", intro, *sections])


def _inside() -> str:
    from interp.explain import inside

    intro = "Patching, circuits, what passes through layers: see [explaining](../explaining.md)."
    names = [f"interp.explain.inside.{name}" for name in inside.__all__]
    return "\n\n".join(["# interp.explain.inside", intro, "## Names", _directives(names)])


def _probes() -> str:
    intro = (
        "Each analysis is a function that returns a tidy frame. `import probes` makes it callable "
        "by the name of its module: `probes.atlas(...)`; `interp probe NAME` asks the same."
    )
    sections = (
        f"## {name}\n\n{says[0].upper()}{says[1:]}.\n\n{_directives(functions(name))}"
        for name, says in probes.ANALYSES.items()
    )
    return "\n\n".join(["# probes", intro, *sections])


def functions(analysis: str) -> list[str]:
    """Full names of an analysis's public functions: that of its name, or all it has."""
    module = import_module(f"probes.{analysis}")
    if analysis in vars(module):
        return [f"probes.{analysis}.{analysis}"]
    listed = getattr(module, "__all__", None)
    own = [
        name
        for name, value in vars(module).items()
        if (name in listed if listed else getattr(value, "__module__", "") == module.__name__)
        and callable(value)
        and value.__doc__
        and not name.startswith("_")
        and name != "main"
    ]
    return [f"probes.{analysis}.{name}" for name in sorted(own, key=str.lower)]


def _directives(names: list[str]) -> str:
    # The parts of a model are its base classes: without what they have, it would look empty.
    own = {"interp.HookedTransformer": "\n    options: {inherited_members: true}"}
    return "\n\n".join(f"::: {name}{own.get(name, '')}" for name in names)
