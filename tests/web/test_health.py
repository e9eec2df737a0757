"""What machines ask: alive, ready, figures; and the pages about the service."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.settings import Settings
from app.web import create_app
from tests.support.world import World


def test_alive_and_ready(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ok", "checks": {"database": "ok", "queue": "ok", "storage": "ok"}}


def test_not_ready_without_storage_or_database(settings: Settings) -> None:
    client = create_app(replace(settings, s3_endpoint="http://127.0.0.1:9")).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"] == {"database": "ok", "queue": "ok", "storage": "does not answer"}
    client = create_app(replace(settings, database_url="postgresql://x@127.0.0.1:9/none")).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"]["database"] == "does not answer"
    assert client.get("/healthz").status_code == 200


def test_figures_for_loopback_or_token_only(app: Flask, settings: Settings, session: Session) -> None:
    World(session).recording()
    session.commit()
    client = app.test_client()
    answer = client.get("/metrics")
    assert 'vignette_recordings{state="ready"} 1.0' in answer.text
    assert client.get("/metrics", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
    guarded = create_app(replace(settings, metrics_token="a token for tests")).test_client()
    assert guarded.get("/metrics").status_code == 404
    assert guarded.get("/metrics", headers={"Authorization": "Bearer a token for tests"}).status_code == 200


@pytest.mark.parametrize("path", ["/help", "/accessibility-statement", "/privacy", "/cookies"])
def test_pages_about_the_service(app: Flask, path: str) -> None:
    page = app.test_client().get(path)
    assert page.status_code == 200
    assert page.text.count("<h1") == 1
