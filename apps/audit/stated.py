"""What comes with a model says of it: its card, the record of its training, and its user.

Nothing here is checked or made up; it is quoted, with where it stands. A card is text of others.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.data.document import sound
from interp.errors import InputError
from interp.untrusted import read_toml, shown

if TYPE_CHECKING:
    import pandas as pd

TOPICS: Mapping[str, str] = {
    "task": "what it does",
    "uses": "what it is meant for",
    "users": "who it is meant for",
    "out_of_scope": "what it must not be used for",
    "limits": "what it is known to do badly",
    "licence": "under which licence it may be used",
}
"""What a purpose says -> the question that it answers."""

_HEADINGS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "task": r"model description|model details|summary|^about|overview",
        "uses": r"what it is for|intended use|direct use|^uses?$|use cases?|purpose",
        "users": r"users|audience|for whom|who it is for",
        "out_of_scope": r"what not|out.of.scope|not for|misuse|prohibited",
        "limits": r"limit|what not|bias|risk|caveat|known issue|failure",
        "licence": r"licen[cs]e",
        "data": r"^data|training data|data ?sets?|corpus|what it (?:has )?learnt",
    }.items()
}
_LARGEST = 2**20  # characters of a card
_LONGEST_FRONT = 2**16  # of what stands before it
_QUOTED = 1500  # of a section
_NOTHING = re.compile(r"\[?more information needed\]?|^n/?a$|^tbd$|^todo$", re.IGNORECASE)
_WRAP = re.compile(r"(?<!\n)\n[ \t]*(?![\s\-*|>#\d`])")  # a line that only ends at a margin
_SENTENCE = re.compile(r"[^.\n]+\.?")
_LICENCE = re.compile(r"\blicen[cs]ed?\b", re.IGNORECASE)
_FIGURE = ("metric", "value", "ci_low", "ci_high", "n")


@dataclass(frozen=True)
class Statement:
    """What somebody says.

    Attributes:
        text: literally, cut where it is long.
        source: who, or where.
    """

    text: str
    source: str


@dataclass(frozen=True)
class Stated:
    """All that comes with a model in words and figures.

    Attributes:
        lead: the first paragraph of its card; "" for none.
        sections: heading -> text of the card.
        front: what stands before the card as YAML.
        training: of `training.json`.
        figures: `of` (what a figure is of), `metric`, `value`, `ci_low`, `ci_high`, `n`, `source`.
    """

    lead: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    front: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, folder: Path | None) -> Stated:
        """What lies in a model's folder, or in the folder of its run; files that cannot be read
        are as good as none."""
        if folder is None:
            return cls()
        places = [folder, folder / "model", folder.parent if folder.name == "model" else folder]
        lead, sections, front = _card(_first(places, "README.md"))
        training = _json(_first(places, "training.json"))
        figures = [
            *_of_training(training),
            *_of_front(front),
            *_of_table(_first(places, "evaluation.csv")),
        ]
        return cls(lead, sections, front, training, tuple(figures))

    def about(self, topic: str) -> list[Statement]:
        """What the card says of one of `TOPICS`, or of the `data`."""
        found = [
            Statement(_cut(text), f"card, “{heading}”")
            for heading, text in self.sections.items()
            if _HEADINGS[topic].search(heading) and text
        ]
        if topic == "task" and self.lead:
            found.insert(0, Statement(_cut(self.lead), "card, first paragraph"))
        fields = {"licence": "license", "task": "pipeline_tag", "data": "datasets"}
        value = _plain(self.front.get(fields.get(topic, "")))
        if value:
            found.append(Statement(_cut(value), f"card, field “{fields[topic]}”"))
        if topic == "licence" and not found:
            said = [one for text in self.sections.values() for one in _SENTENCE.findall(text)]
            named = [one.strip() for one in said if _LICENCE.search(one)]
            found += [Statement(_cut(one), "card, a sentence") for one in named[-1:]]
        return found

    def frame(self) -> pd.DataFrame:
        """The stated figures as a table."""
        import pandas as pd

        frame = pd.DataFrame(list(self.figures), columns=["of", *_FIGURE, "source"])
        for name in _FIGURE[1:]:
            frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("float64")
        return frame


def read_purpose(path: Path) -> dict[str, str]:
    """What a user says that a model is for, from a TOML file with texts named as in `TOPICS`.

    Raises:
        LoadError: no such file, or it is no TOML.
        InputError: it says something else.
    """
    values = read_toml(path)
    wrong = [name for name, text in values.items() if name not in TOPICS or type(text) is not str]
    if wrong:
        raise InputError(
            f"{path} has {shown(wrong[0])}; a purpose has texts named {', '.join(TOPICS)}."
        )
    return {name: text.strip() for name, text in values.items() if text.strip()}


def metric_name(name: str) -> str:
    """A metric as the measures here are called: `Bits per byte` is `bits_per_byte`."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


