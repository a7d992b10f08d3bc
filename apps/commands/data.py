"""List public data sets, or fetch one and check every file of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

EXAMPLES = """\
  interp data list
  interp data get tinyshakespeare
  interp data get tatoeba --from /mnt/mirror --to data
  INTERP_DATA=/mnt/mirror interp data get standard_ebooks"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what there is, with size and licence")
    listing.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    getting = actions.add_parser("get", help="fetch a set into a folder of its name")
    getting.add_argument("name")
    getting.add_argument("--to", type=Path, default=Path("data"), metavar="FOLDER")
    getting.add_argument(
        "--from",
        dest="mirror",
        type=Path,
        metavar="FOLDER",
        help="a mirror: a folder of sets (or the environment's INTERP_DATA)",
    )


def run(options: argparse.Namespace) -> int:
    return _list(options) if options.action == "list" else _get(options)


def _list(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from interp.data.registry import data_sets

    if options.json:
        print(json.dumps([asdict(entry) for entry in data_sets().values()], ensure_ascii=False))
        return 0
    for entry in data_sets().values():
        where = "" if entry.can_be_downloaded else ", from a mirror only"
        print(f"{entry.name}: {entry.about}")
        print(f"    {entry.size}; {entry.bytes / 1e6:.2f} MB{where}")
        print(f"    licence: {entry.licence}")
        print(f"    source:  {entry.source}")
    return 0


def _get(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from interp.data.registry import data_sets, get

    known = data_sets().get(options.name)
    total = known.bytes if known else None
    with tqdm(total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        folder = get(options.name, options.to, mirror=options.mirror, progress=bar.update)
    print(folder)
    if known:
        print(f"licence: {known.licence}", file=sys.stderr)
    return 0
