"""Bubblewrap around a program, where it is installed and works: a file system that holds nothing but what the program may
read, and no network, whatever the kernel says to Landlock. What the launcher does comes inside, on top of it.

Without a namespace for process ids: the time that a program takes would go unseen, and its signals would change.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NAMESPACES = ("--die-with-parent", "--unshare-net", "--unshare-ipc", "--unshare-uts")
_PATIENCE_SECONDS = 10


@functools.cache
def works() -> bool:
    """Whether bubblewrap is installed and the kernel lets it make namespaces. Tried once a process."""
    program = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    if program is None:
        return False
    try:
        tried = subprocess.run(
            [program, *_NAMESPACES, "--ro-bind", "/", "/", "--dev", "/dev", "--ro-bind", "/proc", "/proc", "/bin/true"],
            capture_output=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def words(readable: Sequence[str], scratch: Path, devices: Sequence[Path] = ()) -> list[str]:
    """What stands before a program's own words.

    Args:
        readable: files and folders that it may read, where they exist.
        scratch: the one folder that it may write to, and where it starts.
        devices: device files that it may use.
    """
    program = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin") or "/usr/bin/bwrap"
    found = [program, *_NAMESPACES, "--dev", "/dev", "--ro-bind", "/proc", "/proc"]
    # the shorter first: what lies in a folder must be bound after it
    for path in sorted(set(readable), key=lambda name: (name.count("/"), name)):
        if not path.startswith(("/proc/", "/dev/")):
            found += ["--ro-bind-try", path, path]
    for device in devices:
        found += ["--dev-bind-try", str(device), str(device)]
    return [*found, "--bind", str(scratch), str(scratch), "--chdir", str(scratch), "--"]
