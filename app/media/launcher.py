"""The last steps before a sandboxed program starts, taken inside its own process.

Run by path with `python -I -S launcher.py CONFIG -- ARGV...`; it imports nothing of the project. It exists because
workers have threads, where Python's own `preexec_fn` may deadlock, and because `setpriv --pdeathsig` leaves a moment
in which the parent can die unnoticed: here the parent is looked at again after the signal is set.

Order matters: a new user namespace clears the parent-death signal, so namespaces come first, then the signal, then
the rules on files, then the limits.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

CANNOT_START = 125  # what env(1) and timeout(1) exit with when they fail themselves

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SYS_LANDLOCK_CREATE = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT = 446
_LANDLOCK_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
# Bits of linux/landlock.h: execute 0, write file 1, read file 2, read folder 3, and the ones that make or remove 4-12.
_FS_EXECUTE, _FS_WRITE, _FS_READ, _FS_READ_DIR = 1, 2, 4, 8
_FS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_FS_SINCE_ABI_3 = (1 << 15) - 1  # refer (2) and truncate (3)
_FS_ON_FILES = _FS_EXECUTE | _FS_WRITE | _FS_READ | (1 << 14)

# ioprio_set(2) has no wrapper in libc. Classes: best effort 2, idle 3; 7 is the last place within a class.
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_IOPRIO = {"low": 2 << 13 | 7, "idle": 3 << 13}

_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttributes(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def _leave_network() -> bool:
    """Enter an empty network namespace. False where the kernel or its administrator does not allow it."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWNET) == 0:
        return True
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Keep the same numbers inside, so that the scratch folder still belongs to the child.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True


def _confine_files(readable: list[str], writable: list[str]) -> bool:
    """Allow only these paths from here on (Landlock). False where the kernel has no Landlock."""
    abi = _libc.syscall(_SYS_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION_FLAG)
    if abi < 1:
        return False
    handled = _FS_OF_ABI.get(abi, _FS_SINCE_ABI_3)
    attributes = _RulesetAttributes(handled)
    ruleset = _libc.syscall(_SYS_LANDLOCK_CREATE, ctypes.byref(attributes), ctypes.sizeof(attributes), 0)
    if ruleset < 0:
        return False
    looking = _FS_EXECUTE | _FS_READ | _FS_READ_DIR
    for paths, access in ((readable, looking), (writable, handled)):
        for path in paths:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # lists name what some systems have and others do not
            rights = access & handled if Path(path).is_dir() else access & handled & _FS_ON_FILES
            rule = _PathBeneath(rights, fd)
            if _libc.syscall(_SYS_LANDLOCK_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0) != 0:
                raise OSError(ctypes.get_errno(), "landlock_add_rule")
            os.close(fd)
    if _libc.syscall(_SYS_LANDLOCK_RESTRICT, ruleset, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return True


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # One second between the soft and the hard CPU limit, so that SIGXCPU says which limit it was.
        above = value + 1 if name == "RLIMIT_CPU" and hard in (resource.RLIM_INFINITY,) else value
        resource.setrlimit(kind, (value, above))


def _parent_of(pid: int) -> int:
    """The parent of a process. Bubblewrap stands between us and the worker: it dies with the worker from the moment at
    which it has begun, and we with it; before that, it has got another parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _stand_back(disk: str) -> None:
    """Let others have the disk first. What the kernel or the kind of machine cannot do is left."""
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if disk in _IOPRIO and number is not None:
        _libc.syscall(number, 1, 0, _IOPRIO[disk])


def main(arguments: list[str]) -> None:
    """Confine this process as the JSON in the first argument says, then become the program."""
    config = json.loads(arguments[0])
    argv = arguments[2:]
    if not config["network"]:
        _leave_network()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = _parent_of(os.getppid()) if config["wrapped"] else os.getppid()
    if parent != config["parent"]:
        sys.exit(CANNOT_START)  # the parent died before the signal was set
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if config["readable"] is not None:
        _confine_files(config["readable"], config["writable"])
    # Python ignores these two, and what is ignored stays ignored across exec: a file limit would then go unseen.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.nice(config["nice"])
    _stand_back(config["disk"])
    _limit(config["limits"])
    if config["wrapped"]:
        os.unsetenv("PWD")  # bubblewrap's
    os.execv(argv[0], argv)  # noqa: S606  (this is what a launcher is for; no shell is involved)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"launcher: {error.strerror}\n")
        sys.exit(CANNOT_START)
