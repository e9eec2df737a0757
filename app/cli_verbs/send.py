"""`vignette upload`: an HTTP client of a server that may be anywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli_verbs.kit import finish, say, verb

#: Statuses that speak of the file or its title, not of the token or the server.
NOT_THIS_FILE = (400, 413)
SENTENCES = {
    "ready": "The recording is ready.",
    "rejected": "The file was not accepted.",
    "failed": "Processing failed.",
    "withdrawn": "The recording was withdrawn.",
}


@verb("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--case", "case_id", required=True, help="The id of the case that it is of.")
@click.option("--title", required=True, help="The recording's title.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option("--token", default="", help="An API token with the scope upload; see vignette token.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input instead.")
@click.option("--wait", is_flag=True, help="Wait until it is ready; exit status 1 if it does not become so.")
def upload(
    file: Path, case_id: str, title: str, url: str, token: str, token_stdin: bool, wait: bool, json_: bool
) -> None:
    """Send a video file as a new recording of a case.

    Running the same command again after an interruption goes on where it stopped.
    """
    from app.cli_verbs.sending import Job, Refused, Sender
    from app.errors import Invalid

    secret = sys.stdin.readline().strip() if token_stdin else token.strip()
    if not secret:
        raise Invalid("Give an API token with --token or --token-stdin.")
    if not url.startswith(("http://", "https://")):
        raise Invalid("--url must begin with http:// or https://.")
    sender = Sender(url, secret, say)
    try:
        recording_id = sender.send(Job(file, case_id, title))
        found = sender.wait(recording_id) if wait else sender.call("GET", f"/recordings/{recording_id}")
    except Refused as error:
        if json_ and error.status in NOT_THIS_FILE:
            finish({"recording": None, "state": "rejected", "reason": str(error)}, "", json_)
        raise
    state, reason = found["state"], found["reason"]
    result = {"recording": recording_id, "state": state, "reason": reason}
    words = SENTENCES.get(state, f"The file is sent; the recording {recording_id} is being processed.")
    finish(result, f"{words} {reason}".strip() + f" ({recording_id})", json_)
    if state in ("rejected", "failed") or (wait and state != "ready"):
        say(reason or words)
        raise click.exceptions.Exit(1)
