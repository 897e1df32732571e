"""The words in which the access table is written: a row per route, a rule for what each caller is answered.

Pure data for tests and for the page docs/reference/access.md; nothing of the server is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CALLERS = ("admin", "manager", "querier", "viewer", "stranger")
"""Five people (or programs), by what they hold on the thing a route is about; each section says what that is."""

BAD_CREDENTIALS = (
    "no token",
    "malformed header",
    "expired token",
    "revoked token",
    "token of somebody deleted",
    "token of another installation",
    "JWT signed by somebody else",
)
NARROWED = "token narrowed to another endpoint"

OK, FORBIDDEN, HIDDEN = "ok", "forbidden", "hidden"
"""What a caller meets: it is done; 403 PERMISSION_DENIED; exactly what is answered about something that does not exist."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What each caller is answered; an administrator may everything."""

    manager: str
    querier: str
    viewer: str
    stranger: str
    admin: str = OK
    open: bool = False
    """Nobody is asked who they are; whatever token comes along is not looked at."""

    def of(self, caller: str) -> str:
        """`OK`, `FORBIDDEN` or `HIDDEN`."""
        answer: str = getattr(self, caller)
        return answer


OPEN = Rule(OK, OK, OK, OK, open=True)
ANYBODY = Rule(OK, OK, OK, OK)
"""Anybody with a valid token; lists show what the caller may see."""
ADMINS = Rule(FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN)
TO_VIEW = Rule(OK, OK, OK, HIDDEN)
TO_QUERY = Rule(OK, OK, FORBIDDEN, HIDDEN)
TO_MANAGE = Rule(OK, FORBIDDEN, FORBIDDEN, HIDDEN)

PASSED_ON = 0
"""As a row's `ok`: MLflow's own server answers, as it likes; what matters is who gets through to it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One route, one request to it and who may make it.

    `{word}` in `ask`, `body` and `headers` stands for a thing of the world, `{new_word}` for one made for this request alone, so
    that what destroys its object harms no other row. `world.py` has the words.
    """

    method: str
    path: str
    """The template, as the code has it."""
    rule: Rule
    ask: str = ""
    """Path and query; empty: the template as it is."""
    body: Any = None
    """Sent as JSON, bytes as they are, a dict under the key FORM as a form."""
    ok: int = 200
    """Status for those who may, or `PASSED_ON`."""
    missing: str = "RESOURCE_DOES_NOT_EXIST"
    """Error code of what is hidden or does not exist."""
    narrowed: int = 403
    """Status for a token that is good for querying another endpoint only."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


FORM = "form"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows about one kind of thing."""

    title: str
    holds: str
    """What manager, querier and viewer hold here; in Markdown."""
    rows: tuple[Row, ...]
