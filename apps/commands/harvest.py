"""Keep activations of a model, or of every checkpoint of a run, on the disk.

Texts come from files (a row for each token, or one for each text), or from a treebank (a row for
each word, with its annotation). Of an encoder-decoder, the encoder is read. A run gets a folder for
each checkpoint.

What it will take is said before it starts. The same command goes on where it was stopped, however
it was stopped. For several GPUs start it as `torchrun --nproc-per-node N -m apps.cli harvest ...`:
the processes share checkpoints, or shards."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.options import add_device, add_json, add_model, add_reading, reading

if TYPE_CHECKING:
    from interp.activations import Estimate, Plan, Store
    from interp.data.treebank import Sentence

EXAMPLES = """\
  interp harvest stories novel.txt --out novel-rows --sites 'blocks.3.hook_resid_post'
  interp harvest stories-suite --treebank en_ewt-ud-dev.conllu --out words --pool mean
  interp harvest stories texts.jsonl --out moments --precision none --moments
  interp harvest ./my-bert texts.jsonl --out rows --sites '*.mlp.hook_post' --precision int8"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser, "a suite, a run folder")
    parser.add_argument("paths", nargs="*", help="files and folders of texts")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    what = parser.add_argument_group("what is read")
    what.add_argument("--treebank", type=Path, metavar="FILE", help="CoNLL-U, in place of texts")
    add_reading(what, document="line")
    what.add_argument(
        "--sites",
        nargs="+",
        metavar="NAME",
        help="hook points, with * for any letters; by default the stream behind every block",
    )
    what.add_argument(
        "--pool",
        choices=("none", "mean", "first", "last"),
        help="a row for each token (none), or for each text, or word of a treebank (last)",
    )
    what.add_argument("--steps", nargs="+", type=int, metavar="N", help="only these checkpoints")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "int8", "none"),
        default="float32",
        help="of the rows (float32); none keeps no rows",
    )
    kept.add_argument("--moments", action="store_true", help="also means and scatter matrices")
    kept.add_argument(
        "--classes", metavar="COLUMN", help="column of labels with sums of each class (upos, ...)"
    )
    parser.add_argument(
        "--batch-tokens", type=int, default=4096, metavar="N", help="in a batch, at most (4096)"
    )
    add_device(parser)
    add_json(parser, "one JSON object a store")


def run(options: argparse.Namespace) -> int:
    from interp.activations import estimate, harvest
    from interp.processes import World, default_device, join
    from probes.subjects import opened, subjects

    world = join()
    these = subjects(options.model, steps=options.steps)
    plan_for = _planner(options)
    together, mine = world, these
    if len(these) >= world.size > 1:  # each process its own checkpoints
        mine, together = these[world.rank :: world.size], World()
    for number, (subject, model) in enumerate(opened(mine)):
        model = model.to(options.device or default_device())
        plan = plan_for(model)
        if number == 0:
            _announce(
                estimate(model, plan, options.out), plan, len(these), options.out, world.first
            )
        folder = options.out
        if subject.step is not None or len(these) > 1:
            folder = folder / (subject.run if subject.step is None else f"step-{subject.step:08}")
        try:
            with _bar(str(subject)) as told:
                store = harvest(model, plan, folder, world=together, progress=told)
        except KeyboardInterrupt:
            print(f"interp: stopped; the same command goes on from {folder}", file=sys.stderr)
            return 130
        if together.first:
            _show(store, options.json)
    return 0


def _planner(options: argparse.Namespace) -> Callable[[Any], Plan]:
    """What makes the plan for a model; texts are read from their files once."""
    from interp.data.readers import read_documents
    from interp.data.treebank import read_treebank
    from interp.errors import InputError

    if (options.treebank is None) == (not options.paths):
        raise InputError("Give files of texts, or --treebank.")
    if options.treebank is not None:
        bank = read_treebank(options.treebank)
        return lambda model: _words(model, bank, options)
    documents = [d for d in read_documents(options.paths, reading(options)) if d.text.strip()]
    said, sources = [d.text for d in documents], [d.source for d in documents]
    return lambda model: _texts(model, said, sources, options)


