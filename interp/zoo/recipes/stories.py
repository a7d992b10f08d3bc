"""Train the zoo model `stories`: a 2.6-million-parameter decoder on children's and classic books.

    interp zoo build stories --data DIR --out DIR [--minutes 60]

In the order in which things happen: read the texts, train a tokenizer, encode, train, write the
folder. A build that was stopped goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from interp.data.sets.stories import Book, read_books
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.loop import fit
from interp.train.precision import fastest_dtype
from interp.train.settings import Settings
from interp.zoo import Side
from interp.zoo.recipes.card import machine
from interp.zoo.recipes.export import rounded, save_rounded
from interp.zoo.recipes.samples import save_sample
from interp.zoo.recipes.stories_card import Figures, HeldOut, write_attribution, write_card
from interp.zoo.recipes.stories_tokens import END, END_ID, PAD_ID, Corpus, StoryRows

SEED = 0
CONFIG = TransformerConfig(
    model_name="stories",
    d_model=192,
    n_layers=4,
    n_heads=6,
    d_mlp=512,
    d_vocab=4096,
    n_ctx=256,
    positional_embedding_type="rotary",
    normalization_type="RMS",
    act_fn="silu",
    gated_mlp=True,
    qkv_bias=False,
    attn_out_bias=False,
    mlp_bias=False,
    tie_word_embeddings=True,
    bos_token_id=END_ID,
    eos_token_id=END_ID,
    pad_token_id=PAD_ID,
)
# Muon was 0.24 nats ahead of AdamW alone after two minutes on two cores.
SETTINGS = Settings(
    minutes=60.0,
    optimizer="muon",
    learning_rate=7e-3,
    other_rate=5e-3,
    weight_decay=0.06,
    warmup_steps=100,
    decay_share=0.4,
)

ROWS = 16  # a step reads 16 rows of 256 tokens
# From some step on, rows that repeat a passage: a model this small, trained this briefly, has no
# induction heads (Olsson et al. 2022) otherwise, and they are what people come to look at.
REPEATED_ROWS, REPEATED_FROM_STEP = 2, 1000
STORY_REPEATS = 2  # simple language is rare in the corpus: the picture-book stories count twice

PASSAGES = 80  # of either side, that go with the model
PASSAGE = (600, 900)  # characters of each

PROMPTS = (
    "Once upon a time there was a little girl",
    '"I will not go," said the old man',
    "The king looked at the dog and said",
)


# -- text ------------------------------------------------------------------------------------------


def prepare(data: Path, d_vocab: int) -> tuple[list[Book], Tokenizer, dict[str, Corpus]]:
    """Documents, the tokenizer trained on their training part, and the encoded corpora:
    `train`, and the held-out `books` and `stories`."""
    documents = read_books(data)
    training = [d for d in documents if d.split == "train"]
    tokenizer = train_tokenizer((d.text for d in training), "bpe", d_vocab)
    stories = [d for d in training if d.collection == "childrens_stories"]
    corpora = {"train": training + stories * (STORY_REPEATS - 1)}
    for name, collection in (("books", "standard_ebooks"), ("stories", "childrens_stories")):
        corpora[name] = [d for d in documents if d.split != "train" and d.collection == collection]
    return documents, tokenizer, {k: Corpus.encode(v, tokenizer) for k, v in corpora.items()}


def rows(corpus: Corpus, cfg: TransformerConfig, repeated_from: int) -> StoryRows:
    """How a model of this context reads the training text."""
    return StoryRows(corpus, ROWS, cfg.n_ctx, SEED, REPEATED_ROWS, repeated_from)


def passages(book: Book) -> list[str]:
    """Whole paragraphs that follow each other, in pieces of `PASSAGE` characters; those that do not
    come out at such a length are left out."""
    found, current = [], ""
    for paragraph in book.text.split("\n\n"):
        current = f"{current}\n\n{paragraph}" if current else paragraph
        if len(current) >= PASSAGE[0]:
            if len(current) <= PASSAGE[1]:
                found.append(current)
            current = ""
    return found


def save_samples(out: Path, documents: Sequence[Book]) -> None:
    """Passages of novels that go with the model: of those held out, and some that it has read."""
    novels = [d for d in documents if d.collection == "standard_ebooks"]
    sides: dict[Side, str] = {"held_out": "held_out", "learnt": "train"}
    for side, split in sides.items():
        texts = [text for book in novels if book.split == split for text in passages(book)]
        save_sample(texts, out, side, PASSAGES)


# -- measures --------------------------------------------------------------------------------------


@torch.no_grad()
def evaluate(model: HookedTransformer, corpus: Corpus, max_rows: int | None = None) -> float:
    """Mean loss in nats per token over a corpus in rows of the whole context.

    Every token is predicted once, those at the beginning of a row from little context. With
    `max_rows`, only about so many rows, evenly spaced.
    """
    stride = model.cfg.n_ctx - 1
    starts = np.arange(0, len(corpus.tokens) - stride, stride)
    if max_rows is not None:
        starts = starts[:: max(1, len(starts) // max_rows)]
    device = model.embed.weight.device
    total, count = 0.0, 0
    for some in np.array_split(starts, math.ceil(len(starts) / 8)):
        tokens = corpus.rows(some, stride + 1).to(device)
        total += _summed_loss(model(tokens), tokens).item()
        count += tokens[:, 1:].numel()
    return total / count


@torch.no_grad()
def copying(model: HookedTransformer) -> tuple[float, float]:
    """Loss in nats per token on 40 random tokens, and on the same tokens right after them.

    What the second is lower by is induction (Olsson et al. 2022). Mean over 16 sequences.
    """
    generator = torch.Generator().manual_seed(SEED)
    once = torch.randint(PAD_ID + 1, model.cfg.d_vocab, (16, 40), generator=generator)
    tokens = torch.cat([torch.full((16, 1), END_ID), once, once], 1)
    losses = model(tokens, return_type="loss", loss_per_token=True)
    # The first token of the second copy comes before anything says that there is one.
    return losses[:, :40].mean().item(), losses[:, 41:].mean().item()


def _summed_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="sum"
    )


def measure(model: HookedTransformer, corpus: Corpus, documents: int) -> HeldOut:
    nats = evaluate(model, corpus)
    bits = corpus.bits_per_byte(nats)
    return HeldOut(documents, len(corpus.tokens) - 1, round(nats, 4), round(bits, 4))


def samples(model: HookedTransformer) -> dict[str, str]:
    """What the model makes of a few prompts, for its card."""
    texts = {}
    for prompt in PROMPTS:
        text = model.generate(
            prompt, max_new_tokens=80, temperature=0.8, top_p=0.95, seed=SEED, verbose=False
        )
        texts[prompt] = str(text).removeprefix(END).removeprefix(prompt)
    return texts


# -- the whole -------------------------------------------------------------------------------------


def build(
    out: Path, work: Path, data: Path, *, minutes: float | None = None, device: str = "cpu"
) -> None:
    """Trains the model and writes its zoo folder.

    Args:
        work: where the training run lies; a build that was stopped goes on there.
        data: folder of the two collections.
        minutes: of training, instead of an hour.
    """
    documents, tokenizer, corpora = prepare(data, CONFIG.d_vocab)
    settings = SETTINGS if minutes is None else SETTINGS.replace(minutes=minutes)
    model = HookedTransformer(CONFIG, tokenizer, seed=SEED).to(device)
    done = fit(
        model,
        rows(corpora["train"], CONFIG, REPEATED_FROM_STEP),
        settings.replace(evaluate_every=500),
        evaluate=lambda m: {name: evaluate(m, corpora[name], 64) for name in ("books", "stories")},
        folder=work,
    )
    final = rounded(model.cpu())
    first, second = copying(final)
    held_out = [d for d in documents if d.split != "train"]
    n_books = sum(d.collection == "standard_ebooks" for d in held_out)
    figures = Figures(
        parameters=sum(p.numel() for p in final.parameters()),
        seed=SEED,
        steps=done.steps,
        tokens_per_step=ROWS * CONFIG.n_ctx,
        tokens_seen=done.tokens,
        tokens_in_corpus=len(corpora["train"].tokens),
        minutes=round(done.seconds / 60, 1),
        machine=machine(),
        computed_in=str(fastest_dtype(torch.device(device).type)).removeprefix("torch."),
        torch=torch.__version__,
        training_nats_per_token=round(evaluate(final, corpora["train"], 512), 4),
        copying_random_tokens=[round(first, 4), round(second, 4)],
        held_out_books=measure(final, corpora["books"], n_books),
        held_out_stories=measure(final, corpora["stories"], len(held_out) - n_books),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_attribution(out, documents)
    save_samples(out, documents)
    write_card(out, figures, documents, samples(final))
    save_rounded(final, out)
