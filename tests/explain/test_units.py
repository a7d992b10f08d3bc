"""Words, sentences and spans of texts, as tokenizers of every kind cut them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp import HookedTransformer, InputError, TransformerConfig
from interp.data.tokenizing import Kind, train_tokenizer
from interp.explain import Target, attribute
from interp.explain.units import Units, UnitSpec, divide
from interp.tokenizer import Tokenizer

TEXTS = [
    "The old king understood nothing. He said: don't go! The queen's gold is 3.14 crowns.",
    'Why? "Nobody knows," said the miller (or his cat). And so they went... home.',
    "Der Müller größte Söhne aßen Käse; naïve cafés.\nA new line begins here",
    "हिन्दी में लिखा हुआ। 日本語の文。もう一つ。 Ελληνικά λόγια. 🙂🙃",
    "OK, It is so. She came. Ends with a mark.",
]
KINDS: tuple[Kind, ...] = ("bpe", "wordpiece", "unigram", "bytes", "characters")


@cache
def tokenizer(kind: str, d_vocab: int = 400) -> Tokenizer:
    if kind == "metaspace":
        return metaspace()
    return train_tokenizer(TEXTS, kind, d_vocab, shape="encoder")  # type: ignore[arg-type]


def metaspace() -> Tokenizer:
    """A unigram model over characters that writes a space as a mark, as SentencePiece does."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<pad>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    return Tokenizer(backend, {"pad": "<pad>", "unk": "<unk>"})


def units(
    spec: UnitSpec, text: str, kind: str, d_vocab: int = 400, template: bool = False
) -> Units:
    table = tokenizer(kind, d_vocab)
    ids = table.encode(text, add_special_tokens=template)
    texts = [table.decode([i]) for i in ids]
    return divide(spec, ids, ["input"] * len(ids), texts, table)


def names(spec: UnitSpec, text: str, kind: str, **options: Any) -> list[str]:
    return [name.strip() for name in units(spec, text, kind, **options).names]


SPELLED = ["bpe", "unigram", "bytes", "characters", "metaspace"]


@pytest.mark.parametrize("kind", SPELLED)
def test_words_are_what_spaces_and_marks_leave(kind: str) -> None:
    text = "The miller's cat said: don't go (home), OK?"
    found = [name for name in names("words", text, kind) if name]
    expected = "The|miller's|cat|said|:|don't|go|(|home|)|,|OK|?".split("|")
    if kind in ("bpe", "unigram", "metaspace"):  # they may keep marks together, in one token
        assert [x for x in found if x.isalnum() or "'" in x] == [
            x for x in expected if x.isalnum() or "'" in x
        ]
        assert "".join(found) == "".join(expected)
    else:
        assert found == expected


def test_words_of_word_pieces_are_its_words() -> None:
    """It puts spaces around apostrophes, and so the parts of don't are words of their own."""
    text = "The understanding millers went home, OK?"
    assert names("words", text, "wordpiece") == text.replace(",", " ,").replace("?", " ?").split()
    assert len(units("tokens", text, "wordpiece")) > 9


@pytest.mark.parametrize("kind", [*KINDS, "metaspace"])
def test_units_are_a_partition_of_the_tokens_in_order(kind: str) -> None:
    for text in TEXTS:
        n = len(units("tokens", text, kind))
        words, sentences = units("words", text, kind), units("sentences", text, kind)
        for found in (words, sentences):
            assert [i for group in found.groups for i in group] == list(range(n))
        # A sentence ends where a word ends.
        begins = {group[0] for group in words.groups}
        assert {group[0] for group in sentences.groups} <= begins
        assert len(sentences) <= len(words) <= n


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bytes"])
def test_characters_of_several_bytes_are_not_torn(kind: str) -> None:
    """With a vocabulary of hardly more than the bytes, most letters are two tokens or more."""
    text = "größte naïve Ελληνικά हिन्दी 🙂🙃 done"
    options = {"d_vocab": 262}
    assert len(units("tokens", text, kind, **options)) > 40
    found = names("words", text, kind, **options)
    found = [name for name in found if name]
    assert found == ["größte", "naïve", "Ελληνικά", "हिन्दी", "🙂", "🙃", "done"]


def test_scripts_without_spaces_keep_their_tokens() -> None:
    assert names("words", "日本語の文。", "bytes") == list("日本語の文。")
    assert names("words", "ab日本cd", "bytes") == ["ab", "日", "本", "cd"]


def test_special_tokens_stand_alone() -> None:
    for spec in ("words", "sentences"):
        found = names(spec, "The king went. He said.", "wordpiece", template=True)
        assert found[0] == "[CLS]" and found[-1] == "[SEP]"
    assert found[1:-1] == ["The king went.", "He said."]


