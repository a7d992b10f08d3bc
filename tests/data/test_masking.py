"""Masked tokens: how many, which, and what stands in their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.data.batch import IGNORED
from interp.data.corpus import PackedCorpus, pack
from interp.data.encoding import special_ids
from interp.data.masking import MaskedTokens, continues_word
from interp.data.tokenizing import train_tokenizer
from interp.errors import ConfigError
from tests.data.packed import corpus, tokenizer


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedCorpus:
    """Words of one to eight letters, and so few tokens that most words are several."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abcd"), size=n)) for n in random.integers(1, 9, 800)]
    documents = [" ".join(words[i : i + 40]) for i in range(0, 800, 40)]
    table = train_tokenizer(documents, "wordpiece", 40, shape="encoder")
    return pack(documents, table, tmp_path_factory.mktemp("corpus") / "c")


@given(
    step=st.integers(0, 1000),
    length=st.integers(8, 60),
    share=st.floats(0.05, 0.6),
    words=st.booleans(),
)
def test_a_fixed_number_of_ordinary_tokens_is_to_be_guessed(
    packed: PackedCorpus, step: int, length: int, share: float, words: bool
) -> None:
    source = MaskedTokens(packed, 4, length, 0, share=share, whole_words=words)
    batch = source.batch(step)
    tokens, labels = batch.inputs["tokens"], batch.labels
    special = torch.tensor(special_ids(packed.tokenizer))
    truth = torch.where(labels == IGNORED, tokens, labels)
    ordinary = ~torch.isin(truth, special)
    counts = (labels != IGNORED).sum(1)
    expected = ordinary.sum(1).clamp(max=max(1, round(share * (length - 2))))
    assert torch.equal(counts, expected)
    assert not torch.isin(labels[labels != IGNORED], special).any()
    assert (tokens[:, 0] == packed.tokenizer.token_id("[CLS]")).all()
    assert (tokens[:, -1] == packed.tokenizer.token_id("[SEP]")).all()
    ring = np.concatenate([packed.tokens, packed.tokens[:length]]).astype(np.uint16).tobytes()
    for row in truth[:, 1:-1]:
        assert row.numpy().astype(np.uint16).tobytes() in ring


def test_four_in_five_are_masked_and_one_in_ten_is_any_token(packed: PackedCorpus) -> None:
    source = MaskedTokens(packed, 64, 102, 0)
    mask = packed.tokenizer.mask_token_id
    fates = np.zeros(3)
    strangers = []
    for step in range(10):
        batch = source.batch(step)
        chosen = batch.labels != IGNORED
        read, truth = batch.inputs["tokens"][chosen], batch.labels[chosen]
        masked, kept = read == mask, read == truth
        fates += [int(x.sum()) for x in (masked, kept, ~masked & ~kept)]
        strangers.append(read[~masked & ~kept])
    # A random token is the true one sometimes.
    n = fates.sum()
    share = np.array([0.8, 0.1, 0.1])
    assert n == 64 * 15 * 10
    assert np.abs(fates / n - share).max() < 0.01
    drawn = np.bincount(torch.cat(strangers), minlength=len(packed.tokenizer))
    special = special_ids(packed.tokenizer)
    assert drawn[special].sum() == 0
    # Each as likely, apart from hits on the true token, which are left out above.
    assert stats.chisquare(np.delete(drawn, special)).pvalue > 1e-6


def test_every_place_is_chosen_as_often(packed: PackedCorpus) -> None:
    source = MaskedTokens(packed, 200, 42, 3)
    counts = sum((source.batch(step).labels != IGNORED).sum(0) for step in range(20))
    assert isinstance(counts, torch.Tensor)
    # Separators are never chosen, which thins a place out now and then.
    assert counts[1:-1].float().std() < 0.1 * counts[1:-1].float().mean()


@given(step=st.integers(0, 1000))
def test_whole_words_are_chosen_with_all_their_tokens(packed: PackedCorpus, step: int) -> None:
    batch = MaskedTokens(packed, 4, 50, 0, whole_words=True).batch(step)
    chosen = (batch.labels != IGNORED)[:, 1:-1]
    truth = torch.where(batch.labels == IGNORED, batch.inputs["tokens"], batch.labels)[:, 1:-1]
    continues = torch.from_numpy(continues_word(packed.tokenizer))[truth]
    special = torch.isin(truth, torch.tensor(special_ids(packed.tokenizer)))
    assert continues.float().mean() > 0.3
    # Between a token and one that goes on with its word, both or none are chosen, but for the one
    # word in each row that the fixed number may cut.
    cut = (chosen[:, 1:] != chosen[:, :-1]) & continues[:, 1:] & ~special[:, 1:] & ~special[:, :-1]
    assert (cut.sum(1) <= 1).all()


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "characters", "bytes"])
def test_words_begin_where_people_see_them_begin(kind: str) -> None:
    table = tokenizer(kind, "encoder")
    continues = continues_word(table)
    text = "the old king, understanding"
    ids = table.encode(text)
    begins = [begin for (begin, _), i in zip(table.offsets(text), ids, strict=True)
              if not continues[i]]  # fmt: skip
    # With its space or without; the very first token has nothing to begin after.
    words = [begin + (text[begin] == " ") for begin in begins if begin]
    assert words == [4, 8, 12, 14]


def test_a_tokenizer_without_a_mask_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    plain = corpus(tmp_path_factory.mktemp("corpus") / "c")
    with pytest.raises(ConfigError, match="no token for mask"):
        MaskedTokens(plain, 2, 16, 0)


def test_a_share_outside_zero_to_one_is_refused(packed: PackedCorpus) -> None:
    with pytest.raises(ConfigError, match="share"):
        MaskedTokens(packed, 2, 16, 0, share=1.5)
