"""What can be asked for, and the scopes that narrow a token to a part of it."""

from __future__ import annotations

import enum


class Action(enum.StrEnum):
    """`thing:act`. Actions on a thing are decided for one row; the others for the actor alone."""

    # on one case
    CASE_VIEW = "case:view"
    CASE_EDIT = "case:edit"
    CASE_RECORD = "case:record"
    CASE_SHARE = "case:share"
    # on one recording
    RECORDING_VIEW = "recording:view"
    RECORDING_MANAGE = "recording:manage"
    RECORDING_EDIT = "recording:edit"
    RECORDING_PUBLISH = "recording:publish"
    RECORDING_DOWNLOAD = "recording:download"
    RECORDING_EVALUATE = "recording:evaluate"
    #: of one recording: change what its captions say, and say of them that they are right
    CAPTIONS_EDIT = "captions:edit"
    CAPTIONS_REVIEW = "captions:review"
    # on one material
    MATERIAL_VIEW = "material:view"
    MATERIAL_EDIT = "material:edit"
    # on one person
    PERSON_ADMINISTER = "person:administer"
    # on one area, organisation or group
    AREA_ADMINISTER = "area:administer"
    ORGANISATION_ADMINISTER = "organisation:administer"
    GROUP_ADMINISTER = "group:administer"
    GROUP_MANAGE = "group:manage"
    # on one grant, or one request for one
    GRANT_KEEP = "grant:keep"
    GRANT_APPROVE = "grant:approve"
    REQUEST_ANSWER = "request:answer"
    # for the actor alone
    CASE_CREATE = "case:create"
    RECORDING_CREATE = "recording:create"
    MATERIAL_CREATE = "material:create"
    PEOPLE_ADMINISTER = "people:administer"
    #: say of roles that others hold that they are still right, or end them: those that the actor could give
    ROLES_CERTIFY = "roles:certify"
    #: see what all workers do, and change the order of it: queues and machines serve every place, so this is for those
    #: who are admins of everywhere
    WORK_VIEW = "work:view"
    WORK_ADMINISTER = "work:administer"
    SHARING_VIEW = "sharing:view"
    AUDIT_VIEW = "audit:view"
    OWN_ACCOUNT = "account:own"
    #: what is left to somebody who has not shown a second factor yet: to show one, or to set up the first
    PROVE = "account:prove"
    FACTORS = "account:factors"
    #: to ask when one's browser session ends, and to put that off: every page of somebody signed in asks it
    SESSION = "account:session"


#: Scopes that an API token can be given. `all` is whatever its person may do.
SCOPES: dict[str, frozenset[Action]] = {
    "read": frozenset({Action.CASE_VIEW, Action.RECORDING_VIEW, Action.MATERIAL_VIEW}),
    "upload": frozenset(
        {
            Action.CASE_VIEW,
            Action.CASE_RECORD,
            Action.RECORDING_CREATE,
            Action.RECORDING_VIEW,
            Action.RECORDING_MANAGE,
            Action.RECORDING_EDIT,
            Action.CAPTIONS_EDIT,
        }
    ),
    "publish": frozenset({Action.CASE_VIEW, Action.RECORDING_VIEW, Action.RECORDING_MANAGE, Action.RECORDING_PUBLISH}),
    "all": frozenset(Action),
}

#: What an admin may do who looks at the pages as somebody else. Named one by one: nothing new is among them by itself.
VIEW_AS_ACTIONS = frozenset(
    {Action.CASE_VIEW, Action.RECORDING_VIEW, Action.MATERIAL_VIEW, Action.OWN_ACCOUNT, Action.SESSION}
)

#: What an embedded material's own session may do.
EMBED_ACTIONS = frozenset({Action.MATERIAL_VIEW, Action.RECORDING_VIEW})
