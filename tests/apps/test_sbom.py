"""The bill of materials lists what is installed, once each, and who needs whom."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement

from apps import sbom


@pytest.fixture(scope="module")
def bill() -> dict[str, object]:
    return sbom.bill()


def test_every_requirement_of_the_package_is_there(bill: dict) -> None:
    listed = {part["name"]: part for part in bill["components"]}
    assert len(listed) == len(bill["components"])
    for line in metadata.requires("interp"):
        need = Requirement(line)
        if need.marker is None:
            part = listed[sbom._canonical(need.name)]
            assert part["version"] == metadata.version(need.name)
            assert part["licenses"], need.name


def test_references_meet(bill: dict) -> None:
    own = bill["metadata"]["component"]["bom-ref"]
    refs = {own, *(part["bom-ref"] for part in bill["components"])}
    assert {entry["ref"] for entry in bill["dependencies"]} == refs
    needed = {ref for entry in bill["dependencies"] for ref in entry["dependsOn"]}
    assert needed == refs - {own}  # everything is there because something needs it
    assert all(ref.startswith("pkg:pypi/") and "+" not in ref for ref in refs)


def test_the_same_environment_gives_the_same_bill(bill: dict) -> None:
    assert sbom.bill() == bill


def test_a_validator_accepts_it(bill: dict) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    pytest.importorskip("jsonschema")
    import json

    from cyclonedx.schema import SchemaVersion

    found = validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert found is None
