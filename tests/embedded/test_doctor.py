"""`vignette doctor`: each thing that can be wrong is said, and only that."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.embedded import processes
from app.embedded.doctor import Finding, Level, examine
from app.errors import Misconfigured
from app.settings import Settings
from tests.support.services import Services

STRONG = "0123456789abcdefghijklmnopqrstuvwxyz"


def nothing(_settings: Settings) -> str:
    return ""


def by_name(settings: Settings, behind: Callable[[Settings], str] = nothing) -> dict[str, Finding]:
    return {f.name: f for f in examine(settings, migrations_behind=behind, weights_missing=nothing)}


@pytest.fixture
def fresh() -> Settings:
    """An embedded instance that was never started."""
    return Settings(data=Path("/tmp/vignette-never-started"), port=processes.free_ports(1)[0])


def test_a_fresh_machine_has_nothing_wrong(fresh: Settings) -> None:
    found = by_name(fresh)
    assert [f for f in found.values() if f.level is Level.WRONG] == []
    assert {"python", "ffmpeg", "postgres", "seaweedfs", "account", "disk", "port", "weights"} <= found.keys()
    assert not fresh.data.exists()


def test_a_taken_port_is_wrong(fresh: Settings) -> None:
    with socket.create_server(("127.0.0.1", fresh.port)):
        assert by_name(fresh)["port"].level is Level.WRONG


def test_a_weak_secret_is_wrong(fresh: Settings) -> None:
    assert by_name(replace(fresh, secret_key="short"))["secret-key"].level is Level.WRONG
    assert by_name(replace(fresh, secret_key=STRONG))["secret-key"].level is Level.OK


def test_too_little_room_is_wrong(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((0, Level.WRONG), (5 * 1024**3, Level.NOTE), (50 * 1024**3, Level.OK)):
        monkeypatch.setattr("shutil.disk_usage", lambda _path, free=free: type("Usage", (), {"free": free}))
        assert by_name(fresh)["disk"].level is level


def test_services_that_do_not_answer_are_wrong(fresh: Settings) -> None:
    nowhere = replace(
        fresh,
        secret_key=STRONG,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        s3_endpoint="http://127.0.0.1:1",
        s3_access_key="key",
        s3_secret_key="secret",
    )
    found = by_name(nowhere)
    assert found["database"].level is Level.WRONG
    assert found["storage"].level is Level.WRONG
    assert not {"postgres", "seaweedfs", "account"} & found.keys(), "nothing is started here"


def test_running_services_are_looked_at(services: Services) -> None:
    settings = replace(services.settings, data=Path("/tmp/vignette-never-started"), port=processes.free_ports(1)[0])
    found = by_name(settings, behind=lambda _: "The database is old.")
    assert {n: found[n].level for n in ("database", "storage", "clock")} == dict.fromkeys(
        ("database", "storage", "clock"), Level.OK
    )
    assert found["migrations"] == Finding("migrations", Level.WRONG, "The database is old.")
    assert by_name(replace(settings, s3_secret_key="wrong"))["storage"].level is Level.WRONG
    assert by_name(replace(settings, s3_bucket="not-made-yet"))["storage"].level is Level.NOTE


def test_a_role_that_could_change_the_audit_is_noted(settings: Settings) -> None:
    assert by_name(settings)["audit-role"].level is Level.OK
    noted = by_name(replace(settings, database_url=settings.owner_database_url))["audit-role"]
    assert noted.level is Level.NOTE
    assert "could change the audit" in noted.sentence


def test_damaged_weights_are_wrong_and_missing_ones_a_note(fresh: Settings) -> None:
    def damaged(_settings: Settings) -> str:
        raise Misconfigured("model.bin is damaged.")

    def level(weights: Callable[[Settings], str]) -> Level:
        found = examine(fresh, migrations_behind=nothing, weights_missing=weights)
        return next(f.level for f in found if f.name == "weights")

    assert (level(nothing), level(lambda _: "not here"), level(damaged)) == (Level.OK, Level.NOTE, Level.WRONG)