def _texts(model: Any, said: list[str], sources: list[str], options: argparse.Namespace) -> Plan:
    import pandas as pd

    from interp.activations import Places, Plan, encode

    texts = encode(model, said, truncate=True)
    places = Places.tokens(texts.source)
    if options.pool not in (None, "none"):
        places = _pooled(Places.whole(texts.source), options.pool)
    about = pd.DataFrame({"source": sources, "said": said})
    return Plan(texts, _sites(model, options), places, about=about, **_kept(options))


def _words(model: Any, bank: list[Sentence], options: argparse.Namespace) -> Plan:
    import pandas as pd

    from interp.activations import Places, Plan, encode
    from interp.data.treebank import to_frame
    from interp.errors import InputError

    if options.pool == "none":
        raise InputError("A treebank has a row for each word: --pool is mean, first or last.")
    texts = encode(model, [sentence.text for sentence in bank], truncate=True)
    places, kept = Places.words(texts.source, [sentence.spans for sentence in bank])
    return Plan(
        texts,
        _sites(model, options),
        _pooled(places, options.pool or "last"),
        labels=to_frame(bank).iloc[kept],
        about=pd.DataFrame({"said": [s.text for s in bank], "id": [s.id for s in bank]}),
        **_kept(options),
    )


def _pooled(places: Any, pool: str) -> Any:
    return {"mean": places, "first": places.first(), "last": places.last()}[pool]


def _kept(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "rows": None if options.precision == "none" else options.precision,
        "moments": options.moments or options.classes is not None,
        "classes": options.classes,
        "tokens": options.batch_tokens,
    }


def _sites(model: Any, options: argparse.Namespace) -> list[str]:
    """The hook points that the patterns name."""
    from fnmatch import fnmatchcase

    from interp.model.hook_points import select

    stack = "encoder" if model.cfg.shape == "encoder_decoder" else "blocks"
    found: list[str] = []
    for pattern in options.sites or [f"{stack}.*.hook_resid_post"]:
        matched = [name for name in model.hook_points if fnmatchcase(name, pattern)]
        found += matched or select(model.hook_points, pattern)  # a short name, or its error
    return list(dict.fromkeys(found))


def _announce(said: Estimate, plan: Plan, n: int, out: Path, first: bool) -> None:
    """Shows what it will take, and refuses what the disk cannot hold."""
    from interp.errors import StoreError
    from interp.figures.labels import count

    if first:
        if cut := plan.texts.source.n_truncated:
            print(f"{count(cut, 'text')} cut to the model's context", file=sys.stderr)
        each = f"{n} checkpoints, each " if n > 1 else ""
        print(f"{each}{said}", file=sys.stderr)
    if said.n_bytes * n > said.free:
        raise StoreError(
            f"{out} would take {said.n_bytes * n:,} bytes, and its disk has {said.free:,} left. "
            "Keep fewer sites or checkpoints, rows of bfloat16 or int8, or --pool them."
        )


class _bar:
    """A progress bar of rows that knows its total when it is first told."""

    def __init__(self, what: str):
        from tqdm import tqdm

        self.bar = tqdm(desc=what, unit="row", unit_scale=True, disable=None, leave=False)

    def __enter__(self) -> Callable[[int, int], None]:
        return self.told

    def told(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _show(store: Store, as_json: bool) -> None:
    facts = {
        "folder": str(store.folder),
        "rows": len(store),
        "sites": dict(store.sites),
        "precision": store.precision,
        "weights": store.about["weights"],
    }
    if as_json:
        print(json.dumps(facts))
        return
    kept = f"rows of {store.precision}" if store.precision else "moments"
    print(f"{len(store):,} rows of {len(store.sites)} sites ({kept}) in {store.folder}", flush=True)
