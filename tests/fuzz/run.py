"""Damages files by the thousand and says how the readers took it.

    python -m tests.fuzz.run --files 10000
    python -m tests.fuzz.run --only checkpoint --first 4711 --files 1

Prints a table of Markdown: how many damaged folders were read or refused, how many faults there
were, the most memory and the time that one took. Faults are listed with the number that makes the
same folder again; with any the program ends with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.fuzz import audits, files, models
from tests.fuzz.judge import FAULTS, judge

READERS = files.READERS | models.READERS | audits.READERS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1_000, help="damaged folders for each reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument(
        "--only", action="append", choices=list(READERS), help="readers; default all"
    )
    parser.add_argument(
        "--minutes", type=float, help="the most for each reader; fewer folders then"
    )
    options = parser.parse_args()
    print("| reader | files | accepted | refused | faults | peak MiB | slowest s | total s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    faults = 0
    for name in options.only or READERS:
        found: Counter[str] = Counter()
        peak, slowest, begin = 0, 0.0, time.monotonic()
        for verdict in judge(
            name, READERS[name], range(options.first, options.first + options.files)
        ):
            found[verdict.outcome] += 1
            peak, slowest = max(peak, verdict.peak), max(slowest, verdict.seconds)
            if verdict.outcome in FAULTS:
                faults += 1
                say = f"\n{name}, number {verdict.number}: {verdict.outcome}\n{verdict.what}"
                print(say, file=sys.stderr, flush=True)
            if options.minutes and time.monotonic() - begin > 60 * options.minutes:
                break
        bad = sum(found[kind] for kind in FAULTS)
        counts = (found.total(), found["accepted"], found["refused"], bad, peak >> 20)
        seconds = f"{slowest:.2f} | {time.monotonic() - begin:.0f}"
        print(f"| {name} | {' | '.join(f'{n:,}' for n in counts)} | {seconds} |", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
