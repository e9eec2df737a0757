"""Which way large bytes take between browser and storage: straight to S3, or through the app."""

from __future__ import annotations

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

from flask import request

from app.core import Core
from app.web import guard
from app.web.headers import origin_of

Door = Literal["s3", "proxy"]


def is_loopback(host: str | None) -> bool:
    """Whether a host name means the machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def door(core: Core) -> Door:
    """The way for this request. Under `auto`, straight to S3 only where that is known to work: an S3 that listens on
    loopback is out of reach from other machines, a page on https may not talk to http elsewhere, and a browser whose
    page has another origin than the one S3 was told of is refused by it. Programs with a token know no origins."""
    if core.settings.delivery != "auto":
        return "proxy" if core.settings.delivery == "proxy" else "s3"
    storage = urlsplit(core.storage.public_endpoint)
    here = urlsplit(request.host_url)
    if is_loopback(storage.hostname) and not is_loopback(here.hostname):
        return "proxy"
    if here.scheme == "https" and storage.scheme != "https" and not is_loopback(storage.hostname):
        return "proxy"
    if not guard.uses_token() and origin_of(request.host_url) != origin_of(core.settings.base_url):
        return "proxy"
    return "s3"
