"""Guardrails on a stream: events of the middle language in, those that may leave out. Asked by the gateway; no network, no tasks.

Each text of each choice passes through a window (`holdback`). Where a judge is asked, what passed waits for its verdict, a stretch at a time.
A refusal is one error event and the end: the caller ends the upstream call, and no `[DONE]` is ever made up.
"""

from __future__ import annotations

from typing import Any

import orjson

from headgate.domain.request_record import BLOCKED, FAILED, MASKED, PASSED, Verdict
from headgate.errors import HeadgateError
from headgate.guardrails import answers, bodies, deltas
from headgate.guardrails.deltas import Channel
from headgate.guardrails.guard import KEYWORDS, PII, SAFETY, TOPICS, Guard, Question
from headgate.guardrails.holdback import Arguments, Checks, TooLong, Window
from headgate.guardrails.policy import MASK, NONE, OPEN, OUTPUT
from headgate.wire import sse


class StreamGuard:
    """One stream of one request. `refusal`: nothing more leaves. `question`: to be asked now (`Guard.ask`) and told to `answered`."""

    def __init__(self, guard: Guard, kind: str, request: bytes) -> None:
        side = guard.policy.output
        self.refusal: HeadgateError | None = None
        self.question: Question | None = None
        self._guard = guard
        self._kind = kind
        self._request = request
        self._asked_before: list[dict[str, str]] | None = None if side.safety else []
        self._side = side
        self._shadow = guard.policy.shadow
        self._judged_characters = guard.tools.judged_characters
        self._checks = Checks(
            guard.tools.finder if side.pii != NONE else None,
            side.pii == MASK or self._shadow,
            guard.keywords[OUTPUT] or None,
            records_only=self._shadow,
        )
        self._name = (
            PII if side.pii != NONE else KEYWORDS if self._checks.keywords else SAFETY if side.safety else TOPICS
        )
        self._began_s = guard.tools.clock.monotonic_s()
        self._splitter = sse.Splitter()
        self._windows: dict[tuple[Any, Channel], Window] = {}
        self._template: dict[str, Any] = {}
        self._asked: dict[str, Verdict] = {}
        self._over = False
        self._failure: str | None = None
        self._said: dict[Any, list[str]] = {}
        self._unjudged = 0
        self._waiting: list[bytes] = []
        self._asked_of = 0
        self._began_choices: set[Any] = set()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All so far; complete once the stream is over."""
        local = []
        labels = sorted({label for window in self._windows.values() for label in window.labels})
        keyword = next((window.keyword for window in self._windows.values() if window.keyword), None)
        if self._failure is not None:
            local.append(self._verdict(self._name, FAILED, self._failure))
        elif self._side.pii != NONE:
            outcome = PASSED if not labels else MASKED if self._side.pii == MASK else BLOCKED
            local.append(self._verdict(PII, outcome, ", ".join(labels)))
        if self._checks.keywords:
            local.append(self._verdict(KEYWORDS, BLOCKED if keyword else PASSED, keyword or ""))
        return (*local, *self._asked.values())

    def size(self, chunk: bytes) -> int:
        """Bytes that `feed` looks at: with the first chunk what was asked, too."""
        return len(chunk) + (len(self._request) if self._asked_before is None else 0)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Events that may leave after these bytes, which need not be whole events."""
        if self._asked_before is None:
            self._asked_before = bodies.conversation(self._kind, self._request)
        if self.refusal is not None:
            return []
        try:
            events = self._splitter.feed(chunk)
        except sse.NotEvents:
            return self._refuse(answers.failed(self._name, OUTPUT))
        return self._leaving([out for event in events if self.refusal is None for out in self._event(event.data)])

    def end(self) -> list[bytes]:
        """The upstream is over, with or without a `[DONE]`."""
        if self.refusal is not None:
            return []
        events = self._splitter.end()
        return self._leaving(
            [out for event in events for out in self._event(event.data)] + self._flushed(None), over=True
        )

    def answered(self, verdicts: tuple[Verdict, ...], refusal: HeadgateError | None) -> list[bytes]:
        """The models' verdict on `question`: what waited for it leaves, or nothing more does."""
        self.question = None
        for verdict in verdicts:
            # Of many stretches that pass one record is enough.
            if (verdict.guardrail not in self._asked) or self._asked[verdict.guardrail].outcome == PASSED:
                self._asked[verdict.guardrail] = verdict
        if refusal is not None:
            return self._refuse(refusal)
        leaving, self._waiting = self._waiting[: self._asked_of], self._waiting[self._asked_of :]
        return leaving + self._leaving([], over=self._over)

    def _event(self, data: bytes) -> list[bytes]:
        if data == b"[DONE]":
            rest = self._flushed(None)
            return [*rest, sse.DONE] if self.refusal is None else rest
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._fail("an event is not JSON", sse.event(data))
        if not isinstance(event, dict):
            return self._fail("an event is no object", sse.event(data))
        if not isinstance(event.get("choices"), list):
            # An error, or nothing of this language: what was held leaves before it.
            rest = self._flushed(None)
            event = deltas.changed(event, (), lambda _, text: self.whole(text))
            return [*rest, sse.event(orjson.dumps(event))] if self.refusal is None else rest
        self._template = {name: value for name, value in event.items() if name not in ("choices", "usage")}
        before: list[bytes] = []
        choices = [self._choice(choice, before) for choice in event["choices"]]
        if self.refusal is not None:
            return before
        if choices and all(choice is None for choice in choices) and not event.get("usage"):
            return before
        event["choices"] = [choice for choice in choices if choice is not None]
        if (
            any(choice.get("finish_reason") for choice in event["choices"] if isinstance(choice, dict))
            and self._has_masked
        ):
            event["output_guardrail"] = answers.MASKED
        return [*before, sse.event(orjson.dumps(event))]

    def _choice(self, choice: Any, before: list[bytes]) -> Any:
        """The choice with what may leave of its texts; None: nothing. What must leave before it goes into `before`."""
        if not isinstance(choice, dict):
            return choice
        index, over = choice.get("index", 0), bool(choice.get("finish_reason"))
        touched: set[Channel] = set()

        def change(channel: Channel, text: str) -> str:
            touched.add(channel)
            return self._through(index, channel, text, over=over)

        member = next((name for name in ("delta", "text", "message") if name in choice), "delta")
        choice = {**choice, member: deltas.changed(choice.get(member), (member,), change)}
        if choice.get("logprobs") and not self._shadow:
            choice["logprobs"] = None
        if over:
            before += self._flushed(index)
        began = index in self._began_choices
        self._began_choices.add(index)
        if over or not began or not touched or not deltas.says_nothing(choice[member]):
            return choice
        return None

    def _through(self, index: Any, channel: Channel, text: str, *, over: bool) -> str:
        """What of it may leave; in a shadow all, since that only reads along."""
        window = self._windows.get((index, channel))
        if window is None:
            kind = Arguments if channel[-1] == deltas.ARGUMENTS else Window
            window = self._windows[index, channel] = kind(self._checks)
        leaving = self._guarded(window, text, over=over)
        leaving = text if self._shadow else leaving
        if leaving and self._side.asks_models:
            self._said.setdefault(index, []).append(leaving)
            self._unjudged += len(leaving)
        return leaving

    def _guarded(self, window: Window, text: str, *, over: bool) -> str:
        if self.refusal is not None:
            return ""
        if self._failure is not None and not window.holds:
            return text
        try:
            leaving = window.feed(text)
            if over:
                leaving += window.end()
        except TooLong:
            leaving = self._failed("a tool's arguments are too long to be held", window)
        except Exception as error:  # noqa: BLE001 - whatever a recogniser raises is its failure, and decided on as one
            leaving = self._failed(type(error).__name__, window)
        if window.blocked and not self._shadow:
            blocked = answers.Blocked(OUTPUT, keyword=True) if window.keyword else answers.Blocked(OUTPUT, pii=True)
            self.refusal = answers.refusal(blocked)
            return ""
        return leaving

    def whole(self, text: str) -> str:
        """A text that comes in one piece, checked."""
        window = Arguments(self._checks)
        self._windows[("whole", len(self._windows)), ()] = window
        leaving = self._guarded(window, text, over=True)
        return text if self._shadow else leaving

    def _flushed(self, index: Any) -> list[bytes]:
        """Events with what is still held of this choice; None: of all."""
        found = []
        for (choice, channel), window in list(self._windows.items()):
            if not window.holds or index not in (None, choice) or self.refusal is not None:
                continue
            text = self._through(choice, channel, "", over=True)
            if text and not self._shadow:
                made = {"index": choice, **deltas.rebuilt(channel, text), "finish_reason": None}
                found.append(sse.event(orjson.dumps({**self._template, "choices": [made]})))
        return found

    @property
    def _has_masked(self) -> bool:
        return self._side.pii == MASK and not self._shadow and any(window.labels for window in self._windows.values())

    def _leaving(self, events: list[bytes], over: bool = False) -> list[bytes]:
        """What need not wait for a judge; otherwise the question, when there is enough to ask about."""
        self._over = over = self._over or over or sse.DONE in events
        if self.refusal is not None:
            # What was found before the refusal waits for no judge any more: it is dropped but for the error itself.
            return [*([] if self._side.asks_models and not self._shadow else events), sse.error_event(self.refusal)]
        if not self._side.asks_models:
            return events
        leaving = events
        if not self._shadow:
            self._waiting += events
            leaving = []
        enough = over or (not self._shadow and self._unjudged >= self._judged_characters)
        if enough and self._unjudged and self.question is None:
            self._ask()
        elif not self._unjudged and self.question is None:
            leaving, self._waiting = leaving + self._waiting, []
        return leaving

    def _ask(self) -> None:
        said = ["".join(parts) for parts in self._said.values()]
        conversations = bodies.answering(self._asked_before or (), said) if self._side.safety else ()
        self.question = Question(OUTPUT, conversations, "\n".join(said) if self._side.valid_topics else "")
        self._asked_of, self._unjudged = len(self._waiting), 0

    def _refuse(self, refusal: HeadgateError) -> list[bytes]:
        self.refusal = refusal
        self._waiting.clear()
        return [sse.error_event(refusal)]

    def _failed(self, why: str, window: Window) -> str:
        """The window's rest as it came, where failures are let pass."""
        self._failure = why
        if not self._shadow and self._guard.policy.on_failure != OPEN:
            self.refusal = answers.failed(self._name, OUTPUT)
            return ""
        return window.unchecked()

    def _fail(self, why: str, event: bytes) -> list[bytes]:
        self._failure = why
        if not self._shadow and self._guard.policy.on_failure != OPEN:
            self.refusal = answers.failed(self._name, OUTPUT)
            return []
        return [event]

    def _verdict(self, guardrail: str, outcome: str, detail: str) -> Verdict:
        return self._guard.verdict(guardrail, OUTPUT, outcome, (detail, self._began_s))
