"""A large made-up world, written by the database itself: people, recordings and grants by the ten thousand."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg


@dataclass(frozen=True)
class Size:
    """How many of each there are."""

    people: int = 50_000
    recordings: int = 5_000
    grants: int = 100_000

    @property
    def organisations(self) -> int:
        """A hundred people belong to each."""
        return max(self.people // 100, 2)

    @property
    def groups(self) -> int:
        """Of thirty members each."""
        return max(self.people // 50, 2)

    @property
    def cases(self) -> int:
        """Five recordings are of each."""
        return max(self.recordings // 5, 1)


#: Everything is spread by arithmetic over row numbers, so that each run makes the same world but for its keys. The
#: temporary tables number what is there.
WORLD = """
CREATE TEMP TABLE n_areas AS SELECT row_number() OVER (ORDER BY code) - 1 AS n, id FROM areas WHERE kind = 'region';
CREATE TEMP TABLE n_themes AS SELECT row_number() OVER (ORDER BY position, code) - 1 AS n, id FROM terms WHERE kind = 'theme';
CREATE TEMP TABLE n_origins AS SELECT row_number() OVER (ORDER BY position, code) - 1 AS n, id FROM terms WHERE kind = 'origin';
CREATE TEMP TABLE n_jobs AS SELECT row_number() OVER (ORDER BY position, code) - 1 AS n, id FROM terms WHERE kind = 'profession';

CREATE TEMP TABLE n_organisations AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, {organisations} - 1) n;
INSERT INTO organisations (id, name, area_id)
  SELECT o.id, 'Organisation ' || o.n, a.id
  FROM n_organisations o JOIN n_areas a ON a.n = o.n % (SELECT count(*) FROM n_areas);

CREATE TEMP TABLE n_people AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, {people} - 1) n;
INSERT INTO people (id, email, name, organisation_id, last_signed_in_at, created_at)
  SELECT p.id, 'person-' || p.n || '@example.org', 'Person ' || md5(p.n::text), o.id,
         CASE WHEN p.n % 7 <> 0 THEN now() - make_interval(hours => p.n % 4000) END, now() - make_interval(mins => p.n)
  FROM n_people p JOIN n_organisations o ON o.n = p.n % {organisations};
INSERT INTO role_assignments (id, person_id, role, organisation_id)
  SELECT gen_random_uuid(), p.id, CASE WHEN p.n % 25 = 0 THEN 'facilitator' ELSE 'viewer' END, o.id
  FROM n_people p JOIN n_organisations o ON o.n = p.n % {organisations};
INSERT INTO role_assignments (id, person_id, role, area_id)
  SELECT gen_random_uuid(), p.id, CASE p.n % 500 WHEN 1 THEN 'admin' WHEN 2 THEN 'custodian' ELSE 'facilitator' END, a.id
  FROM n_people p JOIN n_areas a ON a.n = p.n % (SELECT count(*) FROM n_areas) WHERE p.n % 500 IN (1, 2, 3);

CREATE TEMP TABLE n_groups AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, {groups} - 1) n;
INSERT INTO groups (id, name, area_id)
  SELECT g.id, 'Group ' || g.n, a.id FROM n_groups g JOIN n_areas a ON a.n = g.n % (SELECT count(*) FROM n_areas);
INSERT INTO group_memberships (group_id, person_id)
  SELECT g.id, p.id FROM n_groups g CROSS JOIN generate_series(0, 29) m
  JOIN n_people p ON p.n = (g.n * 31 + m * 1667) % {people} ON CONFLICT DO NOTHING;

CREATE TEMP TABLE n_cases AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, {cases} - 1) n;
INSERT INTO cases (id, title, status, area_id, origin_id)
  SELECT c.id, 'Case ' || c.n || ' about a conversation', CASE WHEN c.n % 20 = 0 THEN 'retired' ELSE 'live' END, a.id, t.id
  FROM n_cases c JOIN n_areas a ON a.n = c.n % (SELECT count(*) FROM n_areas)
  JOIN n_origins t ON t.n = c.n % (SELECT count(*) FROM n_origins);
INSERT INTO case_terms (case_id, term_id)
  SELECT c.id, t.id FROM n_cases c JOIN n_jobs t ON t.n = c.n % (SELECT count(*) FROM n_jobs);

