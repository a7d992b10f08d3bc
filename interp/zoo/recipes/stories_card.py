"""What goes with the weights of `stories`: figures, model card, and who wrote the texts."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from interp.data.sets.stories import Book


@dataclass(frozen=True)
class HeldOut:
    """Loss on one held-out collection."""

    documents: int
    tokens: int
    nats_per_token: float
    bits_per_byte: float


@dataclass(frozen=True)
class Figures:
    """What is known about a finished run; `training.json` and the card state the same numbers."""

    parameters: int
    seed: int
    steps: int
    tokens_per_step: int
    tokens_seen: int
    tokens_in_corpus: int
    minutes: float
    machine: str
    computed_in: str
    torch: str
    training_nats_per_token: float
    copying_random_tokens: list[float]
    held_out_books: HeldOut
    held_out_stories: HeldOut

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def write_attribution(folder: Path, documents: Sequence[Book]) -> None:
    """`ATTRIBUTION.tsv`: a line for each document that was read, held-out ones included."""
    with (folder / "ATTRIBUTION.tsv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(["collection", "split", "title", "author", "license", "source"])
        for d in documents:
            writer.writerow([d.collection, d.split, d.title, d.author, d.license, d.url])


def write_card(
    folder: Path, figures: Figures, documents: Sequence[Book], samples: dict[str, str]
) -> None:
    """`README.md` and `training.json` of the model.

    Args:
        samples: prompt -> what the model made of it.
    """
    (folder / "training.json").write_text(figures.to_json(), encoding="utf-8")
    (folder / "README.md").write_text(_card(figures, documents, samples), encoding="utf-8")


def _card(f: Figures, documents: Sequence[Book], samples: dict[str, str]) -> str:
    trained = [d for d in documents if d.split == "train"]
    novels = [d for d in trained if d.collection == "standard_ebooks"]
    books, stories = f.held_out_books, f.held_out_stories
    held_out = [d for d in documents if d.split == "held_out"]
    held_out_titles = "; ".join(
        f"*{d.title}* ({d.author})" for d in held_out if d.collection == "standard_ebooks"
    )
    shown = "\n\n".join(
        f"> **{prompt}**" + text.rstrip().replace("\n", "\n> ") for prompt, text in samples.items()
    )
    return f"""# stories

A small decoder-only language model for looking inside: {f.parameters:,} parameters, trained from
nothing on English children's and classic books in {f.minutes:.0f} minutes of training time
on {f.machine}.

```python
import interp

model = interp.load("stories")
logits, cache = model.run_with_cache("Once upon a time there was a little girl")
```

## What it is

- 4 blocks, width 192, 6 heads of 32, gated feed-forward (SiLU) of width 512, RMSNorm before each
  sub-layer and after the last block, rotary positions, no biases, output tied to the token table.
- Context of 256 tokens. Byte-level byte-pair vocabulary of 4,096 tokens; `<|endoftext|>` opens
  every text (it is prepended by default) and closes a document, `<|pad|>` only pads.
- Weights are stored in bfloat16; the figures below were measured with these weights in float32.

## How good it is

| text | documents | tokens | loss, nats per token | bits per byte |
| --- | --- | --- | --- | --- |
| held-out books | {books.documents} | {books.tokens:,} | {books.nats_per_token:.3f} \
| {books.bits_per_byte:.3f} |
| held-out picture-book stories | {stories.documents} | {stories.tokens:,} \
| {stories.nats_per_token:.3f} | {stories.bits_per_byte:.3f} |
| a sample of the training text | | | {f.training_nats_per_token:.3f} | |

Each text was read in rows of 256 tokens, so tokens at the beginning of a row are predicted from
little context. The held-out books are {held_out_titles}.

When 40 random tokens come a second time, the loss falls from {f.copying_random_tokens[0]:.2f} to \
{f.copying_random_tokens[1]:.2f} nats per
token: the model has begun to copy by induction, and is far from perfect at it.

## How it was made

`interp zoo build stories --data DIR --out DIR --minutes {f.minutes:.0f}`

{f.steps:,} steps of {f.tokens_per_step:,} tokens, {f.tokens_seen / 1e6:.1f} million or \
{f.tokens_seen / f.tokens_in_corpus:.1f} times the corpus; seed {f.seed};
computed in {f.computed_in} with float32 master weights, torch {f.torch}. Muon for the
blocks' matrices and AdamW for the rest. The rate warms up over 100 steps and falls linearly to
zero over the last 40 % of the steps; gradients are clipped at norm 1. From step 1,000 on, two rows
in sixteen repeat a passage of 21 to 127 tokens over and over, for the sake of induction heads.
`training.json` holds these figures.

## Data

- {len(novels)} English novels in the editions of Standard Ebooks, half of them children's books
  (CC0 1.0; the source texts are in the public domain in the USA).
- {len(trained) - len(novels)} English picture-book stories from Pratham Books (StoryWeaver) and
  the African Storybook Project, CC BY 3.0 or CC BY 4.0 by story (one is in the public domain);
  each is read twice per pass over the books. Stories marked NC were left out.

`ATTRIBUTION.tsv` names title, author, translator, licence and source of every text, the held-out
ones included. The texts were changed: marks and credits were removed, lines joined, typographic
quotation marks made straight (`"`, `'`), chapter numbers dropped, and paragraphs with racist slurs
left out. All of it was published as English books; there is no web text in it.

`held_out.jsonl` has passages of the held-out novels, `learnt.jsonl` of those that were read, all of
them in the public domain in the USA.

## Samples

Prompt in bold; temperature 0.8, top-p 0.95, seed 0.

{shown}

## What it is for, and what not

For learning, teaching and testing: it writes English sentences, its heads and layers are few
enough to look at all of them, and it runs anywhere in milliseconds. It is far from fluent: a
sentence is mostly grammatical and seldom makes sense with the one before. It knows no facts and
cannot follow an instruction. Many books of the corpus are from the nineteenth century and speak
of women, servants, animals, peoples and religions as their time did; the model repeats that. Do
not use it for advice, or show its text to children without reading it first. Text with typographic
quotation marks, in other languages, or with code is far from what it was trained on.

The weights and this card are under the MIT licence of this repository; attribution for the texts
is due as `ATTRIBUTION.tsv` says.
"""
