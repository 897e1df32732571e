"""Rate limits of an endpoint: their shape, and which of them bind a caller. Pure: no counter, no clock.

The API parses with `parse` and `parse_legacy`; the gateway asks `Policy.clauses` who is bound by what and counts with `limits`.
Per kind (calls, tokens) a caller is bound by the endpoint's ceiling and by one of, in this order: the limit that names the caller; the
limits of the caller's groups, of which one with room is enough; the default limit of every caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headgate.domain.identity import folded
from headgate.domain.usage import estimated_tokens
from headgate.errors import InvalidParameterValue, TooManyRequests

CALLS = "calls"
TOKENS = "tokens"
UNITS = (CALLS, TOKENS)

ENDPOINT = "endpoint"
USER = "user"
USER_GROUP = "user_group"
SERVICE_PRINCIPAL = "service_principal"
KEYS = (ENDPOINT, USER, USER_GROUP, SERVICE_PRINCIPAL)
LEGACY_KEYS = (USER, ENDPOINT)

MINUTE = "minute"
WINDOW_S = 60
MOST_LIMITS = 20
MOST_GROUP_LIMITS = 5
MOST_AMOUNT = 10**12
ASSUMED_COMPLETION_TOKENS = 256
"""Output that is reserved for when a request sets no `max_tokens`."""

_REMEMBERED = 4096
_NAMES = {CALLS: "Requests-per-minute (RPM)", TOKENS: "Tokens-per-minute (TPM)"}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit, per rolling minute."""

    unit: str
    """CALLS or TOKENS."""
    amount: int
    """0 blocks."""
    key: str = ENDPOINT
    principal: str | None = None
    """Of a group its name, of a user the user name, of a service principal the application id; None with `user`: everybody's default."""
    key_given: bool = True
    """Whether the client wrote `key`: what it left out is not shown to it."""

    def to_json(self) -> dict[str, Any]:
        """As the client wrote it."""
        shown: dict[str, Any] = {self.unit: self.amount}
        if self.key_given:
            shown["key"] = self.key
        if self.principal is not None:
            shown["principal"] = self.principal
        return shown | {"renewal_period": MINUTE}


def parse(given: Any, where: str = "rate_limits") -> tuple[RateLimit, ...]:
    """The limits of `ai_gateway`. Raises InvalidParameterValue saying which entry is wrong."""
    limits = tuple(_limit(entry, f"{where}[{number}]", KEYS) for number, entry in enumerate(_entries(given, where)))
    _check_together(limits, where)
    return limits


def parse_legacy(given: Any, where: str = "rate_limits") -> tuple[RateLimit, ...]:
    """The limits of the deprecated `PUT …/rate-limits` and of `rate_limits` at creation: calls, for endpoint and user only."""
    entries = _entries(given, where)
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            for field in (TOKENS, "principal"):
                if entry.get(field) is not None:
                    raise InvalidParameterValue(
                        f"{where}[{number}].{field} is not known to this deprecated API: set such limits with PUT …/ai-gateway."
                    )
    limits = tuple(_limit(entry, f"{where}[{number}]", LEGACY_KEYS) for number, entry in enumerate(entries))
    _check_together(limits, where)
    return limits


def _entries(given: Any, where: str) -> Sequence[Any]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise InvalidParameterValue(f"{where} must be a list of rate limits.")
    return given


def _limit(entry: Any, where: str, keys: Sequence[str]) -> RateLimit:
    if not isinstance(entry, Mapping):
        raise InvalidParameterValue(
            f'{where} must be an object such as {{"calls": 100, "key": "user", "renewal_period": "minute"}}.'
        )
    if entry.get("renewal_period") != MINUTE:
        raise InvalidParameterValue(f"{where}.renewal_period must be given as 'minute', the only period there is.")
    units = [unit for unit in UNITS if entry.get(unit) is not None]
    if len(units) != 1:
        raise InvalidParameterValue(f"{where} needs exactly one of calls and tokens; write two entries to limit both.")
    key = entry.get("key") or ENDPOINT
    if key not in keys:
        raise InvalidParameterValue(f"{where}.key must be one of {', '.join(keys)}, not {key!r}.")
    principal = _principal(entry.get("principal"), key, where)
    amount = whole_number(entry[units[0]], f"{where}.{units[0]}")
    return RateLimit(units[0], amount, key, principal, key_given=bool(entry.get("key")))


def _principal(given: Any, key: str, where: str) -> str | None:
    if given is None or given == "":
        if key in (USER_GROUP, SERVICE_PRINCIPAL):
            what = "the group's name" if key == USER_GROUP else "its application id"
            raise InvalidParameterValue(f"{where}.principal is needed with key {key!r}: give {what}.")
        return None
    if not isinstance(given, str) or len(given) > 256 or not given.isprintable():
        raise InvalidParameterValue(f"{where}.principal must be a name of at most 256 printable characters.")
    if key == ENDPOINT:
        raise InvalidParameterValue(
            f"{where}.principal cannot be given with key 'endpoint': that limit is for all callers together. "
            "Use key 'user', 'user_group' or 'service_principal'."
        )
    return given


def whole_number(given: Any, where: str) -> int:
    """A count of at least 0; also as text, in which protobuf writes large numbers. Raises InvalidParameterValue."""
    if isinstance(given, str) and given.isascii() and given.isdecimal() and len(given) <= 13:
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_AMOUNT:
        raise InvalidParameterValue(f"{where} must be a whole number from 0 to {MOST_AMOUNT}.")
    return given


