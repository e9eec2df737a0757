"""A film in storage, and a recording of it that a region may watch."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from app.db.grants import Grant
from app.db.people import Person, Role
from app.db.recordings import Recording
from app.storage.s3 import Storage
from tests.support.world import World
from tests.watching import film


@pytest.fixture(scope="session")
def reel(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> film.Reel:
    """The film, made once."""
    return film.store(storage, film.make(tmp_path_factory.mktemp("film")))


@dataclass
class Scene:
    """A published recording of the North East with film, captions and chapters, and people around it."""

    world: World
    recording: Recording
    grant: Grant
    viewer: Person
    stranger: Person
    maker: Person

    @property
    def path(self) -> str:
        """Address of the watch page."""
        return f"/recordings/{self.recording.id}"


@pytest.fixture
def scene(session: Session, storage: Storage, reel: film.Reel) -> Scene:
    """The scene, committed."""
    world = World(session)
    case = world.case("A missed diagnosis", summary="A relative complains about a delay.")
    recording = world.recording(case, title="Saying sorry to a relative", published=True)
    reel.lend(session, recording)
    film.caption(session, storage, recording)
    film.chapter(session, recording)
    made = Scene(
        world,
        recording,
        world.grant(recording, area="NEY"),
        world.person("viewer@example.org", Role.VIEWER, "NEY", name="Vera Viewer"),
        world.person("stranger@example.org", Role.VIEWER, "SW"),
        world.person("maker@example.org", Role.FACILITATOR, "NEY", name="Max Maker"),
    )
    session.commit()
    return made
