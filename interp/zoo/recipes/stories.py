"""Train the zoo model `stories`: a 2.6-million-parameter decoder on children's and classic books.

    python -m interp.zoo.recipes.stories --data DIR --out DIR --minutes 60

A plain script, in the order in which things happen: read the texts, train a tokenizer, encode,
train, write the folder. It runs on a CPU. A run that is stopped goes on where it was when started
again with the same `--out`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from interp.data.sets.stories import Book, read_books
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from interp.tokenizer import Tokenizer
from interp.zoo.recipes.stories_card import Figures, HeldOut, write_attribution, write_card
from interp.zoo.recipes.stories_tokens import END, END_ID, PAD_ID, Corpus, batch

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

ROWS = 16  # a step reads 16 rows of 256 tokens
# Late in the run, rows that repeat a passage: a model this small, trained this briefly, has no
# induction heads (Olsson et al. 2022) otherwise, and they are what people come to look at.
REPEATED_ROWS, REPEATED_FROM_STEP = 2, 2100
STORY_REPEATS = 2  # simple language is rare in the corpus: the picture-book stories count twice
WARMUP_STEPS = 100
DECAY_SHARE = 0.4  # of all steps, at the end of the run
MATRIX_RATE, OTHER_RATE = 0.02, 5e-3  # Muon for the blocks' matrices, AdamW for the rest
SAVE_EVERY, EVALUATE_EVERY = 120.0, 240.0  # seconds

PROMPTS = (
    "Once upon a time there was a little girl",
    '"I will not go," said the old man',
    "The king looked at the dog and said",
)


# -- loss ----------------------------------------------------------------------------------------


def loss_and_gradients(model: HookedTransformer, tokens: Tensor) -> float:
    """Adds the gradients of the mean next-token loss, in nats; returns the loss.

    Logits of a whole batch are thirty times as large as its stream. They are made and used two
    rows at a time, while they fit the processor's cache: a step takes a quarter less time.
    """
    count = tokens[:, 1:].numel()
    stream = model(tokens, stop_at_layer=model.cfg.n_layers)
    leaf = stream.detach().requires_grad_()
    total = 0.0
    for part, read in zip(leaf.split(2), tokens.split(2), strict=True):
        loss = _summed_loss(model.finish(part), read) / count
        loss.backward()
        total += loss.item()
    stream.backward(leaf.grad)
    return total


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
    total, count = 0.0, 0
    for some in np.array_split(starts, math.ceil(len(starts) / 8)):
        tokens = corpus.rows(some, stride + 1)
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


# -- training ------------------------------------------------------------------------------------


def training_batch(corpus: Corpus, step: int) -> Tensor:
    """The rows of a step, [row, n_ctx]."""
    repeated = REPEATED_ROWS if step >= REPEATED_FROM_STEP else 0
    return batch(corpus, step, rows=ROWS, length=CONFIG.n_ctx, seed=SEED, repeated=repeated)


def optimizers(model: HookedTransformer) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside the blocks, AdamW for the rest.

    Only matrices decay. At equal time on two cores this was 0.24 nats ahead of AdamW alone after
    two minutes.
    """
    named = dict(model.named_parameters())
    matrices = {n: p for n, p in named.items() if n.startswith("blocks.") and p.ndim == 2}
    others = [p for n, p in named.items() if n not in matrices]
    return [
        torch.optim.Muon(matrices.values(), lr=MATRIX_RATE, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(step: int, total: int | None) -> float:
    """Factor on the learning rates: warm-up, constant, linear decay to zero.

    `total` is unknown (None) until a run on a time budget begins its decay.
    """
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    return warm if total is None else min(warm, (total - step) / (DECAY_SHARE * total))


def fastest_dtype() -> torch.dtype:
    """bfloat16 where this processor multiplies matrices faster in it, else float32."""

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.ones(2048, 192, dtype=dtype), torch.ones(192, 2048, dtype=dtype)
        a @ b
        begin = time.perf_counter()
        for _ in range(5):
            a @ b
        return time.perf_counter() - begin

    return min(torch.float32, torch.bfloat16, key=seconds)


class Trainer:
    """Float32 weights with their optimisers, and the copy that computes in `dtype`."""

    def __init__(self, work: Path, dtype: torch.dtype):
        self.path = work / "state.pt"
        self.model = HookedTransformer(CONFIG, seed=SEED)
        self.fast = HookedTransformer(CONFIG.replace(dtype=dtype))
        self.optimizers = optimizers(self.model)
        self.rates = [group["lr"] for o in self.optimizers for group in o.param_groups]
        self.step, self.seconds = 0, 0.0
        self.total: int | None = None
        self.plans: list[list[int]] = []  # [step, planned total] whenever the plan changed
        if self.path.is_file():
            self._resume()
        self._copy_weights()

    def update(self, tokens: Tensor) -> float:
        """One step on a batch; returns its loss."""
        begin = time.perf_counter()
        factor = rate(self.step, self.total)
        groups = [group for o in self.optimizers for group in o.param_groups]
        for group, peak in zip(groups, self.rates, strict=True):
            group["lr"] = peak * factor
        loss = loss_and_gradients(self.fast, tokens)
        for slow, fast in self._pairs():
            assert fast.grad is not None
            slow.grad, fast.grad = fast.grad.float(), None
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self._copy_weights()
        self.step += 1
        self.seconds += time.perf_counter() - begin
        return loss

    def plan(self, total: int) -> None:
        """Fixes the number of steps, on which the decay of the rate depends."""
        if total != self.total:
            self.plans.append([self.step, total])
        self.total = total

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": [self.step, self.seconds, self.total],
            "plans": self.plans,
        }
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.path)

    def _resume(self) -> None:
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds, self.total = state["progress"]
        self.plans = state["plans"]

    def _pairs(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        return zip(self.model.parameters(), self.fast.parameters(), strict=True)

    @torch.no_grad()
    def _copy_weights(self) -> None:
        for slow, fast in self._pairs():
            fast.copy_(slow)


def train(trainer: Trainer, corpora: dict[str, Corpus], minutes: float, log: Path) -> None:
    """Runs until the budget of training time is spent.

    The number of steps is fixed when the decay begins, from the steps done so far.
    """
    started_saving = started_evaluating = time.monotonic()
    progress = tqdm(unit="step", initial=trainer.step, total=trainer.total, smoothing=0.05)
    while trainer.total is None or trainer.step < trainer.total:
        if trainer.total is None and trainer.seconds >= 60 * minutes * (1 - DECAY_SHARE):
            trainer.plan(max(round(trainer.step / (1 - DECAY_SHARE)), trainer.step + 1))
            progress.total = trainer.total
        loss = trainer.update(training_batch(corpora["train"], trainer.step))
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss is {loss} at step {trainer.step}; {trainer.path} is older."
            )
        progress.update()
        progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
        record: dict[str, Any] = {"step": trainer.step, "loss": round(loss, 4)}
        now = time.monotonic()
        if now - started_evaluating >= EVALUATE_EVERY:
            started_evaluating = now
            for name in ("books", "stories"):
                record[name] = round(evaluate(trainer.fast, corpora[name], 64), 4)
        if now - started_saving >= SAVE_EVERY:
            started_saving = now
            trainer.save()
        with log.open("a") as handle:
            handle.write(json.dumps(record | {"seconds": round(trainer.seconds, 1)}) + "\n")
    progress.close()
    trainer.save()


