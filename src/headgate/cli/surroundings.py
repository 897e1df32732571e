"""What `headgate doctor` looks at besides the machine: the database, Redis, and the extra that tables need. Each as in `checks`.

Findings never contain a secret: URLs are not shown, only what they lead to.
"""

from __future__ import annotations

from headgate.cli.checks import Finding, Verdict
from headgate.settings import Settings

_MOVED = "put the newest Headgate everywhere where this database is used"


def database(settings: Settings) -> Finding:
    """Whether it can be used, by this version, and whether its clock and ours agree."""
    import sqlalchemy as sa

    from headgate.store import schema
    from headgate.store.database import CLOCKS_AGREE_MS

    url = settings.resolved().database_url
    try:
        what = sa.make_url(url)
        file = what.database if what.get_backend_name() == "sqlite" else None
        if file is not None and not settings.data_dir.joinpath(file).exists():
            return Finding(Verdict.ok, f"{file} will be created")
        found = schema.look(url)
    except (sa.exc.ArgumentError, ValueError):
        return Finding(
            Verdict.broken, "database_url cannot be read", "postgresql+psycopg://user:password@host/database"
        )
    except ModuleNotFoundError as error:
        return Finding(Verdict.broken, f"{error.name} is not installed", "pip install 'headgate[postgresql]'")
    except sa.exc.SQLAlchemyError as error:
        told = str(getattr(error, "orig", None) or type(error).__name__)
        return Finding(Verdict.broken, " ".join(told.split()), "correct database_url, or start the database")
    where = file or f"{what.get_backend_name()} at {what.host or 'a socket'}, database {what.database}"
    if found.revision not in (None, *found.known):
        return Finding(Verdict.broken, f"{where}: its schema {found.revision} is of a newer Headgate", _MOVED)
    if abs(found.ahead_ms) > CLOCKS_AGREE_MS:
        return Finding(
            Verdict.broken,
            f"{where}: this machine's clock differs from its by {abs(found.ahead_ms) / 1000:.1f} s",
            "keep the clocks of all machines right, with NTP",
        )
    state = "empty" if found.revision is None else f"schema {found.revision}"
    return Finding(Verdict.ok, f"{where}: {state}")


def redis(settings: Settings) -> Finding:
    """Whether servers can share rate limits through it, when they are to."""
    from headgate.limits import redis_quotas, sharing

    url = settings.rate_limits.redis_url
    if not url:
        return Finding(Verdict.skipped, "not configured: several servers share rate limits through the database")
    problem = sharing.refusal(settings)
    if problem is not None:
        return Finding(Verdict.broken, problem, "pip install 'headgate[redis]'")
    try:
        client = redis_quotas.connect(url)
        told = client.get_connection_kwargs()
    except ValueError:
        return Finding(Verdict.broken, "rate_limits.redis_url cannot be read", "redis://:password@host:6379/0")
    where = str(told.get("path") or f"{told.get('host', 'localhost')}:{told.get('port', 6379)}")
    try:
        client.ping()
    except Exception as error:  # noqa: BLE001 - the client raises its own, and those of sockets
        advice = "start it, or correct rate_limits.redis_url; until then each server keeps to its share of a limit"
        return Finding(Verdict.broken, f"{where}: {' '.join(str(error).split())}", advice)
    finally:
        client.close()
    return Finding(Verdict.ok, where)


def tables(settings: Settings) -> Finding:
    """Whether there can be inference and usage tables."""
    from headgate.warehouse import configured, presence

    missing = presence.missing()
    if missing is not None:
        return Finding(Verdict.skipped, missing, "nothing, where no such tables and no SQL are wanted")
    problem = configured.refusal(settings.warehouse)
    if problem is not None:
        return Finding(Verdict.broken, problem, "correct it: the server does not start with it")
    return Finding(Verdict.ok, f"can be written, below {settings.storage.url or settings.data_dir / 'tables'}")
