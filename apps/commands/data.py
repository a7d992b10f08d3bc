"""List public data sets, or fetch one and check every file of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from apps.options import add_json

EXAMPLES = """\
  interp data list
  interp data get tinyshakespeare
  interp data get tatoeba --data /mnt/mirror --out data
  INTERP_DATA=/mnt/mirror interp data get standard_ebooks"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what there is, with size and licence")
    add_json(listing, "one JSON object a set")
    getting = actions.add_parser("get", help="fetch a set into a folder of its name")
    getting.add_argument("name", help="of the set")
    getting.add_argument(
        "--out", type=Path, default=Path("data"), metavar="FOLDER", help="folder of sets (data)"
    )
    getting.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="copy from this folder of sets (or the environment's INTERP_DATA), not the source",
    )
    add_json(getting)


def run(options: argparse.Namespace) -> int:
    return _list(options) if options.action == "list" else _get(options)


def _list(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from interp.data.registry import data_sets

    if options.json:
        for entry in data_sets().values():
            print(json.dumps(asdict(entry), ensure_ascii=False))
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
        folder = get(options.name, options.out, mirror=options.data, progress=bar.update)
    licence = known.licence if known else ""
    if options.json:
        facts = {"name": options.name, "folder": str(folder), "licence": licence}
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print(folder)
    print(f"licence: {licence}", file=sys.stderr)
    return 0
