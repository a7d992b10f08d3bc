"""What a token is compared with: the input in which it says nothing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.core import Transformer

Kind = Literal["mean", "token", "text", "zero", "embeddings", "uniform", "samples"]


@dataclass(frozen=True)
class Baseline:
    """Embeddings to start from; made by one of the class methods below.

    `seed` is that of a random baseline.

    Special tokens (begin and end of text, padding, separators) keep their own embedding unless
    `keep_special` is False: they say nothing of the text, but a model rests on them.
    """

    kind: Kind = "mean"
    value: Any = None
    keep_special: bool = True
    seed: int | None = None

    @classmethod
    def mean(cls) -> Baseline:
        """The mean embedding of the vocabulary."""
        return cls("mean")

    @classmethod
    def token(cls, token: str | int) -> Baseline:
        """One token everywhere: the mask or the padding token, say."""
        return cls("token", token)

    @classmethod
    def text(cls, text: str | Tensor) -> Baseline:
        """Another text of as many tokens: what made the difference between the two?

        Of an encoder-decoder, another source; the target so far stays and has no scores.
        """
        return cls("text", text, keep_special=False)

    @classmethod
    def zero(cls) -> Baseline:
        """The zero vector. Ill-posed where the stream is normalised first: warns."""
        return cls("zero")

    @classmethod
    def embeddings(cls, embeddings: Tensor) -> Baseline:
        """Given embeddings, [pos, d_model] or [d_model]; of an encoder-decoder, of the source."""
        return cls("embeddings", embeddings, keep_special=False)

    @classmethod
    def uniform(cls, n: int = 10, seed: int = 0) -> Baseline:
        """`n` texts of tokens drawn uniformly from the vocabulary. What is explained is the
        difference from their mean."""
        return cls("uniform", n, seed=seed)

    @classmethod
    def samples(cls, texts: Sequence[str | Tensor]) -> Baseline:
        """Texts of a data set, cut (or repeated) to the length of the input. What is explained is
        the difference from their mean."""
        return cls("samples", tuple(texts))

    @property
    def description(self) -> str:
        """In words."""
        words = {
            "mean": "the mean embedding",
            "token": f"the token {self.value!r} everywhere",
            "text": "another text",
            "zero": "the zero embedding",
            "embeddings": "given embeddings",
            "uniform": f"{self.value} texts of random tokens (seed {self.seed})",
            "samples": "sampled texts",
        }[self.kind]
        if self.kind == "samples":
            words = f"{len(self.value)} {words}"
        return f"{words}, special tokens kept" if self.keep_special else words

    @property
    def of_source(self) -> bool:
        """Whether it says what a whole text is, and so only moves the source of a pair."""
        return self.kind in ("text", "embeddings")

    @property
    def is_sample(self) -> bool:
        """Whether there are several, whose mean counts."""
        return self.kind in ("uniform", "samples")

    def of_parts(
        self, model: Any, parts: dict[str, Tensor], embedded: Tensor, held: Tensor
    ) -> Tensor:
        """The baselines of all parts of a text behind one another, [baseline, pos, d_model].

        Args:
            parts: ids [1, pos] of each; the source of an encoder-decoder first.
            embedded: of all of them, [pos, d_model].
            held: [pos], True where the text stays as it is whatever the baseline.

        Raises:
            InputError: the baseline does not fit the text.
        """
        pieces = embedded[None].split([ids.shape[1] for ids in parts.values()], 1)
        start = [
            piece if self.of_source and i else self.resolve(model, ids, piece)
            for i, (ids, piece) in enumerate(zip(parts.values(), pieces, strict=True))
        ]
        n = max(len(x) for x in start)
        moved = torch.cat([x.expand(n, -1, -1) for x in start], 1)
        return torch.where(held[:, None], embedded, moved)

    def resolve(self, model: Any, tokens: Tensor, embedded: Tensor) -> Tensor:
        """The baselines of a text of ids [1, pos] with embeddings [1, pos, d_model]:
        [baseline, pos, d_model]; one, unless they are sampled.

        Raises:
            InputError: the baseline does not fit the text.
        """
        values = self._values(model, tokens, embedded).to(embedded.dtype)
        n = values.shape[0] if self.is_sample else 1
        baseline = values.expand(n, *embedded.shape[1:])
        if not self.keep_special:
            return baseline
        tokenizer = getattr(model, "tokenizer", None)
        cfg = model.cfg
        special = {cfg.bos_token_id, cfg.eos_token_id, cfg.pad_token_id} - {None}
        special |= set(getattr(tokenizer, "special_ids", ()))
        is_special = torch.isin(tokens, torch.tensor(sorted(special), device=tokens.device))
        return torch.where(is_special[..., None], embedded, baseline)

    def _values(self, model: Any, tokens: Tensor, embedded: Tensor) -> Tensor:
        table = _table(model, tokens, embedded)
        if self.kind == "mean":
            wide = table if table.dtype == torch.float64 else table.float()
            return wide.mean(0)
        if self.kind == "zero":
            warnings.warn(
                "A zero embedding has no direction, and a norm divides by its length: near the "
                "baseline the path is ill-posed. Prefer Baseline.mean().",
                stacklevel=4,
            )
            return torch.zeros_like(table[0])
        if self.kind == "token":
            token = self.value
            index = model.to_single_token(token) if isinstance(token, str) else int(token)
            if not 0 <= index < len(table):
                raise InputError(f"The baseline token {index} is not in the vocabulary.")
            return table[index]
        if self.kind == "text":
            other = self.value
            if not isinstance(other, Tensor):
                other = model.to_tokens(other, truncate=False)
            other = other.to(tokens.device).reshape(1, -1)
            if other.shape != tokens.shape:
                raise InputError(
                    f"The baseline text has {other.shape[1]} tokens and the text "
                    f"{tokens.shape[1]}; a counterfactual needs as many."
                )
            low, high = (int(bound) for bound in other.aminmax())
            if low < 0 or high >= len(table):
                raise InputError(
                    f"The baseline text has the id {low if low < 0 else high}; the vocabulary has "
                    f"the ids 0 to {len(table) - 1}."
                )
            return table[other]
        if self.is_sample:
            return table[self._sampled(model, tokens, len(table))]
        given: Tensor = self.value
        if given.shape[-1] != embedded.shape[-1] or given.ndim not in (1, 2, 3):
            raise InputError(
                f"The baseline embeddings have shape {list(given.shape)}; the text's are "
                f"{list(embedded.shape[1:])}."
            )
        if given.ndim > 1 and given.shape[-2] != embedded.shape[1]:
            raise InputError(
                f"The baseline embeddings are of {given.shape[-2]} positions; the text has "
                f"{embedded.shape[1]}."
            )
        return given

    def _sampled(self, model: Any, tokens: Tensor, d_vocab: int) -> Tensor:
        """Ids [baseline, pos]."""
        n_pos = tokens.shape[1]
        if self.kind == "uniform":
            if type(self.value) is not int or self.value < 1:
                raise InputError(f"A baseline needs at least one random text, not {self.value!r}.")
            assert self.seed is not None
            # Each side of a pair draws its own, and a longer text does not begin as a shorter one.
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + n_pos)
            drawn = torch.randint(0, d_vocab, (self.value, n_pos), generator=generator)
            return drawn.to(tokens.device)
        if not self.value:
            raise InputError("A baseline of samples needs at least one text.")
        rows = []
        for text in self.value:
            ids = text if isinstance(text, Tensor) else model.to_tokens(text)
            ids = ids.reshape(-1).to(tokens.device)
            special = {model.cfg.bos_token_id, model.cfg.eos_token_id} - {None}
            ids = ids[~torch.isin(ids, torch.tensor(sorted(special), device=ids.device))]
            if not len(ids) or int(ids.min()) < 0 or int(ids.max()) >= d_vocab:
                raise InputError(
                    "A sampled text is empty or has ids that are not in the vocabulary."
                )
            rows.append(ids.repeat(-(-n_pos // len(ids)))[:n_pos])
        return torch.stack(rows)


def _table(model: Any, tokens: Tensor, embedded: Tensor) -> Tensor:
    """The token table [d_vocab, d_model] as it enters the model, with its factor."""
    table: Tensor = model.W_E.detach()
    if isinstance(model, Transformer):
        return table * model.cfg.embed_scale
    # Another library's model says nowhere by what it multiplies, so that is read off this text.
    rows = table[tokens]
    scale = (rows * embedded).sum() / (rows * rows).sum()
    if not torch.allclose(rows * scale, embedded, rtol=1e-2, atol=1e-4):
        raise UnsupportedModelError(
            "The embeddings of this model are not rows of its token table, so those of another "
            "token are unknown. Give the baseline as Baseline.embeddings."
        )
    return table * scale
