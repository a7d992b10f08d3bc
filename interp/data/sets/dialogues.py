"""Sets of dialogues, and of answers that people liked or did not."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

from interp.data.records import ASSISTANT, Dialogue, Preference, Split, Turn
from interp.data.sets.files import from_json, of_side, text
from interp.errors import LoadError


def chatterbot_english(data: Path, split: Split) -> list[Dialogue]:
    """Short exchanges about many things (ChatterBot corpus, BSD-3-Clause), split by a hash of what
    is said first."""
    import yaml

    folder = data / "chatterbot_english"
    dialogues: list[Dialogue] = []
    for path in sorted(folder.glob("*.yml")):
        for said in yaml.safe_load(text(path))["conversations"]:
            roles = ("user", ASSISTANT)
            # Answers such as `Yes` and `42` are no strings to YAML.
            dialogues.append(tuple(Turn(roles[i % 2], str(s)) for i, s in enumerate(said)))
    if not dialogues:
        raise LoadError(f"{folder} has no dialogues. `interp data get chatterbot_english` does.")
    return of_side(dialogues, [turns[0].text for turns in dialogues], split)


def taskmaster4(data: Path, split: Split) -> list[Dialogue]:
    """Orders in a coffee bar (Byrne and Ganesan 2024, CC BY 4.0), split by dialogue."""
    dialogues, ids = [], []
    for path in _files(data, "data"):
        for row in from_json(path):
            dialogues.append(tuple(Turn(u["speaker"], u["text"]) for u in row["utterances"]))
            ids.append(row["conversation_id"])
    return of_side(dialogues, ids, split)


def taskmaster4_preferences(data: Path, split: Split) -> list[Preference]:
    """Answers to the same state of an order of which raters liked one and not the other (Byrne and
    Ganesan 2024, CC BY 4.0), split by that state.

    What the assistant asks of the bar's computer is JSON, and so is what that (here the role
    `system`) answers.
    """
    liked: dict[str, tuple[list[str], list[str]]] = {}
    for path in _files(data, "reward"):
        for row in from_json(path):
            answers = liked.setdefault(row["context"], ([], []))[row["reward"] > 0.5]
            answers.append(_turn(json.loads(row["generation"])).text)
    pairs, keys = [], []
    for context, (bad, good) in liked.items():
        prompt = tuple(_turn(turn) for turn in json.loads(context))
        for chosen, rejected in product(dict.fromkeys(good), dict.fromkeys(bad)):
            if chosen != rejected:
                pairs.append(Preference(prompt, chosen, rejected))
                keys.append(context)
    return of_side(pairs, keys, split)


def _files(data: Path, kind: str) -> list[Path]:
    found = sorted((data / "taskmaster4").glob(f"{kind}_*.json.gz"))
    if not found:
        raise LoadError(
            f"{data / 'taskmaster4'} has no {kind} files. `interp data get taskmaster4` does."
        )
    return found


def _turn(turn: dict[str, Any]) -> Turn:
    role = {"agent": ASSISTANT, "user": "user", "api": "system"}[turn["role"]]
    if "text" in turn:
        return Turn(role, turn["text"])
    content = turn.get("api") or turn.get("response")
    return Turn(role, json.dumps(content, ensure_ascii=False, separators=(",", ":")))
