"""The form without scripts, and the API: saving with the same care, versions, checking, publishing."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask

from app.captions.cues import Cue
from tests.editing.conftest import HEARD, Desk
from tests.support.world import Browser


@pytest.fixture
def path(desk: Desk) -> str:
    return f"/recordings/{desk.recording.id}/captions"


def form_of(page: str) -> dict[str, str]:
    """The fields of the form of captions as the page has them."""
    form = page[page.rindex("<input", 0, page.index('name="revision"')) : page.index("Save captions")]
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form))
    fields |= dict(re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>', form))
    for name in [name for name in fields if name.startswith("checked-")]:
        if not re.search(rf'name="{name}"[^>]* checked', form):
            del fields[name]
    return {name: unescape(value) for name, value in fields.items()}


def browser(app: Flask, desk: Desk, name: str) -> Browser:
    return Browser(app, desk.people[name])


def test_captions_are_corrected_in_a_form(app: Flask, desk: Desk, path: str) -> None:
    ann = browser(app, desk, "ann")
    assert "0 of 5 captions checked. Viewers do not see them yet." in ann.get(path).text
    page = ann.get(f"{path}/en").text
    assert "Caption 2 is still shown for 300 ms when the next one begins." in page
    fields = form_of(page)
    assert fields["start-2"] == "0:02.000"
    refused = ann.post(f"{path}/en", {**fields, "end-2": "soon", "text-1": "Good morning,"})
    assert refused.status_code == 400
    assert "Caption 2: write the time like 1:23.450" in refused.text
    assert "Good morning," in refused.text, "what was typed stays"
    fields |= {"text-1": "Good morning,\r\nplease sit down.", "end-2": "4.5", "text-4": "", "speaker-3": "Doctor"}
    assert ann.post(f"{path}/en", {**fields, "checked-3": "yes", "checked-5": "yes"}).status_code == 302
    cues = desk.draft.cues
    assert cues[0].lines == ("Good morning,", "please sit down.")
    assert (cues[1].end_ms, cues[2].speaker, len(cues)) == (4500, "Doctor", 4)
    assert [cue.checked for cue in cues] == [False, False, True, True], "ticked as they were sent"


def test_two_forms_at_once(app: Flask, desk: Desk, path: str) -> None:
    ann, bea = browser(app, desk, "ann"), browser(app, desk, "bea")
    cues = [Cue(i * 2000, i * 2000 + 1500, (f"Number {i}.",), 1.0) for i in range(40)]
    desk.save("ann", cues)
    desk.session.commit()
    first = form_of(ann.get(f"{path}/en").text)
    second = form_of(bea.get(f"{path}/en?page=2").text)
    again = form_of(bea.get(f"{path}/en").text)
    assert ann.post(f"{path}/en", {**first, "text-3": "Ann was here."}).status_code == 302
    assert bea.post(f"{path}/en", {**second, "text-30": "Bea was here."}).status_code == 302, "another page"
    assert [desk.draft.cues[i].text for i in (2, 29)] == ["Ann was here.", "Bea was here."]
    clash = bea.post(f"{path}/en", {**again, "text-4": "Bea’s words."})
    assert clash.status_code == 409
    assert "Nothing was overwritten" in clash.text
    assert "Bea’s words." in clash.text, "what was typed is not lost"
    assert form_of(clash.text)["text-3"] == "Ann was here."
    assert [desk.draft.cues[i].text for i in (2, 3)] == ["Ann was here.", "Number 3."]


def test_marking_as_checked_and_going_back(app: Flask, desk: Desk, path: str) -> None:
    ann = browser(app, desk, "ann")
    watch = f"/recordings/{desk.recording.id}"
    viewer = browser(app, desk, "viewer")

    def send(verb: str, **fields: str) -> Any:
        return ann.post(f"{path}/en/{verb}", {"revision": str(desk.track.revision), **fields})

    early = send("review")
    assert early.status_code == 409
    assert "5 captions have not been checked yet." in early.text
    assert "mist diagnosis" not in viewer.get(watch).text
    assert send("check-all").status_code == 302
    assert send("review").status_code == 302
    assert "mist diagnosis" in viewer.get(watch).text
    assert f"Checked by {desk.people['ann'].display_name}" in ann.get(f"{path}/en").text
    desk.save("ann", desk.draft.cues[:1])
    desk.session.commit()
    compared = ann.get(f"{path}/en/versions/3").text
    assert "4 changes since version 2. 1 caption is the same." in compared
    assert "Taken out" in compared
    assert ann.get(f"{path}/en/versions/3?since=1").status_code == 200
    assert ann.get(f"{path}/en/versions/9").status_code == 404
    assert send("restore", version="1").status_code == 302
    assert "Version 1 restored" in ann.get(f"{path}/en/versions").text
    assert len(desk.draft.cues) == 5
    assert send("unpublish").status_code == 302
    assert "mist diagnosis" not in viewer.get(watch).text
    assert viewer.get(f"{path}/en").status_code == 403


def test_publishing_asks_for_captions(app: Flask, desk: Desk, path: str) -> None:
    ann = browser(app, desk, "ann")
    desk.recording.published_at = None
    desk.session.commit()
    share = path.replace("/captions", "/share")
    page = ann.get(share).text
    assert "Nobody has checked the captions of this recording yet, so viewers would get none." in page
    assert "Publish without captions" in page
    assert ann.post(f"{share}/publish").status_code == 409
    api = f"/api/v1/recordings/{desk.recording.id}/publish"
    assert ann.send("POST", api).json["code"] == "captions-unchecked"
    assert ann.send("POST", api, {"without_captions": True}).json["published"]
    ann.send("POST", api.replace("publish", "unpublish"))
    assert ann.post(f"{share}/publish", {"without_captions": "yes"}).status_code == 302


# -- API ---------------------------------------------------------------------------------------------------------------


def test_the_api_saves_by_revision(app: Flask, desk: Desk, path: str) -> None:
    ann, bea, api = browser(app, desk, "ann"), browser(app, desk, "bea"), f"/api/v1{path}"
    assert ann.get(api).json["items"][0]["published_version"] is None
    opened = bea.get(f"{api}/en").json
    assert [cue["text"] for cue in opened["cues"]] == [text for *_, text in HEARD]
    assert {problem["rule"] for problem in opened["problems"]} == {"line-length", "overlap"}
    cues = [{**cue} for cue in opened["cues"]]
    cues[0]["text"] = "Good morning, Mr Example."
    saved = ann.send("PUT", f"{api}/en", {"cues": cues}, headers={"If-Match": f'"{opened["revision"]}"'})
    assert saved.status_code == 200
    assert (saved.json["by"], saved.json["cues"]) == ("Ann", None)
    assert saved.headers["ETag"] == f'"{saved.json["revision"]}"'
    assert [p["rule"] for p in saved.json["problems"] if p["index"] == 0] == ["name"]
    mine = [{**cue} for cue in opened["cues"]]
    mine[4]["text"] = "We will write to you."
    refused = bea.send("PUT", f"{api}/en", {"cues": mine, "revision": opened["revision"]})
    assert refused.status_code == 409
    assert refused.content_type == "application/problem+json"
    assert (refused.json["code"], refused.json["theirs"]["by"]) == ("edited-meanwhile", "Ann")
    merged = bea.send("POST", f"{api}/en/merge", {"base": opened["cues"], "mine": mine}).json
    assert merged["clashes"] == []
    assert [merged["cues"][i]["text"] for i in (0, 4)] == ["Good morning, Mr Example.", "We will write to you."]
    done = bea.send("PUT", f"{api}/en", {"cues": merged["cues"], "revision": merged["revision"]})
    assert done.json["version"] == 3
    versions = ann.get(f"{api}/en/versions").json["items"]
    assert [(v["number"], v["by"], v["parent"]) for v in versions] == [(3, "Bea", 2), (2, "Ann", 1), (1, "", None)]
    changed = [c for c in ann.get(f"{api}/en/versions/3/changes").json["changes"] if c["change"] != "same"]
    assert [(c["change"], c["after"]["text"]) for c in changed] == [("changed", "We will write to you.")]
    assert len(ann.get(f"{api}/en/versions/1").json["cues"]) == 5
    restored = ann.send("POST", f"{api}/en/restore", {"version": 1, "revision": done.json["revision"]})
    assert (restored.json["version"], len(restored.json["cues"])) == (4, 5)


def test_the_api_fixes_and_checks(app: Flask, desk: Desk, path: str) -> None:
    ann, api = browser(app, desk, "ann"), f"/api/v1{path}"
    opened = ann.get(f"{api}/en").json
    fixed = ann.send("POST", f"{api}/en/fix", {"cues": opened["cues"]}).json["cues"]
    said = [" ".join(cue["text"].split()) for cue in fixed]
    assert said == [text for *_, text in HEARD]
    ticked = [{**cue, "checked": True} for cue in fixed]
    saved = ann.send("PUT", f"{api}/en", {"cues": ticked, "revision": opened["revision"]}).json
    assert saved["problems"] == []
    assert saved["checked"] == 5
    reviewed = ann.send("POST", f"{api}/en/review", {"revision": saved["revision"]}).json
    assert reviewed["published_version"] == saved["version"]
    assert not reviewed["waits_for_second"]
    assert ann.send("POST", f"{api}/en/approve", {"revision": saved["revision"]}).status_code == 409
    assert ann.send("POST", f"{api}/en/unpublish").json["published_version"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"cues": "x", "revision": 1},
        {"cues": [1], "revision": 1},
        {"cues": [{"start_ms": 0, "end_ms": 1.5, "text": "x"}], "revision": 1},
        {"cues": [{"start_ms": 0, "end_ms": 2**40, "text": "x"}], "revision": 1},
        {"cues": [{"start_ms": 0, "end_ms": 10, "text": 7}], "revision": 1},
        {"cues": [{"start_ms": 0, "end_ms": 10, "text": "x", "doubtful": [1]}], "revision": 1},
        {"cues": [{"start_ms": 0, "end_ms": 10, "text": "x", "confidence": 7}], "revision": 1},
        {"cues": []},
        {"cues": [], "revision": -1},
        {"cues": [], "revision": 1, "apart": "yes"},
    ],
)
def test_what_is_no_caption_is_refused_in_a_sentence(app: Flask, desk: Desk, path: str, body: Any) -> None:
    answer = browser(app, desk, "ann").send("PUT", f"/api/v1{path}/en", body)
    assert answer.status_code == 400
    assert answer.json["errors"]


def test_hours_of_captions_fit_into_one_request(app: Flask, desk: Desk, path: str) -> None:
    """Over a megabyte, which is more than other requests may have."""
    cues = [
        {"start_ms": i * 1000, "end_ms": i * 1000 + 900, "text": f"Caption number {i} of very many. " * 8}
        for i in range(4500)
    ]
    saved = browser(app, desk, "ann").send("PUT", f"/api/v1{path}/en", {"cues": cues, "revision": desk.track.revision})
    assert saved.status_code == 200, saved.text[:300]
    assert saved.json["count"] == 4500
