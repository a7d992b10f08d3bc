"""What a reader may do with a damaged file, and what it may not.

It may read it, or refuse it with an `InterpError`. Everything else is a fault: another exception,
memory that the file does not justify, a place outside the file's folder that is written or read, a
program started, an address asked for, pickled code, a reading without end, the death of the
process.

Each reading happens in a forked process under a limit of memory, so that a fault ends that process
and not the tests.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from interp.errors import InterpError
from interp.untrusted import MALFORMED
from tests.fuzz.mutate import damage, fresh

Outcome = Literal["accepted", "refused", "crash", "memory", "hang", "outside", "death"]
FAULTS = ("crash", "memory", "hang", "outside", "death")

MOST_MEMORY = 256 << 20
"""Bytes that one reading may hold beyond what the process held before: several times the longest
document (32 MiB), whatever sizes a file claims."""
ROOM = 2 << 30
"""Bytes of addresses beyond those in use, after which the system refuses."""
COMPUTING, WAITING = 10.0, 30.0
"""Seconds that one reading may compute, and may take altogether."""

_ACTS = ("subprocess.Popen", "os.system", "os.exec", "socket.connect", "socket.getaddrinfo")
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod")


@dataclass(frozen=True)
class Reader:
    """Something that reads files.

    Attributes:
        make: fills an empty folder with whole files.
        read: reads all of a folder that `make` filled.
        mend: what a forger does after a change: writes the hashes anew. Done in half of all cases.
        cost: about how many milliseconds a reading takes, by which large runs are cut.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    mend: Callable[[Path], object] | None = None
    cost: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """Of one reading: what happened, how (of a fault), the bytes it held and the seconds."""

    number: int
    outcome: Outcome
    what: str = ""
    peak: int = 0
    seconds: float = 0.0


class _TooLong(BaseException):
    """Not an `Exception`, so that no reader takes it for damage."""


def judge(name: str, reader: Reader, numbers: range) -> Iterator[Verdict]:
    """The verdict on each damaged folder; equal numbers give equal folders."""
    with tempfile.TemporaryDirectory(prefix="interp-fuzz-") as held:
        room = Path(held).resolve()
        reader.make(_new(room / "whole"))
        _new(room / "outside")
        (room / "outside" / "secret.txt").write_text("secret\n")
        context = get_context("fork")
        at = numbers.start
        while at < numbers.stop:
            here, there = context.Pipe(duplex=False)
            rest = range(at, numbers.stop)
            process = context.Process(target=_work, args=(name, reader, rest, room, there))
            process.start()
            there.close()
            try:
                while at < numbers.stop:
                    if not here.poll(4 * WAITING):  # stuck below Python, where no signal reaches
                        process.kill()
                        raise TimeoutError
                    yield here.recv()
                    at += 1
            except (EOFError, TimeoutError) as error:
                process.join()
                stuck = isinstance(error, TimeoutError)
                yield Verdict(at, "hang" if stuck else "death", f"exit code {process.exitcode}")
                at += 1
            process.join()
            here.close()


def _work(name: str, reader: Reader, numbers: range, room: Path, to: Connection) -> None:
    sys.dont_write_bytecode = True
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    tempfile.tempdir = str(_new(room / "temporary"))
    os.chdir(_new(room / "work"))
    reader.read(room / "whole")  # whatever is loaded once is loaded here
    used = _memory()["VmSize"]
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    for bell in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(bell, _ring)
    watch = _Watch(room)
    sys.addaudithook(watch)
    for number in numbers:
        to.send(_one(name, reader, number, room, watch))
    os._exit(0)


def _one(name: str, reader: Reader, number: int, room: Path, watch: _Watch) -> Verdict:
    target = room / "target"
    fresh(room / "whole", target)
    damage(target, f"{name} {number}")
    whole = all(path.is_file() or path.is_dir() for path in target.rglob("*"))
    if reader.mend is not None and number % 2 and whole:
        try:
            reader.mend(target)
        except MALFORMED:
            pass  # too damaged to be forged
    before, begin = _memory(reset=True)["VmRSS"], time.monotonic()
    outcome, what = "accepted", ""
    _wind(COMPUTING, WAITING)
    try:
        with watch.on():
            reader.read(target)
    except InterpError as error:
        outcome, what = "refused", str(error)
    except _TooLong:
        outcome, what = "hang", traceback.format_exc(limit=-4)
    except BaseException:  # also what is no Exception, such as a panic below Python
        outcome, what = "crash", traceback.format_exc(limit=-6)
    finally:
        _wind(0, 0)
    seconds, peak = time.monotonic() - begin, _memory()["VmHWM"] - before
    if watch.seen:
        outcome, what = "outside", ", ".join(watch.seen)
    elif peak > MOST_MEMORY and outcome in ("accepted", "refused"):
        outcome, what = "memory", f"{peak >> 20} MiB; {what}"
    return Verdict(number, outcome, what, max(peak, 0), seconds)  # type: ignore[arg-type]


class _Watch:
    """Hears of what Python opens, changes, starts and asks for while a reader is at work."""

    def __init__(self, room: Path):
        self.room, self.seen, self.active = str(room), [], False

    @contextmanager
    def on(self) -> Iterator[None]:
        self.seen, self.active = [], True
        try:
            yield
        finally:
            self.active = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in _ACTS or event == "pickle.find_class":
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "open":
            path, _, flags = arguments
            self._check(
                path, flags is not None and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            )
        elif event in _CHANGES:
            *_, last = arguments
            beside = f"/proc/self/fd/{last}" if isinstance(last, int) and last >= 0 else "."
            for path in arguments[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._check(Path(beside).resolve() / os.fsdecode(path), True)

    def _check(self, path: Any, writes: bool) -> None:
        """Inside the room, all but the target and the temporary folder is out of bounds; outside
        it, reading is the libraries' own affair, and writing is none of theirs."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        full = os.path.normpath(Path.cwd() / os.fsdecode(path))  # as it is named: links may lead on
        if full.startswith((f"{self.room}/target", f"{self.room}/temporary")):
            return
        if full.startswith(self.room) or (writes and not full.startswith(("/dev/", "/proc/"))):
            self.seen.append(f"{'write' if writes else 'read'} {full}")


def _wind(computing: float, waiting: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, computing)
    signal.setitimer(signal.ITIMER_REAL, waiting)


def _ring(*_: object) -> None:
    raise _TooLong


def _new(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _memory(*, reset: bool = False) -> dict[str, int]:
    """Bytes in use, and the most since the last reset (Linux; see proc(5))."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line.startswith("Vm"))
    return {name: int(value.split()[0]) << 10 for name, value in pairs}
