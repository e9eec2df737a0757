"""THE table: who asks (ACTORS), what a recording can be like (STATES), and every address about one (SURFACES).

All cells of the matrix are made of these three lists. What each cell must answer is not written here: the reference
(tests/access/reference.py) says who may do which action, and `SCOPES` and `EMBED` below what a token or frame keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# -- who -----------------------------------------------------------------------------------------------------------------

Kind = Literal["visitor", "session", "token", "embed"]


@dataclass(frozen=True)
class Actor:
    """How somebody comes (`kind`) and as whom (`person`, a key of the world's people)."""

    name: str
    kind: Kind = "session"
    person: str = ""
    scope: str = ""
    #: a frame's session is for the material of the state asked about, or always for that of this state
    material_of: str = ""
    #: asks the core surfaces in every state; the others, each much like one of these, in some
    whole: bool = True


ACTORS: tuple[Actor, ...] = (
    Actor("anonymous", "visitor"),
    Actor("person without any place", person="nowhere", whole=False),
    Actor("viewer of the granted region", person="viewer"),
    Actor("viewer of another region", person="viewer elsewhere"),
    Actor("viewer of the country", person="viewer of country"),
    Actor("viewer of a locality in the region", person="viewer of locality", whole=False),
    Actor("viewer of an organisation in the region", person="viewer of organisation"),
    Actor("somebody who only belongs to that organisation", person="belongs", whole=False),
    Actor("member of a granted group", person="member"),
    Actor("granted by name", person="named"),
    Actor("facilitator of the place", person="facilitator"),
    Actor("owner, facilitator elsewhere", person="owner"),
    Actor("facilitator of another region", person="facilitator elsewhere", whole=False),
    Actor("admin of the place", person="admin"),
    Actor("admin of another region", person="admin elsewhere", whole=False),
    Actor("custodian of the place", person="custodian"),
    Actor("custodian of another region", person="custodian elsewhere", whole=False),
    Actor("admin of everywhere", person="admin of all"),
    Actor("suspended viewer", person="suspended", whole=False),
    Actor("viewer who has left", person="left", whole=False),
    Actor("manager of a granted group", person="manager", whole=False),
    Actor("member of a group that has ended", person="of ended group", whole=False),
    Actor("viewer whose role ended", person="ended", whole=False),
    Actor("token to read, of the viewer", "token", "viewer", "read"),
    Actor("token to upload, of the facilitator", "token", "facilitator", "upload", whole=False),
    Actor("token to publish, of the custodian", "token", "custodian", "publish", whole=False),
    Actor("frame of the material", "embed", "viewer"),
    Actor(
        "frame of another material, of the facilitator", "embed", "facilitator", material_of="published", whole=False
    ),
)

#: What is left of a person's rights to a token with this scope; rewritten here, so that a wider scope is noticed.
SCOPES: dict[str, frozenset[str]] = {
    "read": frozenset({"case:view", "recording:view", "material:view"}),
    "upload": frozenset(
        {
            "case:view",
            "case:record",
            "recording:create",
            "recording:view",
            "recording:manage",
            "recording:edit",
            "captions:edit",
        }
    ),
    "publish": frozenset({"case:view", "recording:view", "recording:manage", "recording:publish"}),
}
EMBED: frozenset[str] = frozenset({"material:view", "recording:view"})

# -- what ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """Columns of the recording and its grants; times are offsets from now in hours."""

    name: str
    state: str = "ready"
    watchable: bool = True
    published: float | None = -1.0
    #: the audience of its grants: the region with a group and a person, or only the country, an organisation, or a group
    #: that has ended
    audience: Literal["region", "country", "organisation", "ended group"] = "region"
    #: the grants are on the case, with nothing on the recording
    by_case: bool = False
    #: they need approval and wait for it, or were refused
    approval: Literal["", "waiting", "refused"] = ""
    #: beside its grants to watch there are such to download
    download: bool = False
    #: there are none to watch
    watch: bool = True
    grant_from: float = -1.0
    grant_until: float | None = None
    revoked: float | None = None
    case_status: str = "live"
    #: the case belongs to the region, or to no single place
    case_of_all: bool = False
    #: its case was written by the recording's owner, or by somebody who has left
    case_by_owner: bool = True
    material_published: bool = True


STATES: tuple[State, ...] = (
    State("uploading", state="uploading", watchable=False, published=None),
    State("processing", state="processing", watchable=False, published=None),
    State("draft", published=None, case_of_all=True, material_published=False),
    State("published"),
    State("published while processing", state="processing"),
    State("to be published tomorrow", published=24.0),
    State("grant not yet begun", grant_from=24.0),
    State("grant ended", grant_from=-48.0, grant_until=-24.0),
    State("grant revoked", revoked=-0.5),
    State("withdrawn", state="withdrawn"),
    State("case retired", case_status="retired"),
    State("case of somebody else retired", case_status="retired", case_by_owner=False),
    State("failed", state="failed"),
    State("granted to the country", audience="country", case_of_all=True),
    State("granted to an organisation", audience="organisation"),
    State("granted to a group that has ended", audience="ended group"),
    State("granted by its case", by_case=True),
    State("waiting for approval", audience="country", approval="waiting"),
    State("refused", audience="country", approval="refused"),
    State("to be downloaded", download=True),
    State("to be downloaded, not to be watched", download=True, watch=False),
    State("draft of a case that is granted", published=None, by_case=True),
)

# -- where ---------------------------------------------------------------------------------------------------------------

FORM: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Surface:
    """An address about a recording, its case, or a material with it.

    `act` is an action, or "upload" (one's own upload), "work" (what only admins of everywhere may), "code" (a secret that nobody here has) or "frame" (the page in a
    frame, which invites visitors to sign in). `values` fill the address, the query and the JSON; `{grant}` and such
    come from the state's rows. `needs` names an object or row without which even those who may get 404. `core` ones are
    asked in every state, of the others every verdict (see `Checker.run`): one for each action, and quick to answer.
    """

    endpoint: str
    act: str
    method: str = "GET"
    values: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    json: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    makers_only: bool = False
    core: bool = False

    @property
    def name(self) -> str:
        """Names the surface in a report."""
        extra = [*self.values.values(), *self.headers.values(), self.query]
        return " ".join([self.method, self.endpoint, *(part for part in extra if part)])


def _playback() -> list[Surface]:
    """What a player asks for; each address has a twin for frames."""
    found = []
    for prefix in ("playback.", "playback.embed_"):

        def ask(
            endpoint: str,
            needs: str,
            method: str = "GET",
            prefix: str = prefix,
            range_: str = "",
            query: str = "",
            **values: str,
        ) -> None:
            headers = {"Range": range_} if range_ else {}
            core = endpoint == "media" and method == "GET" and not range_ and not query
            found.append(
                Surface(
                    prefix + endpoint, "recording:view", method, values, needs, headers=headers, query=query, core=core
                )
            )

        ask("master", "480p")
        ask("manifest", "480p")
        ask("media_playlist", "480p", name="480p")
        ask("media_playlist", "audio", name="audio")
        ask("iframe_playlist", "480p", name="480p")
        ask("media", "480p", name="480p")
        ask("media", "480p", method="HEAD", name="480p")
        ask("media", "piece", query="?chunk=0", name="480p")
        ask("media", "audio", range_="bytes=0-99", name="audio")
        ask("video", "download")
        ask("video", "download", method="HEAD")
        ask("captions", "captions", language="en")
        ask("chapters", "chapters")
        ask("poster", "poster")
        ask("storyboard", "storyboard")
        ask("storyboard_image", "storyboard")
        ask("peaks", "peaks")
    return found


def _post(endpoint: str, act: str, method: str = "POST", **options: Any) -> Surface:
    options.setdefault("form", None if endpoint.startswith("api_") else FORM)
    return Surface(endpoint, act, method, **options)


_GRANT = {"grant_id": "{grant}"}
_CASE_GRANT = {"grant_id": "{case_grant}"}
_CODE = {"code_id": "{code}"}
_TRACK = {"language": "en"}
_VERSION = {"language": "en", "number": "1"}
_UPLOAD = {"upload_id": "{upload}"}
_RUN = {"run_id": "{run}"}

SURFACES: tuple[Surface, ...] = (
    *_playback(),
    # pages of the recording
    Surface("watch.show", "recording:view"),
    Surface("recordings.manage", "recording:manage"),
    Surface("recordings.edit", "recording:edit"),
    _post("recordings.edit", "recording:edit", form={"title": "Changed"}),
    Surface("recordings.edit_chapters", "recording:edit"),
    _post("recordings.edit_chapters", "recording:edit", form={"chapters": "0:01 One"}),
    Surface("sounds.edit", "recording:edit"),
    _post("sounds.edit", "recording:edit", form={"usual": "0"}),
    Surface("posters.choose", "recording:edit"),
    _post("posters.choose", "recording:edit", form={"choice": "moment", "second": "0:01"}),
    Surface("posters.candidate", "recording:edit", values={"number": "0"}, needs="candidate-0"),
    Surface("recordings.delete", "recording:edit"),
    _post("recordings.delete", "recording:edit"),
    _post("recordings.retry", "recording:edit", core=True),
    _post("recordings.cancel", "recording:edit"),
    _post("recordings.reprocess", "recording:edit"),
    _post("recordings.caption_again", "recording:edit"),
    _post("recordings.withdraw", "recording:publish"),
    _post("recordings.restore", "recording:publish"),
    Surface("captions.index", "captions:edit", core=True),
    Surface("captions.edit", "captions:edit", values=_TRACK, needs="captions"),
    _post(
        "captions.save",
        "captions:edit",
        values=_TRACK,
        needs="captions",
        form={"revision": "1", "base": "[]", "first": "1"},
    ),
    Surface("captions.versions", "captions:edit", values=_TRACK, needs="captions"),
    Surface("captions.version", "captions:edit", values=_VERSION, needs="captions"),
    _post("captions.restore", "captions:edit", values=_TRACK, needs="captions", form={"revision": "1", "version": "1"}),
    _post("captions.check_all", "captions:edit", values=_TRACK, needs="captions", form={"revision": "1"}),
    _post("captions.review", "captions:review", values=_TRACK, needs="captions", form={"revision": "1"}, core=True),
    _post("captions.approve", "captions:review", values=_TRACK, needs="captions", form={"revision": "1"}),
    _post("captions.unpublish", "captions:review", values=_TRACK, needs="captions"),
    Surface("api_captions.index", "captions:edit"),
    Surface("api_captions.show", "captions:edit", values=_TRACK, needs="captions", core=True),
    _post(
        "api_captions.save", "captions:edit", "PUT", values=_TRACK, needs="captions", json={"revision": 1, "cues": []}
    ),
    _post("api_captions.merge", "captions:edit", values=_TRACK, needs="captions", json={"base": [], "mine": []}),
    _post("api_captions.fix", "captions:edit", values=_TRACK, needs="captions", json={"cues": []}),
    Surface("api_captions.versions", "captions:edit", values=_TRACK, needs="captions"),
    Surface("api_captions.version", "captions:edit", values=_VERSION, needs="captions"),
    Surface("api_captions.changes", "captions:edit", values=_VERSION, needs="captions"),
    _post("api_captions.restore", "captions:edit", values=_TRACK, needs="captions", json={"revision": 1, "version": 1}),
    _post("api_captions.review", "captions:review", values=_TRACK, needs="captions", json={"revision": 1}),
    _post("api_captions.approve", "captions:review", values=_TRACK, needs="captions", json={"revision": 1}),
    _post("api_captions.unpublish", "captions:review", values=_TRACK, needs="captions"),
    Surface("caption_files.bring", "captions:edit"),
    _post("caption_files.bring", "captions:edit", form={"language": "en"}),
    Surface("caption_files.translate", "captions:edit"),
    _post("caption_files.translate", "captions:edit", form={"language": "cy"}),
    _post(
        "api_caption_files.bring",
        "captions:edit",
        values=_TRACK,
        query="?filename=a.txt",
        json=["Hello", "there"],
    ),
    _post("api_caption_files.translate", "captions:edit", values={"language": "cy"}),
    Surface(
        "api_caption_files.export",
        "recording:download",
        values={**_TRACK, "kind": "srt"},
        needs="captions",
        query="?reason=x",
        core=True,
    ),
    Surface("transcript.show", "recording:view", core=True),
    Surface("transcript.show", "recording:view", query="?language=en&q=zebrafinch"),
    Surface("descriptions.edit", "recording:edit"),
    _post("descriptions.edit", "recording:edit", form={"status": "not-needed", "reason": "x"}),
    Surface("api_descriptions.show", "recording:view"),
    _post("api_descriptions.decide", "recording:edit", "PUT", json={"status": "described", "described": "{recording}"}),
    Surface("share.show", "recording:publish"),
    _post("share.give", "recording:publish", form={"email": "viewer@example.org"}),
    _post("share.revoke", "recording:publish", values=_GRANT, needs="grant"),
    _post("share.again", "recording:publish", values=_GRANT, needs="grant"),
    _post("share.make_code", "recording:publish"),
    _post("share.revoke_code", "recording:publish", values=_CODE),
    Surface("downloads.show", "recording:download", core=True),
    _post("downloads.send", "recording:download", form={"part": "video", "reason": "x"}),
    _post("share.publish", "recording:publish"),
    _post("share.unpublish", "recording:publish"),
    Surface("explaining.who", "recording:publish"),
    Surface("evaluations.results", "recording:manage", core=True),
    _post("evaluations.send", "recording:evaluate", form={"reflection": "x"}),
    # API of the recording, and where its work stands
    Surface("api_recordings.show", "recording:view"),
    Surface("api_recordings.grants_index", "recording:publish", core=True),
    _post("api_recordings.grant", "recording:publish", json={"to": "region:NEY"}),
    _post("api_recordings.revoke", "recording:publish", "DELETE", values=_GRANT, needs="grant"),
    _post(
        "api_recordings.extend",
        "recording:publish",
        "PATCH",
        values=_GRANT,
        needs="grant",
        json={"until": "2090-01-01"},
    ),
    _post("api_recordings.reprocess", "recording:edit"),
    _post("api_recordings.choose_poster", "recording:edit", "PUT", json={"seconds": 1}),
    _post("api_recordings.caption_again", "recording:edit"),
    _post("api_recordings.publish", "recording:publish"),
    _post("api_recordings.unpublish", "recording:publish"),
    _post("api_recordings.withdraw", "recording:publish"),
    _post("api_recordings.restore", "recording:publish"),
    Surface("api_sounds.show", "recording:manage"),
    _post("api_sounds.choose", "recording:edit", "PUT", json={"usual": 0}),
    _post("api_positions.save", "recording:view", json={"seconds": 3}),
    # what names them in a query or a body
    Surface("upload.new", "recording:edit", query="?recording={recording}", makers_only=True),
    _post(
        "api_uploads.create",
        "case:record",
        json={"case_id": "{case}", "filename": "film.mp4", "size": 10, "title": ""},
        makers_only=True,
    ),
    # its upload
    Surface("api_uploads.show", "upload", values=_UPLOAD, makers_only=True, core=True),
    _post("api_uploads.sign", "upload", values=_UPLOAD, json={"parts": []}, makers_only=True),
    _post("api_uploads.put_part", "upload", "PUT", values={**_UPLOAD, "number": "1"}, makers_only=True),
    _post("api_uploads.complete", "upload", values=_UPLOAD, makers_only=True),
    _post("api_uploads.cancel", "upload", "DELETE", values=_UPLOAD, makers_only=True),
    _post("upload.cancel", "upload", values=_UPLOAD, makers_only=True),
    # its run, for those who keep the work of all places going
    Surface("work.run", "work", values=_RUN),
    *(
        _post(f"{view}.change", "work", values={**_RUN, "act": act})
        for view in ("work", "api_work")
        for act in ("retry", "cancel", "raise", "lower")
    ),
    Surface("api_work.run", "work", values=_RUN),
    # its case
    Surface("cases.show", "case:view"),
    Surface("cases.edit", "case:edit"),
    _post("cases.edit", "case:edit", form={"title": "Changed"}),
    _post("cases.review", "case:edit", form={"review_on": "2090-01-01"}, core=True),
    _post("cases.retire", "case:edit"),
    _post("cases.reinstate", "case:edit"),
    Surface("api_cases.show", "case:view", core=True),
    Surface("case_share.show", "case:share", core=True),
    _post("case_share.give", "case:share", form={"email": "viewer@example.org"}),
    _post("case_share.revoke", "case:share", values=_CASE_GRANT, needs="case grant"),
    _post("case_share.again", "case:share", values=_CASE_GRANT, needs="case grant"),
    Surface("api_case_grants.index", "case:share"),
    _post("api_case_grants.give", "case:share", json={"to": "region:NEY"}),
    _post("api_case_grants.revoke", "case:share", "DELETE", values=_CASE_GRANT, needs="case grant"),
    _post(
        "api_case_grants.extend",
        "case:share",
        "PATCH",
        values=_CASE_GRANT,
        needs="case grant",
        json={"until": "2090-01-01"},
    ),
    # a material with it
    Surface("materials.show", "material:view"),
    Surface("embed.material", "frame", core=True),
    Surface("embed.allow_frame", "material:view", core=True),
    _post("embed.allow_frame", "material:view"),
    _post("embed.start", "code", json={"code": "not a code"}, form=None),
    Surface("materials.edit", "material:edit"),
    _post("materials.save_words", "material:edit", form={"title": "Changed"}, core=True),
    _post("materials.add_clip", "material:edit"),
    _post("materials.add_note", "material:edit", form={"text": "More"}),
    _post("materials.change_item", "material:edit", values={"item_id": "{item}", "act": "up"}),
    _post("materials.set_published", "material:edit", values={"act": "publish"}),
    _post("materials.set_published", "material:edit", values={"act": "unpublish"}),
    _post("materials.delete", "material:edit"),
    _post("materials.allow_host", "material:edit", form={"host": "learning.example.org"}),
    _post("materials.forbid_host", "material:edit", form={"host": "learning.example.org"}),
)

#: Arguments of an address that make it one about a recording.
ABOUT = frozenset({"recording_id", "case_id", "material_id", "upload_id", "run_id"})
