"""Mechanisms written by hand on which explainers are known to fail."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from interp.explain.planted.record import Planted
from interp.explain.planted.tokens import (
    BLANK,
    DISGUISE,
    LENGTH,
    WEIGHTS,
    Frame,
    fillers,
    mean_to_sum,
    mixed,
)
from interp.explain.planted.wiring import SHARP, Head, Wiring

COPIES = (1, 3, 5)
"""Positions of which any one is enough."""
LOUD = 100.0
SINK_SHARE = 0.9
N_KEYS = N_VALUES = 3


def redundant_copies(seed: int = 0) -> Planted:
    """1 where the token 1 stands at any of three positions, each of which a head of its own reads.

    Where it stands at several, taking one away changes nothing (nor does taking one head away:
    the others make up for it, as heads of trained models do), and each has 1/k of the credit.
    """
    frame = Frame.of("decoder", 8)
    places = frame.wiring.position_table(torch.eye(LENGTH))
    is_one = frame.wiring.token_table(torch.eye(8)[:, 1:2])
    total = frame.wiring.space(1)
    for place in COPIES:
        look = torch.eye(LENGTH)[:, [place]] * SHARP
        frame.add_head(
            0,
            [(is_one, torch.ones(1, 1))],
            [(total, torch.ones(1, 1))],
            query_bias=torch.ones(1),
            key=[(places, look)],
        )
    write = torch.tensor([[1.0], [-1.0]])
    frame.add_neurons(0, [(total, torch.ones(1, 2))], [0.0, -1.0], [(frame.result, write)])

    def draw(n: int, generator: torch.Generator) -> Tensor:
        texts = fillers(n, generator, 1, 8)  # with the token 1 at other places too, in vain
        texts[:, list(COPIES)] = 1
        return texts

    return frame.planted(
        "redundant copies", lambda ids: (ids[:, list(COPIES)] == 1).any(1), draw, seed
    )


def sink(seed: int = 0) -> Planted:
    """Tokens add their weights, but a head gives nine tenths of its attention to the first
    position, whose value is 0 whatever stands there."""
    frame = Frame.of("decoder", len(WEIGHTS))
    first = frame.wiring.position_table(torch.eye(LENGTH)[:, :1])
    weight = frame.wiring.token_table(WEIGHTS[:, None])
    content = frame.wiring.space(1)
    # The first position shuts both neurons, so that its content stays 0.
    most = float(WEIGHTS.abs().max())
    read = [(weight, torch.tensor([[1.0, -1.0]])), (first, torch.full((1, 2), -most))]
    frame.add_neurons(0, read, [0.0, 0.0], [(content, torch.tensor([[1.0], [-1.0]]))])
    others = LENGTH - 1
    score = math.log(others * SINK_SHARE / (1 - SINK_SHARE))
    frame.add_head(
        1,
        [(content, torch.ones(1, 1))],
        [(frame.result, torch.full((1, 1), others / (1 - SINK_SHARE)))],
        query_bias=torch.ones(1),
        key=[(first, torch.full((1, 1), score))],
    )
    return frame.planted("sink", lambda ids: WEIGHTS[ids[:, 1:]].sum(1), mixed(WEIGHTS), seed)


def loud_distractor(seed: int = 0) -> Planted:
    """Tokens add their weights; the token 5 adds nothing, but its embedding, its value and what
    a head writes of it are a hundred times as long as those of others."""
    frame = Frame.of("decoder", len(WEIGHTS))
    loudness = torch.eye(8)[5] * LOUD
    source = frame.wiring.token_table(torch.stack([WEIGHTS, loudness], 1))
    unread = frame.wiring.space(1)
    write = mean_to_sum(source)
    frame.add_head(
        0, [(source, torch.eye(2))], [(frame.result, write[:, :1]), (unread, write[:, 1:])]
    )

    def draw(n: int, generator: torch.Generator) -> Tensor:
        texts = mixed(WEIGHTS)(n, generator)
        places = torch.randint(LENGTH, (n, 1), generator=generator)
        return texts.scatter(1, places, 5)

    return frame.planted("loud distractor", lambda ids: WEIGHTS[ids].sum(1), draw, seed)


def position_only(seed: int = 0) -> Planted:
    """A sum over positions: no token has any part in it."""
    frame = Frame.of("decoder", 8)
    places = frame.wiring.position_table(torch.arange(LENGTH).float()[:, None] / LENGTH)
    frame.add_head(0, [(places, torch.ones(1, 1))], [(frame.result, torch.ones(1, 1) * LENGTH)])
    total = float(torch.arange(LENGTH).sum() / LENGTH)
    return frame.planted(
        "position only",
        lambda ids: torch.full((len(ids),), total),
        lambda n, generator: fillers(n, generator, 1, 8),
        seed,
    )


def lookup(seed: int = 0) -> Planted:
    """Each token pairs a key with a value, and the last one asks for a key: its value is said, or
    the mean of several. Where the key is missing, the head looks at all tokens alike."""
    n_pairs = N_KEYS * N_VALUES
    pairs = torch.arange(n_pairs)
    first_query, d_vocab = 1 + n_pairs, 1 + n_pairs + N_KEYS + 2
    keys, values, asked = (torch.zeros(d_vocab, n) for n in (N_KEYS, N_VALUES, N_KEYS))
    keys[1 + pairs, pairs // N_VALUES] = 1
    values[1 + pairs, pairs % N_VALUES] = 1
    asked[first_query + torch.arange(N_KEYS), torch.arange(N_KEYS)] = 1

    wiring = Wiring(d_vocab, LENGTH)
    key, value, query = (wiring.token_table(table) for table in (keys, values, asked))
    found = wiring.space(N_VALUES)
    wiring.heads.append(
        Head(
            "blocks.0.attn",
            query=[(query, torch.eye(N_KEYS) * SHARP)],
            key=[(key, torch.eye(N_KEYS))],
            value=[(value, torch.eye(N_VALUES))],
            write=[(found, torch.eye(N_VALUES))],
        )
    )
    wiring.outputs = [(found, torch.eye(N_VALUES))]
    model, heads, mlps = wiring.build(DISGUISE, seed, d_vocab_out=N_VALUES)

    def mechanism(ids: Tensor) -> Tensor:
        match = (asked[ids[:, -1:]] * keys[ids]).sum(-1)  # [batch, unit]
        looked = torch.where(match.any(1, keepdim=True), match, 1.0).double()
        said = (looked[..., None] * values[ids]).sum(1) / looked.sum(1, keepdim=True)
        return said[:, None]

    def draw(n: int, generator: torch.Generator) -> Tensor:
        texts = torch.randint(first_query + N_KEYS, d_vocab, (n, LENGTH), generator=generator)
        places = torch.rand(n, LENGTH - 1, generator=generator).argsort(1)[:, :N_KEYS]
        chosen = torch.randint(N_VALUES, (n, N_KEYS), generator=generator)
        texts.scatter_(1, places, 1 + torch.arange(N_KEYS) * N_VALUES + chosen)
        texts[:, -1] = first_query + torch.randint(N_KEYS, (n,), generator=generator)
        return texts

    return Planted(
        name="lookup",
        level="hand-written",
        model=model,
        mechanism=mechanism,
        places=(LENGTH - 1,),
        alphabet=torch.ones(LENGTH, d_vocab, dtype=torch.bool),
        blank=BLANK,
        draw=draw,
        heads=heads,
        mlps=mlps,
    )


def copy(seed: int = 0, n_source: int = 6, n_target: int = 4, letters: int = 6) -> Planted:
    """Each token of the target is the source's at the same position, read by cross-attention.
    What the target says so far has no part in it."""
    start = letters + 1
    wiring = Wiring(letters + 2, n_source, "encoder_decoder")
    table = torch.eye(letters + 2)[:, 1:start]
    token = wiring.token_table(table)
    there = wiring.position_table(torch.eye(n_source), "encoder")
    here = wiring.position_table(torch.eye(n_source), "decoder")
    found = wiring.space(letters)
    wiring.heads.append(
        Head(
            "decoder.0.cross_attn",
            query=[(here, torch.eye(n_source) * SHARP)],
            key=[(there, torch.eye(n_source))],
            value=[(token, torch.eye(letters))],
            write=[(found, torch.eye(letters))],
        )
    )
    wiring.outputs = [(found, torch.eye(letters))]
    model, heads, mlps = wiring.build(
        DISGUISE, seed, d_vocab_out=letters, bos_token_id=start, decoder_start_token_id=start
    )
    alphabet = torch.ones(n_source + n_target, letters + 2, dtype=torch.bool)
    alphabet[:, start] = False
    alphabet[n_source] = torch.arange(letters + 2) == start

    def draw(n: int, generator: torch.Generator) -> Tensor:
        texts = torch.randint(1, start, (n, n_source + n_target), generator=generator)
        texts[:, n_source] = start
        return texts

    return Planted(
        name="copy",
        level="hand-written",
        model=model,
        mechanism=lambda ids: table[ids[:, :n_target]].double(),
        places=tuple(range(n_target)),
        alphabet=alphabet,
        blank=BLANK,
        draw=draw,
        heads=heads,
        mlps=mlps,
        n_source=n_source,
    )
