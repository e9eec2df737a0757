"""What is asked of policy and reference alike: every action on a row, and the rows that it is asked about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.access import Action
from tests.access.reference import Facts, Reference

Ask = Callable[[Reference, Any, Any], bool]


def _place(reference: Reference, group: Any) -> Any:
    return reference.facts.groups[group]["place"]


#: each action on a row: how the reference answers it, and the rows it is asked about
QUESTIONS: dict[Action, tuple[Ask, Callable[[Facts], Any]]] = {
    Action.RECORDING_VIEW: (lambda r, p, x: r.recording(p, x, "view"), lambda f: f.recordings),
    Action.RECORDING_MANAGE: (lambda r, p, x: r.recording(p, x, "manage"), lambda f: f.recordings),
    Action.RECORDING_EDIT: (lambda r, p, x: r.recording(p, x, "edit"), lambda f: f.recordings),
    Action.RECORDING_PUBLISH: (lambda r, p, x: r.recording(p, x, "publish"), lambda f: f.recordings),
    Action.RECORDING_DOWNLOAD: (lambda r, p, x: r.recording(p, x, "download"), lambda f: f.recordings),
    Action.RECORDING_EVALUATE: (lambda r, p, x: r.recording(p, x, "evaluate"), lambda f: f.recordings),
    Action.CAPTIONS_EDIT: (lambda r, p, x: r.recording(p, x, "captions"), lambda f: f.recordings),
    Action.CAPTIONS_REVIEW: (lambda r, p, x: r.recording(p, x, "captions"), lambda f: f.recordings),
    Action.CASE_VIEW: (lambda r, p, x: r.case(p, x, "view"), lambda f: f.cases),
    Action.CASE_EDIT: (lambda r, p, x: r.case(p, x, "edit"), lambda f: f.cases),
    Action.CASE_RECORD: (lambda r, p, x: r.case(p, x, "record"), lambda f: f.cases),
    Action.CASE_SHARE: (lambda r, p, x: r.case(p, x, "share"), lambda f: f.cases),
    Action.MATERIAL_VIEW: (lambda r, p, x: r.material(p, x, "view"), lambda f: f.materials),
    Action.MATERIAL_EDIT: (lambda r, p, x: r.material(p, x, "edit"), lambda f: f.materials),
    Action.GRANT_KEEP: (lambda r, p, x: r.grant(p, x, "keep"), lambda f: {g["id"]: g for g in f.grants}),
    Action.GRANT_APPROVE: (lambda r, p, x: r.grant(p, x, "approve"), lambda f: {g["id"]: g for g in f.grants}),
    Action.REQUEST_ANSWER: (lambda r, p, x: r.request(p, x), lambda f: f.requests),
    Action.PERSON_ADMINISTER: (lambda r, p, x: r.administers_person(p, x), lambda f: f.people),
    Action.ORGANISATION_ADMINISTER: (lambda r, p, x: r.administers_place(p, ("org", x)), lambda f: f.org_area),
    Action.AREA_ADMINISTER: (lambda r, p, x: r.administers_place(p, ("area", x)), lambda f: set(f.org_area.values())),
    Action.GROUP_ADMINISTER: (lambda r, p, x: r.administers_place(p, _place(r, x)), lambda f: f.groups),
    Action.GROUP_MANAGE: (lambda r, p, x: r.manages_group(p, x), lambda f: f.groups),
}
