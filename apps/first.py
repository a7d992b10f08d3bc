"""What the explorer shows before anything is opened: stored explanations of the first texts.

Opening torch takes seconds. Until it stands, the first text of a model of the zoo is shown with the
explanation that was computed when the zoo was made; the page then computes it anew. A result is
shown only for the very weights that gave it. `python -m apps.first` writes the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from apps.catalog import examples
from interp.zoo import ZOO, zoo_folder

FILE = Path(__file__).parent / "first.json"


@dataclass(frozen=True)
class First:
    """The first picture of a model.

    Attributes:
        text: what the model reads.
        file: SHA-256 of the file of its weights.
        weights: their own hash, as pages show it.
        tokens: of the text, [pos].
        scores: of each token, [pos].
        target: what they explain, in words.
        method: the explainer.
        outputs: what the model says: `token` or `class`.
        next: the likeliest of them with their probabilities.
    """

    text: str
    file: str
    weights: str
    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    target: str
    method: str
    outputs: str
    next: tuple[tuple[str, float], ...]


def first(name: str, text: str) -> First | None:
    """The stored picture of a model's first text; None if there is none of these weights."""
    found = _stored().get(name)
    if name not in ZOO or found is None or found.text != text or found.file != weights_file(name):
        return None
    return found


def weights_file(name: str) -> str | None:
    """SHA-256 of the weights of a model of the zoo, as its `metadata.json` states it; None for a
    suite, whose checkpoints have each their own."""
    path = zoo_folder(name) / "metadata.json"
    if not path.is_file() or (path.parent / "checkpoints").is_dir():
        return None
    return str(json.loads(path.read_text("utf-8"))["files"]["model.safetensors"]["sha256"])


@lru_cache(maxsize=1)
def _stored() -> dict[str, First]:
    read = json.loads(FILE.read_text("utf-8"))
    return {
        name: First(
            **{
                **values,
                "tokens": tuple(values["tokens"]),
                "scores": tuple(values["scores"]),
                "next": tuple((token, share) for token, share in values["next"]),
            }
        )
        for name, values in read.items()
    }


def compute(name: str) -> First:
    """The first picture of a model, computed as the start page does."""
    from apps.reading import encode, open_model, read
    from apps.results import attribution
    from apps.state import METHODS, State, begin_at

    text, opened = examples(name)[0].text, open_model(name, name, None)
    reading = read(opened.model, opened.identity, encode(opened.model, opened.identity, text))
    at = begin_at(reading)
    state = State(opened, reading, at, place=0, foil=None, layer=0, head=0, method=METHODS[0])
    found, _ = attribution(state, state.method)
    best = state.guesses[:5]
    return First(
        text,
        str(weights_file(name)),
        opened.weights,
        tuple(found.tokens),
        tuple(round(float(score), 6) for score in found.scores),
        state.question(),
        state.method,
        reading.outputs,
        tuple(zip(best["token"], best["probability"].astype(float).round(6), strict=True)),
    )


def main() -> None:
    """Writes the pictures of all models of the zoo that have weights of their own."""
    from interp.atomic import writing

    found = {name: asdict(compute(name)) for name in sorted(ZOO) if weights_file(name)}
    with writing(FILE) as file:
        json.dump(found, file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
