"""The web server: granian, one process of threads that speaks WSGI.

Measured with granian 2.8.7 over loopback: a request body of 2 GiB read in 64 KiB pieces and a response of 2 GiB sent
in as large pieces left the server's peak memory at 30 MB, also when the client read at 1 MB/s, so uploads and media
may pass through it. Slow sockets are held by its own runtime and cost no Python thread until a request is complete.

granian's own access log stays off: the application logs each request with its route, and addresses can hold secrets.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
from functools import partial
from typing import Any

from granian.constants import Interfaces
from granian.server import Server

from app import logs
from app.embedded import processes
from app.errors import Misconfigured
from app.settings import Settings

_THREADS = 32
"""Requests at once. They mostly wait for the database or S3; proxied media hold one for as long as they stream."""
_STOP_SECONDS = 8
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOGS = {
    "formatters": {"json": {"()": "app.logs.JsonFormatter", "process": "web"}},
    "handlers": {"json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "loggers": {"_granian": {"handlers": ["json"], "level": "INFO", "propagate": False}},
}


def check_port(settings: Settings) -> None:
    """Stop with a sentence when somebody else listens where the web server should.

    Raises:
        Misconfigured: names the port and what to do.
    """
    if not processes.port_is_free(settings.port, settings.host):
        raise Misconfigured(
            f"Port {settings.port} of {settings.host} is in use or not ours to use. Choose another, for example "
            f"PORT={settings.port + 1}."
        )


def serve(settings: Settings, factory: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        factory: `module:function` that makes the WSGI application from settings.

    Raises:
        Misconfigured: the port is taken.
    """
    check_port(settings)
    parent = os.getpid()
    server = Server(
        "vignette",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=_THREADS,
        websockets=False,
        log_dictconfig=_LOGS,
        workers_kill_timeout=_STOP_SECONDS,
    )
    server.serve(target_loader=partial(_load, settings, factory, parent), wrap_loader=False)


def _load(settings: Settings, factory: str, parent: int) -> Any:
    """Runs in granian's worker process, which must not outlive a killed server."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        raise SystemExit("The web server ended while its worker was starting.")
    logs.configure(settings.log_level, "web")
    module, _, name = factory.partition(":")
    return getattr(importlib.import_module(module), name)(settings)
