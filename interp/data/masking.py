"""Masked-token modelling (Devlin et al. 2019, arXiv 1810.04805) over a packed corpus."""

from __future__ import annotations

import json

import numpy as np
import torch
from numpy.typing import NDArray

from interp.data.batch import IGNORED, Batch
from interp.data.corpus import PackedCorpus
from interp.data.encoding import role_id, special_ids
from interp.data.order import stream_seed
from interp.data.packing import Pieces
from interp.data.sources import Described
from interp.errors import ConfigError
from interp.tokenizer import Tokenizer


class MaskedTokens(Described):
    """Rows for an encoder, `[CLS] ... [SEP]`, in which some tokens are to be guessed.

    In each row the same number of tokens is chosen, so that shapes are the same in every step
    (fewer only where a row has fewer tokens that are not special). Of those, four in five are
    read as the mask token, one in ten as a random token and one in ten as they are. The draws are
    new in each epoch (Liu et al. 2019, arXiv 1907.11692).

    Args:
        corpus: at least `length - 2` tokens.
        rows: a batch, [rows, length].
        share: of a row's tokens, its frame not counted, that are chosen.
        whole_words: choose words with all their tokens. The last word may be chosen in part, so
            that the number stays fixed.

    Raises:
        ConfigError: the tokenizer has no mask token or no frame; the corpus is too small.
    """

    def __init__(
        self,
        corpus: PackedCorpus,
        rows: int,
        length: int,
        seed: int,
        *,
        share: float = 0.15,
        whole_words: bool = False,
    ):
        tokenizer = corpus.tokenizer
        self.corpus = corpus
        self.seed = seed
        self.pieces = Pieces(len(corpus), length - 2, rows, seed)
        self.mask = role_id(tokenizer, "mask")
        self.frame = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
        self.special = np.zeros(len(tokenizer), dtype=bool)
        self.special[special_ids(tokenizer)] = True
        self.ordinary = np.flatnonzero(~self.special)
        self.continues = continues_word(tokenizer) if whole_words else None
        if not 0 < share < 1:
            raise ConfigError(f"The share of masked tokens is {share}; it lies between 0 and 1.")
        self.chosen_per_row = max(1, round(share * (length - 2)))

    @property
    def steps_per_epoch(self) -> float:
        return self.pieces.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, length], and the true ones as labels where they are to be guessed."""
        text = self.corpus.read(self.pieces.step(step), self.pieces.length)
        random = np.random.default_rng(stream_seed(self.seed, "mask", step))
        chosen = self._choose(text, random)
        fate = random.random(text.shape)
        stranger = self.ordinary[random.integers(len(self.ordinary), size=text.shape)]
        read = np.where(chosen & (fate < 0.8), self.mask, text)
        read = np.where(chosen & (fate >= 0.8) & (fate < 0.9), stranger, read)

        tokens = np.empty((len(text), text.shape[1] + 2), dtype=np.int64)
        tokens[:, 0], tokens[:, 1:-1], tokens[:, -1] = self.frame[0], read, self.frame[1]
        labels = np.full_like(tokens, IGNORED)
        labels[:, 1:-1][chosen] = text[chosen]
        return Batch({"tokens": torch.from_numpy(tokens)}, torch.from_numpy(labels))

    def _choose(self, text: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.bool_]:
        """Which tokens [row, pos] are to be guessed: those of the words with the lowest lots."""
        lots = random.random(text.shape)
        if self.continues is not None:
            begins = ~self.continues[text]
            begins[:, 0] = True
            word = begins.cumsum(1) - 1
            lots = np.take_along_axis(lots, word, 1)  # one lot a word
        lots[self.special[text]] = np.inf
        # Stable, so that of equal lots (one word) the first tokens come first.
        first = np.argsort(lots, axis=1, kind="stable")[:, : self.chosen_per_row]
        chosen = np.zeros(text.shape, dtype=bool)
        np.put_along_axis(chosen, first, True, 1)
        return chosen & ~self.special[text]


def continues_word(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """For each token of the vocabulary, whether it goes on with the word of the token before it.

    WordPiece says so itself (`##`). Elsewhere a token begins a word if it begins with a space (as
    byte-level vocabularies write it, `Ġ`, or SentencePiece, `▁`) or with a mark; else it goes on.
    """
    vocabulary = tokenizer.backend.get_vocab()
    prefix = None
    if not tokenizer.slow:
        prefix = json.loads(tokenizer.backend.to_str())["model"].get("continuing_subword_prefix")
    out = np.zeros(len(tokenizer), dtype=bool)
    for token, index in vocabulary.items():
        if prefix:
            out[index] = token.startswith(prefix)
        else:
            out[index] = token[:1].isalnum() and token[0] not in "ĠĊĉ"
    return out
