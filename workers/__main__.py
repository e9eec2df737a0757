"""`python -m workers --queues light,encode,transcribe`: a worker for complete settings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from app import logs
from app.errors import Misconfigured
from app.pipeline.spec import QUEUES, Queue
from app.settings import Settings
from workers.worker import run_worker


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a signal, 75 to be started again, 2 when the settings do not serve."""
    parser = argparse.ArgumentParser(prog="python -m workers", description="Process recordings.")
    parser.add_argument("--queues", default="", help=f"only these, with commas between: {', '.join(QUEUES)}")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        settings.check_complete()
        logs.configure(settings.log_level, "worker")
        status = run_worker(settings, chosen(options.queues))
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps({"stopped": True, "exit_status": status}) + "\n")
    return status


def chosen(names: str) -> list[Queue]:
    """The queues that a comma-separated list names; all of them when it is empty.

    Raises:
        Misconfigured: there is no such queue.
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := wanted - set(QUEUES):
        raise Misconfigured(f"There is no queue {', '.join(sorted(unknown))}. Queues are {', '.join(QUEUES)}.")
    return [queue for queue in QUEUES if queue in wanted or not wanted]


if __name__ == "__main__":
    sys.exit(main())
