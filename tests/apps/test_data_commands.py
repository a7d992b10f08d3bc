"""Cleaning and fetching on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps import cli


def test_clean_writes_shards_and_both_cards(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "body,stars\nWrite to jo@example.org today.,5\nWrite to jo@example.org today.,4\n"
    )
    out = tmp_path / "out"
    words = ("clean", str(table), "--out", str(out), "--column", "body", "--keep", "stars")
    assert cli.main([*words, "--processes", "1"]) == 0
    shown = capsys.readouterr().out
    assert "2 documents in, 1 out" in shown and "EMAIL" in shown and "card.html" in shown
    (line,) = (out / "part-00000.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "Write to <EMAIL> today."
    assert json.loads(line)["metadata"] == {"stars": "5"}
    assert (out / "card.html").read_text("utf-8").startswith("<!doctype html>")
    assert cli.main([*words, "--json"]) == 0  # finished: the same card again
    assert json.loads(capsys.readouterr().out) == json.loads((out / "card.json").read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--pipeline", "magic"), "repair, standard, web"),
        (("--language", "xx"), "xx"),
        (("--without", "magic"), "magic"),
        (("--column", "7"), "no column '7'"),
        (("--suffix", ".pdf"), ".pdf"),
    ],
)
def test_wrong_use_of_clean_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\n')
    code = cli.main(["clean", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "out"), *words])
    err = capsys.readouterr().err
    assert code == 2 and err.count("\n") == 1 and said in err


def test_data_is_listed_and_fetched(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shared_data: Path
) -> None:
    assert cli.main(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "tatoeba" in shown and "CC BY 2.0" in shown
    assert cli.main(["data", "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {entry["name"] for entry in listed} >= {"names", "ntrex"}
    words = ["data", "get", "names", "--data", str(shared_data), "--out", str(tmp_path)]
    assert cli.main(words) == 0
    assert (tmp_path / "names" / "names.txt").is_file()
    assert cli.main(["data", "get", "nope"]) == 2
