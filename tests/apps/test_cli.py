"""The command line as its users meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from apps import cli

TEXT = "Once upon a time there was a little"


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = cli.main(arguments)
    except SystemExit as end:  # argparse ends the process by itself for --help and wrong use
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from apps import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'streamlit', 'transformers', 'tyro'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, summary in cli.COMMANDS.items():
        assert name in done.stdout and summary in done.stdout


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(command, "--help", capsys=capsys)
    assert code == 0 and f"interp {command} " in out.split("examples:")[1]


def test_generate_is_repeatable_and_begins_with_the_prompt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("generate", "stories", TEXT, "--max-new-tokens", "12", "--seed", "3")
    code, out, _ = run(*words, capsys=capsys)
    assert code == 0 and out.startswith(TEXT) and len(out) > len(TEXT) + 12
    assert run(*words, capsys=capsys)[1] == out
    read = json.loads(run(*words, "--json", capsys=capsys)[1])
    assert TEXT + read["continuation"] + "\n" == out


def test_beams_and_greedy_are_the_models_own(capsys: pytest.CaptureFixture[str]) -> None:
    import interp

    model = interp.load("stories")
    _, out, _ = run("generate", "stories", TEXT, "--greedy", "--max-new-tokens", "6", capsys=capsys)
    assert out == model.generate(TEXT, max_new_tokens=6, do_sample=False) + "\n"
    beams = ("--num-beams", "2", "--max-new-tokens", "6")
    _, out, _ = run("generate", "stories", TEXT, *beams, capsys=capsys)
    assert out == model.generate(TEXT, max_new_tokens=6, num_beams=2) + "\n"


def test_explain_shows_the_strip_and_writes_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "why.html"
    code, out, _ = run("explain", "stories", TEXT, "--out", str(page), capsys=capsys)
    assert code == 0
    assert "little" in out and "completeness error" in out and str(page) in out
    assert "\x1b" not in out  # no colours where the output is no terminal
    assert page.read_text("utf-8").startswith("<!doctype html>") or "<html" in page.read_text(
        "utf-8"
    )


def test_explain_as_json_is_the_attribution(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("explain", "stories", TEXT, "--target", " girl", "--foil", " boy", "--json")
    code, out, _ = run(*words, capsys=capsys)
    read = json.loads(out)
    assert code == 0 and len(read["tokens"]) == len(read["scores"])
    assert sum(read["scores"]) == pytest.approx(read["value"] - read["baseline_value"], rel=0.01)
    assert "girl" in read["target"] and "boy" in read["target"]


def test_several_methods_make_a_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    words = ("--method", "gradient_x_input", "leave_one_out", "--out", str(page))
    code, out, _ = run("explain", "stories", "She was very", *words, capsys=capsys)
    assert code == 0 and "infidelity" in out and "leave one out:" in out and str(page) in out
    assert page.read_text("utf-8").count('class="interp-strip"') == 2


def test_a_whole_answer_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "answer.html"
    words = ("--answer", " happy and good", "--method", "gradient_x_input")
    code, out, _ = run("explain", "stories", TEXT, *words, "--out", str(page), capsys=capsys)
    assert code == 0 and "happy" in out and "interp-answer" in page.read_text("utf-8")
    lines = run("explain", "stories", TEXT, *words, "--json", capsys=capsys)[1].splitlines()
    read = [json.loads(line) for line in lines]
    assert {row["answer_token"] for row in read} >= {" happy", " and"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("explain", "stories", "One", "--out", "why.txt"), ".html"),
        (("explain", "stories", "One", "--baseline", "nothing"), "uniform"),
        (("explain", "stories", "One", "--answer", "--target", " a"), "--answer"),
        (("generate", "no-such-model", "x"), "no-such-model"),
        (("explain", "stories", "One day", "--method", "crystal"), "integrated_gradients"),
        (("explain", "stories", "One day", "--position", "99"), "position"),
        (("generate", "stories", "One", "--temperature", "-1"), "temperature"),
    ],
)
def test_refused_input_is_one_line_and_code_2(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2 and out == "" and words in err
    assert err.startswith("interp: ") and err.count("\n") == 1


def test_wrong_use_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("divine", capsys=capsys)[0] == 2
    assert run(capsys=capsys)[0] == 2


def test_an_interrupt_is_code_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.commands import generate

    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "run", interrupted)
    code, _, err = run("generate", "stories", "x", capsys=capsys)
    assert code == 130 and "interrupted" in err


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"'{sys.executable}' -m apps.cli generate stories 'One day' --max-new-tokens 60"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "One" and done.stderr == ""
