"""Dialogues for a decoder that learns to answer, and pairs of answers of which one is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import encode_texts, pad_id
from interp.data.examples import Examples, padded
from interp.data.order import Indices
from interp.data.records import ASSISTANT, Dialogue, Preference, Turn
from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer


@dataclass(frozen=True)
class Template:
    """How turns are written one after the other: a mark before each, by its role, and one after.

    The marks are read as special tokens where the tokenizer has them; what somebody says never is,
    so nobody can forge a turn.

    Attributes:
        before: role -> mark.
        after: the same for all. An answer is learnt with it, so that the model learns to stop.
    """

    before: Mapping[str, str] = field(
        default_factory=lambda: {
            "system": "<|system|>",
            "user": "<|user|>",
            ASSISTANT: "<|assistant|>",
        }
    )
    after: str = "<|end|>"

    @property
    def marks(self) -> list[str]:
        """All marks: what `train_tokenizer` takes as `extra`."""
        return [*self.before.values(), self.after]

    def encode(
        self, dialogues: Sequence[Dialogue], tokenizer: Tokenizer
    ) -> list[list[tuple[list[int], bool]]]:
        """For each dialogue the pieces that it consists of: ids, and whether they are an answer.

        The begin-of-text token, if there is one, is the first piece.

        Raises:
            InputError: a role without a mark.
        """
        marks = {role: tokenizer.encode(mark) for role, mark in self.before.items()}
        after = tokenizer.encode(self.after)
        bos = tokenizer.bos_token_id
        said = encode_texts(tokenizer, [turn.text for turns in dialogues for turn in turns])
        encoded = []
        for turns in dialogues:
            pieces = [] if bos is None else [([bos], False)]
            for turn in turns:
                if turn.role not in marks:
                    raise InputError(
                        f"The template has no mark for the role {turn.role!r}; it has "
                        f"{', '.join(marks)}."
                    )
                pieces.append((marks[turn.role], False))
                pieces.append(([*next(said), *after], turn.role == ASSISTANT))
            encoded.append(pieces)
        return encoded

    def prompt(self, dialogue: Dialogue, tokenizer: Tokenizer) -> list[int]:
        """Ids of a dialogue up to where the model's next answer begins."""
        (pieces,) = self.encode([dialogue], tokenizer)
        return [*(i for ids, _ in pieces for i in ids), *tokenizer.encode(self.before[ASSISTANT])]


CHAT = Template()
"""Marks that are tokens of their own, for a vocabulary made with `extra=CHAT.marks`."""

PLAIN = Template({"system": "", "user": "Q: ", ASSISTANT: "A: "}, "\n")
"""Marks in letters, for vocabularies that have no others."""


class Chat(Examples):
    """Dialogues; only what the assistant says is learnt, with the mark that ends it.

    Args:
        dialogues: those in which the assistant says nothing, or only behind `max_length`, are left
            out.
        tokens: the most in a batch, padding included.
        max_length: a longer dialogue is cut at its end. `n_truncated` were.

    Raises:
        InputError: there is no answer to learn, or a role without a mark.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        tokenizer: Tokenizer,
        template: Template = CHAT,
        *,
        tokens: int,
        max_length: int,
        seed: int,
    ):
        _check_length(max_length)
        self.pad = pad_id(tokenizer)
        self.rows: list[tuple[list[int], list[int]]] = []
        self.n_truncated = 0
        for pieces in template.encode(dialogues, tokenizer):
            read, labels = _aligned(pieces)
            if any(label != IGNORED for label in labels[:max_length]):
                self.rows.append((read[:max_length], labels[:max_length]))
                self.n_truncated += len(read) > max_length
        super().__init__([len(read) for read, _ in self.rows], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, mask, and labels [row, pos], the next token where it is an answer's."""
        rows = [self.rows[i] for i in chosen]
        inputs = padded([read for read, _ in rows], self.pad)
        return Batch(inputs, pad([labels for _, labels in rows], IGNORED))


class Preferences(Examples):
    """Pairs of answers: in a batch, rows alternate, preferred and rejected, after equal prompts.

    Args:
        tokens: the most in a batch, padding included.
        max_length: a longer row loses the beginning of its prompt, and an answer that is longer
            than that alone its end. `n_truncated` pairs did.

    Raises:
        InputError: no pairs, or a role without a mark.
    """

    def __init__(
        self,
        preferences: Sequence[Preference],
        tokenizer: Tokenizer,
        template: Template = CHAT,
        *,
        tokens: int,
        max_length: int,
        seed: int,
    ):
        _check_length(max_length)
        self.pad = pad_id(tokenizer)
        both = [
            (*pair.prompt, Turn(ASSISTANT, answer))
            for pair in preferences
            for answer in (pair.chosen, pair.rejected)
        ]
        self.rows: list[tuple[list[int], list[int]]] = []
        cut = []
        for *before, (answer, _) in template.encode(both, tokenizer):
            prompt = [i for ids, _ in before for i in ids]
            cut.append(len(prompt) + len(answer) - 1 > max_length)
            answer = answer[:max_length]
            prompt = prompt[-(max_length + 1 - len(answer)) :]  # the last token is not read
            self.rows.append(_aligned([(prompt, False), (answer, True)]))
        self.n_truncated = sum(map(any, zip(cut[::2], cut[1::2], strict=True)))
        lengths = [len(read) for read, _ in self.rows]
        pairs = zip(lengths[::2], lengths[1::2], strict=True)
        super().__init__([2 * max(pair) for pair in pairs], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, mask, and labels [2 * pair, pos], the next token where it is the answer's."""
        rows = [self.rows[2 * i + side] for i in chosen for side in (0, 1)]
        inputs = padded([read for read, _ in rows], self.pad)
        return Batch(inputs, pad([labels for _, labels in rows], IGNORED))


def _aligned(pieces: Sequence[tuple[list[int], bool]]) -> tuple[list[int], list[int]]:
    """Pieces as one row: what is read, and the label of each position, the token that follows."""
    ids = [i for piece, _ in pieces for i in piece]
    labels = [i if answer else IGNORED for piece, answer in pieces for i in piece]
    return ids[:-1], labels[1:]


def _check_length(max_length: int) -> None:
    if max_length < 2:
        raise ConfigError(f"max_length is {max_length}; a row needs at least two tokens.")
