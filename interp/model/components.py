"""The summands of the stream as a cache finds them: who wrote it, and through which norm it is
read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.norm import Norm
from interp.model.slices import SliceLike, cut

if TYPE_CHECKING:
    from interp.model.stack import Stack


@dataclass(frozen=True)
class Reading:
    """A norm at the scale that it had in a run: a linear map, apart from the shift it adds."""

    norm: Norm | None = None
    scale: Tensor | None = None

    def directions(self, x: Tensor) -> Tensor:
        """The part that is the same at every position: centring and gain. [..., d_model]"""
        if self.norm is None:
            return x
        centred = x if self.norm.rms else x - x.mean(-1, keepdim=True)
        return centred * self.norm.weight.detach()

    def scaled(self, x: Tensor) -> Tensor:
        """The part that differs by position. [..., batch, pos, any]"""
        return x if self.scale is None else x / self.scale

    def __call__(self, x: Tensor) -> Tensor:
        return self.scaled(self.directions(x))


class Components:
    """The part of a cache that finds the summands of the stream of the last stack."""

    model: Any
    has_batch_dim: bool
    values_by_name: dict[str, Tensor]

    if TYPE_CHECKING:  # the mapping itself, see `ActivationCache`

        def __getitem__(self, key: Any, /) -> Tensor: ...

    def _stack(self) -> Stack:
        stack: Stack = self.model.stack(self.model.last_stack)
        return stack

    def _up_to(self, layer: int | None, mlp_input: bool = False) -> tuple[Stack, int]:
        """The stack, and the index of the block that the stream in question enters.

        Raises:
            UnsupportedModelError: the stream is not the sum of what was written to it.
            InputError: there is no such block, or no such input.
        """
        stack, cfg = self._stack(), self.model.cfg
        if cfg.norm_position == "post":
            raise UnsupportedModelError(
                "The blocks of this model normalise the stream itself (post-norm), so it is no sum "
                "of what its components wrote. Read single activations "
                "(`cache.stack_activation('attn_out')`), or use `interp.attribute`."
            )
        if self.model.training and cfg.dropout > 0:
            raise UnsupportedModelError(
                "The model is in training mode, where dropout changes what was written to the "
                "stream. Call `model.eval()` and run it again."
            )
        layer = self._layer(layer)
        if mlp_input and (layer == len(stack.blocks) or cfg.attn_only):
            raise InputError(f"There is no feed-forward layer {layer} that could read the stream.")
        return stack, layer

    def _layer(self, layer: int | None) -> int:
        n = len(self._stack().blocks)
        layer = n if layer is None or layer == -1 else layer
        if not 0 <= layer <= n:
            raise InputError(
                f"There is no layer {layer}; give 0 to {n - 1} for the stream that enters a block, "
                f"or {n}, -1 or None for what leaves the last."
            )
        return layer

    def _stream_into(self, layer: int, mlp_input: bool = False) -> Tensor:
        """[batch, pos, d_model]"""
        stack = self._stack()
        if mlp_input and not stack.blocks[layer].parallel:
            crossed = "_cross" if stack.blocks[layer].cross_attn is not None else ""
            return self[f"{stack.name}.{layer}.hook_resid_mid{crossed}"]
        if layer < len(stack.blocks):
            return self[f"{stack.name}.{layer}.hook_resid_pre"]
        if layer:
            return self[f"{stack.name}.{layer - 1}.hook_resid_post"]
        return torch.stack([self[name] for name in self._embeds().values()]).sum(0)

    # -- who wrote -------------------------------------------------------------------------------

    def _embeds(self) -> dict[str, str]:
        """Label -> name of the terms whose sum enters block 0."""
        stack = self._stack()
        points = [point.name for point in stack.input.hook_points()]
        terms = ["hook_full_embed"] if "hook_full_embed" in points else points
        prefix = f"{stack.input_prefix}." if stack.input_prefix else ""
        return {name.removeprefix("hook_"): prefix + name for name in terms}

    def _writers(self, layer: int, mlp_input: bool = False) -> Iterator[tuple[int, str]]:
        """(block, sub-layer) of everything that wrote to the stream after the embeddings."""
        blocks = self._stack().blocks
        for i in range(layer + mlp_input):
            # What a parallel block's feed-forward layer reads, its attention has not written to.
            if i < layer or not blocks[i].parallel:
                yield i, "attn"
                if blocks[i].cross_attn is not None:
                    yield i, "cross_attn"
            if i < layer and blocks[i].mlp is not None:
                yield i, "mlp"

    def _written(self, layer: int, mlp_input: bool = False, mode: str = "all") -> dict[str, str]:
        """Label -> name of what the sub-layers wrote."""
        stack = self._stack()
        return {
            f"{i}_{part}_out": f"{stack.name}.{i}.hook_{part}_out"
            for i, part in self._writers(layer, mlp_input)
            if mode == "all" or (mode == "mlp") == (part == "mlp")
        }

    def _heads(self, layer: int, mlp_input: bool, pos_slice: SliceLike) -> tuple[Tensor, list[str]]:
        """[component, batch, pos, d_model] and labels."""
        stack = self._stack()
        results: list[Tensor] = []
        labels: list[str] = []
        for i, part in self._writers(layer, mlp_input):
            if part == "mlp":
                continue
            attn = getattr(stack.blocks[i], part)
            results.append(self._head_results(f"{stack.name}.{i}.{part}", attn, pos_slice))
            letter = "H" if part == "attn" else "C"
            labels += [f"L{i}{letter}{h}" for h in range(attn.n_heads)]
        return torch.cat(results) if results else self._none(pos_slice), labels

    def _head_results(self, name: str, attn: Any, pos_slice: SliceLike) -> Tensor:
        if f"{name}.hook_result" in self.values_by_name:  # an edited run may have changed it
            return cut(self[f"{name}.hook_result"], pos_slice, -3).movedim(-2, 0)
        z = cut(self[f"{name}.hook_z"], pos_slice, -3)
        return torch.einsum("...he,hed->h...d", z, attn.W_O.detach())

    def _neurons(
        self,
        layer: int,
        pos_slice: SliceLike,
        neuron_slice: SliceLike,
        reading: Reading,
        onto: Tensor | None,
    ) -> tuple[Tensor, list[str]]:
        """[component, batch, pos, d_model or output] and labels.

        Norm and projection act on the weights of the neurons, before each of them is multiplied
        by its activation at every position.
        """
        stack = self._stack()
        chosen = cut(torch.arange(self.model.cfg.d_mlp), neuron_slice, 0).reshape(-1)
        results: list[Tensor] = []
        labels: list[str] = []
        for i, part in self._writers(layer):
            mlp = stack.blocks[i].mlp
            if part != "mlp" or mlp is None:
                continue
            rows = mlp.W_out.detach()[chosen]
            acts = cut(self[f"{stack.name}.{i}.mlp.hook_post"], pos_slice, -2)[..., chosen]
            written = project(reading.directions(rows), onto)
            results.append((reading.scaled(acts)[..., None] * written).movedim(-2, 0))
            labels += [f"L{i}N{n}" for n in chosen.tolist()]
        if not results:
            return project(self._none(pos_slice), onto), labels
        return torch.cat(results), labels

    def _none(self, pos_slice: SliceLike) -> Tensor:
        """No component, [0, batch, pos, d_model]."""
        like = cut(self._stream_into(0), pos_slice, -2)
        return like.new_zeros(0, *like.shape)

    # -- through which norm it is read -----------------------------------------------------------

    def _reading(
        self, layer: int, mlp_input: bool, pos_slice: SliceLike, batch_slice: SliceLike = None
    ) -> Reading:
        stack = self._stack()
        if layer == len(stack.blocks):
            norm, name = stack.ln_final, stack.norm_name
        else:
            block = stack.blocks[layer]
            ln = f"ln{block.n_sublayers}" if mlp_input else "ln1"
            norm, name = block.norm(ln), f"{stack.name}.{layer}.{ln}"
        if norm is None:
            return Reading()
        scale = cut(self[f"{name}.hook_scale"], pos_slice, -2)
        return Reading(norm, cut(scale, batch_slice, 0) if self.has_batch_dim else scale)


def project(x: Tensor, onto: Tensor | None) -> Tensor:
    """[..., d_model] -> [..., output], or as it is."""
    return x if onto is None else x @ onto.to(x.dtype)
