"""The one-machine default: PostgreSQL, an S3 and the supervisor, started from binaries that come with the install.

This package sits beside `app.media` and `app.storage`: of the project it imports `app.settings`, `app.errors` and
`app.clock` only.
"""
