"""The sandbox keeps what it promises, whoever runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.media import sandbox
from app.media.sandbox import Limits, run

ROOT = Path(__file__).parents[2]


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-c", code, *arguments]


def gone(pid: int) -> bool:
    """True when the process is no more, or only waits to be reaped."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


def wait_until(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_output_lines_and_processor_time_come_back(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys\nfor i in range(3): print(i, flush=True)\nsum(range(5_000_000)); print('end', end='')\nsys.stderr.write('note')"
    done = run(python(code), scratch=tmp_path / "s", on_line=lines.append)
    assert lines == ["0", "1", "2", "end"]
    assert done.stdout_tail == "0\n1\n2\nend"
    assert done.stderr_tail == "note"
    assert done.returncode == 0
    assert 0.02 < done.cpu_seconds < done.wall_seconds * os.cpu_count() + 1


def test_starts_in_its_own_empty_folder_without_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGNETTE_SECRET_KEY", "do not tell")
    code = "import os; print(os.getcwd()); print(os.listdir('.')); print(sorted(os.environ))"
    where, what, names = run(python(code), scratch=tmp_path / "s").stdout_tail.splitlines()
    assert where == str((tmp_path / "s").resolve())
    assert what == "[]"
    assert set(eval(names)) <= {"HOME", "LANG", "LC_CTYPE", "PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}  # noqa: S307


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "left").touch()
    with pytest.raises(ValueError, match="empty"):
        run(python("pass"), scratch=tmp_path)


def test_only_passed_descriptors_are_open(tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    (tmp_path / "given").write_text("given")
    given = os.open(tmp_path / "given", os.O_RDONLY)
    try:
        code = f"import os; print(os.read({given}, 9)); os.fstat({secret})"
        with pytest.raises(sandbox.Failed) as caught:
            run(python(code), scratch=tmp_path / "s", pass_fds=(given,))
        assert "Bad file descriptor" in caught.value.stderr_tail
    finally:
        os.close(secret)
        os.close(given)


@pytest.mark.parametrize(
    ("which", "limits", "code"),
    [
        ("wall", Limits(wall_seconds=0.5), "import time; time.sleep(60)"),
        ("cpu", Limits(cpu_seconds=1), "while True: pass"),
        ("memory", Limits(memory_bytes=1 << 30), "bytearray(2 << 30)"),
        ("file", Limits(file_bytes=1 << 20), "open('big', 'wb').write(bytes(2 << 20))"),
    ],
)
def test_limits(which: str, limits: Limits, code: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(sandbox.LimitExceeded) as caught:
        run(python(code), scratch=tmp_path / "s", limits=limits)
    assert caught.value.which == which
    assert time.monotonic() - started < 10


def test_no_core_file_and_few_descriptors(tmp_path: Path) -> None:
    code = "import resource as r; print(r.getrlimit(r.RLIMIT_CORE)[0], r.getrlimit(r.RLIMIT_NOFILE)[0])"
    assert run(python(code), scratch=tmp_path / "s").stdout_tail.split() == ["0", "128"]


def test_cancelling_kills_the_whole_group_within_a_second(tmp_path: Path) -> None:
    pids: list[int] = []
    asked: list[float] = []

    def cancelled() -> bool:
        if len(pids) == 2 and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    code = (
        "import os, time\nchild = os.fork()\n"
        "if child: print(os.getpid(), flush=True); print(child, flush=True)\n"
        "time.sleep(60)"
    )
    with pytest.raises(sandbox.Cancelled):
        run(python(code), scratch=tmp_path / "s", on_line=lambda line: pids.append(int(line)), cancelled=cancelled)
    assert time.monotonic() - asked[0] < 1
    assert wait_until(lambda: all(gone(pid) for pid in pids), 1.0)


def test_cancelled_before_the_start_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(sandbox.Cancelled):
        run(python("open('made', 'w')"), scratch=tmp_path / "s", cancelled=lambda: True)
    assert not any((tmp_path / "s").iterdir())


def test_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "note"
    parent_code = (
        "import sys, pathlib\nfrom app.media import sandbox\n"
        "child = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "sandbox.run([sys.executable, '-I', '-c', child], scratch=pathlib.Path(sys.argv[1]), "
        "on_line=lambda line: pathlib.Path(sys.argv[2]).write_text(line))"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code, str(tmp_path / "s"), str(note)], cwd=ROOT)
    try:
        assert wait_until(lambda: note.exists() and note.read_text().strip() != "")
        child = int(note.read_text())
        assert not gone(child)
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: gone(child), 2.0)


def test_an_error_in_the_callback_leaves_nothing_behind(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail(line: str) -> None:
        pids.append(int(line))
        raise RuntimeError("in the callback")

    with pytest.raises(RuntimeError, match="in the callback"):
        run(
            python("import os, time; print(os.getpid(), flush=True); time.sleep(60)"),
            scratch=tmp_path / "s",
            on_line=fail,
        )
    assert wait_until(lambda: gone(pids[0]), 1.0)


def test_failure_carries_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(sandbox.Failed) as caught:
        run(python("import sys; sys.stderr.write('first\\nlast words'); sys.exit(3)"), scratch=tmp_path / "s")
    assert caught.value.returncode == 3
    assert "last words" in str(caught.value)


def test_a_full_disk_is_told_from_a_file_that_talks_of_one(tmp_path: Path) -> None:
    with pytest.raises(sandbox.NoRoom):
        run(python("raise OSError(28, 'No space left on device')"), scratch=tmp_path / "a")
    for words in ("    title : No space left on device", "No space left on device, he said"):
        with pytest.raises(sandbox.Failed):
            run(python("import sys; sys.exit(sys.argv[1])", words), scratch=tmp_path / words[-3:].strip())


def test_time_in_which_the_machine_stood_still_is_not_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = time.monotonic, []

    def cancelled() -> bool:
        asked.append(1)
        return False

    # an hour passes between two looks, once the program is at work
    monkeypatch.setattr(sandbox.time, "monotonic", lambda: clock() + (3600 if len(asked) > 1 else 0))
    done = run(
        python("import time; time.sleep(0.5)"),
        scratch=tmp_path / "s",
        limits=Limits(wall_seconds=60),
        cancelled=cancelled,
    )
    assert done.returncode == 0


def _kernel_confines() -> bool:
    import ctypes

    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@pytest.mark.skipif(not _kernel_confines(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("target", ["neighbour", "/etc/passwd", "/proc/{parent}/environ"])
def test_other_files_cannot_be_read(target: str, tmp_path: Path) -> None:
    (tmp_path / "neighbour").write_text("private")
    path = str(tmp_path / target) if target == "neighbour" else target.format(parent=os.getpid())
    with pytest.raises(sandbox.Failed) as caught:
        run(python("import sys; open(sys.argv[1]).read()", path), scratch=tmp_path / "s")
    # bubblewrap, where it is, shows no such file at all
    assert "Permission denied" in caught.value.stderr_tail or "No such file" in caught.value.stderr_tail


def test_what_is_named_readable_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("w")
    argv = python("import sys; print(open(sys.argv[1]).read())", str(tmp_path / "weights"))
    assert run(argv, scratch=tmp_path / "s", readable=(tmp_path / "weights",)).stdout_tail == "w\n"


def test_the_network_is_out_of_reach_where_the_kernel_allows(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode and (
        subprocess.run(["unshare", "-r", "--net", "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no network namespaces here")
    code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(sandbox.Failed) as caught:
        run(python(code, str(server.getsockname()[1])), scratch=tmp_path / "s")
    # a network of its own: unreachable, or (inside bubblewrap) with nobody there
    assert "unreachable" in caught.value.stderr_tail or "refused" in caught.value.stderr_tail


def test_limits_survive_json() -> None:
    limits = Limits(wall_seconds=7, memory_bytes=5)
    assert Limits.from_json(limits.to_json()) == limits
