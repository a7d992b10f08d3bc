"""Tasks whose answer is a text that the model writes: by beam search, in batches of like length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from interp.data.batch import pad
from interp.data.chat import CHAT, PLAIN, Template
from interp.data.encoding import encode_texts, pad_id
from interp.data.records import ASSISTANT, Dialogue, Turn
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.tasks.task import by_length

BEAMS = 5
_TOKENS = 2**13  # of a batch, beams included


def write(
    model: HookedTransformer,
    prompts: Sequence[list[int]],
    *,
    max_new_tokens: int,
    num_beams: int = BEAMS,
    stop: str | None = None,
    progress: bool = False,
) -> list[str]:
    """What the model writes for each prompt (of an encoder-decoder: source), without the prompt.

    Args:
        prompts: token ids.
        max_new_tokens: the most that are written for each.
        stop: a text that ends an answer, beside the model's own end token; it is left out.
    """
    tokenizer = model.require_tokenizer()
    decoder = model.cfg.shape == "decoder"
    out = [""] * len(prompts)
    ends: dict[str, Any] = {}
    if stop is not None:
        ids = tokenizer.encode(stop)
        ends = {"stop": stop} if len(ids) > 1 else {"eos_token_id": [ids[0], *_eos(model)]}
    lengths = [len(ids) + max_new_tokens for ids in prompts]
    for chosen in by_length(lengths, _TOKENS // num_beams, progress=progress, unit="text"):
        rows = [prompts[i] for i in chosen]
        width = max(map(len, rows))
        written: Tensor = model.generate(
            pad(rows, pad_id(tokenizer)).to(model.embed.weight.device),
            max_new_tokens,
            attention_mask=pad([[1] * len(row) for row in rows], 0).to(model.embed.weight.device),
            num_beams=num_beams,
            do_sample=False,
            **ends,
        )
        for i, ids in zip(chosen, written[:, width if decoder else 1 :].tolist(), strict=True):
            ids = _ended(ids, ends.get("eos_token_id", _eos(model)))
            text = tokenizer.decode(ids, skip_special_tokens=True)
            out[i] = (text.split(stop)[0] if stop else text).strip()
    return out


def _eos(model: HookedTransformer) -> list[int]:
    found = (model.cfg.eos_token_id, model.require_tokenizer().eos_token_id)
    return list({i for i in found if i is not None})


def _ended(ids: list[int], ends: Sequence[int]) -> list[int]:
    """Ids before the first that ends a text."""
    place = next((place for place, i in enumerate(ids) if i in ends), len(ids))
    return ids[:place]


# -- how a text is put to a decoder ----------------------------------------------------------------


def template_for(tokenizer: Tokenizer) -> Template:
    """Marks that are tokens where the vocabulary has them, and letters where it has not."""
    known = all(tokenizer.token_id(mark) is not None for mark in CHAT.marks)
    return CHAT if known else PLAIN


def asked(sources: Sequence[str], tokenizer: Tokenizer, room: int) -> list[Dialogue]:
    """Texts as what a user says, each cut at its end to `room` tokens."""
    cut = [
        source if len(ids) <= room else tokenizer.decode(ids[:room])
        for source, ids in zip(sources, encode_texts(tokenizer, sources), strict=True)
    ]
    return [(Turn("user", text),) for text in cut]


def prompts(dialogues: Sequence[Dialogue], tokenizer: Tokenizer) -> list[list[int]]:
    """Ids of each dialogue up to where the assistant's next answer begins.

    As `Template.prompt`, which prepares the tokenizer anew for each.
    """
    template = template_for(tokenizer)
    mark = tokenizer.encode(template.before[ASSISTANT])
    encoded = template.encode(dialogues, tokenizer)
    return [[*(i for ids, _ in pieces for i in ids), *mark] for pieces in encoded]
