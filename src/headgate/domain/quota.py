"""The shared book of one counter: what was used within the window, and what is leased to which server. Pure; a store only keeps the text.

`settle` is one server's line in one exchange: what it used since the last one goes into the book, its lease is renewed, and it is given
more as far as there is room. Nothing is given away twice: used + leased never grows over the limit here. A server may live in the
past or the future: all times here are of the store, and leases run out by durations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from headgate.domain.rate_limits import WINDOW_S

_AHEAD = WINDOW_S
"""Slots that a server may be ahead: it dates late rather than early, by as much as an exchange took. More: the clock was set back."""
_RECHECK_MS = 250


@dataclass(frozen=True, slots=True)
class Line:
    """What a server says of one counter and wants of it."""

    name: str
    limit: int
    leased: int = 0
    """What it holds and has not told yet how it was used."""
    used: tuple[tuple[int, int], ...] = ()
    """(slot, amount) since what was told before; negative where a reservation was too high. A slot is a second of the store's clock."""
    told_in: int = 0
    """Number of the exchange that first told `used`: told again after a failure, it counts once."""
    need: int = 0
    """More that requests wait for."""
    least: int = 0
    """What one of them wants."""
    spare: int = 0
    """More that it would like, so that nobody has to wait soon."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One exchange of one server. No server has two under way."""

    server_id: str
    """New with every start of a process."""
    number: int
    """Grows with every exchange."""
    lease_ms: int
    lines: tuple[Line, ...]
    sent_s: float = 0.0
    """By the server's own clock."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a line."""

    granted: int
    wait_ms: int = 0
    """Of what was needed not all was there: until enough of what was used is forgotten. 0: all was there."""
    recheck_ms: int = 0
    """When to ask again: sooner than that while others hold leases, which they may give back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an exchange. A counter that is not in it was not settled: it is told again."""

    now_ms: int
    """The store's clock."""
    grants: Mapping[str, Grant]


@dataclass(slots=True)
class _Lease:
    held: int = 0
    expires_ms: int = 0
    number: int = 0
    told: int = 0
    lapsed_slot: int = 0
    lapsed: int = 0
    """It ran out with so much unaccounted, which is taken for used until the server says otherwise."""


@dataclass(slots=True)
class _Book:
    used: dict[int, int] = field(default_factory=dict)
    leases: dict[str, _Lease] = field(default_factory=dict)

    def forget(self, now_ms: int, lease_ms: int) -> None:
        """Drops what is older than the window and turns leases that ran out into use."""
        now = now_ms // 1000
        for server_id, lease in list(self.leases.items()):
            lease.expires_ms = min(lease.expires_ms, now_ms + lease_ms)  # the clock was set back
            if lease.held and lease.expires_ms < now_ms:
                lease.lapsed_slot, lease.lapsed = lease.expires_ms // 1000, lease.held
                self.add(lease.lapsed_slot, lease.held)
                lease.held = 0
            if lease.expires_ms + lease_ms + 1000 * (WINDOW_S + 1) < now_ms:
                del self.leases[server_id]
        late = sum(self.used.pop(slot) for slot in list(self.used) if slot > now + _AHEAD)
        self.add(now, late)
        for slot in [slot for slot in self.used if slot < now - WINDOW_S]:
            del self.used[slot]

    def add(self, slot: int, amount: int) -> None:
        """Counts; never below nothing."""
        left = self.used.get(slot, 0) + amount
        if left > 0:
            self.used[slot] = left
        else:
            self.used.pop(slot, None)

    def wait_ms(self, lacking: int, now_ms: int) -> int:
        """Until so much of what was used is forgotten; a whole window when it is leased instead."""
        for slot in sorted(self.used):
            lacking -= self.used[slot]
            if lacking <= 0:
                return max(1, 1000 * (slot + WINDOW_S + 1) - now_ms)
        return 1000 * (WINDOW_S + 1)


def settle(text: bytes | str | None, line: Line, ask: Ask, now_ms: int) -> tuple[bytes, Grant]:
    """The book after a server's line, and what it gets. An exchange that was overtaken by a later one of that server changes nothing."""
    book = _read(text)
    book.forget(now_ms, ask.lease_ms)
    mine = book.leases.setdefault(ask.server_id, _Lease())
    if ask.number <= mine.number:
        return _written(book), Grant(0)
    _hear(book, mine, line, now_ms // 1000)
    mine.held = line.leased
    grant = _grant(book, line, now_ms)
    mine.held += grant.granted
    mine.number, mine.expires_ms = ask.number, now_ms + ask.lease_ms
    return _written(book), grant


def _hear(book: _Book, mine: _Lease, line: Line, now: int) -> None:
    """What the server used goes into the book, and takes the place of what was assumed of it."""
    if mine.lapsed:
        book.add(mine.lapsed_slot, -mine.lapsed)
        mine.lapsed = 0
    if line.told_in <= mine.told:
        return
    mine.told = line.told_in
    for slot, amount in line.used:
        if slot >= now - WINDOW_S:
            book.add(min(slot, now + _AHEAD), amount)


def _grant(book: _Book, line: Line, now_ms: int) -> Grant:
    leased = sum(lease.held for lease in book.leases.values())
    servers = sum(1 for lease in book.leases.values() if lease.expires_ms > now_ms) + 1
    room = max(0, line.limit - sum(book.used.values()) - leased)
    needed = min(line.need, room)
    # Spare room is shared out in ever smaller parts, so that near the limit little lies unused at a server nobody asks.
    granted = needed + min(line.spare, (room - needed) // (2 * servers))
    if needed == line.need:
        return Grant(granted)
    wait_ms = book.wait_ms(max(1, line.least - room), now_ms)
    return Grant(granted, wait_ms, min(wait_ms, _RECHECK_MS) if leased else wait_ms)


def kept_until_ms(ask: Ask, now_ms: int) -> int:
    """When a book nobody has written since says nothing any more."""
    return now_ms + 2 * ask.lease_ms + 1000 * (WINDOW_S + 2)


def _read(text: bytes | str | None) -> _Book:
    if not text:
        return _Book()
    used, leases = orjson.loads(text)
    return _Book(dict(used), {server_id: _Lease(*values) for server_id, values in leases.items()})


def _written(book: _Book) -> bytes:
    leases = {
        server_id: [one.held, one.expires_ms, one.number, one.told, one.lapsed_slot, one.lapsed]
        for server_id, one in book.leases.items()
    }
    return orjson.dumps([list(book.used.items()), leases])