# -- the card --------------------------------------------------------------------------------------


def _first(places: list[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _text(path: Path | None) -> str:
    """The beginning of a file; "" where it cannot be read."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return file.read(4 * _LARGEST).decode("utf-8", "replace")[:_LARGEST]
    except OSError:
        return ""


def _card(path: Path | None) -> tuple[str, dict[str, str], dict[str, Any]]:
    """First paragraph, sections and front matter of a Markdown file."""
    text = _text(path).replace("\r\n", "\n")
    front: dict[str, Any] = {}
    if text.startswith("---\n") and "\n---\n" in text:
        head, _, text = text[4:].partition("\n---\n")
        front = _yaml(head)
    heading, found, fenced = "", {"": list[str]()}, False
    for line in _without_comments(text).split("\n"):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (match := re.match(r"#{1,6} +(.*)", line)):
            heading = match[1].strip().strip("#").strip() or heading
            found.setdefault(heading, [])
        else:
            found[heading].append(line)
    sections = {name: _kept(lines) for name, lines in found.items()}
    paragraphs = (
        part.strip() for body in sections.values() for part in body.split("\n\n") if part.strip()
    )
    lead = next((p for p in paragraphs if p[0] not in "`|>!["), "")
    return lead, sections, front


def _without_comments(text: str) -> str:
    """A search by `<!--.*?-->` takes the square of the length where comments do not end."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + len("-->")
    return "".join(kept) + text[at:]


def _kept(lines: list[str]) -> str:
    """A section without lines that hold a place for what nobody has written."""
    said = [line for line in lines if not _NOTHING.search(line.strip())]
    return _WRAP.sub(" ", "\n".join(said)).strip()


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    if len(text) > _LONGEST_FRONT:  # a second's work
        return {}
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _plain(value: Any) -> str:
    """Text or a list of texts; YAML may hold what is endless once it is written out."""
    if isinstance(value, list):
        return sound(", ".join(one for one in value[:20] if isinstance(one, str)))
    return sound(value) if isinstance(value, str) else ""


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED else text[:_QUOTED].rstrip() + " …"


# -- figures ---------------------------------------------------------------------------------------


def _json(path: Path | None) -> dict[str, Any]:
    try:
        values = json.loads(_text(path) or "{}")
        # Tables hold no half characters, which JSON can name.
        values = json.loads(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _of_training(training: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of `figures`, and numbers of anything that was held out."""
    rows = training.get("figures")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if all("metric" in row for row in rows):
        yield from _of_rows(rows, "training.json")
    elif rows:  # a row a checkpoint, of which the last is the model
        last = rows[-1]
        for name, value in last.items():
            metric, _, of = name.partition(",")
            if _is_number(value) and name != "step":
                yield _figure(of.strip(), metric, value, "training.json")
    for name, values in training.items():
        if "held_out" in name and isinstance(values, dict):
            for metric, value in values.items():
                if _is_number(value):
                    yield _figure(name.replace("_", " "), metric, value, "training.json")


def _of_rows(rows: list[dict[str, Any]], source: str) -> Iterator[dict[str, Any]]:
    """Figures with a metric each; of several systems, only those of the model itself."""
    own = [row for row in rows if str(row.get("system", "")) in ("this model", "model")]
    for row in own or rows:
        of = [
            str(value)
            for name, value in row.items()
            if name not in (*_FIGURE, "signature", "system", "task") and isinstance(value, str)
        ]
        figure = _figure(", ".join(of), str(row["metric"]), row.get("value"), source)
        yield figure | {name: row.get(name) for name in _FIGURE[2:]}


def _of_front(front: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The `model-index` of a card of the Hugging Face hub."""
    for entry in _dicts(front.get("model-index")):
        for result in _dicts(entry.get("results")):
            data = result.get("dataset")
            of = _plain(data.get("name")) if isinstance(data, dict) else ""
            for metric in _dicts(result.get("metrics")):
                if _is_number(metric.get("value")):
                    name = _plain(metric.get("type"))
                    yield _figure(of, name, metric["value"], "model-index")


def _of_table(path: Path | None) -> Iterator[dict[str, Any]]:
    """`evaluation.csv`, as fine-tuning writes it."""
    try:
        rows = [dict(row) for row in csv.DictReader(_text(path).splitlines())]
    except csv.Error:
        return
    if all("metric" in row and "value" in row for row in rows):
        yield from _of_rows(rows, "evaluation.csv")


def _figure(of: str, metric: str, value: Any, source: str) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(_FIGURE[2:])
    return {"of": of, "metric": metric_name(metric), "value": value, **empty, "source": source}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
