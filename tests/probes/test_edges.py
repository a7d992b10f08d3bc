"""Edge probes read both ends: they find what both say together, and nothing that neither says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from interp.activations import encode, gather
from interp.data.records import Answer, Question
from interp.data.treebank import sentences
from interp.errors import InputError
from interp.figures.edges import edges_chart
from probes.edges import SCRIPT, answers, edges
from probes.labelled import Labelled, Parts
from probes.reading import encoded, read_parts, stream
from probes.solvers.logistic import Problems, fit_logistic
from probes.solvers.spans import Spans
from tests.figures.spec import drawn, texts_of
from tests.probes.test_atlas import CLASS, WORDS, by_layer, tiny

TREE = """\
# newdoc id = a
# text = Dogs don't sleep.
1	Dogs	dog	NOUN	NNS	_	4	nsubj:outer	_	_
2-3	don't	_	_	_	_	_	_	_	_
2	do	do	AUX	VBP	_	4	aux	_	_
3	n't	not	PART	RB	_	4	advmod	_	_
4	sleep	sleep	VERB	VB	_	0	root	_	SpaceAfter=No
5	.	.	PUNCT	.	_	4	punct	_	_
"""
SITE = "blocks.0.hook_resid_pre"


def tied(kind: str, n: int = 150) -> Parts:
    """Sentences of which each word hangs on some other. The label of the edge: whether its ends are
    of one class, which each of them alone does not say (`both`), a class of each side (`ends`), or
    nothing (`nothing`)."""
    generator = np.random.default_rng(0)
    words = [generator.choice(WORDS[:8], 6).tolist() for _ in range(n)]
    heads = [
        [int(h + (h >= i)) for i, h in enumerate(generator.integers(5, size=6))] for _ in words
    ]
    labels = []
    for said, hangs in zip(words, heads, strict=True):
        pairs = [(CLASS[said[i]], CLASS[said[head]]) for i, head in enumerate(hangs)]
        if kind == "both":
            labels.append(["same" if one == other else "other" for one, other in pairs])
        elif kind == "ends":
            labels.append([f"{one} on {other}" for one, other in pairs])
        else:
            labels.append([str(x) for x in generator.choice(["x", "y", "z"], 6)])
    return Parts.by_document(Labelled.words(words, labels, heads=heads))


def ask(parts: Parts, **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {"controls": 1, "twins": 0, "draws": 100, "sites": SITE}
    return edges(tiny(), parts, **{**defaults, **options})


def test_the_edges_of_a_tree() -> None:
    data = Labelled.dependencies(sentences(TREE.split("\n"), "t.conllu"))
    assert data.labels == ("nsubj", "aux", "advmod", "punct")
    assert data.lemmas == ("dog", "do", "not", ".")
    texts = [[data.texts[0][a:b] for a, b in end.spans] for end in data.ends]
    assert texts == [["Dogs", "do", "n't", "."], ["sleep"] * 4]
    assert data.where(np.array([True, False, False, True])).partners == data.partners[:2]


def test_a_linear_label_of_both_ends_is_found_and_a_label_of_neither_is_not() -> None:
    frame = ask(tied("ends", 300))
    assert by_layer(frame, "micro_f1") == [1.0] and by_layer(frame, "macro_f1") == [1.0]
    assert (frame.loc[frame["metric"] == "f1", "value"] == 1.0).all()
    assert set(frame["label"].dropna()) == {f"{a} on {b}" for a in "DN" for b in "DN"}
    figure = edges_chart(frame)
    assert "edges are read best at the embedding, micro-F1 100%" in figure.alt
    assert {"D on N", "most frequent label of the word"} <= set(texts_of(drawn(figure.chart)))
    with pytest.raises(InputError, match="no `f1` of a label"):
        edges_chart(frame[frame["metric"] != "f1"])
    # One end alone knows half of it.
    assert by_layer(frame, "type_majority")[0] < 0.75
    nothing = ask(tied("nothing"))
    row = nothing[(nothing["metric"] == "micro_f1")].iloc[0]
    assert row["ci_low"] < 1 / 3 < row["value"] + 0.1 and row["value"] < 0.45
    assert nothing.loc[nothing["metric"] == "bits", "value"].iloc[0] < 0.02


@pytest.mark.parametrize("probe", ["mlp:16", "attentive:16"])
def test_what_no_line_tells_a_hidden_layer_does(probe: str) -> None:
    assert by_layer(ask(tied("both"), controls=0), "micro_f1")[0] < 0.7
    assert by_layer(ask(tied("both"), controls=0, probe=probe), "micro_f1")[0] > 0.97


def test_the_rows_are_the_activations_of_both_ends() -> None:
    """The mean over one token is that token to the bit, and of several their mean."""
    model, names = tiny(), ["blocks.0.hook_resid_post"]
    data = Labelled.words(
        [["the", "zxqvwkj", "dog", "sat"]] * 2 + [["an", "qqkzvx", "tree", "ran"]],
        [["a", "b", "b", "a"]] * 3,
        heads=[[1, 2, 1, 0]] * 3,
    )
    texts = encode(model, data.texts)
    every = gather(model, texts, names).values[names[0]]
    tokens = gather(model, texts, names).places
    side = texts.source
    for end in data.ends:
        places, kept = end.places(side, "mean")
        assert len(kept) == 12
        rows = gather(model, texts, names, places).values[names[0]]
        lengths = places.stop - places.start
        assert {1} < set(lengths.tolist())
        for i, row in enumerate(rows):
            mine = every[
                torch.from_numpy(
                    (tokens.text == places.text[i])
                    & (tokens.start >= places.start[i])
                    & (tokens.start < places.stop[i])
                )
            ]
            if lengths[i] == 1:
                assert torch.equal(row, mine[0])
            torch.testing.assert_close(row, mine.mean(0), atol=1e-6, rtol=0)


def test_pooled_rows_and_the_tokens_of_stretches_say_the_same() -> None:
    model, parts = tiny(), tied("ends", 30)
    names, texts = stream(model)[:2], encoded(model, parts)
    rows = read_parts(model, parts, texts, names, "last")["test"]
    tokens = read_parts(model, parts, texts, names, None)["test"]
    found = tokens.rows(names)
    assert isinstance(found, Spans) and found.start.shape == (len(rows.classes), 2)
    assert rows.values[names[0]].shape == (len(rows.classes), 2 * 16)
    # Both are standardised, each over its own rows: equal tokens have equal vectors in either.
    last = found.tokens[1, found.stop - 1]
    pooled = rows.values[names[1]].view(len(last), 2, 16)
    for end in range(2):
        mine, theirs = pooled[:, end], last[:, end]
        scale = (mine.std(0) / theirs.std(0))[None]
        torch.testing.assert_close(
            (mine - mine.mean(0)) / scale, theirs - theirs.mean(0), atol=1e-4, rtol=0
        )


def test_the_optimum_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    model, parts = tiny(), tied("ends", 60)
    read = read_parts(model, parts, encoded(model, parts), [SITE], "mean")["train"]
    rows = read.values[SITE].double()
    # float32 keeps a word's row the same only up to its rounding; float64 does not mind.
    fit = fit_logistic(
        rows[None], torch.from_numpy(read.classes)[None], Problems.cross(1, 1, 1, (1e-2,)),
        n_classes=4,
    )  # fmt: skip
    peer = linear_model.LogisticRegression(
        C=1 / (1e-2 * len(rows)), solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(rows.numpy(), read.classes)
    np.testing.assert_allclose(fit.coefficients[0], peer.coef_, atol=1e-6)


def test_the_order_of_the_texts_does_not_matter() -> None:
    parts = tied("ends", 40)

    def turned(part: Labelled) -> Labelled:
        order = np.random.default_rng(1).permutation(len(part.texts))
        pieces = [part.only(np.arange(len(part.texts)) == i) for i in order]
        columns = ("texts", "documents", "spans", "labels", "types", "partners")
        joined = {name: sum((getattr(p, name) for p in pieces), ()) for name in columns}
        text = np.repeat(np.arange(len(order)), [len(piece) for piece in pieces])
        return Labelled(text=text, **joined)

    other = Parts(*(turned(part) for part in (parts.train, parts.dev, parts.test)))
    assert other.test.texts != parts.test.texts
    found = [ask(p, sites=None).set_index(["layer", "metric"])["value"] for p in (parts, other)]
    for metric in ("micro_f1", "bits", "auroc"):
        one, same = (f[:, metric].sort_index() for f in found)
        np.testing.assert_allclose(one, same, atol=2e-4)


def test_answers_are_stretches_that_stand_alone() -> None:
    text = "A table for two at seven"
    asked = [
        Question("1", "people ?", text, (Answer("two", 12),)),
        Question("2", "time", text, (Answer("seven", 19),)),
        Question("3", "date", text, ()),
        Question("4", "date", "Hello", ()),
    ]
    data = answers(asked)
    assert data.labels == ("people", "time") and data.types == ("two", "seven")
    assert data.ends == (data,) and data.texts == (text,)


def test_ends_that_do_not_fit_are_refused() -> None:
    data = Labelled.words([["a", "b"]], [["x", "y"]], heads=[[1, 0]])
    with pytest.raises(InputError, match="partners"):
        Labelled(**{**vars(data), "partners": data.partners[:1]})
    with pytest.raises(InputError, match="is not in it"):
        Labelled(**{**vars(data), "partners": ((0, 1), (2, 9))})


def test_the_command_and_its_chart(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from interp.data.treebank import open_treebank

    monkeypatch.setenv("INTERP_DATA", str(shared_data))
    monkeypatch.setattr("probes.labelled.open_treebank", lambda *at: open_treebank(*at)[:150])
    out = tmp_path / "edges.parquet"
    arguments = ["--run", "stories-suite", "--steps", "0", "--twins", "1", "--controls", "1"]
    assert SCRIPT.main([*arguments, "--sites", SITE, "--out", str(out)]) == 0
    frame = pd.read_parquet(out)
    assert {"nsubj", "det", "punct"} <= set(frame["label"].dropna())
    assert {"new types", "new lemmas"} < set(frame["split"])
    words = set(texts_of(drawn(edges_chart(frame, scheme="dark").chart)))
    assert {"nsubj", "the task, random weights", "the task, lemmas never seen"} <= words


def test_named_stretches_are_read(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from interp.data.sets import read_set

    monkeypatch.setenv("INTERP_DATA", str(shared_data))
    monkeypatch.setattr("probes.edges.read_set", lambda *at: read_set(*at)[:1500])
    frame = edges(tiny(), "restaurant8k", controls=0, twins=0, draws=50, sites=SITE)
    assert by_layer(frame, "micro_f1")[0] > by_layer(frame, "majority")[0] + 0.2
    assert "people" in set(frame["label"].dropna())
