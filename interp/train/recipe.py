"""A pre-training in one object: the model, how it reads a packed corpus, and the settings."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp.data.batch import IGNORED, Source
from interp.data.corpus import PackedCorpus
from interp.data.corruption import SpanCorruption
from interp.data.masking import MaskedTokens
from interp.data.packing import NextToken
from interp.errors import ConfigError, LoadError
from interp.model.config import Shape, TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.objective import CrossEntropy
from interp.train.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """How to pre-train a model on any packed corpus: maximum likelihood for a decoder, masked
    tokens for an encoder, cut-out spans for an encoder-decoder.

    Attributes:
        model: its vocabulary and special tokens are replaced by the corpus's.
        settings: of the training.
        rows: rows a step, of `model.n_ctx` tokens.
        seed: of the first weights and of the order of the corpus.
        source: other arguments of the source, such as `share` of masked tokens.
    """

    model: TransformerConfig
    settings: Settings
    rows: int
    seed: int = 0
    objective: CrossEntropy = field(default_factory=CrossEntropy)
    source: dict[str, Any] = field(default_factory=dict)

    def build(self, tokenizer: Tokenizer) -> HookedTransformer:
        """The model with its first weights, for the vocabulary of a tokenizer."""
        special = {
            f"{role}_token_id": getattr(tokenizer, f"{role}_token_id")
            for role in ("bos", "eos", "pad")
        }
        if self.model.shape == "encoder_decoder":
            special["decoder_start_token_id"] = tokenizer.pad_token_id
        vocabulary = {"d_vocab": len(tokenizer), "d_vocab_out": -1}
        cfg = self.model.replace(**vocabulary, **special)
        return HookedTransformer(cfg, tokenizer, seed=self.seed)

    def read(self, corpus: PackedCorpus, *, rows: int | None = None) -> Source:
        """How the model reads a corpus; by default with the rows of a training step."""
        rows, length = rows or self.rows, self.model.n_ctx
        if self.model.shape == "decoder":
            return NextToken(corpus, rows, length, self.seed, **self.source)
        if self.model.shape == "encoder":
            return MaskedTokens(corpus, rows, length, self.seed, **self.source)
        return SpanCorruption(corpus, rows, length, self.seed, **self.source)

    def evaluation(
        self, corpus: PackedCorpus, batches: int = 32
    ) -> Callable[[HookedTransformer], dict[str, float]]:
        """A function that measures a model on a held-out corpus.

        It gives the `loss` in nats a label over the same evenly spread `batches` each time, or all
        of a small corpus, and for a decoder the `bits_per_byte` that it comes to.
        """
        source: Any = self.read(corpus)
        every = max(1, math.floor(source.steps_per_epoch / batches))
        steps = [every * i for i in range(min(batches, max(1, int(source.steps_per_epoch))))]
        objective = CrossEntropy()

        def evaluate(model: HookedTransformer) -> dict[str, float]:
            device = next(model.parameters()).device
            total, labels = 0.0, 0
            for step in steps:
                batch = source.batch(step)
                total += float(objective(model, batch.to(device)))
                labels += int((batch.labels != IGNORED).sum())
            figures = {"loss": total / labels}
            if model.cfg.shape == "decoder":
                figures["bits_per_byte"] = corpus.bits_per_byte(total / labels)
            return figures

        return evaluate

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some parts changed."""
        return dataclasses.replace(self, **changes)


def standard_model(
    shape: Shape = "decoder",
    *,
    width: int = 256,
    layers: int = 4,
    heads: int | None = None,
    context: int = 256,
    dropout: float = 0.0,
) -> TransformerConfig:
    """A model of a size in the form that trains best at small scale.

    Decoders and encoder-decoders: pre-norm RMSNorm, gated SiLU, no biases, tied embeddings;
    rotary positions for a decoder, fixed sinusoids for an encoder-decoder. Encoders: LayerNorm and
    GELU with biases, as BERT has them, but pre-norm, with learned positions and a masked-token
    head.

    Args:
        heads: by default one for 64 of width, or for 32 below 256.
    """
    heads = heads or max(1, width // (64 if width >= 256 else 32))
    common: dict[str, Any] = {
        "shape": shape,
        "d_model": width,
        "n_layers": layers,
        "n_heads": heads,
        "d_vocab": 1,  # the corpus says
        "n_ctx": context,
        "dropout": dropout,
        "tie_word_embeddings": True,
    }
    if shape == "encoder":
        return TransformerConfig(**common, head="mlm", act_fn="gelu", unembed_bias=True)
    return TransformerConfig(
        **common,
        d_mlp=-(-8 * width // 96) * 32,  # 8/3 of the width, up to a multiple of 32
        positional_embedding_type="rotary" if shape == "decoder" else "sinusoidal",
        embed_scale=1.0 if shape == "decoder" else math.sqrt(width),
        normalization_type="RMS",
        act_fn="silu",
        gated_mlp=True,
        qkv_bias=False,
        attn_out_bias=False,
        mlp_bias=False,
        initializer_range=0.02 if shape == "decoder" else width**-0.5,
    )


def read_recipe(path: Path) -> Recipe:
    """The `RECIPE` of a Python file. The file is run: read it before you use somebody else's.

    Raises:
        LoadError: there is no such file, or it defines no recipe.
    """
    spec = importlib.util.spec_from_file_location("recipe", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise LoadError(f"{path} is no Python file; a recipe is one that defines RECIPE.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:  # whatever the file does
        raise LoadError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, "RECIPE", None)
    if not isinstance(found, Recipe):
        raise LoadError(f"{path} defines no RECIPE; it must be an `interp.train.recipe.Recipe`.")
    return found
