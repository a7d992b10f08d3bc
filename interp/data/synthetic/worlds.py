"""Small worlds described in sentences, and questions with one right answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from interp.data.batch import IGNORED, Batch
from interp.data.order import stream_seed
from interp.data.sources import Described
from interp.errors import ConfigError
from interp.tokenizer import Tokenizer

NAMES = (
    "ada ben cleo dan eva finn gina hugo iris jack kate leo mia noah olga paul rosa sam tina ugo "
    "vera will yara zoe"
).split()
THINGS = (
    "ball book boat bell cup coat desk drum flag fork harp jug kite lamp map pen ring rope shoe "
    "sled spoon tent vase whistle"
).split()
PLACES = (
    "athens bergen cairo delhi essen fez genoa havana izmir jaipur kyoto lima milan nairobi oslo "
    "paris quito rome sofia tunis"
).split()
COLOURS = "red blue green yellow white black brown pink grey purple".split()
JOBS = "baker doctor farmer judge miner nurse painter pilot sailor tailor teacher writer".split()

RELATIONS = (
    # What is asked about, what is asked for, the fact in five words, the question in six.
    (NAMES, PLACES, "{key} lives in {value} .", "where does {key} live now ?"),
    (THINGS, NAMES, "{value} owns the {key} .", "who owns the {key} now ?"),
    (THINGS, COLOURS, "the {key} is {value} .", "what colour is the {key} ?"),
    (NAMES, JOBS, "{key} is a {value} .", "what job has {key} now ?"),
)
TEST_SHARE = 10
"""One world in so many is for testing."""


@dataclass(frozen=True)
class World:
    """Facts, a question and its answer.

    Attributes:
        support: which of the facts answers the question. The others do not matter: the answer
            stays if any of them is taken out or changed.
    """

    facts: tuple[str, ...]
    question: str
    answer: str
    support: int

    @property
    def text(self) -> str:
        """What a model reads before it answers."""
        return " ".join((*self.facts, self.question))


class Worlds(Described):
    """Worlds of a few facts for a decoder that answers with one word.

    Each fact tells one thing of one person or object (`ada lives in rome .`), nothing is told
    twice, and the question asks for one of the facts.

    The truth: the answer, and the one fact that it follows from; see `world`. The most frequent
    answer is right in a few of a hundred cases. A world of training is never one of testing: the
    side is decided by a hash of its facts, in any order.

    Args:
        n_facts: of a world.
        rows: worlds a step.

    Raises:
        ConfigError: there are not so many facts.
    """

    def __init__(self, n_facts: int, rows: int, seed: int, *, split: Literal["train", "test"]):
        self.keys = [(r, key) for r, (keys, *_) in enumerate(RELATIONS) for key in keys]
        if not 1 <= n_facts <= len(self.keys) or rows < 1:
            raise ConfigError(
                f"{rows} worlds of {n_facts} facts cannot be made; a world has 1 to "
                f"{len(self.keys)} facts."
            )
        self.n_facts = n_facts
        self.rows = rows
        self.seed = seed
        self.split = split
        self.tokenizer = worlds_tokenizer()

    def world(self, index: int) -> World:
        """One of endlessly many worlds."""
        random = np.random.default_rng(stream_seed(self.seed, "world", self.split, index))
        while True:
            told = [self.keys[i] for i in random.permutation(len(self.keys))[: self.n_facts]]
            lots = random.random(self.n_facts)
            values = [
                (known := RELATIONS[r][1])[int(lot * len(known))]
                for (r, _), lot in zip(told, lots, strict=True)
            ]
            facts = [
                RELATIONS[r][2].format(key=key, value=value)
                for (r, key), value in zip(told, values, strict=True)
            ]
            if (_bucket(facts) == 0) == (self.split == "test"):
                break
        support = int(random.integers(self.n_facts))
        relation, key = told[support]
        question = RELATIONS[relation][3].format(key=key)
        return World(tuple(facts), question, values[support], support)

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, 5 * n_facts + 7], and the answer as the label of the last, the `?`."""
        worlds = [self.world(step * self.rows + row) for row in range(self.rows)]
        bos = self.tokenizer.bos_token_id
        assert bos is not None
        tokens = torch.tensor([[bos, *self.tokenizer.encode(world.text)] for world in worlds])
        labels = torch.full_like(tokens, IGNORED)
        labels[:, -1] = torch.tensor([self.tokenizer.token_id(world.answer) for world in worlds])
        return Batch({"tokens": tokens}, labels)


def worlds_tokenizer() -> Tokenizer:
    """One token a word."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    frames = " ".join(part for relation in RELATIONS for part in relation[2:])
    words = {*frames.format(key="", value="").split()}
    for keys, values, *_ in RELATIONS:
        words |= {*keys, *values}
    special = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    vocabulary = {word: i for i, word in enumerate([*special.values(), *sorted(words)])}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(list(special.values()))
    return Tokenizer(backend, {**special})


def _bucket(facts: list[str]) -> int:
    digest = hashlib.sha256("\n".join(sorted(facts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") % TEST_SHARE
