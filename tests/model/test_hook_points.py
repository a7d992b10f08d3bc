"""The table of hook points, and how a user's way of writing a name is read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from interp.errors import HookError
from interp.model.hook_points import HookPoint, get_act_name, resolve, select
from tests.model.configurations import EVERY, shared_model

# As TransformerLens 2.x documents and computes them.
KNOWN: list[tuple[tuple[Any, ...], str]] = [
    (("embed",), "hook_embed"),
    (("pos_embed",), "hook_pos_embed"),
    (("k", 6, "a"), "blocks.6.attn.hook_k"),
    (("pre", 2), "blocks.2.mlp.hook_pre"),
    (("pre", 2, "m"), "blocks.2.mlp.hook_pre"),
    (("scale", 4, "ln1"), "blocks.4.ln1.hook_scale"),
    (("scale", 4, "ln2"), "blocks.4.ln2.hook_scale"),
    (("normalized", 27, "ln2"), "blocks.27.ln2.hook_normalized"),
    (("normalized",), "ln_final.hook_normalized"),
    (("scale",), "ln_final.hook_scale"),
    (("resid_pre", 3), "blocks.3.hook_resid_pre"),
    (("resid_mid", 3), "blocks.3.hook_resid_mid"),
    (("resid_post", 3), "blocks.3.hook_resid_post"),
    (("attn_out", 0), "blocks.0.hook_attn_out"),
    (("mlp_out", 0), "blocks.0.hook_mlp_out"),
    (("q", 1), "blocks.1.attn.hook_q"),
    (("v", 1), "blocks.1.attn.hook_v"),
    (("z", 1), "blocks.1.attn.hook_z"),
    (("rot_q", 1), "blocks.1.attn.hook_rot_q"),
    (("rot_k", 1), "blocks.1.attn.hook_rot_k"),
    (("result", 1), "blocks.1.attn.hook_result"),
    (("pattern", 1), "blocks.1.attn.hook_pattern"),
    (("attn_scores", 1), "blocks.1.attn.hook_attn_scores"),
    (("attn", 4), "blocks.4.attn.hook_pattern"),
    (("attn_logits", 4), "blocks.4.attn.hook_attn_scores"),
    (("query", 4), "blocks.4.attn.hook_q"),
    (("key", 4), "blocks.4.attn.hook_k"),
    (("value", 4), "blocks.4.attn.hook_v"),
    (("mlp_pre", 4), "blocks.4.mlp.hook_pre"),
    (("mlp_post", 4), "blocks.4.mlp.hook_post"),
    (("post", 4), "blocks.4.mlp.hook_post"),
    (("attn_in", 4), "blocks.4.hook_attn_in"),
    (("mlp_in", 4), "blocks.4.hook_mlp_in"),
    (("q_input", 4), "blocks.4.hook_q_input"),
    (("k6",), "blocks.6.attn.hook_k"),
    (("scale4ln1",), "blocks.4.ln1.hook_scale"),
    (("pre5",), "blocks.5.mlp.hook_pre"),
    (("hook_embed",), "hook_embed"),
    (("blocks.3.attn.hook_q",), "blocks.3.attn.hook_q"),
]


@pytest.mark.parametrize(("arguments", "name"), KNOWN)
def test_short_names_are_those_of_transformer_lens(arguments: tuple[Any, ...], name: str) -> None:
    assert get_act_name(*arguments) == name


@pytest.mark.parametrize(("arguments", "name"), KNOWN)
def test_transformer_lens_itself_agrees(arguments: tuple[Any, ...], name: str) -> None:
    utilities = pytest.importorskip("transformer_lens.utilities")
    assert utilities.get_act_name(*arguments) == name


def test_short_names_with_an_underscore_may_carry_their_layer_too() -> None:
    assert get_act_name("resid_pre11") == "blocks.11.hook_resid_pre"
    assert get_act_name("attn_scores2") == "blocks.2.attn.hook_attn_scores"


@pytest.mark.parametrize("point", ["hook_embed", "hook_pos_embed", "hook_token_type_embed"])
def test_names_inside_berts_embedding_module_are_aliases(point: str) -> None:
    assert get_act_name(f"embed.{point}") == point
    model = shared_model("encoder-bert")
    assert resolve(model.hook_points, f"embed.{point}") == point


@EVERY
def test_the_table_is_complete_and_in_order(name: str) -> None:
    model = shared_model(name)
    table = model.hook_points
    assert model.hook_dict is table
    assert all(key == point.name for key, point in table.items())
    rows = table.rows()
    assert [row["name"] for row in rows] == list(table)
    assert {row["fires"] for row in rows} == {"always", "on demand"}
    assert all(all(row.values()) for row in rows)
    printed = repr(table).splitlines()
    assert len(printed) == len(table) + 1
    assert printed[0].split() == ["name", "shape", "fires", "an", "edit", "changes"]
    for line, key in zip(printed[1:], table, strict=True):
        assert line.startswith(f"{key} ")
    for key, point in table.items():
        in_block = re.match(r"(blocks|encoder|decoder)\.(\d+)\.", key)
        if in_block:
            assert point.layer() == int(in_block[2])
        else:
            with pytest.raises(HookError, match="outside the blocks"):
                point.layer()


def test_an_empty_table_prints() -> None:
    from interp.model.hook_points import HookTable

    assert repr(HookTable()) == ""


def test_names_are_chosen_in_firing_order() -> None:
    points = shared_model("decoder").hook_points
    always = [n for n, p in points.items() if p.fires == "always"]
    assert select(points, None) == always
    assert select(points, lambda name: True) == list(points)
    assert select(points, "pattern1") == ["blocks.1.attn.hook_pattern"]
    assert select(points, ["resid_post2", "embed", "resid_post2"]) == [
        "hook_embed",
        "blocks.2.hook_resid_post",
    ]
    assert select(points, iter(["embed"])) == ["hook_embed"]
    assert select(points, []) == []


# A configuration, a name it does not compute, and what the error says.
ABSENT = [
    ("decoder", "blocks.1.hook_resid_middle", r"Nearest: .*blocks\.1\.hook_resid_mid"),
    ("decoder", "blocks.1.attn.hook_patern", r"Nearest: .*blocks\.1\.attn\.hook_pattern"),
    ("decoder", "blocks.7.hook_resid_pre", "'blocks' has the layers 0 to 2"),
    ("decoder", "resid_pre7", "'blocks' has the layers 0 to 2"),
    ("decoder", "blocks.1.attn.hook_rot_q", "Only rotary models"),
    ("decoder", "blocks.1.mlp.hook_pre_linear", "Only gated"),
    ("decoder", "blocks.1.hook_normalized_resid_post", "Only post-norm blocks"),
    ("decoder", "hook_token_type_embed", "no segment embedding"),
    ("decoder", "pooler.hook_pooler_out", "no classification head"),
    ("decoder-rotary", "hook_pos_embed", "enter in the attention"),
    ("decoder-parallel", "blocks.1.hook_resid_mid", "no stream between two sub-layers"),
    ("decoder-attn-only", "blocks.1.hook_resid_mid", "no stream between two sub-layers"),
    ("decoder-attn-only", "blocks.1.mlp.hook_post", "no feed-forward layers"),
    ("decoder-attn-only", "blocks.1.hook_mlp_out", "no feed-forward layers"),
    ("decoder-grouped", "blocks.1.hook_attn_in", "have inputs of their own"),
    ("decoder", "blocks.1.hook_cross_attn_out", "Only an encoder-decoder"),
    ("pair-t5", "blocks.1.hook_resid_pre", r"Nearest: .*coder\.1\.hook_resid_pre"),
    ("pair-t5", "decoder.2.hook_resid_pre", "'decoder' has the layers 0 to 1"),
    ("pair-t5", "encoder.3.hook_resid_pre", "'encoder' has the layers 0 to 2"),
    ("encoder-bert", "nonsense", "is not a hook point of this model"),
]


@pytest.mark.parametrize(("configuration", "name", "message"), ABSENT)
def test_what_is_not_computed_is_refused_with_the_reason(
    configuration: str, name: str, message: str
) -> None:
    model = shared_model(configuration)
    with pytest.raises(HookError, match=message) as caught:
        resolve(model.hook_points, name)
    assert "model.hook_points" in str(caught.value)
    with pytest.raises(KeyError, match=message):
        select(model.hook_points, ["embed", name])


def test_a_predicate_that_matches_nothing_is_refused() -> None:
    with pytest.raises(HookError, match="matches no hook point"):
        select(shared_model("decoder").hook_points, lambda name: name.endswith("resid_middle"))


def test_a_point_says_where_it_is() -> None:
    point = HookPoint("hook_q", "batch pos head d_head", "queries")
    assert point.fires == "always"
    scoped = point.scope("attn").scope("blocks.12")
    assert scoped.name == "blocks.12.attn.hook_q"
    assert scoped.layer() == 12
