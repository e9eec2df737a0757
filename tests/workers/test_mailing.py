"""Sending mail to a real mail server on loopback: once, encrypted where it says so, again after a failure."""

from __future__ import annotations

import datetime
import logging
import ssl
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select, update

from app import clock, smtp
from app.core import Core, build_core
from app.db import db
from app.db.mails import Mail
from app.db.people import Person
from app.db.sign_in import OneTimeLink
from app.domain import mail, mailed_links
from app.errors import Misconfigured, Unavailable
from app.settings import Settings
from tests.support.postbox import FROM, PASSWORD, USER, Postbox, postbox
from workers.mailing import send_due

PATH = "/invitation/a-secret-that-signs-in"


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as running:
        yield running


@pytest.fixture
def mailing(settings: Settings, box: Postbox) -> Iterator[Core]:
    """A core that knows the mail server."""
    core = build_core(box.settings(settings))
    yield core
    with core.app.app_context():
        db.session.remove()
        db.engine.dispose()


def write(core: Core, address: str = "somebody@example.org", **options: Any) -> None:
    with core.session() as session:
        mail.post(session, core.settings, kind="invitation", address=address, path=PATH, **options)


def rows(core: Core) -> list[Mail]:
    with core.session() as session:
        found = list(session.scalars(select(Mail).order_by(Mail.created_at)))
        session.expunge_all()
        return found


def later(core: Core, **columns: Any) -> None:
    """As if the time of the next try had come."""
    with core.session() as session:
        session.execute(update(Mail).values(next_try_at=clock.now(), **columns))


def test_a_mail_goes_out_once_and_is_emptied(mailing: Core, box: Postbox, caplog: pytest.LogCaptureFixture) -> None:
    write(mailing)
    waiting = rows(mailing)[0]
    assert waiting.body is not None
    assert b"secret" not in waiting.body
    with caplog.at_level(logging.DEBUG):
        assert send_due(mailing) == 1
        assert send_due(mailing) == 0
    assert box.recipients == [["somebody@example.org"]]
    letter = box.letters[0]
    assert (letter["From"], letter["To"]) == (FROM, "somebody@example.org")
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"] == f"<{waiting.id}@trust.example>"
    assert letter.get_content_type() == "text/plain"
    assert mailing.settings.base_url + PATH in box.text()
    row = rows(mailing)[0]
    assert row.sent_at is not None
    assert row.body is None
    logged = " ".join(
        f"{record.getMessage()} {getattr(record, 'fields', '')}"
        for record in caplog.records
        if "mail.log" not in record.name
    )
    assert "mail sent" in logged
    assert "secret" not in logged
    assert "example.org" not in logged


def test_what_was_rolled_back_is_never_sent(mailing: Core, box: Postbox) -> None:
    with pytest.raises(RuntimeError), mailing.session() as session:
        mail.post(session, mailing.settings, kind="invitation", address="a@example.org", path=PATH)
        raise RuntimeError
    assert send_due(mailing) == 0
    assert box.letters == []


def test_a_failure_is_tried_again_later_and_a_refusal_is_not(mailing: Core, box: Postbox) -> None:
    write(mailing)
    box.answers = ["451 come back later"]
    assert send_due(mailing) == 0
    row = rows(mailing)[0]
    assert (row.tries, row.failed_at) == (1, None)
    assert timedelta(seconds=25) < row.next_try_at - clock.now() <= mail.FIRST_WAIT
    assert send_due(mailing) == 0, "not before its time"
    later(mailing, tries=9)
    box.answers = ["452 no room"]
    assert send_due(mailing) == 0
    assert rows(mailing)[0].next_try_at - clock.now() > mail.LONGEST_WAIT - timedelta(minutes=1)
    later(mailing)
    assert send_due(mailing) == 1
    write(mailing, "refused@example.org")
    box.answers = ["550 nobody here"]
    assert send_due(mailing) == 0
    refused = rows(mailing)[-1]
    assert refused.failed_at is not None
    assert refused.body is None
    later(mailing)
    assert send_due(mailing) == 0
    assert len(box.letters) == 1


def test_a_server_that_is_away_costs_only_time(mailing: Core, box: Postbox, settings: Settings) -> None:
    write(mailing)
    away = build_core(replace(mailing.settings, smtp_url="smtp://127.0.0.1:1"))
    with pytest.raises(Unavailable):
        send_due(away)
    later(mailing)
    assert send_due(mailing) == 1
    with away.app.app_context():
        db.engine.dispose()


