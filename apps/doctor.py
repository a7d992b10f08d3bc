"""What is installed, what this machine is good at, and what is broken: a check each."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from interp import InterpError, __version__

State = Literal["ok", "note", "broken"]

EXTRAS = {
    "zstd": "text and data files that end in .zst",
    "datasets": "hf:NAME, data sets of the Hugging Face hub",
    "ray": "harvests on a cluster that runs Ray",
    "docs": "the pages of the documentation, built as one site",
    "notebooks": "the notebooks, run and written as pages",
    "shap": "the shap library, to compare our Shapley values with",
}
"""What each extra of the package gives."""

_LITTLE = 2e9  # bytes of free disk, less than a small harvest or a run with checkpoints takes
_VARIABLES = ("NO_COLOR", "COLUMNS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        part: of the whole it belongs to.
        name: of the thing.
        state: `ok`; `note` is worth knowing; `broken` will fail when it is used.
        found: what was seen.
        advice: what to do, if anything.
    """

    part: str
    name: str
    state: State
    found: str
    advice: str = ""


def checks() -> Iterator[Check]:
    """All of them, as they are done; in all some seconds."""
    yield from _python()
    yield from _packages()
    yield from _hardware()
    yield from _speed()
    yield from _models()
    yield from _places()


def _python() -> Iterator[Check]:
    new_enough = sys.version_info >= (3, 11)
    yield Check(
        "interp",
        "Python",
        "ok" if new_enough else "broken",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "" if new_enough else "interp needs Python 3.11 or newer.",
    )
    yield Check("interp", "interp", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    owners = metadata.packages_distributions()
    for package in ("interp", "probes", "apps"):
        if others := sorted(set(owners.get(package, ())) - {"interp"}):
            advice = "Install interp into an environment of its own."
            yield Check("interp", package, "broken", f"{', '.join(others)} has one too", advice)
    coding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    yield Check(
        "interp",
        "output",
        "ok" if coding == "utf8" else "note",
        coding,
        "" if coding == "utf8" else "Set PYTHONUTF8=1: tokens are shown with marks such as ·.",
    )


def _packages() -> Iterator[Check]:
    """What `pip install interp` should have brought, and what its extras would."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in metadata.requires("interp") or ()]
    except metadata.PackageNotFoundError:
        yield Check(
            "packages",
            "interp",
            "note",
            "it runs from a folder of sources, so nothing says what it needs",
            "Install it: pip install --editable .",
        )
        return
    for need in wanted:
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield _package(need.name, str(need.specifier), need.specifier.contains)
    for extra, gives in EXTRAS.items():
        of_extra = [n for n in wanted if n.marker and n.marker.evaluate({"extra": extra})]
        missing = [n.name for n in of_extra if _version(n.name) is None]
        yield Check(
            "extras",
            extra,
            "note" if missing else "ok",
            f"{gives}: needs {', '.join(missing)}" if missing else gives,
            f"pip install 'interp[{extra}]'" if missing else "",
        )


def _package(name: str, wanted: str, fits: object) -> Check:
    has = _version(name)
    if has is None:
        return Check("packages", name, "broken", "is missing", f"pip install '{name}{wanted}'")
    if not fits(has, prereleases=True):  # type: ignore[operator]
        advice = f"pip install '{name}{wanted}'"
        return Check("packages", name, "broken", f"{has}, but {wanted} is needed", advice)
    return Check("packages", name, "ok", has)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _hardware() -> Iterator[Check]:
    import torch

    may = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = f"{may} of {os.cpu_count()} may be used, {torch.get_num_threads()} threads compute"
    yield Check("machine", "cores", "ok", cores)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield Check("machine", "memory", "ok", f"{whole / 2**30:.1f} GiB")
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        found = f"{about.name}, {about.total_memory / 2**30:.0f} GiB; {torch.cuda.device_count()}"
        yield Check("machine", "accelerator", "ok", f"{found} in all")
    else:
        yield Check("machine", "accelerator", "note", "none; everything runs on the processor")


def _speed() -> Iterator[Check]:
    """Which number format is fast here, and whether kernels can be compiled."""
    import torch

    from interp.train.precision import SIDE, fastest_dtype, matmul_seconds

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rates = {d: 2 * SIDE**3 / s / 1e9 for d, s in matmul_seconds(device).items()}
    best = fastest_dtype(device)
    found = ", ".join(f"{_short(d)} {rate:,.1f} GFLOP/s" for d, rate in rates.items())
    advice = f"Train in {_short(best)}." if device == "cpu" else ""
    yield Check("speed", f"matrix products ({device})", "ok", found, advice)
    yield _compiler()


def _short(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _compiler() -> Check:
    """`torch.compile` writes C++ for a processor, so it needs a compiler and Python's headers."""
    compiler = next(
        filter(None, map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))), None
    )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if compiler is None or not header.is_file():
        missing = "no C++ compiler" if compiler is None else f"no {header}"
        advice = "Install g++ and Python's headers to train with --setting compile=true."
        return Check("speed", "torch.compile", "note", f"{missing}: models run as they are", advice)
    return Check("speed", "torch.compile", "ok", f"{compiler}, headers in {header.parent}")


def _models() -> Iterator[Check]:
    """Opens every checkpoint of the zoo, which compares the hash of its weights."""
    from interp.pretrained.folder import METADATA, load_folder
    from interp.zoo import names, zoo_folder

    for name in names():
        folder = zoo_folder(name)
        found = sorted(path.parent for path in folder.rglob(METADATA))
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        try:
            for one in found:
                load_folder(one)
        except (InterpError, OSError) as error:
            yield Check("models", name, "broken", str(error), "Install interp again.")
            continue
        what = f"{len(found)} checkpoint{'s' * (len(found) > 1)}, {n_bytes / 1e6:.1f} MB, as made"
        if found:
            yield Check("models", name, "ok", f"{what}, in {folder}")
        else:
            again = "Install interp again."
            yield Check("models", name, "broken", f"nothing in {folder}", again)


def _places() -> Iterator[Check]:
    """Disk, data sets, and what the environment says."""
    from interp.data.registry import MIRROR, data_sets

    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free > _LITTLE else "note"
    advice = "" if free > _LITTLE else "A run with its checkpoints may not fit."
    yield Check("places", "disk", state, f"{free / 1e9:.1f} GB free in {Path.cwd()}", advice)
    mirror = os.environ.get(MIRROR)
    if mirror is None:
        yield Check("places", MIRROR, "note", "not set", "It names the folder of your data sets.")
    elif not Path(mirror).is_dir():
        yield Check("places", MIRROR, "broken", f"{mirror} is no folder", "Correct or unset it.")
    else:
        there = [name for name in data_sets() if (Path(mirror) / name).is_dir()]
        yield Check("places", MIRROR, "ok", f"{mirror} has {len(there)} of {len(data_sets())} sets")
    for name in _VARIABLES:
        if name in os.environ:
            yield Check("places", name, "ok", os.environ[name])
