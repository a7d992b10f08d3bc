"""Weights written by hand: named parts of the stream, and who reads and writes them.

The stream of such a model is divided into *spaces*. Token and position tables, heads and neurons
are given as small matrices between spaces; `Wiring.build` puts them into a `HookedTransformer`.
Its norms are switched off: RMSNorm with an eps beside which any stream vanishes and the gain
sqrt(eps) returns its input to the last digit. Then sums are sums, and the mechanism is exact.

The norm before the first attention can be made to act (`Disguise.norm`), and the mechanism stays
exact: all embeddings get the same length, so that the norm divides every text by the same number.
Between texts, where gradients and paths lead, it divides by others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.model.attention import Attention
from interp.model.config import Shape, TransformerConfig
from interp.model.mlp import MLP
from interp.model.norm import Norm
from interp.model.transformer import HookedTransformer

EPS = 1e12
SHARP = 60.0
"""Scores of what a head looks for, above those of all else: e^-60 is nothing."""


@dataclass(frozen=True)
class Space:
    """Coordinates `start` to `start + width` of the stream."""

    start: int
    width: int

    @property
    def at(self) -> slice:
        return slice(self.start, self.start + self.width)


Terms = Sequence[tuple[Space, Tensor]]
"""A linear map from or to the stream: (space, matrix) pairs that add up. A matrix is
[width, outputs] where the stream is read and [inputs, width] where it is written."""


@dataclass(frozen=True)
class Head:
    """One attention head of the mechanism.

    Attributes:
        site: name of its layer's attention, such as `blocks.0.attn` or `decoder.0.cross_attn`.
        query, key, value: what it reads.
        write: where its averaged values [d_value] go.
        query_bias: [d], added to the query.
    """

    site: str
    query: Terms
    key: Terms
    value: Terms
    write: Terms
    query_bias: Tensor | None = None


@dataclass(frozen=True)
class Neurons:
    """ReLU neurons of one feed-forward layer: `write` of relu(`read` + bias).

    Attributes:
        site: such as `blocks.0.mlp`.
        bias: [neuron].
    """

    site: str
    read: Terms
    bias: Tensor
    write: Terms


@dataclass(frozen=True)
class Disguise:
    """What hides a mechanism without touching what it computes.

    Attributes:
        heads, neurons: how many more each layer gets. They read all of the stream and write into
            `noise` dimensions, which nobody else reads.
        noise: how many such dimensions; tokens and positions have random values there too.
        rotate: whether the basis of the stream is turned at random, so that no coordinate means
            anything by itself.
    """

    heads: int = 1
    neurons: int = 8
    noise: int = 8
    rotate: bool = True
    norm: bool = False


@dataclass
class Wiring:
    """Collects spaces, tables, heads and neurons."""

    d_vocab: int
    n_ctx: int
    shape: Shape = "decoder"
    width: int = 0
    tokens: list[tuple[Space, Tensor]] = field(default_factory=list)
    positions: dict[str, list[tuple[Space, Tensor]]] = field(default_factory=dict)
    heads: list[Head] = field(default_factory=list)
    neurons: list[Neurons] = field(default_factory=list)
    outputs: Terms = ()

    def space(self, width: int) -> Space:
        """A new part of the stream."""
        self.width += width
        return Space(self.width - width, width)

    def token_table(self, table: Tensor) -> Space:
        """A new space that holds a row of `table` [d_vocab, width] for each token."""
        space = self.space(table.shape[1])
        self.tokens.append((space, table))
        return space

    def position_table(self, table: Tensor, stack: str = "blocks") -> Space:
        """A new space that holds a row of `table` [n_ctx, width] for each position of a stack."""
        space = self.space(table.shape[1])
        self.positions.setdefault(stack, []).append((space, table))
        return space

    def build(
        self, disguise: Disguise, seed: int, **settings: Any
    ) -> tuple[HookedTransformer, dict[str, Tensor], dict[str, bool]]:
        """The model, which of its heads are the mechanism's (by attention layer, [head]), and
        which of its feed-forward layers are.

        Args:
            seed: of the disguise, and of the order of the heads in a layer.
            **settings: further fields of the configuration (`head`, `n_classes`, ...).
        """
        model = HookedTransformer(self._config(disguise, settings)).eval()
        generator = torch.Generator().manual_seed(seed)
        noise = Space(self.width, disguise.noise)
        levels = Space(noise.at.stop, 2 * disguise.norm)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            for module in model.modules():
                if isinstance(module, Norm):
                    module.weight.fill_(EPS**0.5)
            self._fill_tables(model, noise, generator)
            if disguise.norm:
                _let_first_norms_act(model, noise, levels)
            heads = self._fill_heads(model, noise, generator)
            mlps = self._fill_neurons(model, noise, disguise.neurons, generator)
            output = model.output.unembed or model.output.classifier
            assert output is not None
            for space, matrix in self.outputs:
                output.weight[:, space.at] = matrix.t()
            if disguise.rotate:
                _rotate(model, generator)
        return model, heads, mlps

    def _config(self, disguise: Disguise, settings: dict[str, Any]) -> TransformerConfig:
        def depth(stack: str) -> int:
            sites = [head.site for head in self.heads] + [group.site for group in self.neurons]
            return max((int(s.split(".")[1]) + 1 for s in sites if s.startswith(stack)), default=1)

        pair = self.shape == "encoder_decoder"
        widest = [
            matrix.shape[1]
            for head in self.heads
            for terms in (head.query, head.key, head.value)
            for _, matrix in terms
        ]
        return TransformerConfig(
            d_model=self.width + disguise.noise + 2 * disguise.norm,
            n_layers=depth("encoder" if pair else "blocks"),
            n_decoder_layers=depth("decoder") if pair else 0,
            n_heads=max(_most([h.site for h in self.heads]) + disguise.heads, 1),
            d_head=max(widest, default=1),
            d_mlp=max(_neurons(self.neurons) + disguise.neurons, 1),
            d_vocab=self.d_vocab,
            n_ctx=self.n_ctx,
            shape=self.shape,
            attn_scale=1.0,
            act_fn="relu",
            normalization_type="RMS",
            eps=EPS,
            **settings,
        )

    def _fill_tables(
        self, model: HookedTransformer, noise: Space, generator: torch.Generator
    ) -> None:
        for space, table in self.tokens:
            model.embed.weight[:, space.at] = table
        model.embed.weight[:, noise.at] = _random(generator, self.d_vocab, noise.width)
        for name in model.stack_names():
            positions = model.stack(name).input.positions
            assert positions is not None
            for space, table in self.positions.get(name, []):
                positions.weight[:, space.at] = table
            positions.weight[:, noise.at] = _random(generator, self.n_ctx, noise.width)

    def _fill_heads(
        self, model: HookedTransformer, noise: Space, generator: torch.Generator
    ) -> dict[str, Tensor]:
        found = {}
        for site, attention in model.named_modules():
            if not isinstance(attention, Attention):
                continue
            mine = [head for head in self.heads if head.site == site]
            order = torch.randperm(attention.n_heads, generator=generator).tolist()
            for index, head in zip(order, mine, strict=False):
                _put(attention.W_Q[index], head.query)
                _put(attention.W_K[index], head.key)
                _put(attention.W_V[index], head.value)
                for space, matrix in head.write:
                    attention.W_O[index, : len(matrix), space.at] = matrix
                if head.query_bias is not None:
                    attention.b_Q[index, : len(head.query_bias)] = head.query_bias
            for index in order[len(mine) :]:
                _distract(attention, index, noise, generator)
            found[site] = torch.zeros(attention.n_heads, dtype=torch.bool)
            found[site][order[: len(mine)]] = True
        return found

    def _fill_neurons(
        self, model: HookedTransformer, noise: Space, spare: int, generator: torch.Generator
    ) -> dict[str, bool]:
        found = {}
        for site, mlp in model.named_modules():
            if not isinstance(mlp, MLP):
                continue
            start = 0
            for group in (x for x in self.neurons if x.site == site):
                rows = slice(start, start + len(group.bias))
                for space, matrix in group.read:
                    mlp.W_in[space.at, rows] += matrix
                mlp.b_in[rows] = group.bias
                for space, matrix in group.write:
                    mlp.W_out[rows, space.at] += matrix
                start = rows.stop
            found[site] = start > 0
            rows = slice(start, start + spare)
            d_model = len(mlp.W_in)
            mlp.W_in[:, rows] = _random(generator, d_model, spare) / d_model**0.5
            mlp.W_out[rows, noise.at] = (
                _random(generator, spare, noise.width) / max(spare, 1) ** 0.5
            )
        return found


def _let_first_norms_act(model: HookedTransformer, noise: Space, levels: Space) -> None:
    """Gives all tokens one length and all positions one, by a coordinate each, and the norms that
    read their sums an eps of the usual size and the gain that undoes them.

    Tokens and positions share no coordinate then, so the square of a sum's length is the sum of
    theirs.
    """
    token, position = range(levels.at.start, levels.at.stop)
    squared = _made_equal(model.embed.weight, token)
    for name in model.stack_names():
        stack = model.stack(name)
        assert stack.input.positions is not None
        table = stack.input.positions.weight
        table[:, noise.at] = 0
        norm = stack.blocks[0].norm("ln1")
        norm.eps = 1e-5
        whole = squared + _made_equal(table, position)
        norm.weight.fill_((whole / model.cfg.d_model + norm.eps) ** 0.5)


def _made_equal(table: Tensor, column: int) -> float:
    """Fills a column so that all rows get the length of the longest; returns its square."""
    squares = table.double().square().sum(1)
    table[:, column] = (squares.max() - squares).sqrt()
    return float(squares.max())


def _rotate(model: HookedTransformer, generator: torch.Generator) -> None:
    """Turns the stream's basis by a random orthogonal matrix, in place; outputs do not change,
    since RMSNorm with one gain for all coordinates turns along, and nobody writes a bias."""
    d_model = model.cfg.d_model
    turn = torch.linalg.qr(_random(generator, d_model, d_model).double()).Q.float()
    for module in model.modules():
        if isinstance(module, Attention):
            _turn_layer(module.qkv, module.out, turn)
        elif isinstance(module, MLP):
            _turn_layer(module.up, module.down, turn)
    output = model.output.unembed or model.output.classifier
    assert output is not None
    output.weight.copy_(output.weight @ turn)
    model.embed.weight.copy_(model.embed.weight @ turn)
    for name in model.stack_names():
        positions = model.stack(name).input.positions
        assert positions is not None
        positions.weight.copy_(positions.weight @ turn)


def _turn_layer(reads: torch.nn.Linear, writes: torch.nn.Linear, turn: Tensor) -> None:
    reads.weight.copy_(reads.weight @ turn)
    writes.weight.copy_(turn.t() @ writes.weight)


def _distract(attention: Attention, index: int, noise: Space, generator: torch.Generator) -> None:
    """Makes a head that attends and moves things, all of them into the noise dimensions."""
    d_model, d_head = attention.W_Q.shape[1:]
    for weight in (attention.W_Q, attention.W_K, attention.W_V):
        weight[index] = _random(generator, d_model, d_head) / d_model**0.5
    attention.W_O[index, :, noise.at] = _random(generator, d_head, noise.width) / d_head**0.5


def _put(weight: Tensor, terms: Terms) -> None:
    """Adds a linear map to the weights [d_model, d_head] of a head."""
    for space, matrix in terms:
        weight[space.at, : matrix.shape[1]] += matrix


def _random(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)


def _most(sites: Sequence[str]) -> int:
    return max((sites.count(site) for site in set(sites)), default=0)


def _neurons(groups: Sequence[Neurons]) -> int:
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group.site] = sizes.get(group.site, 0) + len(group.bias)
    return max(sizes.values(), default=0)
