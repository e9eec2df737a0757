"""Damaged but playable files: met, told, and made as long as they should be."""

from __future__ import annotations

import json
import random
from pathlib import Path

from app.media import encode
from app.media.damage import Damage, merged, missing_end
from tests.media.conftest import Make
from tests.media.test_encode import X264, pictures, planned


def test_damage_is_met_and_told(make: Make, tmp_path: Path) -> None:
    source = make("fine.mkv", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4", *X264, "-g", "25")
    plan = planned(source, tmp_path, chunk_seconds=60)
    told: list[str] = []
    encode.transcode_chunk(source, plan, 0, tmp_path / "a", on_damage=lambda: told.append("fine"))
    data = bytearray(source.read_bytes())
    wrong = random.Random(5)
    for place in range(len(data) // 3, len(data) * 2 // 3, 700):
        data[place] = wrong.randrange(256)
    (tmp_path / "damaged.mkv").write_bytes(data)
    broken = planned(tmp_path / "damaged.mkv", tmp_path / "damaged", chunk_seconds=60)
    files = encode.transcode_chunk(
        tmp_path / "damaged.mkv", broken, 0, tmp_path / "b", on_damage=lambda: told.append("damaged")
    )
    assert told == ["damaged"]
    assert len(pictures(files[broken.lowest.name])[0]) == broken.total_frames


def test_stretches_of_damage_that_touch_are_one() -> None:
    parts = [Damage("picture", 60, 120), Damage("sound", 0, 300), Damage("picture", 0, 60), Damage("picture", 180, 240)]
    whole = merged(parts)
    assert set(whole) == {Damage("picture", 0, 120), Damage("sound", 0, 300), Damage("picture", 180, 240)}
    assert whole == sorted(whole, key=lambda part: part.start)
    assert [Damage.from_json(json.loads(json.dumps(part.to_json()))) for part in whole] == whole
    assert "0:00 to 2:00" in Damage("picture", 0, 120).sentence
    assert missing_end(100, 101.5) == [] and missing_end(100, 0) == [] and len(missing_end(100, 200)) == 1
