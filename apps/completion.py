"""Completion scripts for bash, zsh and fish, written from the parsers themselves."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apps.parsing import Parser


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        names: such as `--json`.
        about: in a line.
        value: whether a word follows it.
        choices: the words that may follow; none for any word or file.
    """

    names: tuple[str, ...]
    about: str
    value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One command or action.

    Attributes:
        path: its words after `interp`, none for `interp` itself.
        about: in a line.
        options: its own.
        words: what may stand by position: commands, actions, names.
        files: whether files may stand there too.
    """

    path: tuple[str, ...]
    about: str
    options: tuple[Option, ...]
    words: dict[str, str]
    files: bool


def commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = (), about: str = ""
) -> Iterator[Command]:
    """A parser and all below it, the outermost first."""
    from interp.zoo import names as models

    options, words, below, files = [], {}, {}, False
    for action in parser._actions:
        choices = tuple(map(str, action.choices or ()))
        if isinstance(action, argparse._SubParsersAction):
            said = {one.dest: one.help or "" for one in action._choices_actions}
            words |= {name: said.get(name, "") for name in choices}
            below |= action.choices
        elif not action.option_strings:
            words |= dict.fromkeys(choices or (models() if "model" in action.dest else ()), "")
            files |= not choices
        elif action.help != argparse.SUPPRESS:
            names = tuple(action.option_strings)
            options.append(Option(names, _line(action.help), action.nargs != 0, choices))
    yield Command(path, about, tuple(options), words, files)
    for name, child in below.items():
        yield from commands(child, (*path, name), words[name])


def bash(parser: Parser) -> str:
    """To be sourced, or kept where bash-completion looks."""
    cases, values = [], []
    for command in commands(parser):
        key = "_".join(("", *command.path))
        names = [name for option in command.options for name in option.names]
        own = f"options={_q(names)} words={_q([*command.words])} files={int(command.files)}"
        cases.append(f"        {key or '_'}) {own} ;;")
        for option in command.options:
            for name in option.names if option.choices else ():
                values.append(
                    f"        {key or '_'}:{name}) "
                    f'COMPREPLY=($(compgen -W {_q(option.choices)} -- "$now")); return ;;'
                )
    nested = "|".join(sorted("_" + "_".join(c.path) for c in commands(parser) if len(c.path) > 1))
    return f"""\
# bash completion of interp
_interp() {{
    local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} at=_
    local options words files
    ((COMP_CWORD > 1)) && at=_${{COMP_WORDS[1]}}
    if ((COMP_CWORD > 2)); then
        case ${{at}}_${{COMP_WORDS[2]}} in
        {nested}) at=${{at}}_${{COMP_WORDS[2]}} ;;
        esac
    fi
    case $at:$before in
{chr(10).join(values)}
    esac
    case $at in
{chr(10).join(cases)}
        *) return ;;
    esac
    if [[ $now == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$now"))
    else
        COMPREPLY=($(compgen -W "$words" -- "$now"))
        ((files)) && COMPREPLY+=($(compgen -f -- "$now"))
    fi
}}
complete -o filenames -F _interp interp
"""


def zsh(parser: Parser) -> str:
    """To be kept as `_interp` in a folder of `$fpath`."""
    return "#compdef interp\n" + "".join(map(_zsh_function, commands(parser))) + '_interp "$@"\n'


def _zsh_function(command: Command) -> str:
    name = "_".join(("_interp", *command.path))
    specs = []
    for option in command.options:
        about = _zsh_text(option.about)
        value = f":value:({' '.join(option.choices)})" if option.choices else ":value:_files"
        specs += [_q([f"{n}[{about}]" + (value if option.value else "")]) for n in option.names]
    nested = [word for word in command.words if command.words[word]]
    if not nested:
        if command.words:
            files = "_files" if command.files else ":"
            listed = f"compadd {' '.join(command.words)}"
            specs.append(_q([f"1:argument:{{ {listed}; {files} }}"]))
        if command.files:
            specs.append("'*:file:_files'")
        return f"{name}() {{\n  _arguments {_lines(specs)}\n}}\n"
    listed = _lines([_q([f"{w}:{_zsh_text(command.words[w])}"]) for w in nested])
    return f"""\
{name}() {{
  local -a listed=({listed})
  local state line
  _arguments -C {_lines(specs)} '1: :->word' '*:: :->rest'
  case $state in
    word) _describe word listed ;;
    rest) (( $+functions[{name}_$line[1]] )) && {name}_$line[1] ;;
  esac
}}
"""


def fish(parser: Parser) -> str:
    """To be kept as `interp.fish` where fish looks for completions."""
    lines = ["# fish completion of interp"]
    for command in commands(parser):
        seen = [f"__fish_seen_subcommand_from {word}" for word in command.path]
        others = " ".join(command.words)
        here = "; and ".join(seen) or f"not __fish_seen_subcommand_from {others}"
        for word, about in command.words.items():
            again = f"{here}; and not __fish_seen_subcommand_from {others}" if seen else here
            lines.append(f"complete -c interp -f -n {_q([again])} -a {_q([word])} -d {_q([about])}")
        for option in command.options:
            names = " ".join(
                f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names
            )
            value = f" -x -a {_q(option.choices)}" if option.choices else " -r" * option.value
            lines.append(
                f"complete -c interp -n {_q([here])} {names}{value} -d {_q([option.about])}"
            )
    return "\n".join(lines) + "\n"


SHELLS: dict[str, Callable[[Parser], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _line(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def _q(words: list[str] | tuple[str, ...]) -> str:
    """Words as one quoted word of a shell; all three read '\\'' alike."""
    return "'" + " ".join(words).replace("'", "'\\''") + "'"


def _zsh_text(text: str) -> str:
    """Without what ends a description."""
    return text.replace("\\", "").replace("[", "(").replace("]", ")").replace(":", "\\:")


def _lines(words: list[str]) -> str:
    return " \\\n    ".join(words)
