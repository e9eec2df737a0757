"""Where the services' files lie when their account cannot reach the data folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from app.embedded import home, processes
from app.embedded.doctor import Finding, Level, examine
from app.embedded.instance import Instance, running
from app.errors import Conflict, Misconfigured
from app.settings import INSTANCE_FILE, Settings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that the services' account may enter, with `system` in the place of /var/lib/vignette and `closed`, which
    is root's alone, as /root is."""
    folder = Path(tempfile.mkdtemp(prefix="vignette-embedded-"))
    folder.chmod(0o711)
    (folder / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(home, "SYSTEM", folder / "system")
    yield folder
    shutil.rmtree(folder)


def claimed(data: Path) -> Path:
    found = home.find(data)
    found.claim()
    return found.folder


def test_a_data_folder_within_reach_holds_everything(place: Path) -> None:
    data = place / "new" / "data"
    assert home.find(data) == home.Home(data, data)
    assert not data.parent.exists()
    assert claimed(data) == data
    assert not (place / "system").exists()


@as_root
def test_folders_made_on_the_way_are_open_under_a_strict_umask(place: Path) -> None:
    before = os.umask(0o077)
    try:
        assert claimed(place / "new" / "data") == place / "new" / "data"
    finally:
        os.umask(before)
    assert processes.first_closed(processes.account_for(place / "x"), place / "new" / "data") is None


@as_root
def test_a_whole_instance_below_a_closed_folder(place: Path) -> None:
    data = place / "closed" / "checkout" / "My Data!"
    said: list[str] = []
    with (
        running(Settings(data=data), said.append) as settings,
        psycopg.connect(settings.owner_database_url) as connection,
    ):
        connection.execute("CREATE TABLE kept (word text)")
    folder = Path(processes.read_private(data / INSTANCE_FILE)["services"])
    assert folder.parent == place / "system"
    assert folder.name.startswith("my-data-")
    account = processes.account_for(folder / "new")
    assert said[0] == (
        f"The user {account.name}, as whom database and storage run, may not enter {place / 'closed'}: they keep their "
        f"files in {folder}."
    )
    modes = {place / "closed": 0o700, place / "system": 0o711, folder: 0o711, folder / "postgres" / "data": 0o700}
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes
    assert (folder / "seaweedfs" / "data").stat().st_uid == account.uid
    assert not [name for name in ("postgres", "seaweedfs") if (data / name).exists()]
    # What was said once is kept: a later command finds the same database, and `doctor` says where it is.
    with running(Settings(data=data)) as settings, psycopg.connect(settings.owner_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    found = examine(Settings(data=data), migrations_behind=lambda _: "", weights_missing=lambda _: "")
    assert Finding("services", Level.OK, f"Their files lie in {folder}, which {data} names.") in found
    assert {f.level for f in found if f.name == "account"} == {Level.OK}


@as_root
def test_two_data_folders_of_one_name_do_not_meet(place: Path) -> None:
    folders = {claimed(place / "closed" / name / "data") for name in ("one", "two")}
    assert len(folders) == 2


@as_root
def test_a_moved_data_folder_takes_its_services_along(place: Path) -> None:
    folder = claimed(place / "closed" / "data")
    (place / "closed" / "data").rename(place / "closed" / "moved")
    assert claimed(place / "closed" / "moved") == folder
    assert processes.read_private(folder / "belongs-to.json") == {"data": str(place / "closed" / "moved")}


@as_root
def test_a_copied_data_folder_is_refused(place: Path) -> None:
    claimed(place / "closed" / "data")
    shutil.copytree(place / "closed" / "data", place / "closed" / "copy")
    with pytest.raises(Conflict, match=r"is a copy of .*vignette backup"):
        Instance(Settings(data=place / "closed" / "copy")).start()
    claimed(place / "closed" / "data")


@as_root
def test_a_lost_services_folder_is_told_and_not_made_anew(place: Path) -> None:
    folder = claimed(place / "closed" / "data")
    shutil.rmtree(folder)
    with pytest.raises(Misconfigured, match=f"lie in {folder}, which is gone"):
        claimed(place / "closed" / "data")
    assert not folder.exists()


@as_root
def test_a_removed_data_folder_starts_afresh_and_says_what_it_left(place: Path) -> None:
    earlier = claimed(place / "closed" / "data")
    shutil.rmtree(place / "closed" / "data")
    found = home.find(place / "closed" / "data")
    assert found.folder.name == f"{earlier.name}-2"
    assert str(earlier) in found.why.partition("(")[2]
    assert earlier.exists()


@as_root
def test_a_database_that_is_there_already_is_never_left_behind(place: Path) -> None:
    (place / "closed" / "data" / "postgres").mkdir(parents=True)
    assert home.find(place / "closed" / "data").apart is False
