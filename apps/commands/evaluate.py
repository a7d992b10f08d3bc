"""Measure a model on a task, with intervals.

Tasks and the fields of their examples (JSON lines, CSV or TSV with a line of names):

  lm, mlm               text (also plain text files)
  classification        text, label; text_pair for pairs
  token_classification  words, labels
  translation           source, target
  summarisation         text, summary
  extractive_qa         question, context, answers; start
  generative_qa         question, answers; context
  chat                  messages (role and content), or prompt, answer
  preference            prompt, chosen, rejected

In place of a file, `set:NAME:SPLIT` is a public set in the folder that INTERP_DATA names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.options import add_json, add_model

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """\
  interp evaluate stories --task lm --data novel.txt
  interp evaluate my-run/model --data test.jsonl --out figures.csv
  interp evaluate ./marian --task translation --data test.tsv --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--task", help="by default the one that the model was fine-tuned on")
    parser.add_argument("--data", required=True, metavar="FILE", help="the examples")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write FILE.csv")
    add_json(parser, "one JSON object a row")


def run(options: argparse.Namespace) -> int:
    import interp
    from interp.atomic import writing
    from interp.errors import InputError
    from interp.train.evaluate import evaluate
    from interp.train.tasks import open_task

    if options.out is not None and options.out.suffix != ".csv":
        raise InputError(f"--out is {options.out}; give a name in .csv.")
    known = open_task(Path(options.model)) if Path(options.model).is_dir() else None
    task = known if options.task in (None, getattr(known, "name", None)) else options.task
    if task is None:
        raise InputError(f"{options.model} does not say which task it is for; give --task.")
    model = interp.load(options.model, bridge=False)
    frame = evaluate(model, task, options.data, progress=sys.stderr.isatty())
    if options.out is not None:
        with writing(options.out) as file:
            frame.to_csv(file, index=False)
    show(frame, options.json)
    return 0


def show(frame: pd.DataFrame, as_json: bool) -> None:
    """Prints a table of measures."""
    if as_json:
        print(frame.to_json(orient="records", lines=True), end="")
        return
    print(frame.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
