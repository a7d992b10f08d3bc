"""BLEU and chrF are sacreBLEU's, with its signature."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu

from interp.errors import InputError
from interp.train.metrics import translation

RIGHT = ["the cat sat on the mat .", "there is a dog in the garden", "I like it", "he came late"]
WROTE = ["the cat sat on a mat .", "there is the dog in the garden", "I like it", "it was late"]


def test_scores_and_signatures_are_those_of_the_library() -> None:
    found = {m.metric: m for m in translation(WROTE, [[r] for r in RIGHT])}
    assert found["bleu"].value == pytest.approx(sacrebleu.corpus_bleu(WROTE, [RIGHT]).score)
    assert found["chrf"].value == pytest.approx(sacrebleu.corpus_chrf(WROTE, [RIGHT]).score)
    assert "nrefs:1|case:mixed" in found["bleu"].signature and "tok:13a" in found["bleu"].signature
    assert "version" in found["chrf"].signature
    assert found["bleu"].ci_low <= found["bleu"].value <= found["bleu"].ci_high


def test_the_interval_is_as_wide_as_the_librarys() -> None:
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    right = [" ".join(random.choice(words, 12)) for _ in range(150)]
    wrote = [
        " ".join(w if random.uniform() < 0.7 else random.choice(words) for w in r.split())
        for r in right
    ]
    ours = translation(wrote, [[r] for r in right])[0]
    theirs = sacrebleu.BLEU().corpus_score(wrote, [right], n_bootstrap=1000)
    assert (ours.ci_high - ours.ci_low) / 2 == pytest.approx(theirs._ci, rel=0.15)


def test_a_sentence_may_have_several_right_translations() -> None:
    references = [[RIGHT[0], WROTE[0]], [RIGHT[1]], ["I like it"], [WROTE[3], RIGHT[3]]]
    found = translation(WROTE, references)
    assert "nrefs:var" in found[0].signature
    assert found[0].value > translation(WROTE, [[r] for r in RIGHT])[0].value
    every = translation(WROTE, [[w, "other words"] for w in WROTE])
    assert every[0].value == pytest.approx(100) and every[1].value == pytest.approx(100)


def test_a_translation_without_a_reference_is_refused() -> None:
    with pytest.raises(InputError, match="at least one reference"):
        translation(["a", "b"], [["a"], []])
    with pytest.raises(InputError, match="at least one reference"):
        translation([], [])
