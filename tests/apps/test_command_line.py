"""The command line as a whole: every parser obeys the same rules."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections import defaultdict
from itertools import takewhile
from pathlib import Path

import pytest

from apps import cli
from apps.commands import probe
from apps.completion import SHELLS, commands
from apps.parsing import Parser
from probes import ANALYSES
from tests.conftest import ROOT

WITHOUT_JSON = {"explore", "completion", "zoo build", "data", "zoo", "probe"}
"""What opens a window, writes a script or a folder, or only has actions below it."""


def below(parser: argparse.ArgumentParser, path: str = "") -> dict[str, argparse.ArgumentParser]:
    """The parsers of commands and actions, by their words."""
    found = {path: parser} if path else {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found |= below(child, f"{path} {name}".strip())
    return found


@pytest.fixture(scope="module")
def parsers() -> dict[str, argparse.ArgumentParser]:
    of_analyses = {f"probe {name}": probe.parser_of(name) for name in ANALYSES}
    return below(cli.whole_parser()) | of_analyses


def command_lines(examples: str) -> list[list[str]]:
    """The words of each, without variables of the environment before it or a file behind it."""
    lines = examples.replace("\\\n", " ").strip().splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    kept = (takewhile(lambda word: word != ">", line) for line in words)
    return [[word for word in line if not re.match(r"[A-Z_]+=", word)] for line in kept]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_examples_of_a_command_parse(command: str) -> None:
    module = __import__(f"apps.commands.{command}", fromlist=["EXAMPLES"])
    shown = command_lines(module.EXAMPLES)
    assert len(shown) >= 2
    for words in shown:
        assert words[:2] == ["interp", command]
        options = cli.whole_parser().parse_args(words[1:])
        if command == "probe" and options.name is not None:
            probe.parser_of(options.name).parse_args(options.rest)


@pytest.mark.parametrize("name", ANALYSES)
def test_the_examples_of_an_analysis_parse(name: str) -> None:
    script = __import__(f"probes.{name}", fromlist=["SCRIPT"]).SCRIPT
    assert script.name == name
    for words in command_lines(script.examples):
        assert words[:3] == ["python", "-m", f"probes.{name}"]
        probe.parser_of(name).parse_args(words[3:])


PAGES = [*sorted(path.name for path in (ROOT / "docs").glob("*.md")), "README.md", "README.zh.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_command_lines_of_a_page_parse(page: str) -> None:
    text = (ROOT / ("." if page.startswith("README") else "docs") / page).read_text("utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    blocks = [block for language, block in fenced if language in ("", "sh", "bash")]
    indented = re.findall(r"^\n((?:^    .*\n)+)", text, re.M)
    for block in (*blocks, *indented):
        whole = block.replace("\\\n", " ")
        shown = re.findall(r"^\s*((?:[A-Z_]+=\S+ )?(?:interp|python -m probes\.).*)$", whole, re.M)
        for words in command_lines("\n".join(shown)):
            if "..." in words or "--help" in words:
                continue
            if words[0] == "python":
                name = words[2].partition(".")[2]
                words = ["interp", "probe", name, *words[3:]]
                if name not in ANALYSES:
                    continue  # a script that is no analysis, such as an experiment
            words = ["1" if word == "N" else word for word in words]  # any number
            options = cli.whole_parser().parse_args(words[1:])
            if options.command == "probe" and options.name is not None:
                probe.parser_of(options.name).parse_args(options.rest)


def test_help_fits_the_page(
    parsers: dict[str, argparse.ArgumentParser], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    whole = {"": cli.whole_parser(), **parsers}
    wide = [
        (path, line)
        for path, parser in whole.items()
        for line in parser.format_help().splitlines()
        if len(line) > 100
    ]
    assert wide == []


def test_shared_names_stand_in_the_table_and_are_of_one_kind(
    parsers: dict[str, argparse.ArgumentParser], repository: Path
) -> None:
    uses: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, set[str]] = defaultdict(set)
    for path, parser in parsers.items():
        for action in parser._actions:
            for name in action.option_strings:
                uses[name].add(path)
                number = action.type in (int, float)
                kinds[name].add("flag" if action.nargs == 0 else "number" if number else "text")
    shared = {name for name, paths in uses.items() if len(paths) > 1} - {"-h", "--help"}
    page = (repository / "docs" / "command-line.md").read_text("utf-8")
    section = page.partition("## Names that")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[a-z-]+)` \|", section, flags=re.MULTILINE)) == shared
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


def test_every_option_says_what_it_is_and_json_is_where_a_program_reads(
    parsers: dict[str, argparse.ArgumentParser],
) -> None:
    has_json = {path for path, parser in parsers.items() if "--json" in parser.format_help()}
    assert set(parsers) - has_json == WITHOUT_JSON
    page_names = {path.partition(" ")[0] for path in parsers}
    assert page_names == set(cli.COMMANDS)


def test_the_page_lists_every_command_and_exit_code(repository: Path) -> None:
    page = (repository / "docs" / "command-line.md").read_text("utf-8")
    table = page.partition("## For programs")[0]
    assert [name for name in cli.COMMANDS if f"| `{name}" not in table] == []
    codes = set(re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE))
    assert codes == {"0", "1", "2", "70", "130"}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["exlpain"], "explain"),
        (["zoo", "lsit"], "list"),
        (["probe", "haeds"], "heads"),
        (["generate", "stories", "x", "--sed", "1"], "--seed"),
        (["explain", "stories", "x", "--units", "word"], "words"),
        (["data", "get", "names", "--ouput", "x"], "--out"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_name_that_is_near_none_is_only_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["zzzzzz"])
    shown = capsys.readouterr().err
    assert "did you mean" not in shown and "invalid choice" in shown


def test_names_are_not_abbreviated() -> None:
    parser = Parser(prog="x")
    parser.add_argument("--temperature")
    with pytest.raises(SystemExit):
        parser.parse_args(["--temp", "1"])


def test_a_defect_has_its_own_exit_code_and_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.commands import doctor

    def broken(options: object) -> int:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(doctor, "run", broken)
    assert cli.main(["doctor"]) == 70
    assert "ZeroDivisionError: of ours" in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.commands import doctor

    def full(options: object) -> int:
        raise OSError(28, "No space left on device", "run/log.jsonl")

    monkeypatch.setattr(doctor, "run", full)
    assert cli.main(["doctor"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("interp: ") and "run/log.jsonl" in shown and shown.count("\n") == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_knows_every_name(shell: str) -> None:
    parser = cli.whole_parser()
    script = SHELLS[shell](parser)
    for command in commands(parser):
        assert all(word in script for word in command.words)
        for option in command.options:
            for name in option.names:
                assert (
                    f"-l {name[2:]}" if shell == "fish" and name[:2] == "--" else name
                ) in script


@pytest.mark.parametrize(("shell", "check"), [("bash", ["-n"]), ("zsh", ["-n"]), ("fish", ["-n"])])
def test_a_completion_script_is_sound(shell: str, check: list[str], tmp_path: Path) -> None:
    import shutil

    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    script = tmp_path / "script"
    script.write_text(SHELLS[shell](cli.whole_parser()), "utf-8")
    done = subprocess.run([shell, *check, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("interp exp", "explain explore"),
        ("interp data ", "list get"),
        ("interp data get --o", "--out"),
        ("interp generate stories-", "stories-suite"),
        ("interp explain --units ", "tokens words sentences"),
        ("interp probe hea", "heads"),
        ("interp train --optimizer m", "muon"),
    ],
)
def test_bash_completes(line: str, offered: str, tmp_path: Path) -> None:
    script = SHELLS["bash"](cli.whole_parser()) + (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _interp; echo "${COMPREPLY[*]}"'
    )
    words = line.split(" ")
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == offered
