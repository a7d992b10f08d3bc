"""Tasks whose answer is a text: what was learnt by heart is written, alone as in a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp.data.chat import CHAT, PLAIN
from interp.data.records import Pair, Preference, Turn
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.preference import DPO
from interp.train.settings import Settings
from interp.train.tasks.chat import Chatting, Replies
from interp.train.tasks.generation import template_for, write
from interp.train.tasks.preferring import Preferring
from interp.train.tasks.rows import Row
from interp.train.tasks.sequence import GenerativeQA, Summarisation, Translation
from interp.train.tasks.task import Trainable
from tests.train.tasks.small import dialogues, model, pairs, preferences

BY_HEART = Settings(steps=150, learning_rate=1e-2, warmup_steps=10, precision="float32")


def learnt(
    task: Trainable[Any, Any], records: list[Any], one: HookedTransformer
) -> HookedTransformer:
    fit(one, task.source(one, records, tokens=400), BY_HEART, progress=False)
    return one


@pytest.mark.parametrize(
    ("shape", "marks"), [("encoder_decoder", False), ("decoder", True), ("decoder", False)]
)
def test_targets_learnt_by_heart_are_written(shape: str, marks: bool) -> None:
    """Training and writing agree on where a source ends, where a target begins and ends."""
    records = pairs(5)
    task = GenerativeQA()
    one = learnt(task, records, model(shape, marks=marks))
    answers = task.answer(one, records)
    assert answers == [record.references[0] for record in records]
    assert [m.value for m in task.measure(records, answers)] == [1, 1]


@pytest.mark.parametrize("marks", [True, False])
def test_replies_learnt_by_heart_are_given_and_are_no_surprise(marks: bool) -> None:
    records = dialogues(5)
    records[0] += (Turn("user", "and then"), Turn("assistant", "film film"))
    task = Chatting()
    one = model(marks=marks, n_ctx=96)
    (before, *_) = task.answer(one, records[:1])
    learnt(task, records, one)
    answers = task.answer(one, records)
    right = [tuple(turn.text for turn in r if turn.role == "assistant") for r in records]
    assert [answer.texts for answer in answers] == right
    assert answers[0].nats < 0.5 < before.nats and answers[0].tokens == before.tokens > 4
    found = {m.metric: m.value for m in task.measure(records, answers)}
    assert found["rouge1"] == 1 and found["chrf"] == pytest.approx(100)
    assert 1 <= found["perplexity"] < 1.3


def test_the_surprise_of_replies_is_the_models_own_and_bears_any_length() -> None:
    one, (short,) = model(), dialogues(1)
    words = one.require_tokenizer()
    prompt, answer = CHAT.prompt(short[:1], words), words.encode(short[1].text)
    ids = torch.tensor([[*prompt, *answer, *words.encode(CHAT.after)]])
    logs = one(ids)[0].log_softmax(-1).detach()
    nats = -sum(float(logs[t - 1, ids[0, t]]) for t in range(len(prompt), ids.shape[1]))
    long = (Turn("user", "the cat " * 60), Turn("assistant", "a mat"))
    endless = (Turn("user", "the cat"), Turn("assistant", "a mat " * 60))
    found = Chatting().answer(one, [long, short, endless])
    assert found[1].nats == pytest.approx(nats, rel=1e-4)
    assert [reply.tokens for reply in found] == [
        len(words.encode("a mat")) + 1,
        len(answer) + 1,
        one.cfg.n_ctx,
    ]


def test_a_template_of_tokens_is_used_where_the_vocabulary_has_it() -> None:
    assert template_for(model().require_tokenizer()) is CHAT
    assert template_for(model(marks=False).require_tokenizer()) is PLAIN


@pytest.mark.parametrize("shape", ["encoder_decoder", "decoder"])
def test_a_batch_writes_what_each_prompt_alone_would(shape: str) -> None:
    one = model(shape, initializer_range=0.4)
    prompts = [[7, 8, 9, 10, 11, 12], [9, 9], [30, 31, 32, 7], [5]]
    together = write(one, prompts, max_new_tokens=8, num_beams=3)
    assert together == [write(one, [p], max_new_tokens=8, num_beams=3)[0] for p in prompts]
    assert any(together) and write(one, [], max_new_tokens=8) == []


def test_a_source_that_is_too_long_leaves_room_for_its_target() -> None:
    long = Pair("the cat sat on a mat " * 30, ("the cat",))
    task = Summarisation()
    for shape in ("decoder", "encoder_decoder"):
        one = model(shape)
        batch = task.source(one, [long], tokens=1).batch(0)
        assert batch.inputs["tokens"].shape[1] <= one.cfg.n_ctx
        target = one.require_tokenizer().encode("the cat")
        assert batch.n_labels == len(target) + 1
        assert len(task.answer(one, [long])) == 1


def test_each_reference_is_learnt() -> None:
    source = GenerativeQA().source(model(), [Pair("a", ("b", "c")), Pair("d", ("e",))], tokens=99)
    assert len(source) == 3


def test_baselines() -> None:
    train = [Pair("a", ("yes",)), Pair("b", ("yes", "no")), Pair("c", ("no",))]
    held_out = [Pair("One two. Three.", ("x",))]
    assert GenerativeQA().baseline(train, held_out) == ("most frequent answer", ["yes"])
    assert Summarisation().baseline(train, held_out) == ("lead sentence", ["One two."])
    assert Translation().baseline(train, held_out)[1] == ["One two. Three."]
    talk = [(Turn("user", "a"), Turn("assistant", "x"), Turn("assistant", "x"))]
    _, replies = Chatting().baseline(talk, [(Turn("assistant", "1"), Turn("assistant", "2"))])
    assert replies == [Replies(("x", "x"))] or replies[0].texts == ("x", "x")
    metrics = [
        m.metric
        for m in Chatting().measure([(Turn("assistant", "1"), Turn("assistant", "2"))], replies)
    ]
    assert "perplexity" not in metrics and "rougeL" in metrics
    _, margins = Preferring().baseline([], preferences(2))
    assert all(margin.nats < 0 for margin in margins)  # "no" is the shorter answer, and rejected


def test_a_preference_is_a_difference_of_log_probabilities() -> None:
    one, (record,) = model(), preferences(1)
    (margin,) = Preferring().answer(one, [record])
    words = one.require_tokenizer()
    prompt = CHAT.prompt(record.prompt, words)

    def log_p(answer: str) -> float:
        ids = torch.tensor([prompt + words.encode(answer) + words.encode(CHAT.after)])
        logs = one(ids)[0].log_softmax(-1).detach()
        return sum(float(logs[t - 1, ids[0, t]]) for t in range(len(prompt), ids.shape[1]))

    chosen, rejected = log_p(record.chosen), log_p(record.rejected)
    assert margin.nats == pytest.approx(chosen - rejected, rel=1e-4)
    n, m = (len(words.encode(text)) + 1 for text in (record.chosen, record.rejected))
    assert margin.per_token == pytest.approx(chosen / n - rejected / m, rel=1e-3)
    other = Preference(record.prompt, record.rejected, record.chosen)
    measured = Preferring().measure([record, other], Preferring().answer(one, [record, other]))
    assert measured[0].value == 0.5


def test_the_reference_of_preferences_is_the_model_before() -> None:
    one = model()
    objective = Preferring(beta=0.3).objective(one)
    assert isinstance(objective, DPO) and objective.beta == 0.3
    before = one.embed.weight.clone()
    with torch.no_grad():
        one.embed.weight += 1
    assert torch.equal(objective.reference.embed.weight, before)
    assert not any(p.requires_grad for p in objective.reference.parameters())


def test_records_of_lines() -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"))
    rows = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert Chatting.record(Row({"messages": rows})) == turns
    assert Chatting.record(Row({"prompt": "a", "answer": "b"})) == turns
    assert Translation.record(Row({"source": "a", "target": ["b", "c"]})) == Pair("a", ("b", "c"))
    assert Summarisation.record(Row({"text": "a", "summary": "b"})) == Pair("a", ("b",))
    question = {"question": "q", "context": "c", "answers": "b"}
    assert GenerativeQA.record(Row(question)) == Pair("q\nc", ("b",))
    line = {"prompt": "a", "chosen": "b", "rejected": "c"}
    assert Preferring.record(Row(line)) == Preference((Turn("user", "a"),), "b", "c")
    assert Preferring.record(Row({**line, "prompt": rows[:1]})) == Preference(turns[:1], "b", "c")
    for wrong, message in (
        ({"messages": rows[:1]}, "nobody with the role 'assistant'"),
        ({"messages": ["a"]}, "'messages' is"),
        ({"messages": "a"}, "not a list of messages"),
        ({"prompt": "a"}, "no field 'answer'"),
    ):
        with pytest.raises(InputError, match=message):
            Chatting.record(Row(wrong))


def test_a_model_that_cannot_write_is_refused() -> None:
    encoder = model("encoder")
    for task, records in (
        (Translation(), pairs(1)),
        (Chatting(), dialogues(1)),
        (Preferring(), preferences(1)),
    ):
        with pytest.raises(ConfigError, match="needs a language model of the shape"):
            task.answer(encoder, records)