def test_a_word_that_is_masked_or_unknown_is_part_of_its_sentence() -> None:
    text = "The [MASK] went © home. He said."
    assert names("words", text, "wordpiece")[:5] == ["The", "[MASK]", "went", "[UNK]", "home"]
    assert names("sentences", text, "wordpiece") == ["The [MASK] went [UNK] home.", "He said."]


@pytest.mark.parametrize("kind", SPELLED)
def test_sentences_end_behind_their_marks(kind: str) -> None:
    cases = {
        "He went. She came! Why? Nobody": ["He went.", "She came!", "Why?", "Nobody"],
        "It is 3.14 crowns. So": ["It is 3.14 crowns.", "So"],
        'He said "go." She went': ['He said "go."', "She went"],
        "They went... home. And": ["They went...", "home.", "And"],
        "(He went.) She": ["(He went.)", "She"],
        "Ends with a mark.": ["Ends with a mark."],
        "no mark at all": ["no mark at all"],
    }
    for text, expected in cases.items():
        assert names("sentences", text, kind) == expected, text


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bytes", "characters"])
def test_a_line_break_ends_a_sentence_and_belongs_to_it(kind: str) -> None:
    text = "The king\nThe queen. She\n\nHe"
    found = units("sentences", text, kind).names
    assert [x.strip(" ") for x in found] == ["The king\n", "The queen.", "She\n\n", "He"]


def test_sentences_of_word_pieces() -> None:
    found = names("sentences", "The king went. It is 3.14 crowns! Why? Nobody knows", "wordpiece")
    assert len(found) == 4 and found[0] == "The king went." and found[-1] == "Nobody knows"
    assert names("sentences", "日本語。もう一つ。", "bytes") == ["日本語。", "もう一つ。"]


@given(text=st.text(max_size=40), kind=st.sampled_from(["bpe", "unigram", "bytes"]))
@settings(max_examples=60)
def test_any_text_is_divided_and_read_back(text: str, kind: str) -> None:
    """Byte-level tokenizers decode every text to itself; so do units of whole characters."""
    ids = tokenizer(kind).encode(text)
    if not ids:
        return
    for spec in ("words", "sentences"):
        found = units(spec, text, kind)
        assert [i for group in found.groups for i in group] == list(range(len(ids)))
        assert "".join(found.names) == text


@given(st.data())
def test_spans_are_units_and_the_rest_stays_alone(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=6)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    data.draw(st.randoms()).shuffle(spans)
    found = divide(spans, list(range(n)), ["input"] * n, [str(i) for i in range(n)], None)
    covered = {i for a, b in spans for i in range(a, b)}
    alone = [(i,) for i in range(n) if i not in covered]
    expected = sorted([*alone, *(tuple(range(a, b)) for a, b in spans)])
    assert list(found.groups) == expected
    assert found.names == tuple(" ".join(map(str, group)) for group in expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("paragraphs", "must be 'tokens'"),
        ([(0, 0)], "does not lie"),
        ([(-1, 2)], "does not lie"),
        ([(2, 5)], "does not lie"),
        ([(0, 2), (1, 3)], "overlaps"),
        ([(1, 3)], "one side"),
        ([(0, 1, 2)], "spans"),
        ([(0.0, 1)], "spans"),
        ([0, 1], "spans"),
        (3, "spans"),
        (None, "spans"),
        ("words", "no tokenizer"),
        ("sentences", "no tokenizer"),
    ],
)
def test_what_is_no_division_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide(spec, [5, 6, 7, 8], ["source", "source", "target", "target"], list("abcd"), None)


def test_no_unit_reaches_from_one_side_into_the_other() -> None:
    table = tokenizer("bytes")
    ids = table.encode("abcd")
    found = divide("words", ids, ["source"] * 2 + ["target"] * 2, list("abcd"), table)
    assert found.groups == ((0, 1), (2, 3)) and found.sides == ("source", "target")
    assert (
        divide("sentences", ids, ["a", "a", "b", "b"], list("abcd"), table).groups == found.groups
    )


@pytest.mark.parametrize("spec", ["words", "sentences", [(1, 4), (4, 6)]])
@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input"])
def test_scores_of_a_unit_are_those_of_its_tokens_together(method: str, spec: UnitSpec) -> None:
    text = "The queen's gold. Understood?"
    table = tokenizer("bpe")
    cfg = TransformerConfig(
        d_model=16,
        n_layers=1,
        n_heads=2,
        d_vocab=len(table),
        n_ctx=64,
        initializer_range=0.3,
        dtype=torch.float64,
    )
    model = HookedTransformer(cfg, tokenizer=table, seed=0).eval()
    tokens = attribute(model, text, method, Target.logit(3))
    found = attribute(model, text, method, Target.logit(3), units=spec)
    assert len(found.scores) < len(tokens.scores)
    for group, score in zip(found.groups, found.scores, strict=True):
        assert score == pytest.approx(sum(tokens.scores[i] for i in group), abs=1e-12)
