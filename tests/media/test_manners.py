"""How sandboxed programs stand towards others on the machine, with bubblewrap around them and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import Misconfigured
from app.media import bubblewrap, sandbox
from app.media.sandbox import Limits, Manners

ROOT = Path(__file__).resolve().parents[2]
SAYS_MANNERS = "import os, subprocess; print(os.nice(0), subprocess.getoutput('ionice'))"


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


@pytest.fixture(params=["off", "required"])
def wrapped(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Without bubblewrap and with it."""
    if request.param == "required" and not bubblewrap.works():
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    sandbox.behave(Manners(bubblewrap=request.param))
    yield request.param == "required"
    sandbox.behave(Manners())


@pytest.mark.parametrize(
    ("manners", "said"),
    [
        (Manners(nice=7, disk="low"), (7, "best-effort: prio 7")),
        (Manners(nice=0, disk="idle"), (0, "idle")),
        (Manners(nice=3, disk="normal"), (3, "none: prio 0")),
    ],
    ids=["low", "idle", "normal"],
)
def test_programs_stand_back(tmp_path: Path, manners: Manners, said: tuple[int, str]) -> None:
    own = os.nice(0)
    sandbox.behave(manners)
    try:
        told = sandbox.run(python(SAYS_MANNERS), scratch=tmp_path / "s").stdout_tail.strip()
    finally:
        sandbox.behave(Manners())
    assert told == f"{own + said[0]} {said[1]}"


def test_bubblewrap_that_is_required_must_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "works", lambda: False)
    with pytest.raises(Misconfigured, match="bwrap"):
        sandbox.behave(Manners(bubblewrap="required"))


def test_it_works_in_its_folder_and_sees_no_other(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "neighbour").write_text("private")
    code = "import os, sys; open('made', 'w').write('x'); print(os.getcwd()); print(os.path.exists(sys.argv[1]))"
    done = sandbox.run(python(code, str(tmp_path / "neighbour")), scratch=tmp_path / "s")
    assert done.stdout_tail.split() == [str(tmp_path / "s"), str(not wrapped)]  # without it, seen but not read
    assert (tmp_path / "s" / "made").read_text() == "x"
    with pytest.raises(sandbox.Failed):
        sandbox.run(python("import sys; open(sys.argv[1])", str(tmp_path / "neighbour")), scratch=tmp_path / "t")


def test_descriptors_are_handed_over_and_time_is_measured(tmp_path: Path, wrapped: bool) -> None:
    (tmp_path / "input").write_bytes(b"as uploaded")
    code = "import os, sys, time\nprint(os.read(int(sys.argv[1]), 99))\nwhile time.process_time() < 0.4: pass"
    with (tmp_path / "input").open("rb") as file:
        done = sandbox.run(python(code, str(file.fileno())), scratch=tmp_path / "s", pass_fds=(file.fileno(),))
    assert "as uploaded" in done.stdout_tail
    assert 0.4 <= done.cpu_seconds < 5


@pytest.mark.parametrize(
    ("which", "limits", "code"),
    [
        ("cpu", Limits(cpu_seconds=1), "while True: pass"),
        ("file", Limits(file_bytes=1 << 20), "open('big', 'wb').write(bytes(2 << 20))"),
    ],
    ids=["cpu", "file"],
)
def test_limits_are_told_apart(tmp_path: Path, wrapped: bool, which: str, limits: Limits, code: str) -> None:
    with pytest.raises(sandbox.LimitExceeded) as caught:
        sandbox.run(python(code), scratch=tmp_path / "s", limits=limits)
    assert caught.value.which == which


def test_a_full_disk_is_no_fault_of_the_video(tmp_path: Path) -> None:
    code = "import os, errno, sys; sys.exit(str(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))"
    with pytest.raises(sandbox.NoRoom):
        sandbox.run(python(code), scratch=tmp_path / "s")


def test_a_program_dies_with_its_worker(tmp_path: Path, wrapped: bool) -> None:
    """Killed as the kernel does it, with bubblewrap between worker and program."""
    scratch = tmp_path / "s"
    code = (
        "import sys; from pathlib import Path; from app.media import sandbox\n"
        f"sandbox.behave(sandbox.Manners(bubblewrap={'required' if wrapped else 'off'!r}))\n"
        "program = 'import os, time; open(\\'pid\\', \\'w\\').write(str(os.getpid())); time.sleep(60)'\n"
        f"sandbox.run([sys.executable, '-c', program], scratch=Path({str(scratch)!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        pid = int(_soon(lambda: (scratch / "pid").read_text() if (scratch / "pid").exists() else ""))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        _soon(lambda: "gone" if _gone(pid) else "")
    finally:
        worker.kill()


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _soon(ask: object) -> str:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if answer := ask():  # type: ignore[operator]
            return str(answer)
        time.sleep(0.02)
    raise AssertionError("not within 15 s")
