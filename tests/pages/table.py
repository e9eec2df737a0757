"""Every page that people get, as data: its address, who looks at it, and what is typed to make its form fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VISITOR, VIEWER, FACILITATOR, ADMIN, CUSTODIAN = "visitor", "viewer", "facilitator", "admin", "custodian"
EVERYBODY = (VIEWER, FACILITATOR, ADMIN)
MAKERS = (FACILITATOR, ADMIN)
#: The same roles in a region without anything.
NEW_VIEWER, NEW_FACILITATOR, NEW_ADMIN = "new viewer", "new facilitator", "new admin"
NEWCOMERS = (NEW_VIEWER, NEW_FACILITATOR, NEW_ADMIN)


@dataclass(frozen=True)
class Page:
    """One page as some people see it. `{words}` in the address are ids of the world in `tests/pages/world.py`."""

    endpoint: str
    path: str
    seen_by: tuple[str, ...]
    status: int = 200


PAGES: tuple[Page, ...] = (
    Page("auth.sign_in", "/sign-in", (VISITOR,)),
    Page("openid.finish", "/sign-in/from/hospital?state=wrong", (VISITOR,), status=400),
    Page("openid.linked", "/account/identities", (VIEWER,)),
    Page("auth.first_admin", "/first-admin/{first_admin}", (VISITOR,)),
    Page("auth.set_password", "/set-password/{set_password}", (VISITOR,)),
    Page("links.ask_sign_in", "/sign-in/link?next=/library", (VISITOR,)),
    Page("links.ask_reset", "/forgotten-password", (VISITOR,)),
    Page("links.enter", "/sign-in/link/{sign_in_link}", (VISITOR,)),
    Page("links.enter", "/sign-in/link/unknown", (VISITOR,), status=404),
    Page("links.invitation", "/invitation/{invitation}", (VISITOR,)),
    Page("auth.account", "/account", EVERYBODY),
    Page("factors.index", "/account/second-factors", (VIEWER, FACILITATOR)),
    Page("factors.confirm_app", "/account/second-factors/app/{waiting_app}", (VIEWER,)),
    Page("factors.add_passkey", "/account/second-factors/passkey", (VIEWER,)),
    Page("factors.prove", "/account/prove", (FACILITATOR,)),
    Page("tokens.index", "/account/tokens", (VIEWER, ADMIN)),
    Page("help.help", "/help", (VISITOR, VIEWER)),
    Page("help.privacy", "/privacy", (VISITOR,)),
    Page("help.cookies", "/cookies", (VISITOR,)),
    Page("help.accessibility_statement", "/accessibility-statement", (VISITOR,)),
    Page("home.index", "/", (*EVERYBODY, CUSTODIAN, *NEWCOMERS)),
    Page("library.index", "/library", (*EVERYBODY, NEW_VIEWER, NEW_FACILITATOR)),
    Page("library.index", "/library?q=candour", (VIEWER,)),
    Page("library.index", "/library?q=nothinglikethis", (VIEWER,)),
    Page("library.index", "/library?drafts=yes", (FACILITATOR,)),
    Page("watch.show", "/recordings/{published}", EVERYBODY),
    Page("watch.show", "/recordings/{published}?shown=yes", (VIEWER,)),
    Page("watch.show", "/recordings/{draft}?shown=yes", (FACILITATOR,)),
    Page("watch.show", "/recordings/{processing}?shown=yes", (FACILITATOR,)),
    Page("watch.show", "/recordings/{withdrawn}?shown=yes", (FACILITATOR,)),
    Page("captions.index", "/recordings/{published}/captions", (FACILITATOR,)),
    Page("captions.index", "/recordings/{processing}/captions", (FACILITATOR,)),
    Page("captions.edit", "/recordings/{published}/captions/en", (FACILITATOR,)),
    Page("captions.versions", "/recordings/{published}/captions/en/versions", (FACILITATOR,)),
    Page("captions.version", "/recordings/{published}/captions/en/versions/1", (FACILITATOR,)),
    Page("caption_files.bring", "/recordings/{published}/captions/import", (FACILITATOR,)),
    Page("caption_files.translate", "/recordings/{published}/captions/translate", (FACILITATOR,)),
    Page("transcript.show", "/recordings/{second}/transcript?language=ur&q=ڈاکٹر", (VIEWER,)),
    Page("transcript.show", "/recordings/{published}/transcript?q=sorry", (FACILITATOR,)),
    Page("descriptions.edit", "/recordings/{published}/audio-description", (FACILITATOR,)),
    Page("evaluations.results", "/recordings/{published}/evaluation", MAKERS),
    Page("evaluations.results", "/recordings/{draft}/evaluation", (FACILITATOR,)),
    Page("recordings.mine", "/recordings/mine", (*MAKERS, NEW_FACILITATOR)),
    Page("recordings.manage", "/recordings/{published}/manage", MAKERS),
    Page("recordings.manage", "/recordings/{draft}/manage", (FACILITATOR,)),
    Page("recordings.manage", "/recordings/{processing}/manage", (FACILITATOR,)),
    Page("recordings.manage", "/recordings/{failed}/manage", (FACILITATOR,)),
    Page("recordings.manage", "/recordings/{rejected}/manage", (FACILITATOR,)),
    Page("recordings.manage", "/recordings/{withdrawn}/manage", (FACILITATOR,)),
    Page("recordings.edit", "/recordings/{published}/edit", MAKERS),
    Page("recordings.edit_chapters", "/recordings/{published}/chapters", MAKERS),
    Page("recordings.delete", "/recordings/{draft}/delete", (FACILITATOR,)),
    Page("recordings.delete", "/recordings/{published}/delete", (FACILITATOR,)),
    Page("share.show", "/recordings/{published}/share", MAKERS),
    Page("share.show", "/recordings/{draft}/share", (FACILITATOR,)),
    Page("case_share.show", "/cases/{case}/share", MAKERS),
    Page("downloads.show", "/recordings/{published}/download", (VIEWER, FACILITATOR)),
    Page("expiring.index", "/grants/expiring?within=90", (FACILITATOR, NEW_FACILITATOR)),
    Page("approvals.index", "/approvals", (ADMIN, NEW_ADMIN)),
    Page("requests.index", "/requests", (FACILITATOR, NEW_FACILITATOR)),
    Page("requests.ask", "/ask", (VIEWER,)),
    Page("explaining.who", "/recordings/{published}/access", MAKERS),
    Page("explaining.who", "/recordings/{published}/access?q=vera", (FACILITATOR,)),
    Page("explaining.who", "/recordings/{draft}/access?q=fellow", (FACILITATOR,)),
    Page("upload.new", "/recordings/new", (*MAKERS, NEW_FACILITATOR)),
    Page("upload.new", "/recordings/new?case={case}", (FACILITATOR,)),
    Page("upload.new", "/recordings/new?recording={rejected}", (FACILITATOR,)),
    Page("cases.index", "/cases/", (*EVERYBODY, NEW_VIEWER, NEW_FACILITATOR)),
    Page("cases.show", "/cases/{case}", EVERYBODY),
    Page("cases.show", "/cases/{retired}", (FACILITATOR,)),
    Page("cases.show", "/cases/{bare}", (FACILITATOR,)),
    Page("cases.new", "/cases/new", MAKERS),
    Page("cases.edit", "/cases/{case}/edit", MAKERS),
    Page("materials.index", "/materials/", (*EVERYBODY, NEW_VIEWER, NEW_FACILITATOR)),
    Page("materials.show", "/materials/{material}", EVERYBODY),
    Page("materials.new", "/materials/new", MAKERS),
    Page("materials.edit", "/materials/{material}/edit", MAKERS),
    Page("embed.material", "/embed/materials/{material}", (VISITOR,)),
    Page("embed.allow_frame", "/materials/{material}/allow-frame", (VIEWER,)),
    Page("devices.index", "/sessions", (ADMIN, NEW_ADMIN)),
    Page("devices.index", "/sessions?q=nobody", (ADMIN,)),
    Page("people.index", "/people/", (ADMIN, NEW_ADMIN)),
    Page("people.new", "/people/new", (ADMIN, NEW_ADMIN)),
    Page("people.show", "/people/{person}", (ADMIN,)),
    Page("people_sign_in.show", "/people/{person}/sign-in", (ADMIN,)),
    Page("people_sign_in.show", "/people/{viewer}/sign-in", (ADMIN,)),
    Page("explaining.what", "/people/{person}/access", (ADMIN,)),
    Page("explaining.what", "/people/{viewer}/access", (ADMIN,)),
    Page("view_as.start", "/people/{person}/view-as", (ADMIN,)),
    Page("dormant.index", "/people/dormant", (ADMIN, NEW_ADMIN)),
    Page("recertify.index", "/people/recertify", (ADMIN, NEW_ADMIN, CUSTODIAN)),
    Page("recertify.index", "/people/recertify?area=NEY", (ADMIN,)),
    Page("audit.index", "/audit", (ADMIN, NEW_ADMIN)),
    Page("audit.index", "/audit?action=grant:give&subject=recording:{published}", (ADMIN,)),
    Page("places.organisations", "/organisations", (ADMIN, NEW_ADMIN)),
    Page("people.index", "/people/?role=viewer&role=facilitator&state=suspended", (ADMIN,)),
    Page("leavers.move", "/people/{person}/move?organisation={trust}", (ADMIN,)),
    Page("leavers.leave", "/people/{maker}/leave", (ADMIN,)),
    Page("imports.check", "/people/import/", (ADMIN,)),
    Page("areas.index", "/places/areas/", (ADMIN,)),
    Page("areas.edit", "/places/areas/{locality}", (ADMIN,)),
    Page("areas.move", "/places/areas/{locality}/move?to={other_region}", (ADMIN,)),
    Page("places.organisation", "/organisations/{trust}", (ADMIN,)),
    Page("places.move", "/organisations/{trust}/move?to={locality}", (ADMIN,)),
    Page("groups.index", "/groups", (ADMIN, NEW_ADMIN, FACILITATOR)),
    Page("groups.show", "/groups/{group}", (ADMIN, FACILITATOR)),
    Page("groups.edit", "/groups/{group}/edit", (ADMIN,)),
    Page("groups.paste", "/groups/{group}/paste", (FACILITATOR,)),
    Page("groups.choose", "/groups/{group}/choose", (ADMIN,)),
    Page("", "/nothing-here", (VISITOR, VIEWER), status=404),
    Page("", "/recordings/{draft}", (VIEWER,), status=404),
    Page("", "/recordings/{published}/share", (VIEWER,), status=403),
)
#: Addresses that answer with something else than a page for people.
NO_PAGES = ("api_", "audit.export", "playback.", "health.", "static")
#: Pages that stand in a frame of another page: no header, no skip link.
FRAMED = {"embed.material"}


@dataclass(frozen=True)
class Refusal:
    """A form that is sent so that it fails. `typed` maps the name of a control to what is put there."""

    path: str
    seen_by: str
    button: str
    fields: tuple[str, ...]
    typed: Mapping[str, str] = field(default_factory=dict)


REFUSALS: tuple[Refusal, ...] = (
    Refusal("/sign-in", VISITOR, "Sign in", ("email", "password")),
    Refusal("/first-admin/{first_admin}", VISITOR, "", ("email", "name", "password")),
    Refusal("/set-password/{set_password}", VISITOR, "Save password and sign in", ("password",), {"password": "short"}),
    Refusal("/sign-in/link", VISITOR, "Email me a link", ("email",)),
    Refusal("/forgotten-password", VISITOR, "Email me a link", ("email",), {"email": "no address"}),
    Refusal("/invitation/{invitation}", VISITOR, "Save password and sign in", ("password",), {"password": "short"}),
    Refusal("/account", VIEWER, "Change password", ("old_password", "password")),
    Refusal("/account/second-factors/app/{waiting_app}", VIEWER, "Add this app", ("code",), {"code": "000"}),
    Refusal("/account/tokens", VIEWER, "Make token", ("name", "scopes", "until"), {"until": ""}),
    Refusal("/account/prove", FACILITATOR, "Continue", ("code",)),
    Refusal("/cases/new", FACILITATOR, "Save case", ("title",)),
    Refusal("/cases/{case}/edit", FACILITATOR, "Save case", ("title",), {"title": ""}),
    Refusal("/cases/{case}", FACILITATOR, "Mark as reviewed", ("review_on",), {"review_on": ""}),
    Refusal("/recordings/{published}/edit", FACILITATOR, "Save", ("title",), {"title": ""}),
    Refusal("/recordings/{published}/captions/import", FACILITATOR, "Import", ("file",)),
    Refusal("/recordings/{published}/captions/translate", FACILITATOR, "Copy the captions", ("language",)),
    Refusal("/recordings/{second}/audio-description", FACILITATOR, "Save", ("reason",), {"reason": ""}),
    Refusal("/recordings/{published}/chapters", FACILITATOR, "Save chapters", ("chapters",), {"chapters": "no time"}),
    Refusal("/recordings/{published}/share", FACILITATOR, "Share", ("to",)),
    Refusal("/recordings/{published}?shown=yes", ADMIN, "Save scores", ()),
    Refusal("/materials/new", FACILITATOR, "", ("title",)),
    Refusal("/materials/{material}/edit", FACILITATOR, "Save", ("title",), {"title": ""}),
    Refusal("/materials/{material}/edit", FACILITATOR, "Add text", ("text",)),
    Refusal("/materials/{material}/edit", FACILITATOR, "Add recording", ("start",), {"start": "soon"}),
    Refusal("/materials/{material}/edit", FACILITATOR, "Allow host", ("host",), {"host": "not a host"}),
    Refusal("/people/{person}/view-as", ADMIN, "Start", ("reason",)),
    Refusal("/people/dormant", ADMIN, "Suspend selected", ("people",)),
    Refusal("/people/recertify", ADMIN, "Confirm selected", ("roles",)),
    Refusal("/people/new", ADMIN, "", ("email", "name")),
    Refusal("/organisations", ADMIN, "", ("name",)),
    Refusal("/groups", ADMIN, "", ("name",)),
    Refusal("/groups/{group}", ADMIN, "Add to group", ("email",)),
    Refusal("/groups/{group}", ADMIN, "Add manager", ("manager",)),
    Refusal("/groups/{group}/edit", ADMIN, "", ("name",), {"name": ""}),
    Refusal("/groups/{group}/paste", FACILITATOR, "", ("addresses",)),
    Refusal("/organisations/{trust}", ADMIN, "Save name", ("name",), {"name": ""}),
    Refusal("/places/areas/", ADMIN, "", ("name", "code")),
    Refusal("/places/areas/{locality}", ADMIN, "Save area", ("code",), {"code": "a b"}),
    Refusal("/people/import/", ADMIN, "", ("file",)),
    Refusal("/people/{maker}/leave", ADMIN, "", ("sure",)),
)
