"""The hook-free twin: GPT-2 as one would write it in plain torch to train it and nothing else.

No activation has a name here and nothing can be watched, so its speed is what a model pays for
that; `benchmarks.hooks` compares ours with it. It computes the same function as the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Causal attention with the fused kernel, [batch, pos, width] -> the same shape."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, pos, width = x.shape
        heads = (batch, pos, self.n_heads, width // self.n_heads)
        q, k, v = (part.view(heads).transpose(1, 2) for part in self.qkv(x).split(width, -1))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(z.transpose(1, 2).reshape(batch, pos, width))


class FeedForward(nn.Module):
    """Two layers and a GELU, [batch, pos, width] -> the same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Layer(nn.Module):
    """A pre-norm block, [batch, pos, width] -> the same shape."""

    def __init__(self, width: int, n_heads: int):
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, n_heads)
        self.ln2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Twin(nn.Module):
    """Tokens [batch, pos] to logits [batch, pos, d_vocab], with the embedding tied to the output.

    Args:
        d_vocab, n_ctx, width, n_layers, n_heads: as GPT-2's configuration.
    """

    def __init__(self, *, d_vocab: int, n_ctx: int, width: int, n_layers: int, n_heads: int):
        super().__init__()
        self.tokens = nn.Embedding(d_vocab, width)
        self.positions = nn.Embedding(n_ctx, width)
        self.layers = nn.ModuleList(Layer(width, n_heads) for _ in range(n_layers))
        self.ln = nn.LayerNorm(width)
        self.unembed = nn.Linear(width, d_vocab, bias=False)
        self.unembed.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        position = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(position)
        for layer in self.layers:
            x = layer(x)
        return self.unembed(self.ln(x))

    @torch.no_grad()
    def copy_gpt2(self, weights: Mapping[str, Tensor]) -> Twin:
        """Takes the weights of Hugging Face's `GPT2LMHeadModel` (its state dict)."""
        theirs = {
            "tokens.weight": "wte.weight",
            "positions.weight": "wpe.weight",
            "unembed.weight": "wte.weight",
        }
        parts = {
            "ln1": "ln_1",
            "attn.qkv": "attn.c_attn",
            "attn.out": "attn.c_proj",
            "ln2": "ln_2",
            "mlp.up": "mlp.c_fc",
            "mlp.down": "mlp.c_proj",
        }
        for kind in ("weight", "bias"):
            theirs[f"ln.{kind}"] = f"ln_f.{kind}"
            for i in range(len(self.layers)):
                for ours, gpt2 in parts.items():
                    theirs[f"layers.{i}.{ours}.{kind}"] = f"h.{i}.{gpt2}.{kind}"
        for name, weight in self.state_dict().items():
            source = weights[f"transformer.{theirs[name]}"]
            # GPT-2 keeps the matrices of its layers as [in, out].
            transposed = ".attn." in name or ".mlp." in name
            weight.copy_(source.t() if transposed and source.ndim == 2 else source)
        return self

    @classmethod
    def open(cls, folder: Path, config: Path) -> Twin:
        """Reads `model.safetensors` in a folder, with the sizes in GPT-2's `config.json`."""
        sizes = json.loads(config.read_text(encoding="utf-8"))
        twin = cls(
            d_vocab=sizes["vocab_size"],
            n_ctx=sizes["n_positions"],
            width=sizes["n_embd"],
            n_layers=sizes["n_layer"],
            n_heads=sizes["n_head"],
        )
        twin.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        return twin
