"""The `interp` command. Every sub-command is a thin call into the package.

Exit codes: 0 done; 1 the command ran and its answer is no; 2 wrong use, or input that was refused;
70 a defect of this package, with its traceback; 130 interrupted. Errors are one line on the error
stream.

The command line is read by argparse and not by tyro: importing tyro takes about 0.3 s, more than
all the rest of `interp --help`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from apps.parsing import Parser
from interp import InterpError, __version__

COMMANDS = {
    "data": "list public data sets, or fetch one",
    "clean": "clean a corpus and say what was done to it",
    "tokenize": "train a tokenizer and pack texts into a corpus",
    "size": "say which model to train with a budget",
    "train": "pre-train a model on a packed corpus",
    "zoo": "list the models that come with the package, or make one again",
    "finetune": "teach a model a task by examples",
    "evaluate": "measure a model on a task",
    "generate": "continue a prompt",
    "explain": "say which tokens a prediction rests on",
    "harvest": "keep activations of many texts on the disk",
    "probe": "ask what a model knows, where, since when",
    "audit": "from a model to evidence that a person can sign",
    "explore": "open the explorer in the browser",
    "doctor": "say what is installed, what is fast here, and what is broken",
    "completion": "write what lets a shell complete `interp`",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments[0] if arguments else None)
    try:
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return 2
        code = import_module(f"apps.commands.{options.command}").run(options)
        sys.stdout.flush()
    except InterpError as error:
        print("interp:", *str(error).split(), file=sys.stderr)  # on one line
        return 2
    except KeyboardInterrupt:
        print("interp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`head`, say) has what it wanted. Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        print("interp:", *str(error).split(), file=sys.stderr)
        return 2
    except Exception:
        from traceback import print_exc

        print_exc()
        return 70
    return int(code or 0)


def _parser(*called: str | None) -> Parser:
    """The parser; only the sub-commands that are called are imported."""
    parser = Parser(
        prog="interp",
        description="Train, open and explain Transformer language models.",
        epilog="exit codes: 0 done, 1 the answer is no, 2 wrong use or input, 70 a defect, "
        "130 interrupted\n`interp COMMAND --help` shows the options of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"interp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        module = import_module(f"apps.commands.{name}") if name in called else None
        sub = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__ if module else None,
            examples=module.EXAMPLES if module else None,
        )
        if module is not None:
            module.add_arguments(sub)
    return parser


def whole_parser() -> Parser:
    """The parser with all sub-commands."""
    return _parser(*COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
