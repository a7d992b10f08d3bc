"""The zoo model `stories` itself: that it is small, honest about itself, and has learnt English."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

import interp
from interp import HookedTransformer, InputError
from interp.zoo import ZOO, names, zoo_folder

FOLDER = zoo_folder("stories")

# From the held-out book "The Call of the Wild" (Jack London, 1903; in the public domain).
HELD_OUT = (
    "Buck did not read the newspapers, or he would have known that trouble was brewing, not alone "
    "for himself, but for every tidewater dog, strong of muscle and with warm, long hair, from "
    "Puget Sound to San Diego. Because men, groping in the Arctic darkness, had found a yellow "
    "metal, and because steamship and transportation companies were booming the find, thousands "
    "of men were rushing into the Northland. These men wanted dogs, and the dogs they wanted were "
    "heavy dogs, with strong muscles by which to toil, and furry coats to protect them from the "
    "frost.\n\n"
    "Buck lived at a big house in the sun-kissed Santa Clara Valley. Judge Miller's place, it was "
    "called. It stood back from the road, half hidden among the trees, through which glimpses "
    "could be caught of the wide cool veranda that ran around its four sides."
)

COMMON = frozenset(
    "the and to of a in that he was it i you his her with had as she for not be at on my is him"
    " but have said so they all me were when there which this one out been would if from or no by"
    " what up very them then an could little down who we do their are into about now your man time"
    " did old went come came go see more will than other some like know day over never upon back"
    " two our good how made after again before has here must think any am can see way only".split()
)


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return interp.load("stories")


def test_zoo_names_have_folders() -> None:
    for name in names():
        assert next(zoo_folder(name).rglob("model.safetensors")).is_file()
        assert ZOO[name]


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match="stories"):
        zoo_folder("storeys")


def test_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 6_000_000


def test_weights_are_stored_once_in_bfloat16() -> None:
    from safetensors import safe_open

    with safe_open(FOLDER / "model.safetensors", framework="pt") as tensors:
        stored = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    training = json.loads((FOLDER / "training.json").read_text("utf-8"))
    assert sum(tensor.numel() for tensor in stored.values()) == training["parameters"]


def test_it_computes_in_float32(model: HookedTransformer) -> None:
    assert model("Once upon a time").dtype == torch.float32


def test_transformers_opens_the_tokenizer(model: HookedTransformer) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(FOLDER)
    ours = model.to_tokens(HELD_OUT, prepend_bos=False, truncate=False)[0].tolist()
    assert theirs.encode(HELD_OUT, add_special_tokens=False) == ours
    assert theirs.pad_token_id != theirs.eos_token_id == theirs.bos_token_id


def fitted_unigram_loss(tokens: torch.Tensor) -> float:
    """Nats per token of the unigram model fitted to `tokens` themselves: no other does better."""
    share = torch.tensor(list(Counter(tokens.tolist()).values())).double() / len(tokens)
    return torch.special.entr(share).sum().item()


def test_held_out_text_is_predicted(model: HookedTransformer) -> None:
    """Far better than the untrained model, and better than the best of all unigram models."""
    tokens = model.to_tokens(HELD_OUT)
    loss = model(tokens, return_type="loss").item()
    assert loss < HookedTransformer(model.cfg)(tokens, return_type="loss").item() - 3
    assert loss < fitted_unigram_loss(tokens[0, 1:]) - 0.2


def test_the_card_states_the_measured_figures() -> None:
    card = (FOLDER / "README.md").read_text("utf-8")
    training = json.loads((FOLDER / "training.json").read_text("utf-8"))
    assert f"{training['parameters']:,} parameters" in card
    assert f"{training['steps']:,} steps of {training['tokens_per_step']:,} tokens" in card
    assert training["tokens_seen"] == training["steps"] * training["tokens_per_step"]
    for which in ("held_out_books", "held_out_stories"):
        figures = training[which]
        row = (
            f"| {figures['documents']} | {figures['tokens']:,} "
            f"| {figures['nats_per_token']:.3f} | {figures['bits_per_byte']:.3f} |"
        )
        assert row in card
    assert f"{training['training_nats_per_token']:.3f}" in card
    first, second = training["copying_random_tokens"]
    assert f"from {first:.2f} to {second:.2f} nats" in card


def test_every_text_is_attributed() -> None:
    with (FOLDER / "ATTRIBUTION.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) > 700
    for row in rows:
        assert row["title"] and row["author"] and row["source"].startswith("http")
        assert re.match(r"CC0|CC BY http|Public Domain", row["license"])


def test_figures_hold_on_the_held_out_stories(model: HookedTransformer, shared_data: Path) -> None:
    from interp.data.sets.stories import read_books
    from interp.zoo.recipes.stories import evaluate
    from interp.zoo.recipes.stories_tokens import Corpus

    training = json.loads((FOLDER / "training.json").read_text("utf-8"))
    stories = [
        d
        for d in read_books(shared_data)
        if d.collection == "childrens_stories" and d.split == "held_out"
    ]
    assert model.tokenizer is not None
    corpus = Corpus.encode(stories, model.tokenizer)
    loss = evaluate(model, corpus)
    stated = training["held_out_stories"]
    assert loss == pytest.approx(stated["nats_per_token"], abs=2e-3)
    assert corpus.bits_per_byte(loss) == pytest.approx(stated["bits_per_byte"], abs=2e-3)
    assert loss < fitted_unigram_loss(torch.from_numpy(corpus.tokens.astype("int64"))) - 1.5


def test_greedy_text_is_english(model: HookedTransformer) -> None:
    prompt = "Once upon a time there was a little girl"
    text = model.generate(prompt, max_new_tokens=60, do_sample=False, verbose=False)
    words = re.findall(r"[a-z']+", str(text).replace("<|endoftext|>", "").lower())
    assert len(words) >= 30
    assert sum(word in COMMON for word in words) > len(words) / 2


def test_it_copies(model: HookedTransformer) -> None:
    """Induction (Elhage et al. 2021): random tokens are easier when they come again."""
    from interp.zoo.recipes.stories import copying

    training = json.loads((FOLDER / "training.json").read_text("utf-8"))
    first, second = copying(model)
    assert second < first - 1
    assert [first, second] == pytest.approx(training["copying_random_tokens"], abs=0.02)
