"""The contestants: this model, the two libraries people use today, and the hook-free twin.

All get the same random weights and must give the same logits before anything is timed. Each says
what it can do; a library that is not installed takes no part.
"""

from __future__ import annotations

import copy
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.twin import Twin

INTERP, HF, BRIDGE, TWIN = "interp", "HF sdpa", "TransformerBridge", "twin"
NAMES = (INTERP, HF, BRIDGE, TWIN)

# What a contestant may be able to do besides a forward pass; the lines of the table.
FULL_CACHE = "full cache"
READ_PATTERN = "read one attention pattern"
READ_ALL = "full cache, everything read"
EARLY, LATE = "one early name", "one late name"
TOLD = "one early name, told where to stop"


@dataclass(frozen=True)
class Shape:
    """A GPT-2 of some size, and the batch it is timed on."""

    name: str
    width: int
    n_layers: int
    n_heads: int
    d_vocab: int
    n_ctx: int
    batch: int
    pos: int

    def __str__(self) -> str:
        return f"{self.name}, {self.batch} x {self.pos}"

    def tokens(self, device: str) -> Tensor:
        """Random token ids [batch, pos]."""
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(self.d_vocab, (self.batch, self.pos), generator=generator)
        return ids.to(device)


GPT2_SMALL = Shape("GPT-2 small", 768, 12, 12, 50257, 1024, batch=4, pos=128)
SMALL = Shape("4 layers of 128", 128, 4, 4, 4096, 256, batch=1, pos=32)


class Peer:
    """A contestant.

    Attributes:
        name: column of the table.
        model: the module whose parameters a training step changes.
    """

    def __init__(self, name: str, model: nn.Module):
        self.name = name
        self.model = model

    def logits(self, tokens: Tensor) -> Tensor:
        """[batch, pos] -> [batch, pos, d_vocab]; also in training."""
        out: Tensor = self.model(tokens)
        return out

    def analyses(self, tokens: Tensor, layer: int) -> dict[str, Callable[[], Any]]:
        """What it can do besides `logits`, by line of the table.

        Args:
            layer: block whose outgoing stream is the early name.
        """
        return {}


class Interp(Peer):
    def analyses(self, tokens: Tensor, layer: int) -> dict[str, Callable[[], Any]]:
        model: Any = self.model
        n_layers = model.cfg.n_layers
        _, cache = model.run_with_cache(tokens)
        layers = cycle(range(n_layers))  # a block read twice in a row would not be computed again

        def read_all() -> None:
            for value in model.run_with_cache(tokens)[1].values():
                del value

        def one(block: int) -> Callable[[], Any]:
            name = f"blocks.{block}.hook_resid_post"
            return lambda: model.run_with_cache(tokens, names_filter=name)

        return {
            FULL_CACHE: lambda: model.run_with_cache(tokens),
            READ_PATTERN: lambda: cache[f"blocks.{next(layers)}.attn.hook_pattern"],
            READ_ALL: read_all,
            EARLY: one(layer),
            LATE: one(n_layers - 1),
        }


class HuggingFace(Peer):
    def logits(self, tokens: Tensor) -> Tensor:
        # Without its key-value cache, which nobody reads here.
        out: Tensor = self.model(tokens, use_cache=False).logits
        return out

    def analyses(self, tokens: Tensor, layer: int) -> dict[str, Callable[[], Any]]:
        blocks: Any = self.model.transformer.h

        def one(block: int) -> Callable[[], Any]:
            def run() -> list[Any]:
                kept: list[Any] = []
                handle = blocks[block].register_forward_hook(lambda *call: kept.append(call[2]))
                self.logits(tokens)
                handle.remove()
                return kept

            return run

        return {EARLY: one(layer), LATE: one(len(blocks) - 1)}


class Bridge(Peer):
    def analyses(self, tokens: Tensor, layer: int) -> dict[str, Callable[[], Any]]:
        model: Any = self.model
        n_layers = model.cfg.n_layers

        def one(block: int, **how: int) -> Callable[[], Any]:
            name = f"blocks.{block}.hook_resid_post"
            return lambda: model.run_with_cache(tokens, names_filter=[name], **how)

        return {
            FULL_CACHE: lambda: model.run_with_cache(tokens),
            READ_ALL: lambda: model.run_with_cache(tokens),  # reading is a look-up, once stored
            EARLY: one(layer),
            TOLD: one(layer, stop_at_layer=layer + 1),
            LATE: one(n_layers - 1),
        }


def installed() -> tuple[str, ...]:
    """The contestants that can take part here."""
    absent = {BRIDGE} if importlib.util.find_spec("transformer_lens") is None else set()
    return tuple(name for name in NAMES if name not in absent)


def build(shape: Shape, device: str, dtype: torch.dtype, *, train: bool = False) -> list[Peer]:
    """All contestants that can take part, with the same weights.

    Raises:
        AssertionError: one of them computes another function.
    """
    source = gpt2(shape)
    peers = [_build(name, source, shape) for name in installed()]
    for peer in peers:
        peer.model.to(device=device, dtype=dtype).train(train)
    check_agreement(peers, shape.tokens(device))
    return peers


def check_agreement(peers: list[Peer], tokens: Tensor) -> None:
    """Raises AssertionError unless all logits are the same up to rounding."""
    with torch.no_grad():
        logits = {peer.name: peer.logits(tokens).double() for peer in peers}
    expected = logits[HF]
    half = peers[0].logits(tokens[:, :1]).dtype in (torch.float16, torch.bfloat16)
    allowed = (0.05 if half else 1e-4) * expected.abs().max()
    for name, found in logits.items():
        error = (found - expected).abs().max()
        assert error <= allowed, f"{name} computes another function: its logits are {error} off"


def gpt2(shape: Shape) -> Any:
    """Hugging Face's GPT-2 of a shape, with random weights in every parameter."""
    import transformers

    config = transformers.GPT2Config(
        n_embd=shape.width,
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        vocab_size=shape.d_vocab,
        n_positions=shape.n_ctx,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(config)
        with torch.no_grad():
            for parameter in model.parameters():  # biases and norms too, or they prove nothing
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return model.eval()


def twin_of(source: Any) -> Twin:
    """The twin with the weights of a Hugging Face GPT-2."""
    config = source.config
    twin = Twin(
        d_vocab=config.vocab_size,
        n_ctx=config.n_positions,
        width=config.n_embd,
        n_layers=config.n_layer,
        n_heads=config.n_head,
    )
    return twin.copy_gpt2(source.state_dict())


def _build(name: str, source: Any, shape: Shape) -> Peer:
    if name == INTERP:
        import interp

        return Interp(name, interp.load(source))
    if name == HF:
        return HuggingFace(name, copy.deepcopy(source))
    if name == TWIN:
        return Peer(name, twin_of(source))
    return Bridge(name, bridge(copy.deepcopy(source)))


def bridge(model: Any) -> Any:
    """`TransformerBridge` around a Hugging Face model, which it takes over."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    with tokenizer_folder() as folder:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return TransformerBridge.boot_transformers(
            folder, hf_model=model, tokenizer=tokenizer, device="cpu"
        )


@contextmanager
def tokenizer_folder() -> Iterator[str]:
    """A folder with a tokenizer of two words: the bridge does not start without one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<s>": 0, "word": 1}, unk_token="<s>"))
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<s>")
    with tempfile.TemporaryDirectory() as folder:
        PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
        yield folder
