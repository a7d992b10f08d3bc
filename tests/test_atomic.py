"""Files that are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp.atomic import writing


def test_a_written_file_holds_what_was_written(tmp_path: Path) -> None:
    with writing(tmp_path / "new" / "file.txt") as file:
        file.write("Grüße\n")
    with writing(tmp_path / "file.bin", "wb") as file:
        file.write(b"\x00\xff")
    assert (tmp_path / "new" / "file.txt").read_bytes() == "Grüße\n".encode()
    assert (tmp_path / "file.bin").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("before", [None, "old"])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "file.txt"
    if before is not None:
        path.write_text(before)

    def interrupted() -> None:
        with writing(path) as file:
            file.write("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="space"):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["file.txt"])
    assert before is None or path.read_text() == before


def test_the_new_file_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with writing(path) as file:
        file.write("new")
        file.flush()
        assert not path.exists()
    assert path.read_text() == "new"
