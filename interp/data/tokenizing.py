"""Training a tokenizer on given texts, through the `tokenizers` library.

Nothing but the texts that are passed decides the vocabulary: pass training texts only. A joint
vocabulary for translation is one that was trained on the texts of all its languages together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

Kind = Literal["bpe", "wordpiece", "unigram", "characters", "bytes"]

SPECIAL: dict[str, dict[str, str]] = {
    # One token opens every row and closes every document, as in GPT-2.
    "decoder": {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|pad|>"},
    "encoder": {
        "pad": "[PAD]",
        "unk": "[UNK]",
        "cls": "[CLS]",
        "sep": "[SEP]",
        "mask": "[MASK]",
    },
    "encoder_decoder": {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"},
}
"""Shape of the model -> role -> token; their ids are 0, 1, ... in this order."""

WORDS = r"'(?:[sdmt]|ll|ve|re)\b| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\n+|\s+(?!\S)|\s+"
"""Tokens of byte-level vocabularies never cross these: a word with the space before it; a digit;
marks; line breaks together, so that the blank line between two paragraphs can be one token."""


def train_tokenizer(
    texts: Iterable[str],
    kind: Kind,
    d_vocab: int,
    *,
    shape: Literal["decoder", "encoder", "encoder_decoder"] = "decoder",
    extra: Sequence[str] = (),
) -> Tokenizer:
    """A tokenizer for texts like these. Equal texts give an equal one, `unigram` apart.

    - `bpe`: byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019). Every text
      decodes to itself.
    - `unigram`: a unigram language model (Kudo 2018, arXiv 1804.10959) over bytes. Every text
      decodes to itself. The library settles ties by the order of a hash table, so scores differ
      a little from one training to the next: keep the tokenizer, not the way to it.
    - `wordpiece`: BERT's, cased. Words come back with single spaces; words with a character that
      is not in the texts become the unknown token. Holds the texts in memory.
    - `characters`: one token a character, the most frequent ones. A text of these decodes to
      itself.
    - `bytes`: the 256 bytes, whatever the texts. Every text decodes to itself.

    Args:
        d_vocab: the most tokens, special ones included; there are fewer if the texts do not have
            as many, and `bytes` always has 256 and the special ones.
        shape: of the model that it is for: which special tokens there are, see `SPECIAL`, and the
            template of a text: `[CLS] ... [SEP]` for an encoder (a pair has a second `[SEP]` and
            segments), `... </s>` for an encoder-decoder, none for a decoder.
        extra: more special tokens, such as the marks of a chat or `sentinels(100)`.

    Raises:
        ConfigError: a setting that does not exist, or a vocabulary too small for its special
            tokens and alphabet.
        InputError: the texts are empty.
    """
    if kind not in get_args(Kind) or shape not in SPECIAL:
        raise ConfigError(
            f"There is no tokenizer of kind {kind!r} for a model of shape {shape!r}; kinds are "
            f"{', '.join(get_args(Kind))}, shapes {', '.join(SPECIAL)}."
        )
    special: dict[str, str | None] = {**SPECIAL[shape]}
    if kind in ("wordpiece", "characters"):
        special.setdefault("unk", "<|unk|>")
    tokens = list(dict.fromkeys([*filter(None, special.values()), *extra]))
    room = d_vocab - len(tokens)
    least = 1 if kind in ("wordpiece", "characters") else 256
    if room < least:
        raise ConfigError(
            f"d_vocab {d_vocab} is too small for {kind}: {len(tokens)} special tokens and at least "
            f"{least} others need {len(tokens) + least}."
        )
    backend = _TRAIN[kind](_counted(texts), room, tokens, special.get("unk"))
    _frame(backend, shape)
    return Tokenizer(backend, special)


def _counted(texts: Iterable[str]) -> Iterable[str]:
    empty = True
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {i} is {type(text).__name__}; only strings can be read.")
        empty = empty and not text
        yield text
    if empty:
        raise InputError("There is no text to train a tokenizer on.")


def _bpe(texts: Iterable[str], room: int, tokens: list[str], unk: str | None) -> Backend:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    _byte_level(backend, words=True)
    trainer = trainers.BpeTrainer(
        vocab_size=room + len(tokens),
        special_tokens=tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _unigram(texts: Iterable[str], room: int, tokens: list[str], unk: str | None) -> Backend:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.Unigram())
    _byte_level(backend, words=True)
    trainer = trainers.UnigramTrainer(
        vocab_size=room + len(tokens),
        special_tokens=tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        unk_token=unk or tokens[0],  # the library wants one; no byte is unknown
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _wordpiece(texts: Iterable[str], room: int, tokens: list[str], unk: str | None) -> Backend:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    # The library numbers the pieces of one character in the order of a hash table, and settles
    # draws between merges by these numbers. Numbered beforehand, every training ends alike.
    normalizer = normalizers.BertNormalizer(lowercase=False)
    texts = list(texts)
    counts = Counter(c for text in texts for c in normalizer.normalize_str(text) if c.strip())
    alphabet = sorted(sorted(counts, key=lambda c: (-counts[c], c))[: min(1000, room // 3)])
    pieces = [*alphabet, *(f"##{c}" for c in alphabet if c.isalnum() or not c.isascii())]
    scratch = Tokenizer(models.WordPiece())
    scratch.normalizer = normalizer
    scratch.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=room + len(tokens),
        special_tokens=[*tokens, *pieces],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    scratch.train_from_iterator(texts, trainer)
    backend = Tokenizer(models.WordPiece(scratch.get_vocab(), unk_token=str(unk)))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(tokens)
    return backend


def _characters(texts: Iterable[str], room: int, tokens: list[str], unk: str | None) -> Backend:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.WordLevel(unk_token=str(unk)))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(
        vocab_size=room + len(tokens), special_tokens=tokens, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _bytes(texts: Iterable[str], room: int, tokens: list[str], unk: str | None) -> Backend:
    from tokenizers import Tokenizer, models, pre_tokenizers

    alphabet = [*tokens, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    _byte_level(backend, words=False)
    backend.add_special_tokens(tokens)
    return backend


def _byte_level(backend: Backend, *, words: bool) -> None:
    from tokenizers import Regex, decoders, pre_tokenizers

    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    whole = pre_tokenizers.Sequence([split, to_bytes]) if words else to_bytes
    backend.pre_tokenizer = whole
    backend.decoder = decoders.ByteLevel()


def _frame(backend: Backend, shape: str) -> None:
    """The template of a text, in which an encoder's [CLS] is and a target's end."""
    from tokenizers import processors

    templates = {
        "encoder": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]")),
        "encoder_decoder": ("$A </s>", "$A $B </s>", ("</s>",)),
    }
    if shape in templates:
        single, pair, tokens = templates[shape]
        named = [(token, backend.token_to_id(token)) for token in tokens]
        backend.post_processor = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=named
        )


_TRAIN: dict[str, Callable[[Iterable[str], int, list[str], str | None], Backend]] = {
    "bpe": _bpe,
    "wordpiece": _wordpiece,
    "unigram": _unigram,
    "characters": _characters,
    "bytes": _bytes,
}
