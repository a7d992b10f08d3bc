"""Cleaning: the same bytes however often it is interrupted and whoever does the work."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.personal_data import examples
from interp.data import chunks, shards
from interp.data.card import DataCard
from interp.data.clean import clean
from interp.data.pipeline import PIPELINES, Pipeline, Step, language_step, length_step
from interp.data.readers import Reading, read_documents
from interp.data.tally import redacted
from interp.errors import ConfigError, InputError, LoadError

MIXED = """The quick brown fox “jumps” over the lazy dog and then it rests for a while.
Der Hund schläft den ganzen Tag in der Sonne und träumt von der Jagd.
Write to jo.smith@example.org or call +44 20 7946 0958 before the weekend.

Zwölf Ã¼ber alle Berge.
Short.""".split("\n")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files of 150 lines with repeats, personal data and what a filter removes."""
    rng = random.Random(5)
    folder = tmp_path_factory.mktemp("corpus")
    private = [example.text.replace("\n", " ") for example in examples(200, seed=3)]
    for i in range(4):
        rows = [rng.choice(MIXED + private) for _ in range(150)]
        (folder / f"{i}.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 6_000)
    monkeypatch.setattr(chunks, "CHARACTERS", 3_000)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


LINES = Reading(split="line")


@pytest.mark.usefixtures("small_shards")
def test_the_number_of_processes_does_not_matter(corpus: Path, tmp_path: Path) -> None:
    card = clean([corpus], tmp_path / "one", reading=LINES, processes=1)
    assert clean([corpus], tmp_path / "three", reading=LINES, processes=3) == card
    assert content(tmp_path / "one") == content(tmp_path / "three")
    assert len(card.shards) > 3


# Sets small shards, then dies at the n-th document or at the n-th time a file gets its name.
SCRIPT = """
import os, signal, sys
from pathlib import Path
from interp.data import chunks, shards
from interp.data.clean import clean
from interp.data.readers import Reading
shards.SHARD_BYTES, chunks.CHARACTERS = 6_000, 3_000
corpus, out, moment, n = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
count = 0
def step(*_):
    global count
    count += 1
    if count == n:
        os.kill(os.getpid(), signal.SIGKILL)
plain = Path.replace
if moment == "before": Path.replace = lambda path, to: (step(), plain(path, to))[1]
if moment == "after": Path.replace = lambda path, to: (plain(path, to), step())[0]
clean([corpus], out, reading=Reading(split="line"), processes=1,
      progress=step if moment == "document" else lambda *_: None)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_result(corpus: Path, tmp_path: Path) -> None:
    def run(out: Path, moment: str, n: int) -> int:
        command = [sys.executable, "-c", SCRIPT, str(corpus), str(out), moment, str(n)]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert run(tmp_path / "whole", "never", 0) == 0
    rng = random.Random(8)
    kills = 0
    for moment, last in (("document", 500), ("before", 9), ("after", 9)):
        out = tmp_path / moment
        while (code := run(out, moment, rng.randint(1, last))) != 0:
            assert code == -signal.SIGKILL
            kills += 1
            for name in out.glob("part-*"):  # whole files only
                assert all(json.loads(line) for line in name.read_text("utf-8").splitlines())
            if kills % 8 == 0:
                last = 10**9
        assert content(out) == content(tmp_path / "whole")
    assert kills >= 10


def test_workers_leave_with_their_parent(corpus: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom interp.data.workers import Workers\n"
        "with Workers(2) as w:\n"
        "    for _ in w.map(abs, range(10**9)): print('.', flush=True); time.sleep(0.01)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.read(1) == b"."
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    if not children.exists():
        parent.kill()
        pytest.skip("needs /proc to list the children of a process")
    workers = children.read_text().split()
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not any(_alive(pid) for pid in workers):
            break
        time.sleep(0.1)
    assert workers and not any(_alive(pid) for pid in workers)


def _alive(pid: str) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.usefixtures("small_shards")
def test_counts_add_up(corpus: Path, tmp_path: Path) -> None:
    pipeline = PIPELINES["standard"].with_step(language_step(("en",)))
    card = clean([corpus], tmp_path / "out", pipeline, reading=LINES, processes=1)
    steps = list(card.tally.steps.values())
    lines = [line for p in corpus.iterdir() for line in p.read_text("utf-8").split("\n") if line]
    assert card.documents_in == len(lines)
    for one, following in pairwise(steps):
        assert one.documents_in - one.documents_removed == following.documents_in
        assert one.characters_out == following.characters_in
    for step in steps:
        assert step.reasons.total() == step.documents_removed
    written = list(read_documents(sorted((tmp_path / "out").glob("part-*"))))
    assert steps[-1].characters_out == card.characters_out == sum(len(d.text) for d in written)
    assert card.documents_out == len(written) == len({d.text for d in written})
    kinds = Counter({k: sum(d.text.count(f"<{k}>") for d in written) for k in card.tally.personal})
    assert all(kinds[k] > 0 for k in card.tally.personal)
    assert DataCard.read(tmp_path / "out") == card


def test_no_personal_data_leaks_through_the_card(tmp_path: Path) -> None:
    """Neither from what steps before the scrub did, nor where nothing is scrubbed."""
    hidden = [(text[a:b], text) for text, found in examples(80, seed=21) for _, a, b in found]
    path = tmp_path / "t.jsonl"
    rows = [
        {"text": f"  “{text}”  \u200b" + " word" * (i % 7)} for i, (_, text) in enumerate(hidden)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows + rows))
    pipelines = {"web": PIPELINES["web"], "repair": PIPELINES["repair"]}
    pipelines["short"] = PIPELINES["standard"].with_step(length_step(40)).without("privacy")
    for name, pipeline in pipelines.items():
        clean([path], tmp_path / name, pipeline, processes=1)
        card = (tmp_path / name / "card.json").read_text("utf-8")
        assert "before" in card
        assert not [value for value, _ in hidden if value in card]


@given(st.sampled_from([e for e in examples(300, seed=4) if e.personal]), st.integers(0, 200))
def test_examples_are_redacted_wherever_they_are_cut(example: object, padding: int) -> None:
    text, personal = example
    shown = redacted("word " * (padding // 5) + text)
    assert len(shown) <= 91
    assert not [text[a:b] for _, a, b in personal if text[a:b] in shown]


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("suffix", [s for s in shards.SUFFIXES if s != ".jsonl.zst"])
def test_every_format_reads_back(corpus: Path, tmp_path: Path, suffix: str) -> None:
    plain = clean([corpus / "0.txt"], tmp_path / "plain", reading=LINES, processes=1)
    clean([corpus / "0.txt"], tmp_path / "out", reading=LINES, processes=1, suffix=suffix)
    found = [
        document.text
        for path in sorted((tmp_path / "out").glob(f"part-*{suffix}"))
        for document in read_documents([path], Reading(split="document"))
    ]
    wanted = list(read_documents(sorted((tmp_path / "plain").glob("part-*"))))
    assert found == [document.text for document in wanted]
    assert len(found) == plain.documents_out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(texts=st.lists(st.text(st.sampled_from("ab\n \t")).map(str.strip).filter(bool), min_size=1))
def test_text_files_keep_documents_apart(tmp_path: Path, texts: list[str]) -> None:
    writer = shards.ShardWriter(tmp_path, 0, ".txt")
    from interp.data.document import Document

    for text in texts:
        writer.write(Document(shards.as_written(text, ".txt")))
    shard = writer.close()
    assert shard is not None
    assert list(shards.read_shard(tmp_path, shard)) == [
        shards.as_written(text, ".txt") for text in texts
    ]


def test_kept_columns_are_scrubbed_too(tmp_path: Path) -> None:
    row = {"text": "Hello there.", "id": "jo@example.org", "by": "Jo <jo@example.org>", "n": 4}
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(row))
    clean([path], tmp_path / "out", reading=Reading(keep=("by", "n")), processes=1)
    written = (tmp_path / "out" / "part-00000.jsonl").read_text()
    assert "jo@" not in written
    assert json.loads(written)["metadata"] == {"by": "Jo <<EMAIL>>", "n": 4}


@pytest.mark.usefixtures("small_shards")
def test_a_full_disk_loses_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third file does not fit; when there is room again, the same call finishes."""
    whole = clean([corpus / "0.txt"], tmp_path / "whole", reading=LINES, processes=1)
    plain, synced = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal synced
        synced += 1
        if synced == 6:  # the journal, then a shard and the journal, twice
            raise OSError(28, "No space left on device")
        plain(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No space left.*finished shards stay"):
        clean([corpus / "0.txt"], tmp_path / "out", reading=LINES, processes=1)
    assert sorted(content(tmp_path / "out")) == [
        *(".cleaning.json", "part-00000.jsonl", "part-00001.jsonl")
    ]
    assert clean([corpus / "0.txt"], tmp_path / "out", reading=LINES, processes=1) == whole
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_damaged_file_is_said_or_left_out(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("A good document of some words.")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(LoadError, match=r"bad\.jsonl\.gz"):
        clean([tmp_path], tmp_path / "out", processes=1)
    card = clean([tmp_path / "good.txt", tmp_path / "bad.jsonl.gz"], tmp_path / "out2",
                 processes=1, skip_unreadable=True)  # fmt: skip
    assert card.documents_out == 1 and list(card.unreadable) == ["bad.jsonl.gz"]


def test_a_folder_of_something_else_is_refused(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = clean([corpus], out, processes=1)
    assert clean([corpus], out, processes=1) == first  # finished: nothing to do
    with pytest.raises(InputError, match="holds a cleaning of other files"):
        clean([corpus], out, reading=LINES, processes=1)
    again = clean([corpus], out, reading=LINES, processes=1, restart=True)
    assert again.documents_in > first.documents_in
    (out / "card.json").unlink()
    with pytest.raises(InputError, match="shards of something else"):
        clean([corpus], out, processes=1)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_nothing_to_clean_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(InputError, match="no document"):
        clean([tmp_path / "t.txt"], tmp_path / "out", processes=1)
    assert not list((tmp_path / "out").glob("*"))


def test_contradictory_settings_are_refused(corpus: Path, tmp_path: Path) -> None:
    for call in (
        lambda: language_step(("xx",)),
        lambda: language_step(()),
        lambda: length_step(5, 4),
        lambda: PIPELINES["web"].without("magic"),
        lambda: Pipeline((length_step(1), length_step(2))),
        lambda: Pipeline((), near=1.5),
        lambda: clean([corpus], tmp_path / "out", suffix=".pdf"),
        lambda: clean([corpus], tmp_path / "out", processes=0),
    ):
        with pytest.raises(ConfigError):
            call()


def test_a_step_of_ones_own(corpus: Path, tmp_path: Path) -> None:
    shout = Step("shout", "change", str.upper, "raises its voice")
    card = clean([corpus], tmp_path / "out", PIPELINES["repair"].with_step(shout), processes=2)
    assert card.tally.steps["shout"].documents_changed == card.documents_in
    assert "QUICK BROWN" in (tmp_path / "out" / "part-00000.jsonl").read_text("utf-8")