def test_two_workers_never_send_the_same(mailing: Core, box: Postbox) -> None:
    for n in range(12):
        write(mailing, f"person{n}@example.org")
    threads = [threading.Thread(target=send_due, args=(mailing,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(box.recipients) == sorted([f"person{n}@example.org"] for n in range(12))


def test_a_worker_that_died_while_sending_leaves_the_mail_to_others(mailing: Core, box: Postbox) -> None:
    write(mailing)
    with mailing.session() as session:
        assert mail.claim(session) is not None
    assert send_due(mailing) == 0, "it is claimed"
    later(mailing)
    assert send_due(mailing) == 1


def test_what_is_too_old_is_given_up(mailing: Core, box: Postbox) -> None:
    write(mailing, life=timedelta(seconds=-1))
    assert send_due(mailing) == 0
    row = rows(mailing)[0]
    assert row.failed_at is not None
    assert row.body is None
    with mailing.session() as session:
        session.execute(update(Mail).values(created_at=clock.now() - mail.KEPT - timedelta(days=1)))
    send_due(mailing)
    assert rows(mailing) == []


def test_a_mail_that_cannot_be_read_or_addressed_does_not_stop_the_others(mailing: Core, box: Postbox) -> None:
    write(mailing, "sealed-elsewhere@example.org")
    with mailing.session() as session:
        session.execute(update(Mail).values(body=b"nonsense"))
    write(mailing, "two,addresses@example.org")
    write(mailing, "right@example.org")
    assert send_due(mailing) == 1
    assert box.recipients == [["right@example.org"]]
    assert [row.failed_at is not None for row in rows(mailing)] == [True, True, False]


def test_nothing_is_kept_where_mail_is_not_set_up(core: Core) -> None:
    write(core)
    assert rows(core) == []
    assert send_due(core) == 0


def test_a_link_that_was_asked_for_is_made_when_it_is_sent(mailing: Core, box: Postbox) -> None:
    with mailing.session() as session:
        session.add(Person(email="Known@example.org"))
        session.add(Person(email="gone@example.org", suspended_at=clock.now()))
        for address in ("known@example.org", "gone@example.org", "nobody@example.org"):
            mailed_links.ask(session, mailing.settings, mailed_links.SIGN_IN, address, "192.0.2.1", "/library?q=a b")
    assert send_due(mailing) == 1
    assert box.recipients == [["known@example.org"]]
    assert "/sign-in/link/" in box.text()
    assert "?next=/library%3Fq%3Da%20b" in box.text()
    assert [row.address for row in rows(mailing)] == ["known@example.org"], "of others nothing is kept"
    with mailing.session() as session:
        link = session.scalars(select(OneTimeLink)).one()
        assert link.expires_at - clock.now() <= timedelta(minutes=15)


def test_asking_too_often_writes_nothing_more(mailing: Core) -> None:
    with mailing.session() as session:
        for _ in range(mailed_links.MOST_FOR_ADDRESS + 3):
            mailed_links.ask(session, mailing.settings, mailed_links.RESET, "a@example.org", "192.0.2.1")
    assert len(rows(mailing)) == mailed_links.MOST_FOR_ADDRESS
    with mailing.session() as session:
        for n in range(mailed_links.MOST_FROM_NETWORK):
            mailed_links.ask(session, mailing.settings, mailed_links.RESET, f"b{n}@example.org", "192.0.2.1")
    assert len(rows(mailing)) <= mailed_links.MOST_FROM_NETWORK


# -- encryption ------------------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1 and the certificate to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_encrypted_with_a_password_and_only_to_who_it_should_be(
    scheme: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path)
    options: dict[str, Any] = {"tls": context} if scheme == "smtps" else {"starttls": context}
    with postbox(**options, asks=True) as box:
        url = f"{scheme}://{USER}:{PASSWORD.replace(' ', '%20').replace('/', '%2F')}@127.0.0.1:{{port}}"
        core = build_core(box.settings(settings, url))
        write(core)
        with pytest.raises(Unavailable):
            send_due(core)
        assert (box.letters, box.signed_in) == ([], []), "its certificate is trusted by nobody"
        later(core)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert send_due(core) == 1
        assert box.signed_in == [USER.encode()]
        wrong = build_core(box.settings(settings, f"{scheme}://{USER}:wrong@127.0.0.1:{{port}}"))
        write(wrong)
        with pytest.raises(Unavailable):
            send_due(wrong)
        for made in (core, wrong):
            with made.app.app_context():
                db.engine.dispose()


@pytest.mark.parametrize(
    "url", ["mail.example", "http://mail.example", "smtp://", "smtp://user:word@mail.example", "smtps://host:port"]
)
def test_settings_that_cannot_work_stop_the_start(url: str) -> None:
    with pytest.raises(Misconfigured):
        Settings(smtp_url=url, mail_from=FROM)


def test_a_sender_is_needed_with_a_server() -> None:
    with pytest.raises(Misconfigured):
        Settings(smtp_url="smtps://mail.example")
    assert smtp.parse("smtps://mail.example").port == 465
    assert "word" not in repr(smtp.parse("smtps://user:word@mail.example"))


def test_templates_hold_a_link_and_nothing_of_anybody(core: Core) -> None:
    kinds = [path.stem for path in mail.TEMPLATES.glob("*.txt")]
    assert {"sign-in", "reset-password", "invitation"} <= set(kinds)
    for kind in kinds:
        body = (mail.TEMPLATES / f"{kind}.txt").read_text()
        assert body.count("$link") == 1, kind
    with pytest.raises(ValueError, match="path of this site"):
        mail.render(core.settings, "invitation", "//elsewhere.example")
    assert str(uuid.UUID(int=0)) in mail.render(core.settings, "invitation", f"/x/{uuid.UUID(int=0)}").text
