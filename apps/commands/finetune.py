"""Fine-tune a model on a task, and compare it with a simple rule.

The fields of examples are those that `interp evaluate --help` lists. The run is recorded in the
folder, with the fine-tuned model in FOLDER/model. After Ctrl-C the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apps.options import add_json, add_model

EXAMPLES = """\
  interp finetune bert-base-uncased --task classification --train train.csv --dev dev.csv --out run
  interp finetune stories --task chat --train chat.jsonl --dev dev.jsonl --out run --method lora
  INTERP_DATA=data interp finetune stories --task classification --epochs 5 --out run \\
      --train set:sentence_polarity:train --dev set:sentence_polarity:dev"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--task", required=True, help="see `interp evaluate --help`")
    parser.add_argument("--train", required=True, metavar="FILE", help="examples to learn from")
    parser.add_argument("--dev", required=True, metavar="FILE", help="examples to choose by")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="of the run")
    parser.add_argument(
        "--method", choices=("full", "lora"), default="full", help="all weights, or adapters (full)"
    )
    parser.add_argument("--rank", type=int, default=8, metavar="N", help="of low-rank adapters (8)")
    parser.add_argument(
        "--targets", nargs="+", default=["*attn.q", "*attn.v"], help="what gets an adapter"
    )
    parser.add_argument("--epochs", type=float, default=3, metavar="N", help="at most (3)")
    parser.add_argument("--learning-rate", type=float, metavar="R", help="by the model's width")
    parser.add_argument(
        "--batch-tokens", type=int, default=2048, metavar="N", help="in a batch, at most (2048)"
    )
    parser.add_argument("--label-smoothing", type=float, default=0.0, metavar="S")
    parser.add_argument("--balanced", action="store_true", help="let all classes count alike")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of order and dropout (0)")
    add_json(parser, "one JSON object a row")


def run(options: argparse.Namespace) -> int:
    import interp
    from apps.commands.evaluate import show
    from interp.train.finetune import Plan, finetune
    from interp.train.lora import LoRA
    from interp.train.objective import CrossEntropy
    from interp.train.tasks import kind_of, records_of

    kind = kind_of(options.task)
    train, dev = records_of(kind, options.train), records_of(kind, options.dev)
    task = kind.of(train)
    model = interp.load(options.model, bridge=False)
    objective = None
    if options.balanced or options.label_smoothing:
        if options.balanced and not hasattr(task, "class_weights"):
            raise interp.ConfigError(f"The task {task.name} has no classes that could be balanced.")
        weights = task.class_weights(train) if options.balanced else None
        objective = CrossEntropy(options.label_smoothing, class_weights=weights)
    lora = None
    if options.method == "lora":
        lora = LoRA(rank=options.rank, alpha=2 * options.rank, targets=tuple(options.targets))
    _, frame = finetune(
        model,
        task,
        train,
        dev,
        Plan(options.epochs, options.learning_rate, seed=options.seed),
        method=options.method,
        lora=lora,
        objective=objective,
        tokens=options.batch_tokens,
        folder=options.out,
        progress=sys.stderr.isatty(),
    )
    show(frame, options.json)
    return 0
