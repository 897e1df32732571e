"""Shared rate-limit counters in Redis (or Valkey): the same books as in the database, compared and set. Needs the extra `redis`.

Called by `limits.exchange` in a thread. A book is read, settled here, and written if it is still what was read; else once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headgate.domain import quota
from headgate.domain.quota import Answer, Ask, Grant, Line

if TYPE_CHECKING:
    import redis

_PREFIX = "headgate:quota:"
_ROUNDS = 50
TIMEOUT_S = 2.0

_COMPARE_AND_SET = """
local there = redis.call('GET', KEYS[1]) or ''
if there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


def connect(url: str) -> redis.Redis:
    """A client for `redis://…`, `rediss://…` or `unix://…`. Connects when it is first used."""
    import redis  # an extra: only who configures it needs it
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # The next exchange is the next try.
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=once)


class RedisQuotas:
    """The books of all counters."""

    def __init__(self, client: redis.Redis, now_ms: Callable[[], int] | None = None) -> None:
        """`now_ms` replaces Redis's clock, which all servers share."""
        self._client: Any = client
        self._now_ms = now_ms

    def exchange(self, ask: Ask) -> Answer:
        """Settles all lines. Raises when Redis is away; some may be settled then."""
        left = {line.name: line for line in ask.lines}
        grants: dict[str, Grant] = {}
        now_ms = 0
        for _ in range(_ROUNDS):
            now_ms, books = self._read(left)
            settled = {name: quota.settle(books[name], line, ask, now_ms) for name, line in left.items()}
            kept_ms = quota.kept_until_ms(ask, now_ms) - now_ms
            with self._client.pipeline(transaction=False) as pipeline:
                for name, (book, _grant) in settled.items():
                    pipeline.eval(_COMPARE_AND_SET, 1, _PREFIX + name, books[name], book, kept_ms)
                written = pipeline.execute()
            for (name, (_book, grant)), done in zip(settled.items(), written, strict=True):
                if done:
                    grants[name] = grant
                    del left[name]
            if not left:
                break
        return Answer(now_ms, grants)

    def _read(self, lines: Mapping[str, Line]) -> tuple[int, dict[str, bytes]]:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for name in lines:
                pipeline.get(_PREFIX + name)
            (seconds, microseconds), *books = pipeline.execute()
        now_ms = seconds * 1000 + microseconds // 1000 if self._now_ms is None else self._now_ms()
        return now_ms, {name: book or b"" for name, book in zip(lines, books, strict=True)}