def _check_together(limits: Sequence[RateLimit], where: str) -> None:
    if len(limits) > MOST_LIMITS:
        raise InvalidParameterValue(f"{where} has {len(limits)} entries: an endpoint can have at most {MOST_LIMITS}.")
    groups = sum(1 for limit in limits if limit.key == USER_GROUP)
    if groups > MOST_GROUP_LIMITS:
        raise InvalidParameterValue(
            f"{where} has {groups} entries for user groups: an endpoint can have at most {MOST_GROUP_LIMITS}."
        )
    seen: dict[tuple[str, str, str], int] = {}
    for number, limit in enumerate(limits):
        same = (limit.unit, limit.key, folded(limit.principal or ""))
        if same in seen:
            whom = f"{limit.key} {limit.principal!r}" if limit.principal else limit.key
            raise InvalidParameterValue(
                f"{where}[{seen[same]}] and {where}[{number}] both limit the {limit.unit} of {whom}: leave one out."
            )
        seen[same] = number


class Caller(Protocol):
    """Who calls; `access.Principal` is one."""

    @property
    def id(self) -> str: ...

    @property
    def user_name(self) -> str:
        """Of a service principal its application id."""

    @property
    def kind(self) -> str:
        """`user` or `service_principal`."""

    @property
    def groups(self) -> frozenset[str]:
        """Ids of its groups."""


@dataclass(frozen=True, slots=True)
class Option:
    """A counter and how far it may go within a window."""

    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that must have room: at least one of its options."""

    unit: str
    scope: str
    """`endpoint` or `user`, as the refusal names it."""
    options: tuple[Option, ...]


class Policy:
    """The limits of one endpoint, ready to be asked. Does not change; make another one when the limits or the groups do.

    Counters are named after whom they count, not after the limit: one that is changed goes on with what was counted.
    """

    def __init__(
        self, endpoint_id: str, limits: Sequence[RateLimit], group_id: Callable[[str], str | None] = lambda name: name
    ) -> None:
        """`group_id` finds the id of a group by its name; a group there is not binds nobody."""
        self._prefix = endpoint_id
        self._endpoint: list[Clause] = []
        self._named: dict[tuple[str, str, str], int] = {}
        self._groups: dict[str, list[tuple[str, int]]] = {unit: [] for unit in UNITS}
        self._default: dict[str, int] = {}
        self._known: dict[str, tuple[Caller, tuple[Clause, ...]]] = {}
        for limit in limits:
            if limit.key == ENDPOINT:
                name = f"{endpoint_id}/{limit.unit}/endpoint"
                self._endpoint.append(Clause(limit.unit, ENDPOINT, (Option(name, limit.amount),)))
            elif limit.principal is None:
                self._default[limit.unit] = limit.amount
            elif limit.key == USER_GROUP:
                found = group_id(limit.principal)
                if found is not None:
                    self._groups[limit.unit].append((found, limit.amount))
            else:
                self._named[limit.unit, limit.key, folded(limit.principal)] = limit.amount
        self.counts_tokens = any(limit.unit == TOKENS for limit in limits)
        """Whether somebody's tokens are limited: else nobody need estimate them."""

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._endpoint or self._named or self._default or any(self._groups.values()))

    def clauses(self, caller: Caller) -> tuple[Clause, ...]:
        """Everything that must have room for a request of this caller."""
        known = self._known.get(caller.id)
        if known is not None and known[0] is caller:
            return known[1]
        own = [clause for unit in UNITS if (clause := self._own(unit, caller)) is not None]
        found = (*self._endpoint, *own)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[caller.id] = (caller, found)
        return found

    def _own(self, unit: str, caller: Caller) -> Clause | None:
        prefix = f"{self._prefix}/{unit}"
        own = f"{prefix}/{caller.kind}/{caller.id}"
        named = self._named.get((unit, caller.kind, folded(caller.user_name)))
        if named is not None:
            return Clause(unit, USER, (Option(own, named),))
        groups = tuple(
            Option(f"{prefix}/group/{group}", amount) for group, amount in self._groups[unit] if group in caller.groups
        )
        if groups:
            return Clause(unit, USER, groups)
        default = self._default.get(unit)
        return None if default is None else Clause(unit, USER, (Option(own, default),))


def reservation(prompt_characters: int, max_tokens: int | None, choices: int = 1) -> int:
    """Tokens to hold for a request before it is known what it takes. `choices` is `n`; embeddings have a `max_tokens` of 0."""
    each = ASSUMED_COMPLETION_TOKENS if max_tokens is None else max(0, max_tokens)
    return estimated_tokens(prompt_characters) + each * max(1, choices)


def refusal(endpoint_name: str, clause: Clause, wait_s: float) -> TooManyRequests:
    """The 429 of a request that found no room. `wait_s` is how long until there is some."""
    seconds = max(1, min(WINDOW_S + 1, -int(-wait_s // 1)))
    return TooManyRequests(
        f"REQUEST_LIMIT_EXCEEDED: User defined rate limit(s) exceeded for '{endpoint_name}'. "
        f"{_NAMES[clause.unit]} rate limit exceeded for {clause.scope}",
        headers={"Retry-After": str(seconds)},
    )
