"""The tuned lens (Belrose et al. 2023, arXiv 2303.08112): the logit lens through an affine
translator for each layer, learnt so that early layers speak the language of the last.

A translator starts as the identity, where the tuned lens is the logit lens. Only the translators
learn: they make up for a change of basis between layers, and cannot add what the stream lacks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import kl_div

from interp.atomic import writing
from interp.data.batch import Batch, Source
from interp.errors import InputError, LoadError, UnsupportedModelError
from interp.explain.lens import stream_names
from interp.model.fingerprint import weights_hash
from interp.untrusted import MALFORMED, read_tensors

_ABOUT = "tuned_lens"


@dataclass(frozen=True)
class TunedLens:
    """h -> h + h A + b for the stream h that enters each block; what leaves the last stays.

    Attributes:
        weight: A, [layer, d_model, d_model].
        bias: b, [layer, d_model].
        model_hash: of the weights that it belongs to.
    """

    weight: Tensor
    bias: Tensor
    model_hash: str

    @classmethod
    def identity(cls, model: Any) -> TunedLens:
        """The lens that changes nothing.

        Raises:
            UnsupportedModelError: the model has no output over a vocabulary.
        """
        if not model.cfg.has_vocabulary_head:
            raise UnsupportedModelError(
                "A lens reads a stream as tokens; this model's head does not predict tokens."
            )
        n, d, like = len(stream_names(model)) - 1, model.cfg.d_model, model.W_E.detach()
        return cls(like.new_zeros(n, d, d), like.new_zeros(n, d), weights_hash(model))

    def __call__(self, stream: Tensor, layer: int) -> Tensor:
        """A stream [..., d_model] as the final norm should read it; `layer` is the block that it
        enters, or their number for what leaves the last."""
        if layer == len(self.weight):
            return stream
        return stream + stream @ self.weight[layer] + self.bias[layer]

    def check(self, model: Any) -> None:
        """
        Raises:
            InputError: the lens was trained for other weights.
        """
        if weights_hash(model) != self.model_hash:
            raise InputError(
                "This tuned lens was trained for other weights than this model's; train one for "
                "these."
            )

    def save(self, path: str | Path) -> None:
        """Writes the lens as safetensors; the file is whole or absent."""
        about = {_ABOUT: json.dumps({"model_hash": self.model_hash})}
        tensors = {"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}
        with writing(Path(path), "wb") as file:
            file.write(save(tensors, about))

    @classmethod
    def load(cls, path: str | Path, model: Any) -> TunedLens:
        """Reads what `save` wrote.

        Raises:
            LoadError: no such file, or one that holds something else.
            InputError: a lens for other weights.
        """
        try:
            tensors, facts = read_tensors(Path(path), str(model.W_E.device))
            about = json.loads(facts[_ABOUT])
            lens = cls(tensors["weight"], tensors["bias"], str(about["model_hash"]))
        except MALFORMED as error:
            raise LoadError(f"{path} does not open as a tuned lens: {error}.") from error
        expected = cls.identity(model)
        lens.check(model)
        if (lens.weight.shape, lens.bias.shape) != (expected.weight.shape, expected.bias.shape):
            raise LoadError(f"{path} is damaged: its translators do not fit the model.")
        return lens


def train_tuned_lens(
    model: Any,
    source: Source,
    *,
    steps: int = 200,
    positions: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> TunedLens:
    """Learns the translators of all layers: each to the least KL divergence of the model's own
    prediction from the lens's (equation 5), by Adam with a rate that falls to zero.

    Args:
        source: texts, other ones than those that the lens is judged by.
        positions: that are learnt from in a step, drawn from the real ones of its batch.
        seed: of that draw.

    Raises:
        UnsupportedModelError: the model has no output over a vocabulary.
        InputError: counts that are not positive, or a model whose streams are not finite.
    """
    if steps < 1 or positions < 1:
        raise InputError(f"{steps} steps of {positions} positions teach nothing.")
    start = TunedLens.identity(model)
    learnt = [(A.clone(), b.clone()) for A, b in zip(start.weight, start.bias, strict=True)]
    every = [one.requires_grad_() for pair in learnt for one in pair]
    optimizer = torch.optim.Adam(every, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        streams = _streams(model, source.batch(step), positions, generator)
        with torch.no_grad():
            target = _log_p(model, streams[-1])
        # One layer at a time, since logits are what takes memory.
        for (A, b), stream in zip(learnt, streams[:-1], strict=True):
            with torch.enable_grad():
                guess = _log_p(model, stream + stream @ A + b)
                loss = kl_div(guess, target, log_target=True, reduction="batchmean")
            # Of these two alone, so that the model collects no gradients.
            A.grad, b.grad = torch.autograd.grad(loss, (A, b))
        optimizer.step()
        schedule.step()
    weight, bias = (
        torch.stack([one.detach() for one in part]) for part in zip(*learnt, strict=True)
    )
    return TunedLens(weight, bias, start.model_hash)


def _log_p(model: Any, stream: Tensor) -> Tensor:
    """[n, d_model] -> [n, d_vocab_out], float32 at least."""
    logits = model.finish(stream[None])[0]
    out: Tensor = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    return out


def _streams(model: Any, batch: Batch, positions: int, generator: torch.Generator) -> list[Tensor]:
    """The streams of some positions of a batch, n_layers + 1 times [n, d_model]."""
    inputs = batch.to(model.W_E.device).inputs
    pair = model.cfg.shape == "encoder_decoder"
    read, mask = (
        ("decoder_tokens", "decoder_attention_mask") if pair else ("tokens", "attention_mask")
    )
    real = torch.ones_like(inputs[read], dtype=torch.bool)
    chosen = inputs.get(mask, real).bool().flatten().nonzero()[:, 0]
    chosen = chosen[torch.randperm(len(chosen), generator=generator)[:positions].to(chosen.device)]
    names = stream_names(model)
    with torch.no_grad():
        _, cache = model.run_with_cache(**inputs, names_filter=names)
    streams = [cache[name].flatten(0, 1)[chosen] for name in names]
    if not bool(streams[-1].isfinite().all()):
        raise InputError("The model's stream is not finite; there is nothing to learn from it.")
    return streams
