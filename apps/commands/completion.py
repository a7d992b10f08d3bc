"""Write what lets a shell complete commands, actions, options and their choices.

Write it to a file once, and again after an update: a shell that asked for it at every start would
start half a second later."""

from __future__ import annotations

import argparse

EXAMPLES = """\
  interp completion bash > ~/.local/share/bash-completion/completions/interp
  interp completion zsh > ~/.zfunc/_interp
  interp completion fish > ~/.config/fish/completions/interp.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(options: argparse.Namespace) -> int:
    from apps.cli import whole_parser
    from apps.completion import SHELLS

    print(SHELLS[options.shell](whole_parser()), end="")
    return 0
