"""A supervisor over stand-ins for worker and web server, to be run and killed by the tests.

python -m tests.embedded.standin up DATA PORT bare|whole     supervise; `whole` starts real database and storage
python -m tests.embedded.standin web | worker                the stand-ins
python -m tests.embedded.standin use DATA                    use the services as a command does, until a line comes
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import sys
from pathlib import Path

from app.embedded.instance import running
from app.embedded.supervisor import Program, Supervisor
from app.errors import VignetteError
from app.settings import Settings

_ELSEWHERE = {
    "database_url": "postgresql://nobody@127.0.0.1:1/none",
    "s3_endpoint": "http://127.0.0.1:1",
    "s3_access_key": "key",
    "s3_secret_key": "secret",
    "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz",
}


def up(data: str, port: str, how: str) -> None:
    """Supervise, telling what happens as JSON lines."""
    here = (sys.executable, "-m", "tests.embedded.standin")
    settings = Settings(data=Path(data), port=int(port), **(_ELSEWHERE if how == "bare" else {}))  # type: ignore[arg-type]
    Supervisor(
        settings,
        migrate=lambda complete: tell("migrate", database=complete.database_url.partition("@")[0]),
        link=lambda complete: f"{complete.base_url}/first-admin/x",
        ready=lambda address, link: tell("ready", address=address, link=link),
        say=lambda sentence: tell("say", sentence=sentence),
        output=sys.stdout,
        programs=[Program("worker", (*here, "worker")), Program("web", (*here, "web"))],
    ).run()
    tell("end")


def web() -> None:
    """Answer on the port that the environment names."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = Settings.load()
    tell("child", pid=os.getpid())
    http.server.HTTPServer((settings.host, settings.port), Handler).serve_forever()


def worker() -> None:
    """Wait for the end."""
    tell("child", pid=os.getpid())
    signal.pause()


def use(data: str) -> None:
    """Hold the services as a command does."""
    with running(Settings(data=Path(data))) as settings:
        tell("using", database=settings.database_url, endpoint=settings.s3_endpoint)
        sys.stdin.readline()
    tell("end")


def tell(what: str, **fields: object) -> None:
    """One JSON line."""
    sys.stdout.write(json.dumps({"what": what, **fields}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except VignetteError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
