"""Pairs of texts for an encoder-decoder: translation, summaries, corrections."""

from __future__ import annotations

from collections.abc import Sequence

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import encode_texts, pad_id, role_id
from interp.data.examples import Examples, check_equally_many, padded
from interp.data.order import Indices
from interp.errors import ConfigError
from interp.tokenizer import Tokenizer


class Pairs(Examples):
    """The encoder reads the source, the decoder writes the target; both close with `</s>`.

    Args:
        sources, targets: texts, one target a source. A source with several targets stands there
            once for each.
        tokenizer: of both sides, or of the source if there is a `target_tokenizer`.
        tokens: the most in a batch, as rows times the longest of their sources and targets.
        max_length: a side with more tokens, its `</s>` included, loses the ones before `</s>`.
            `n_truncated` pairs did.
        start: the id that the decoder reads first; by default the padding token, as in T5 and
            Marian. It must be the model's `decoder_start_token_id`.

    Raises:
        InputError: no pairs, or not as many sources as targets.
        ConfigError: a tokenizer has no end-of-text token, or no padding token to start with.
    """

    def __init__(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        tokenizer: Tokenizer,
        target_tokenizer: Tokenizer | None = None,
        *,
        tokens: int,
        max_length: int,
        seed: int,
        start: int | None = None,
    ):
        check_equally_many("sources and targets", sources, targets)
        target_tokenizer = target_tokenizer or tokenizer
        self.pads = pad_id(tokenizer), pad_id(target_tokenizer)
        self.start = role_id(target_tokenizer, "pad") if start is None else start
        self.sources = _closed(sources, tokenizer, max_length)
        self.targets = _closed(targets, target_tokenizer, max_length)
        both = list(zip(self.sources, self.targets, strict=True))
        self.n_truncated = sum(cut or other for (_, cut), (_, other) in both)
        super().__init__([max(len(a), len(b)) for (a, _), (b, _) in both], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, `decoder_tokens`, their masks where rows are padded, and labels."""
        sources = [self.sources[i][0] for i in chosen]
        targets = [self.targets[i][0] for i in chosen]
        read = [[self.start, *target[:-1]] for target in targets]
        inputs = padded(sources, self.pads[0])
        inputs |= padded(read, self.pads[1], "decoder_tokens", "decoder_attention_mask")
        return Batch(inputs, pad(targets, IGNORED))


def _closed(
    texts: Sequence[str], tokenizer: Tokenizer, max_length: int
) -> list[tuple[list[int], bool]]:
    """Ids of each text with the end token behind, and whether some had to go."""
    eos = role_id(tokenizer, "eos")
    room = max_length - 1
    if room < 1:
        raise ConfigError(f"max_length {max_length} leaves no room for a token and its end.")
    encoded = encode_texts(tokenizer, texts)
    return [([*ids[:room], eos], len(ids) > room) for ids in encoded]
