"""Sends one row's request as every caller and with every credential, and says what was not answered as the table says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.scenario.house import Answer
from tests.wire.access.table.rows import BAD_CREDENTIALS, CALLERS, FORBIDDEN, HIDDEN, NARROWED, OK, PASSED_ON, Row
from tests.wire.access.world import Words, World

CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 501: "NOT_IMPLEMENTED"}
DIFFERS = ("date", "x-databricks-request-id")
"""Headers that no two answers share."""


def differences(world: World, row: Row) -> list[str]:
    """Nothing when all is as specified. Those who are refused come first, so that they find what others delete."""
    return [*_with_bad_credentials(world, row), *_refused(world, row), *_allowed(world, row)]


def ask(world: World, row: Row, words: Words, who: str) -> Answer:
    path, body = world.fill(row.ask or row.path, words), world.fill(row.body, words)
    return world.send(row.method, path, body, authorization=world.tokens[who])


def _with_bad_credentials(world: World, row: Row) -> Iterator[str]:
    expected = row.ok if row.rule.open else 401
    for credential in BAD_CREDENTIALS:
        yield from _unlike(credential, ask(world, row, world.settled(), credential), expected, row)
    if not row.rule.open:
        yield from _unlike(NARROWED, ask(world, row, world.settled(), NARROWED), row.narrowed, row)


def _refused(world: World, row: Row) -> Iterator[str]:
    words = world.settled()
    for caller in CALLERS:
        meets = row.rule.of(caller)
        if meets == OK:
            continue
        answer = ask(world, row, words, caller)
        yield from _unlike(caller, answer, 403 if meets == FORBIDDEN else 404, row)
        if meets == HIDDEN:
            yield from _telling(caller, answer, ask(world, row, unknown(world, words), caller), words, world)


def _allowed(world: World, row: Row) -> Iterator[str]:
    for caller in CALLERS:
        if row.rule.of(caller) == OK:
            words = world.fresh(row.ask, row.body)
            yield from _unlike(caller, ask(world, row, words, caller), row.ok, row)


def _unlike(who: str, answer: Answer, status: int, row: Row) -> Iterator[str]:
    if status == PASSED_ON:
        if answer.status in (401, 403, 405) or answer.status >= 500 or b"ENDPOINT_NOT_FOUND" in answer.body:
            yield f"{who}: let through expected, answered {answer!r}"
    elif answer.status != status:
        yield f"{who}: {status} expected, answered {answer!r}"
    elif status >= 400 and answer.body and "json" in answer.headers.get("content-type", ""):
        body: Any = answer.json
        code = row.missing if status == 404 else CODES.get(status, body.get("error_code"))
        if (set(body), body.get("error_code")) != ({"error_code", "message"}, code):
            yield f"{who}: {code} expected, answered {answer!r}"


def unknown(world: World, words: Words) -> Words:
    """The words, each standing for something as long that is not there."""
    return {word: world.unknown.get(word.removeprefix("new_"), text) for word, text in words.items()}


def _telling(who: str, hidden: Answer, missing: Answer, words: Words, world: World) -> Iterator[str]:
    """What tells something hidden from something that is not there, but for its name."""
    there = missing.body
    for word, text in sorted(world.unknown.items(), key=lambda pair: -len(pair[1])):
        there = there.replace(text.encode(), words[word].encode())
    if hidden.body != there:
        yield f"{who}: tells what is hidden, {hidden!r}, from what is not there, {missing!r}"
    if _headers(hidden) != _headers(missing):
        yield f"{who}: what is hidden has {hidden.headers}, what is not there {missing.headers}"


def _headers(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in DIFFERS}
