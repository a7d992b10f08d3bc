"""The software bill of materials: `python -m apps.sbom > sbom.json` lists what is installed.

CycloneDX 1.6 in JSON, of this package and of everything that it needs, as it is installed here:
name, version, licence, address in the package index, and who needs whom. The same environment gives
the same bytes.
"""

from __future__ import annotations

import json
import re
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

ROOT = "interp"


def bill() -> dict[str, Any]:
    """The bill of materials of this environment, as CycloneDX names things.

    Raises:
        PackageNotFoundError: interp runs from a folder of sources and is not installed.
    """
    needs: dict[str, list[str]] = {}
    found = {ROOT: metadata.distribution(ROOT)}
    todo = [ROOT]
    while todo:
        name = todo.pop()
        needs[name] = []
        for needed in _needed(found[name]):
            try:
                found.setdefault(needed, metadata.distribution(needed))
            except metadata.PackageNotFoundError:
                continue  # a broken environment; `interp doctor` says so
            needs[name].append(needed)
            if needed not in needs and needed not in todo:
                todo.append(needed)
    parts = {name: _component(name, one) for name, one in sorted(found.items())}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": parts.pop(ROOT) | {"type": "application"}},
        "components": list(parts.values()),
        "dependencies": [
            {"ref": _address(name, found[name]), "dependsOn": _addresses(of, found)}
            for name, of in sorted(needs.items())
        ],
    }


def _needed(one: metadata.Distribution) -> list[str]:
    """What a distribution needs here, without its extras."""
    needs = [Requirement(line) for line in one.requires or ()]
    here = (need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""}))
    return sorted({_canonical(need.name) for need in here})


def _component(name: str, one: metadata.Distribution) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": _address(name, one),
        "name": name,
        "version": one.version,
        "purl": _address(name, one),
        "licenses": _licences(one),
    }
    return {key: value for key, value in component.items() if value}


def _licences(one: metadata.Distribution) -> list[dict[str, Any]]:
    """An SPDX expression where there is one, else the names that the authors wrote."""
    if expression := one.metadata.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = one.metadata.get_all("Classifier") or []
    names = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    written = (one.metadata.get("License") or "").strip()
    if not names and written:
        names = [written.splitlines()[0]]  # some put the whole text there
    return [{"license": {"name": name}} for name in names]


def _address(name: str, one: metadata.Distribution) -> str:
    return f"pkg:pypi/{name}@{one.version.replace('+', '%2B')}"


def _addresses(names: list[str], found: dict[str, metadata.Distribution]) -> list[str]:
    return [_address(name, found[name]) for name in names]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(json.dumps(bill(), indent=2, ensure_ascii=False))