CREATE TEMP TABLE n_recordings AS SELECT n, gen_random_uuid() AS id FROM generate_series(0, {recordings} - 1) n;
INSERT INTO recordings (id, case_id, title, state, area_id, organisation_id, owner_id, watchable_at, published_at, duration_ms,
                        created_at)
  SELECT r.id, c.id, 'Recording ' || r.n || ' of breaking bad news',
         CASE WHEN r.n % 50 = 0 THEN 'withdrawn' ELSE 'ready' END,
         CASE WHEN r.n % 3 = 0 THEN a.id END, CASE WHEN r.n % 3 <> 0 THEN o.id END, p.id,
         now() - make_interval(mins => r.n + 1),
         CASE WHEN r.n % 12 <> 0 THEN now() - make_interval(mins => r.n + 1) END, 60000 + r.n * 97, now() - make_interval(mins => r.n + 2)
  FROM n_recordings r JOIN n_cases c ON c.n = r.n % {cases}
  JOIN n_areas a ON a.n = r.n % (SELECT count(*) FROM n_areas)
  JOIN n_organisations o ON o.n = r.n * 7 % {organisations}
  JOIN n_people p ON p.n = r.n * 25 % {people};
INSERT INTO recording_terms (recording_id, term_id)
  SELECT DISTINCT r.id, t.id FROM n_recordings r CROSS JOIN generate_series(0, 2) m
  JOIN n_themes t ON t.n = (r.n + m * 5) % (SELECT count(*) FROM n_themes);
INSERT INTO artefacts (id, recording_id, kind, key, media_type, size, sha256)
  SELECT gen_random_uuid(), id, 'poster', 'bench/' || id, 'image/jpeg', 1, repeat('0', 64) FROM n_recordings;

-- Of a hundred grants: 2 to the country, 18 to a region, 35 to an organisation, 25 to a group and 20 to a person; one in ten has
-- ended, one in twenty was revoked, one in ten is on the case.
INSERT INTO grants (id, recording_id, case_id, area_id, organisation_id, group_id, person_id, starts_at, ends_at, revoked_at)
  SELECT gen_random_uuid(),
         CASE WHEN g.n % 10 <> 9 THEN r.id END, CASE WHEN g.n % 10 = 9 THEN c.id END,
         CASE WHEN g.k < 2 THEN (SELECT id FROM areas WHERE code = 'ENG') WHEN g.k < 20 THEN a.id END,
         CASE WHEN g.k BETWEEN 20 AND 54 THEN o.id END, CASE WHEN g.k BETWEEN 55 AND 79 THEN w.id END,
         CASE WHEN g.k >= 80 THEN p.id END,
         now() - interval '60 days', CASE WHEN g.n % 10 = 3 THEN now() - interval '1 day' END,
         CASE WHEN g.n % 20 = 7 THEN now() - interval '2 days' END
  FROM (SELECT n, (n * 37 + n / 5000) % 100 AS k FROM generate_series(0, {grants} - 1) n) g
  JOIN n_recordings r ON r.n = g.n % {recordings}
  JOIN n_cases c ON c.n = g.n / 10 % {cases}
  JOIN n_areas a ON a.n = g.n / 7 % (SELECT count(*) FROM n_areas)
  JOIN n_organisations o ON o.n = g.n * 13 % {organisations}
  JOIN n_groups w ON w.n = g.n * 17 % {groups}
  JOIN n_people p ON p.n = g.n * 19 % {people};
"""


def build(libpq_url: str, size: Size) -> dict[str, int]:
    """Write the world into a migrated database that holds the vocabulary, let the planner look at it, and count it.

    Args:
        libpq_url: the address as the owner of the tables.
    """
    filled = WORLD.format(
        people=size.people,
        recordings=size.recordings,
        grants=size.grants,
        organisations=size.organisations,
        groups=size.groups,
        cases=size.cases,
    )
    with psycopg.connect(libpq_url, autocommit=True) as connection:
        connection.execute(filled.encode())
        connection.execute("ANALYZE")
        counts = {}
        for table in ("people", "recordings", "grants", "group_memberships", "role_assignments", "organisations"):
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608 - names are ours
            assert row is not None
            counts[table] = row[0]
        return counts
