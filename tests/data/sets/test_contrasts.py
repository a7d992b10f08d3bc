"""Sets of contrasts and facts: complete, and sound in what the analyses rely on."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from interp.data.sets import contrasts, facts, read_set
from interp.data.sets.files import tar_members
from interp.errors import ConfigError, LoadError


def test_blimp_is_complete(shared_data: Path) -> None:
    pairs = contrasts.blimp(shared_data, "test")
    assert set(Counter(pair.kind for pair in pairs).values()) == {1000}
    assert len({pair.kind for pair in pairs}) == 67
    assert {pair.field for pair in pairs} == {
        *("morphology", "syntax", "semantics", "syntax_semantics"),
    }
    assert sum(pair.good == pair.bad for pair in pairs) == 7
    kinds = {pair.kind: pair.field for pair in pairs}
    assert all(kinds[pair.kind] == pair.field for pair in pairs)


def test_pairs_of_stereotypes_differ_and_have_a_direction(shared_data: Path) -> None:
    pairs = contrasts.crows_pairs(shared_data, "test")
    assert len(pairs) == 1508 and len({pair.kind for pair in pairs}) == 9
    assert Counter(pair.direction for pair in pairs) == {"stereo": 1290, "antistereo": 218}
    assert all(pair.more and pair.less and pair.more != pair.less for pair in pairs)


def test_every_formula_speaks_of_regions_that_its_items_have(shared_data: Path) -> None:
    suites = contrasts.syntaxgym(shared_data, "test")
    assert len(suites) == len({suite.name for suite in suites}) == 34
    for suite in suites:
        asked = re.findall(r"\((\d+);%([\w-]+)%\)", " ".join(suite.formulas))
        assert asked
        for item in suite.items:
            regions = {condition.name: len(condition.regions) for condition in item}
            assert all(1 <= int(place) <= regions[name] for place, name in asked)


@pytest.mark.parametrize(
    ("name", "n", "n_facts"), [("pararel", 39, 27_593), ("relations", 47, 11_049)]
)
def test_every_pattern_has_room_for_both_ends_of_a_fact(
    name: str, n: int, n_facts: int, shared_data: Path
) -> None:
    found = read_set(name, shared_data, "test")
    assert len(found) == n and sum(len(relation.facts) for relation in found) == n_facts
    for relation in found:
        assert relation.patterns and len(set(relation.facts)) == len(relation.facts)
        assert all(p.count("[X]") == p.count("[Y]") == 1 for p in relation.patterns)
        assert all(name and "\\u" not in name for fact in relation.facts for name in fact)


def test_what_is_for_testing_has_no_other_side(shared_data: Path) -> None:
    for read in (contrasts.blimp, contrasts.crows_pairs, facts.pararel):
        with pytest.raises(ConfigError, match="no part 'train'"):
            read(shared_data, "train")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.xz").write_bytes(b"no archive at all")
    with pytest.raises(LoadError, match="damaged"):
        tar_members(tmp_path / "a.tar.xz", "")
