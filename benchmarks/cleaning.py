"""Speed, memory and quality of cleaning: `python -m benchmarks.cleaning ../shared/data`.

Speed and memory on 100 MB of novels (the Standard Ebooks texts, again and again with paragraphs
grouped anew, so that most documents are new), in a process of its own. The privacy scrub on
sentences with known answers, near duplicates on planted ones.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.personal_data import examples
from interp.data.clean import clean
from interp.data.duplicates import NearIndex, fingerprint
from interp.data.pipeline import PIPELINES
from interp.data.privacy import find_personal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder that holds standard_ebooks")
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    print("privacy", privacy(), flush=True)
    for threshold in (0.7, 0.25):
        print(f"found as near duplicates from {threshold} on:", near_duplicates(threshold))
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "novels.jsonl"
        write_corpus(options.data / "standard_ebooks", corpus, options.megabytes * 10**6)
        for pipeline in PIPELINES:
            for processes in (1, 2):
                call = (str(corpus), f"{folder}/{pipeline}-{processes}", pipeline, processes)
                subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        f"from benchmarks.cleaning import timed; timed(*{call})",
                    ],
                    check=True,
                )


def write_corpus(books: Path, path: Path, size: int) -> None:
    """So many bytes of documents of about 2 kB, as JSON lines."""
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for text in _documents(books):
            written += file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            if written >= size:
                return


def _documents(books: Path) -> Iterator[str]:
    for group in range(5, 50):
        for path in sorted(books.glob("*.txt.gz")):
            paragraphs = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n\n")
            for start in range(0, len(paragraphs), group):
                yield "\n\n".join(paragraphs[start : start + group])


def timed(corpus: str, out: str, pipeline: str, processes: int) -> None:
    """One cleaning, timed; meant for a fresh process, whose peak memory is its own."""
    start = time.perf_counter()
    card = clean([corpus], out, PIPELINES[pipeline], processes=processes)
    wall = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    megabytes = Path(corpus).stat().st_size / 1e6
    print(
        f"{pipeline:9} {processes} process(es): {megabytes:.0f} MB, "
        f"{card.documents_in:,} documents in, {card.documents_out:,} out; "
        f"{megabytes / wall:.2f} MB/s, {megabytes / cpu:.2f} MB/s of processor time; peak "
        f"{usage[0].ru_maxrss / 1024:.0f} MiB, largest worker {usage[1].ru_maxrss / 1024:.0f} MiB",
        flush=True,
    )


def privacy() -> dict[str, float]:
    """Precision and recall over 5,000 texts; a finding counts if kind and place are right."""
    hits = misses = false = 0
    for text, personal in examples(5000, seed=2026):
        found = {tuple(finding) for finding in find_personal(text)}
        hits += len(found & set(personal))
        misses += len(set(personal) - found)
        false += len(found - set(personal))
    return {"precision": hits / (hits + false), "recall": hits / (hits + misses), "found": hits}


def near_duplicates(threshold: float) -> dict[str, float]:
    """Planted copies with 90% in one piece, or with a tenth of the words replaced; strangers."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    originals = [rng.choices(vocabulary, k=300) for _ in range(2000)]
    index = NearIndex(threshold)
    for words in originals:
        index.add(fingerprint(" ".join(words), threshold))

    def found(documents: list[list[str]]) -> float:
        prints = [fingerprint(" ".join(words), threshold) for words in documents]
        return sum(index.match(one) > 0 for one in prints) / len(prints)

    def block(words: list[str]) -> list[str]:
        start = rng.randrange(270)
        return words[:start] + rng.choices(vocabulary, k=30) + words[start + 30 :]

    def scattered(words: list[str]) -> list[str]:
        return [rng.choice(vocabulary) if rng.random() < 0.1 else word for word in words]

    return {
        "90% in one piece": found([block(words) for words in originals]),
        "90% of the words": found([scattered(words) for words in originals]),
        "strangers": found([rng.choices(vocabulary, k=300) for _ in originals]),
        "50% in one piece": found(
            [words[:150] + rng.choices(vocabulary, k=150) for words in originals]
        ),
    }


if __name__ == "__main__":
    main()