# -- the whole -----------------------------------------------------------------------------------


def prepare(data: Path) -> tuple[list[Book], Tokenizer, dict[str, Corpus]]:
    """Documents, the tokenizer trained on their training part, and the encoded corpora:
    `train`, and the held-out `books` and `stories`."""
    documents = read_books(data)
    training = [d for d in documents if d.split == "train"]
    tokenizer = train_tokenizer((d.text for d in training), "bpe", CONFIG.d_vocab)
    stories = [d for d in training if d.collection == "childrens_stories"]
    corpora = {"train": training + stories * (STORY_REPEATS - 1)}
    for name, collection in (("books", "standard_ebooks"), ("stories", "childrens_stories")):
        corpora[name] = [
            d for d in documents if d.split == "held_out" and d.collection == collection
        ]
    return documents, tokenizer, {k: Corpus.encode(v, tokenizer) for k, v in corpora.items()}


def measure(model: HookedTransformer, corpus: Corpus, documents: int) -> HeldOut:
    nats = evaluate(model, corpus)
    bits = corpus.bits_per_byte(nats)
    return HeldOut(documents, len(corpus.tokens) - 1, round(nats, 4), round(bits, 4))


def rounded(model: HookedTransformer) -> HookedTransformer:
    """A float32 copy whose weights are what bfloat16 keeps of them: the model that is stored."""
    copy = HookedTransformer(CONFIG, model.tokenizer)
    copy.load_state_dict({k: v.bfloat16() for k, v in model.state_dict().items()})
    return copy.eval()


def samples(model: HookedTransformer) -> dict[str, str]:
    """What the model makes of a few prompts, for its card."""
    texts = {}
    for prompt in PROMPTS:
        text = model.generate(
            prompt, max_new_tokens=80, temperature=0.8, top_p=0.95, seed=SEED, verbose=False
        )
        texts[prompt] = str(text).removeprefix(END).removeprefix(prompt)
    return texts


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the two collections")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--work", type=Path, help="training state and log (default: OUT-work)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--steps", type=int, help="exactly so many steps, whatever the time")
    parser.add_argument("--note", default="", help="a sentence on this run, for the model card")
    args = parser.parse_args(argv)
    work: Path = args.work or args.out.with_name(args.out.name + "-work")
    work.mkdir(parents=True, exist_ok=True)

    documents, tokenizer, corpora = prepare(args.data)
    dtype = fastest_dtype()
    trainer = Trainer(work, dtype)
    if args.steps:
        trainer.plan(args.steps)
    train(trainer, corpora, args.minutes, work / "log.jsonl")

    trainer.model.tokenizer = tokenizer
    final = rounded(trainer.model)
    held_out = [d for d in documents if d.split == "held_out"]
    n_books = sum(d.collection == "standard_ebooks" for d in held_out)
    first, second = copying(final)
    figures = Figures(
        parameters=sum(p.numel() for p in final.parameters()),
        seed=SEED,
        note=args.note,
        steps=trainer.step,
        plans=trainer.plans,
        tokens_per_step=ROWS * CONFIG.n_ctx,
        tokens_seen=trainer.step * ROWS * CONFIG.n_ctx,
        tokens_in_corpus=len(corpora["train"].tokens),
        minutes=round(trainer.seconds / 60, 1),
        machine=f"{os.cpu_count()} CPU cores",
        computed_in=str(dtype).removeprefix("torch."),
        torch=torch.__version__,
        training_nats_per_token=round(evaluate(final, corpora["train"], 512), 4),
        copying_random_tokens=[round(first, 4), round(second, 4)],
        held_out_books=measure(final, corpora["books"], n_books),
        held_out_stories=measure(final, corpora["stories"], len(held_out) - n_books),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    write_attribution(args.out, documents)
    write_card(args.out, figures, documents, samples(final))
    save_folder(final, args.out)


if __name__ == "__main__":
    main()
