"""What probes are fitted to: stretches of texts, each with a label, in parts that share nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from interp.activations import Places, Side
from interp.data.alignment import Span, align
from interp.data.records import Tagged
from interp.data.treebank import Sentence, open_treebank
from interp.errors import InputError

Ints = NDArray[np.int64]
Pooling = Literal["last", "first", "mean"]
"""Which token of a stretch speaks for it. Only the last has seen all of it in a decoder."""

_COLUMNS: dict[str, Callable[[Sentence], Sequence[str]]] = {
    "pos": lambda sentence: sentence.upos,
    "xpos": lambda sentence: sentence.xpos,
    "deprel": lambda sentence: sentence.deprels,
}
TASKS = (*_COLUMNS, "feature:NAME")
EDGE = "edge"
"""The task whose labels are of a word and its head: see `Labelled.dependencies`."""


@dataclass(frozen=True)
class Labelled:
    """Labelled stretches of some texts.

    Attributes:
        texts: as the model reads them.
        documents: name of the document of each text; what no two parts may share.
        text: which text each stretch is of, [row].
        spans: its characters, [row].
        labels: [row].
        types: what a control task gives one label to, [row]: the word, in lower case.
        lemmas: of the words, in lower case, [row]; empty where they are not known.
        partners: characters of the other end of each row, [row], where a label is one of an edge,
            which ties two stretches of a text; empty where it is one of a stretch alone.
    """

    texts: tuple[str, ...]
    documents: tuple[str, ...]
    text: Ints
    spans: tuple[Span, ...]
    labels: tuple[str, ...]
    types: tuple[str, ...]
    lemmas: tuple[str, ...] = ()
    partners: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.text)
        if not n:
            raise InputError("There is nothing to probe for: no labelled word is left.")
        if {len(self.spans), len(self.labels), len(self.types)} != {n}:
            raise InputError(
                f"There are {n} stretches, {len(self.spans)} spans, {len(self.labels)} labels and "
                f"{len(self.types)} types; each stretch needs one."
            )
        if not {len(self.lemmas), len(self.partners)} <= {0, n}:
            raise InputError(
                f"There are {n} stretches, {len(self.lemmas)} lemmas and {len(self.partners)} "
                "partners; each stretch needs one, or none has any."
            )
        for spans in (self.spans, self.partners or self.spans):
            for row, (text, (start, stop)) in enumerate(zip(self.text, spans, strict=True)):
                inside = 0 <= text < len(self.texts) and 0 <= start < stop <= len(self.texts[text])
                if not inside:
                    raise InputError(
                        f"Stretch {row}, ({start}, {stop}) of text {text}, is not in it."
                    )

    def __len__(self) -> int:
        return len(self.text)

    @property
    def ends(self) -> tuple[Labelled, ...]:
        """The stretches, and where labels are of edges, their partners as stretches."""
        if not self.partners:
            return (self,)
        return self, replace(self, spans=self.partners, partners=())

    @classmethod
    def words(
        cls,
        words: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str | None]],
        *,
        texts: Sequence[str] | None = None,
        spans: Sequence[Sequence[Span]] | None = None,
        documents: Sequence[str] | None = None,
        lemmas: Sequence[Sequence[str]] | None = None,
        heads: Sequence[Sequence[int]] | None = None,
    ) -> Labelled:
        """Words of sentences with a label each; None leaves a word out.

        Args:
            words, labels: of each sentence.
            texts, spans: the sentences as written and where their words stand; by default the
                words with spaces between them.
            documents: of each sentence; by default each is its own.
            lemmas: of each word of each sentence.
            heads: the place of each word's partner in its sentence, if labels are of edges; a word
                whose partner is not in the sentence is left out.

        Raises:
            InputError: not one label for each word.
        """
        if len(words) != len(labels):
            raise InputError(f"There are {len(words)} sentences and labels of {len(labels)}.")
        for i, (said, named) in enumerate(zip(words, labels, strict=True)):
            if len(said) != len(named):
                raise InputError(
                    f"Sentence {i} has {len(said)} words and {len(named)} labels: "
                    f"{' '.join(said)[:60]!r}. Give a label for each word, None for none."
                )
        texts = [" ".join(said) for said in words] if texts is None else texts
        spans = [_spaced(said) for said in words] if spans is None else spans
        names = [f"text {_hash(text)}" for text in texts] if documents is None else documents
        kept = [
            (i, at, label)
            for i, sentence in enumerate(labels)
            for at, label in enumerate(sentence)
            if label is not None and (heads is None or 0 <= heads[i][at] < len(sentence))
        ]
        rows = [(i, spans[i][at], label, words[i][at].lower()) for i, at, label in kept]
        said = () if lemmas is None else tuple(lemmas[i][at].lower() for i, at, _ in kept)
        ends = () if heads is None else tuple(spans[i][heads[i][at]] for i, at, _ in kept)
        return cls._of_rows(texts, names, rows, said, ends)

    @classmethod
    def tagged(cls, records: Sequence[Tagged]) -> Labelled:
        """Words with tags, as `interp.data.sets` reads them."""
        return cls.words([r.words for r in records], [r.tags for r in records])

    @classmethod
    def stretches(
        cls,
        texts: Sequence[str],
        spans: Sequence[Sequence[Span]],
        labels: Sequence[Sequence[str]],
        documents: Sequence[str] | None = None,
    ) -> Labelled:
        """Any stretches of characters: phrases, names, answers."""
        names = [f"text {_hash(text)}" for text in texts] if documents is None else documents
        rows = [
            (i, span, label, text[slice(*span)].lower())
            for i, (text, *both) in enumerate(zip(texts, spans, labels, strict=True))
            for span, label in zip(*both, strict=True)
        ]
        return cls._of_rows(texts, names, rows)

    @classmethod
    def sentences(
        cls, texts: Sequence[str], labels: Sequence[str], documents: Sequence[str] | None = None
    ) -> Labelled:
        """Whole texts with a label each."""
        spans = [[(0, len(text))] for text in texts]
        return cls.stretches(texts, spans, [[label] for label in labels], documents)

    @classmethod
    def treebank(cls, sentences: Sequence[Sentence], task: str) -> Labelled:
        """A column of a treebank.

        Args:
            task: `pos` (universal part of speech), `xpos`, `deprel`, or `feature:NAME`, such as
                `feature:Number`, of the words that have it.

        Raises:
            InputError: no such task, or no word has the feature.
        """
        column, _, feature = task.partition(":")
        labels: list[Sequence[str | None]]
        if column == "feature" and feature:
            labels = [[f.get(feature) for f in s.features] for s in sentences]
            if not any(label for row in labels for label in row):
                known = sorted({name for s in sentences for f in s.features for name in f})
                raise InputError(f"No word has the feature {feature!r}; there are {known}.")
        elif task in _COLUMNS:
            labels = [_COLUMNS[task](s) for s in sentences]
        else:
            raise InputError(f"There is no task {task!r}; there are {', '.join(TASKS)}.")
        return cls._of_sentences(sentences, labels)

    @classmethod
    def dependencies(cls, sentences: Sequence[Sentence]) -> Labelled:
        """Words and their heads, with the relation between them, without its subtype (`nsubj` for
        `nsubj:pass`); the root has no head, and is left out."""
        labels = [[relation.partition(":")[0] for relation in s.deprels] for s in sentences]
        return cls._of_sentences(sentences, labels, [s.heads for s in sentences])

    @classmethod
    def _of_sentences(
        cls,
        sentences: Sequence[Sentence],
        labels: Sequence[Sequence[str | None]],
        heads: Sequence[Sequence[int]] | None = None,
    ) -> Labelled:
        return cls.words(
            [s.words for s in sentences],
            labels,
            texts=[s.text for s in sentences],
            spans=[s.spans for s in sentences],
            documents=[s.document for s in sentences],
            # Where a treebank has no lemma, a word is its own.
            lemmas=[
                [w if lemma == "_" else lemma for w, lemma in zip(s.words, s.lemmas, strict=True)]
                for s in sentences
            ],
            heads=heads,
        )

    @classmethod
    def _of_rows(
        cls,
        texts: Sequence[str],
        documents: Sequence[str],
        rows: Sequence[tuple[int, Span, str, str]],
        lemmas: tuple[str, ...] = (),
        partners: tuple[Span, ...] = (),
    ) -> Labelled:
        if len(documents) != len(texts):
            raise InputError(f"There are {len(texts)} texts and {len(documents)} documents.")
        text, spans, labels, types = zip(*rows, strict=True) if rows else ((), (), (), ())
        places = np.array(text, np.int64)
        return cls(tuple(texts), tuple(documents), places, spans, labels, types, lemmas, partners)

    def only(self, texts: NDArray[np.bool_]) -> Labelled:
        """The texts for which a mask [text] is true."""
        number = np.cumsum(texts) - 1
        kept = self.where(texts[self.text])
        return replace(
            kept,
            texts=tuple(t for t, keep in zip(self.texts, texts, strict=True) if keep),
            documents=tuple(d for d, keep in zip(self.documents, texts, strict=True) if keep),
            text=number[kept.text],
        )

    def where(self, rows: NDArray[np.bool_]) -> Labelled:
        """The rows for which a mask [row] is true, of all texts."""
        kept = np.flatnonzero(rows)
        names = ("spans", "labels", "types", "lemmas", "partners")
        some = {
            name: tuple(column[i] for i in kept) for name in names if (column := vars(self)[name])
        }
        return replace(self, text=self.text[kept], **some)

    def places(self, side: Side, pooling: Pooling = "last") -> tuple[Places, Ints]:
        """The tokens of each stretch, and which stretches have any [row]: not what a text was cut
        before, nor what a tokenizer drops.

        Raises:
            InputError: the tokenizer does not tell where its tokens stand; no such pooling.
        """
        if side.offsets is None:
            raise InputError("This tokenizer does not tell where its tokens stand in the text.")
        if pooling not in get_args(Pooling):
            raise InputError(
                f"Pooling is {pooling!r}; it is one of {', '.join(get_args(Pooling))}."
            )
        tokens: list[Span | None] = []
        ends = np.searchsorted(self.text, np.arange(len(self.texts) + 1))
        for i, offsets in enumerate(side.offsets):
            tokens += align(self.spans[ends[i] : ends[i + 1]], offsets)
        kept = np.array([i for i, found in enumerate(tokens) if found is not None], np.int64)
        start, stop = np.array([found for found in tokens if found is not None]).reshape(-1, 2).T
        places = Places(self.text[kept], start, stop)
        if pooling == "mean":
            return places, kept
        return (places.last() if pooling == "last" else places.first()), kept


@dataclass(frozen=True)
class Parts:
    """What probes are fitted to, chosen on, and judged by; they share no document and no text."""

    train: Labelled
    dev: Labelled
    test: Labelled

    def __post_init__(self) -> None:
        parts = {"train": self.train, "dev": self.dev, "test": self.test}
        for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
            a, b = parts[one], parts[other]
            shared = set(a.documents) & set(b.documents)
            if shared:
                raise InputError(f"The document {min(shared)!r} is in {one} and in {other}.")
            texts = _hashes(a) & _hashes(b)
            if texts:
                said = next(text for text in a.texts if _hash(text) in texts)
                raise InputError(f"The text {said[:60]!r} is in {one} and in {other}.")

    @classmethod
    def of(cls, train: Labelled, dev: Labelled, test: Labelled) -> Parts:
        """Parts without what would leak: a text of `dev` that `test` has too, or of `train` that
        either has, is left out ("Thank you." is in every corpus). What is judged stays whole."""
        dev = dev.only(_others(dev, _hashes(test)))
        train = train.only(_others(train, _hashes(test) | _hashes(dev)))
        return cls(train, dev, test)

    @classmethod
    def by_document(cls, data: Labelled, seed: int = 0) -> Parts:
        """Three fifths of the documents, a fifth and a fifth, ordered by a hash of their names.

        Raises:
            InputError: there are fewer than five documents.
        """
        fifth = _fifths(data.documents, seed)
        return cls.of(*(data.only(mask) for mask in (fifth < 3, fifth == 3, fifth == 4)))


def treebank_parts(name: str, data: str | Path, task: str, *, whole: bool = False) -> Parts:
    """A treebank of Universal Dependencies: judged by its own test part.

    Args:
        name: of its folder in the folder of all sets, such as `ud_english_ewt`.
        data: that folder.
        task: one of `TASKS`, or `EDGE`.
        whole: fit to its train part and choose on its dev part; by default four fifths of the
            documents of the dev part are fitted to, and one is chosen on, which is ten times
            quicker.
    """

    def labelled(part: str) -> Labelled:
        bank = open_treebank(name, data, part)
        return Labelled.dependencies(bank) if task == EDGE else Labelled.treebank(bank, task)

    dev, test = labelled("dev"), labelled("test")
    if whole:
        return Parts.of(labelled("train"), dev, test)
    last = _fifths(dev.documents) == 4
    return Parts.of(dev.only(~last), dev.only(last), test)


def _fifths(documents: Sequence[str], seed: int = 0) -> Ints:
    """Which fifth of the documents each text's is in, [text]."""
    names = sorted(set(documents), key=lambda name: _hash(f"{seed} {name}"))
    if len(names) < 5:
        raise InputError(f"{len(names)} documents are too few to make parts of; five are needed.")
    fifth = {name: 5 * i // len(names) for i, name in enumerate(names)}
    return np.array([fifth[name] for name in documents], np.int64)


def _spaced(words: Sequence[str]) -> list[Span]:
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return [(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _hashes(part: Labelled) -> set[str]:
    return {_hash(text) for text in part.texts}


def _others(part: Labelled, known: set[str]) -> NDArray[np.bool_]:
    return np.array([_hash(text) not in known for text in part.texts])
