"""Sets of texts with classes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from interp.data.records import Example, Split
from interp.data.sets.files import from_json, of_side, own_split, side, text, zip_members


def sentence_polarity(data: Path, split: Split) -> list[Example]:
    """Sentences of film reviews, `neg` and `pos` (Pang and Lee 2005, CC BY 4.0), split by a hash
    of the sentence."""
    files = zip_members(data / "sentence_polarity" / "sentence_polarity.zip", "sentence_polarity/")
    examples = [
        Example(line.strip(), name[-3:])
        for name, content in files.items()
        if name.endswith((".neg", ".pos"))
        for line in content.removesuffix("\n").split("\n")
    ]
    return of_side(examples, [example.text for example in examples], split)


def subjectivity(data: Path, split: Split) -> list[Example]:
    """Sentences of reviews, `subjective`, and of plots, `objective` (Pang and Lee 2004, CC BY 4.0),
    split by a hash of the sentence."""
    files = zip_members(data / "subjectivity" / "subjectivity.zip", "subjectivity/")
    kinds = {"plot.tok.gt9.5000": "objective", "quote.tok.gt9.5000": "subjective"}
    examples = [
        Example(line.strip(), kind)
        for name, kind in kinds.items()
        for line in files[f"subjectivity/{name}"].removesuffix("\n").split("\n")
    ]
    return of_side(examples, [example.text for example in examples], split)


def movie_reviews(data: Path, split: Split) -> list[Example]:
    """Whole reviews of films, `neg` and `pos` (Pang and Lee 2004, CC BY 4.0), split by a hash of
    the review."""
    files = zip_members(data / "movie_reviews" / "movie_reviews.zip", "movie_reviews/")
    examples = [
        Example(content.strip(), name.split("/")[1])
        for name, content in files.items()
        if name.endswith(".txt") and name.count("/") == 2
    ]
    return of_side(examples, [example.text for example in examples], split)


def banking77(data: Path, split: Split) -> list[Example]:
    """Questions to a bank with 77 intents (Casanueva et al. 2020, CC BY 4.0). Development is a
    tenth of the training file, by a hash of the question."""
    part = own_split({"train": "train", "dev": "train", "test": "test"}, split, "banking77")
    rows = csv.DictReader(io.StringIO(text(data / "banking77" / f"{part}.csv.gz")))
    examples = [Example(row["text"].strip(), row["category"]) for row in rows]
    if split == "test":
        return examples
    return [e for e in examples if (side(e.text) == "dev") == (split == "dev")]


def clinc150(data: Path, split: Split) -> list[Example]:
    """Requests with 150 intents, and some of no intent, `oos` (Larson et al. 2019, CC BY 3.0)."""
    parts = {"train": "train", "dev": "val", "test": "test"}
    part = own_split(parts, split, "clinc150")
    whole = from_json(data / "clinc150" / "data_full.json.gz")
    return [Example(said, intent) for said, intent in whole[part] + whole[f"oos_{part}"]]
