"""Tiny tokenizers, made on the spot: every byte a token, so that characters straddle tokens."""

from __future__ import annotations

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from interp.tokenizer import Tokenizer

BOS, EOS, PAD = 256, 257, 258


def byte_tokenizer(padding_side: str = "right") -> Tokenizer:
    """Token i is the byte i; then <bos>, <eos> and <pad>. As in GPT-2, spaces belong to words."""
    signs = _signs()
    backend = tokenizers.Tokenizer(models.BPE({sign: i for i, sign in enumerate(signs)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<bos>", "<eos>", "<pad>"])
    return Tokenizer(backend, {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}, padding_side)


def piece_tokenizer() -> Tokenizer:
    """Words marked by a leading sign, unknown characters as bytes: the layout of Llama 2."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    pieces += ["▁", *"abcdefgh", "▁a", "▁b", "▁ab", "ab", "cd"]
    merges = [("▁", "a"), ("▁", "b"), ("▁a", "b"), ("a", "b"), ("c", "d")]
    backend = tokenizers.Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            merges,
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<s>", "</s>"])
    return Tokenizer(backend, {"bos": "<s>", "eos": "</s>", "unk": "<unk>"})


def _signs() -> list[str]:
    """The character with which byte-level tokenizers write each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(i) if i in plain else chr(next(other)) for i in range(256)]
