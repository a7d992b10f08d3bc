"""Generation of text: strings in and out, stop strings, and streams."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.order import Order
from interp.model.tap import Tap
from interp.model.transformer import HookedTransformer
from tests.model.configurations import build, example, shared_model
from tests.model.texts import BOS, EOS, PAD, byte_tokenizer
from tests.model.watching import Seen


@pytest.fixture
def reader() -> HookedTransformer:
    """A model that reads and writes bytes."""
    tokenizer = byte_tokenizer()
    model = build("decoder", d_vocab=len(tokenizer), d_vocab_out=-1, n_ctx=64)
    model.tokenizer = tokenizer
    return model


# -- text ----------------------------------------------------------------------------------------


def test_text_in_text_out(reader: HookedTransformer) -> None:
    text = "Once"
    tokens = reader.to_tokens(text)
    assert tokens[0, 0] == BOS
    options: dict[str, Any] = {"do_sample": False, "suppress_tokens": range(128, 259)}
    ids = reader.generate(tokens, 8, **options)
    written = reader.generate(text, 8, **options)
    assert written.startswith(text)
    assert written == bytes(ids[0, 1:].tolist()).decode()
    assert reader.generate(tokens, 8, return_type="str", **options) == written
    assert torch.equal(reader.generate(text, 8, return_type="tokens", **options), ids)
    bare = reader.generate(text, 8, prepend_bos=False, return_type="tokens", **options)
    assert bare[0, :4].tolist() == list(b"Once")


def test_an_empty_text_begins_with_the_first_token(reader: HookedTransformer) -> None:
    assert isinstance(reader.generate(max_new_tokens=3, seed=0), str)
    with pytest.raises(InputError, match="no token"):
        reader.generate("", prepend_bos=False)


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_in_texts_out(reader: HookedTransformer, side: str) -> None:
    """Whatever side the tokenizer pads on."""
    reader.tokenizer = byte_tokenizer(side)
    texts = ["Once upon", "a", "time ✓"]
    options: dict[str, Any] = {"do_sample": False, "eos_token_id": list(range(97, 103))}
    assert reader.generate(texts, 8, **options) == [
        reader.generate(text, 8, **options) for text in texts
    ]
    assert reader.generate(texts[:1], 8, **options) == [reader.generate(texts[0], 8, **options)]


def test_special_tokens_and_padding_have_no_text(reader: HookedTransformer) -> None:
    only = [i for i in range(259) if i not in (EOS, ord("x"))]
    texts = reader.generate(["ab", "abc", "b"], 20, seed=3, suppress_tokens=only)
    assert all(set(text) <= set("abcx") for text in texts)
    assert len({len(text) for text in texts}) > 1
    ids = reader.generate(["ab", "abc"], 20, seed=3, suppress_tokens=only, return_type="tokens")
    assert PAD in ids


def test_stop_strings_that_straddle_tokens(reader: HookedTransformer) -> None:
    options: dict[str, Any] = {"do_sample": False, "suppress_tokens": range(128, 259)}
    free = reader.generate("Once", 12, **options)
    stop = free[6:9]
    assert stop not in free[4:8]
    assert reader.generate("Once", 12, stop=stop, **options) == free[:6]
    assert reader.generate("Once", 12, stop=["no such text", stop], **options) == free[:6]
    ids = reader.generate("Once", 12, stop=stop, return_type="tokens", **options)
    assert bytes(ids[0, 1:].tolist()).decode() == free[:9], "tokens keep the stop string"


def test_a_stop_string_ends_its_own_row_only(reader: HookedTransformer) -> None:
    options: dict[str, Any] = {"do_sample": False, "freq_penalty": 3.0}
    options["suppress_tokens"] = range(128, 259)
    first, second = reader.generate(["Once", "upon a"], 12, **options)
    stop = first[6:9]
    assert stop not in second
    assert reader.generate(["Once", "upon a"], 12, stop=stop, **options) == [first[:6], second]


def test_a_stop_string_in_the_prompt_stops_nothing(reader: HookedTransformer) -> None:
    options: dict[str, Any] = {"do_sample": False, "suppress_tokens": range(128, 259)}
    free = reader.generate("Once", 6, **options)
    assert reader.generate("Once", 6, stop=["On", "nce"], **options) == free


@pytest.mark.parametrize("name", ["pair-original", "pair-t5"])
def test_a_pair_reads_the_source_and_writes_the_target(name: str) -> None:
    tokenizer = byte_tokenizer()
    model = build(name, d_vocab=len(tokenizer), d_vocab_out=-1, decoder_start_token_id=PAD)
    model.tokenizer = tokenizer
    texts = ["one two", "three"]
    options: dict[str, Any] = {"do_sample": False, "freq_penalty": 9.0}
    options["suppress_tokens"] = range(128, 259)
    written = model.generate(texts, 6, **options)
    assert written == [model.generate(text, 6, **options) for text in texts]
    assert all(len(text) == 6 for text in written), "the target alone"
    ids = model.generate(texts[0], 6, return_type="tokens", **options)
    assert ids[0, 0] == PAD
    assert bytes(ids[0, 1:].tolist()).decode() == written[0]
    assert "".join(model.generate_stream(texts[0], 6, **options)) == written[0]
    stopped = model.generate(texts, 6, stop=written[0][2:4], **options)
    assert stopped[0] == written[0][:2]


# -- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Once", "✓ a", "😀"])
def test_pieces_of_a_stream_make_the_text(reader: HookedTransformer, text: str) -> None:
    for seed in range(5):  # random bytes: most of them are no characters
        pieces = list(reader.generate_stream(text, 20, seed=seed))
        assert all(pieces)
        assert text + "".join(pieces) == reader.generate(text, 20, seed=seed)


class Dictate(Tap):
    """Puts into the last stream what makes the next byte of a text the most likely."""

    def __init__(self, text: str):
        self.ids = [*text.encode(), EOS]

    def wants(self, name: str) -> bool:
        return name == "blocks.0.hook_resid_post"

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        value = torch.zeros_like(value)
        value[..., self.ids.pop(0)] = 100.0
        return value


@pytest.fixture
def scribe(reader: HookedTransformer) -> HookedTransformer:
    """A model with a coordinate for each byte, to write under dictation."""
    d_vocab = reader.cfg.d_vocab
    model = build(reader.cfg, d_model=d_vocab, n_layers=1, final_norm=False)
    model.tokenizer = reader.tokenizer
    assert model.output.unembed is not None
    with torch.no_grad():
        model.output.unembed.weight.copy_(torch.eye(d_vocab))
    return model


def test_a_stream_never_splits_a_character(scribe: HookedTransformer) -> None:
    target = "naïve ✓ 😀!"
    pieces = list(scribe.generate_stream("a", 30, do_sample=False, tap=Dictate(target)))
    assert pieces == list(target)


def test_a_stream_comes_piece_by_piece(reader: HookedTransformer) -> None:
    steps = Seen("blocks.0.hook_resid_pre")
    stream = reader.generate_stream("Once", 10, seed=0, suppress_tokens=range(128, 259), tap=steps)
    assert steps.seen == [], "nothing is computed before it is asked for"
    next(stream)
    assert len(steps.seen) == 1
    next(stream)
    assert len(steps.seen) == 2


def test_a_stream_of_several_texts(reader: HookedTransformer) -> None:
    options: dict[str, Any] = {"seed": 0, "eos_token_id": list(range(60, 90))}
    texts = ["Once", "upon a"]
    steps = list(reader.generate_stream(texts, 20, **options))
    joined = ["".join(pieces) for pieces in zip(*steps, strict=True)]
    whole = reader.generate(texts, 20, **options)
    assert [a + b for a, b in zip(texts, joined, strict=True)] == whole


def test_a_stream_holds_back_what_may_begin_a_stop(scribe: HookedTransformer) -> None:
    options: dict[str, Any] = {"do_sample": False, "stop": " three"}
    dictated = Dictate("one two three")
    pieces = list(scribe.generate_stream("a", 20, tap=dictated, **options))
    assert pieces == ["o", "n", "e", " tw", "o"]
    dictated = Dictate("one th")
    assert "".join(scribe.generate_stream("a", 20, tap=dictated, **options)) == "one th"


def test_a_stream_of_tokens() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg, batch=5)["tokens"]
    options: dict[str, Any] = {"seed": 0, "eos_token_id": [3, 8, 20, 21]}
    steps = torch.stack(list(model.generate_stream(tokens, 9, **options)), 1)
    assert torch.equal(torch.cat([tokens, steps], 1), model.generate(tokens, 9, **options))


def test_a_stream_refuses_at_the_call() -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError, match="temperature"):
        model.generate_stream(example(model.cfg)["tokens"], 3, temperature=-1)
    with pytest.raises(InputError, match="num_beams"):
        model.generate_stream(example(model.cfg)["tokens"], 3, num_beams=4)


def test_a_stream_knows_all_options_of_generate() -> None:
    ours = set(inspect.signature(HookedTransformer.generate).parameters)
    shared = set(inspect.signature(Order.read).parameters) - {"model"}
    assert ours - shared == {
        "self",
        "num_beams",
        "length_penalty",
        "padding_side",
        "return_type",
        "verbose",
    }
    assert shared <= ours


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("stop", ["", ["a", ""], [3]])
def test_refuses_empty_stop_strings(reader: HookedTransformer, stop: Any) -> None:
    with pytest.raises(InputError, match="stop"):
        reader.generate("a", stop=stop)


def test_refuses_an_empty_list(reader: HookedTransformer) -> None:
    with pytest.raises(InputError, match="empty"):
        reader.generate([])


def test_refuses_a_mask_for_text(reader: HookedTransformer) -> None:
    with pytest.raises(InputError, match="attention_mask"):
        reader.generate("abc", attention_mask=torch.ones(1, 3))
