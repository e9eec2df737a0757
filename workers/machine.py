"""What a worker can measure of the machine it runs on. Bytes and seconds; None where the machine does not tell."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def cgroup(own: Path = Path("/proc/self/cgroup"), root: Path = _CGROUPS) -> Path | None:
    """The folder of this process's cgroup v2; None where the machine has no such accounting."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, _, path = line.partition("::")
        if number == "0":
            folder = root / path.lstrip("/")
            # the root of the tree counts nobody's memory, and a machine with version 1 has an empty entry
            return folder if (folder / "memory.current").exists() else None
    return None


def accounting(folder: Path | None) -> dict[str, float | None]:
    """What the cgroup of the worker and its programs has used: `memory_peak_bytes` (since it began, of kernels from 5.19
    on), `memory_bytes` now, `memory_limit_bytes` and `cpu_seconds`."""
    found: dict[str, float | None] = dict.fromkeys(
        ("memory_peak_bytes", "memory_bytes", "memory_limit_bytes", "cpu_seconds")
    )
    if folder is None:
        return found
    for name, file in (
        ("memory_peak_bytes", "memory.peak"),
        ("memory_bytes", "memory.current"),
        ("memory_limit_bytes", "memory.max"),
    ):
        found[name] = _number(folder / file)
    try:
        stat = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines() if line)
        found["cpu_seconds"] = int(stat["usage_usec"]) / 1e6
    except (OSError, KeyError, ValueError):
        found["cpu_seconds"] = None
    return found


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def free_memory(meminfo: Path = _MEMINFO, folder: Path | None = None) -> int | None:
    """Memory that another program could have: the machine's, or less where the cgroup's limit is nearer."""
    free: int | None = None
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return None
    used = accounting(folder)
    limit, now = used["memory_limit_bytes"], used["memory_bytes"]
    if limit is not None and now is not None:
        left = max(0, int(limit - now))
        return left if free is None else min(free, left)
    return free


def facts(scratch: Path) -> dict[str, Any]:
    """What a worker tells of its machine with each sign of life. `cgroup` says whether there is accounting at all."""
    folder = cgroup()
    return {"cgroup": folder is not None, "disk_free_bytes": shutil.disk_usage(scratch).free, **accounting(folder)}
