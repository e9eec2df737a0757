"""Answers for machines that watch: alive, ready, and figures for Prometheus."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.db import db
from app.db.fixity import FindingKind, FixityFinding
from app.db.recordings import Recording
from app.db.runs import Run, StageRun
from app.db.sign_in import WebSession
from app.db.workers import WorkerState
from app.domain import rehash, work, workers
from app.errors import NotFound, VignetteError
from app.web import guard
from app.web.doors import is_loopback

bp = Blueprint("health", __name__)

#: Unfinished jobs by queue and state, as Procrastinate keeps them.
JOBS = text(
    "SELECT queue_name, status::text, count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY 1, 2"
)


@bp.get("/healthz")
@guard.public("says only that the process answers")
def live() -> Response:
    """Alive."""
    return jsonify({"status": "ok"})


@bp.get("/readyz")
@guard.public("says only which service does not answer")
def ready() -> tuple[Response, int]:
    """Ready to serve: database, storage and queue each answer a real question."""
    checks: dict[str, str] = {}
    try:
        db.session.execute(text("SELECT 1"))
        checks["database"] = "ok"
        db.session.execute(JOBS)
        checks["queue"] = "ok"
    except SQLAlchemyError:
        db.session.rollback()
        checks.setdefault("database", "does not answer")
        checks["queue"] = "does not answer"
    try:
        guard.core().storage.check()
        checks["storage"] = "ok"
    except VignetteError:
        checks["storage"] = "does not answer"
    good = set(checks.values()) == {"ok"}
    return jsonify({"status": "ok" if good else "unavailable", "checks": checks}), 200 if good else 503


class _Figures:
    """Reads figures when asked; nothing is counted in the process, so all web processes answer alike."""

    def collect(self) -> Iterator[Metric]:
        """Gauges from the database."""
        session = db.session
        recordings = GaugeMetricFamily("vignette_recordings", "Recordings by state", labels=["state"])
        for state, count in session.execute(select(Recording.state, func.count()).group_by(Recording.state)):
            recordings.add_metric([state.value], count)
        yield recordings
        runs = GaugeMetricFamily("vignette_runs", "Runs by state", labels=["state"])
        for run_state, count in session.execute(select(Run.state, func.count()).group_by(Run.state)):
            runs.add_metric([run_state.value], count)
        yield runs
        seconds = GaugeMetricFamily("vignette_stage_cpu_seconds", "CPU seconds spent by stage", labels=["stage"])
        for stage, spent in session.execute(
            select(StageRun.stage, func.sum(StageRun.cpu_seconds)).group_by(StageRun.stage)
        ):
            seconds.add_metric([stage], float(spent or 0))
        yield seconds
        jobs = GaugeMetricFamily("vignette_jobs", "Unfinished jobs by queue and status", labels=["queue", "status"])
        for queue, status, count in session.execute(JOBS):
            jobs.add_metric([queue, status], count)
        yield jobs
        yield from self._work(session())
        sessions = session.scalar(
            select(func.count()).select_from(WebSession).where(WebSession.expires_at > func.now())
        )
        yield GaugeMetricFamily("vignette_web_sessions", "Browser sessions that have not ended", value=sessions or 0)

    def _work(self, session: Session) -> Iterator[Metric]:
        """Workers, waits and stored objects."""
        listed = workers.listing(session)
        crew = GaugeMetricFamily("vignette_workers", "Workers by state", labels=["state"])
        for worker_state in WorkerState:
            crew.add_metric([worker_state.value], sum(worker.state is worker_state for worker in listed))
        yield crew
        waits = GaugeMetricFamily(
            "vignette_queue_oldest_wait_seconds", "How long the oldest job that could run has waited", labels=["queue"]
        )
        no_room = GaugeMetricFamily(
            "vignette_stages_without_room", "Stages that no worker had room for yet", labels=["queue"]
        )
        for queue in work.queues(session, listed):
            waits.add_metric([queue.name], queue.oldest_seconds or 0)
            no_room.add_metric([queue.name], queue.no_room)
        yield from (waits, no_room)
        wrong = GaugeMetricFamily("vignette_fixity_findings", "Stored objects that are wrong now", labels=["kind"])
        counts = session.execute(select(FixityFinding.kind, func.count()).group_by(FixityFinding.kind))
        found = {kind: count for kind, count in counts}  # noqa: C416 - rows are no pairs to `dict`
        for kind in FindingKind:
            wrong.add_metric([kind.value], found.get(kind, 0))
        yield wrong
        standing = rehash.standing(session, guard.core().settings.rehash_days)
        yield GaugeMetricFamily("vignette_fixity_due", "Stored objects that are due to be read", value=standing.due)
        if standing.oldest is not None:
            yield GaugeMetricFamily(
                "vignette_fixity_oldest_timestamp_seconds",
                "When the longest unread object was stored or read",
                value=standing.oldest.timestamp(),
            )


@bp.get("/metrics")
@guard.public("asks for its own token, or answers loopback only; figures name nobody")
def metrics() -> Response:
    """Figures in Prometheus' text format."""
    token = guard.core().settings.metrics_token
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    behind_proxy = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    if token:
        allowed = hmac.compare_digest(given.encode(), token.encode())
    else:
        allowed = is_loopback(request.remote_addr) and not behind_proxy
    if not allowed:
        raise NotFound
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures())
    return Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")
