"""One endpoint's guardrails on whole requests and answers. Asked by the gateway; streams are `streaming`'s.

Cheap checks come first and run at once: personal data, then keywords. What asks a model (safety, topics) is handed back as a `Question`, so that
the caller may ask it beside the upstream call, and hold the answer until both are there. Whatever is decided is a Verdict; nothing is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from headgate.clock import Clock
from headgate.domain.request_record import BLOCKED, FAILED, MASKED, PASSED, Verdict
from headgate.errors import HeadgateError, MalformedRequest
from headgate.guardrails import answers, bodies, texts
from headgate.guardrails.keywords import Keywords
from headgate.guardrails.pii.findings import Finder, masked
from headgate.guardrails.policy import BLOCK, INPUT, MASK, NONE, OPEN, OUTPUT, Policy, Side
from headgate.guardrails.safety import Ask, Judge, JudgeFailed, Judgement
from headgate.guardrails.texts import Text
from headgate.guardrails.topics import EmbeddingsFailed, Topics

PII, SAFETY, KEYWORDS, TOPICS = "pii", "safety", "invalid_keywords", "valid_topics"


@dataclass(frozen=True, slots=True)
class Tools:
    """What guards check with. `judge` and `embed`: None where the settings name no endpoint."""

    finder: Finder
    clock: Clock
    judge: Judge | None = None
    embed: Ask | None = None
    topic_threshold: float = 0.3
    topic_timeout_s: float = 5.0
    judged_characters: int = 400
    """Of a stream, new text after which the judge is asked."""
    is_slow: bool = False
    """The finder takes milliseconds: not to be asked where others wait."""


@dataclass(frozen=True, slots=True)
class Question:
    """What models are still to be asked. `last` of `conversation` is what is judged; `topic_text` empty: no topics."""

    phase: str
    conversations: tuple[tuple[Mapping[str, str], ...], ...] = ()
    topic_text: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome so far. `refusal`: what the client gets instead. `body`: what goes on, masked where it must be."""

    body: bytes
    verdicts: tuple[Verdict, ...] = ()
    refusal: HeadgateError | None = None
    question: Question | None = None


class Guard:
    """The guardrails of one endpoint; make a new one when its configuration changes."""

    def __init__(self, policy: Policy, tools: Tools) -> None:
        self.policy = policy
        self.tools = tools
        self.keywords = {
            INPUT: Keywords(policy.input.invalid_keywords),
            OUTPUT: Keywords(policy.output.invalid_keywords),
        }
        self._topics = {
            phase: Topics(
                side.valid_topics, tools.embed, threshold=tools.topic_threshold, timeout_s=tools.topic_timeout_s
            )
            for phase, side in ((INPUT, policy.input), (OUTPUT, policy.output))
            if side.valid_topics and tools.embed is not None
        }

    def check_input(self, kind: str, body: bytes) -> Checked:
        """Of a request, at once. `kind`: one of `bodies.KINDS`. With a `question` the request may go on only once it is answered, or beside it."""
        side = self.policy.input
        if not side.anything:
            return Checked(body)
        try:
            is_object = isinstance(orjson.loads(body), dict)
        except orjson.JSONDecodeError as error:
            raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
        if not is_object:
            raise MalformedRequest("The request body is not a JSON object.")
        try:
            asked = bodies.asked(kind, body)
        except HeadgateError as refusal:
            return Checked(body, refusal=None if self.policy.shadow else refusal)
        everything = [one.text for one in asked]
        users = [one.text.value for one in asked if one.by_user]
        checked = self._local(INPUT, kind, body, (everything, users))
        if checked.refusal is not None or not side.asks_models:
            return checked
        conversation = bodies.conversation(kind, checked.body) if side.safety else []
        topic_text = bodies.last_question(kind, checked.body) if side.valid_topics else ""
        question = Question(INPUT, (tuple(conversation),) if conversation else (), topic_text)
        return Checked(checked.body, checked.verdicts, None, question)

    def check_answer(self, kind: str, body: bytes, request: bytes) -> Checked:
        """Of a whole answer, at once. `request`: what was asked, for the judge. With a `question` the answer may leave only once it is answered."""
        side = self.policy.output
        if not side.anything or kind == bodies.EMBEDDINGS:
            return Checked(body)
        try:
            is_object = isinstance(orjson.loads(body), dict)
        except orjson.JSONDecodeError:
            is_object = False
        if not is_object:
            return self._failure(Checked(body), PII, OUTPUT, "the answer is no JSON object")
        try:
            found = bodies.answered(kind, body)
        except texts.TooDeep:
            return self._failure(Checked(body), PII, OUTPUT, "the answer is nested too deep")
        checked = self._local(OUTPUT, kind, body, (found, [text.value for text in found]))
        if checked.refusal is not None or not side.asks_models:
            return checked
        said = bodies.said(kind, checked.body)
        conversations = bodies.answering(bodies.conversation(kind, request), said) if side.safety else ()
        question = Question(OUTPUT, conversations, "\n".join(said) if side.valid_topics else "")
        return Checked(checked.body, checked.verdicts, None, question)

    async def ask(self, question: Question) -> Checked:
        """The judge and the topics, both at once. Its `body` means nothing."""
        asked = []
        if question.conversations:
            asked.append(self._safety(question))
        if question.topic_text:
            asked.append(self._topic(question))
        outcomes = await asyncio.gather(*asked)
        verdicts = tuple(verdict for outcome in outcomes for verdict in outcome.verdicts)
        return Checked(b"", verdicts, next((one.refusal for one in outcomes if one.refusal is not None), None))

    def side(self, phase: str) -> Side:
        """What is asked of it."""
        return self.policy.input if phase == INPUT else self.policy.output

    def verdict(self, guardrail: str, phase: str, outcome: str, said: tuple[str, float]) -> Verdict:
        """`said`: detail, and when the check began (monotonic seconds)."""
        detail, began_s = said
        took_ms = (self.tools.clock.monotonic_s() - began_s) * 1000
        return Verdict(guardrail, phase, outcome, detail, round(took_ms, 3), self.policy.shadow)

    def _local(self, phase: str, kind: str, body: bytes, found: tuple[Sequence[Text], Sequence[str]]) -> Checked:
        """Personal data in these texts, keywords in those."""
        everything, users = found
        checked = Checked(body)
        if self.side(phase).pii != NONE:
            checked = self._attempt(
                PII, phase, checked, lambda began_s: self._pii((phase, kind), body, everything, began_s)
            )
        if checked.refusal is None and self.keywords[phase]:
            checked = self._attempt(KEYWORDS, phase, checked, lambda began_s: self._keyword(phase, users, began_s))
        return checked

    def _attempt(self, guardrail: str, phase: str, so_far: Checked, check: Callable[[float], Checked]) -> Checked:
        began_s = self.tools.clock.monotonic_s()
        try:
            done = check(began_s)
        except Exception as error:  # noqa: BLE001 - whatever a recogniser raises is its failure, and decided on as one
            return self._failure(so_far, guardrail, phase, type(error).__name__, began_s)
        return Checked(
            done.body or so_far.body, so_far.verdicts + done.verdicts, None if self.policy.shadow else done.refusal
        )

    def _failure(self, so_far: Checked, *what: str | float) -> Checked:
        """The guardrail failed: recorded, and closed or open as the policy says."""
        guardrail, phase, detail, *rest = what
        began_s = float(rest[0]) if rest else self.tools.clock.monotonic_s()
        verdict = self.verdict(str(guardrail), str(phase), FAILED, (str(detail), began_s))
        passes = self.policy.shadow or self.policy.on_failure == OPEN
        return Checked(
            so_far.body, (*so_far.verdicts, verdict), None if passes else answers.failed(str(guardrail), str(phase))
        )

    def _pii(self, where: tuple[str, str], body: bytes, found: Sequence[Text], began_s: float) -> Checked:
        phase, kind = where
        labels: dict[str, None] = {}
        changed = [(text, new) for text in found if (new := self.masked(text.value, labels)) != text.value]
        if not changed:
            return Checked(body, (self.verdict(PII, phase, PASSED, ("", began_s)),))
        behaviour = self.side(phase).pii
        outcome = MASKED if behaviour == MASK else BLOCKED
        verdicts = (self.verdict(PII, phase, outcome, (", ".join(sorted(labels)), began_s)),)
        if self.policy.shadow:
            return Checked(body, verdicts)
        masked_body = texts.replaced(body, changed)
        if behaviour == BLOCK:
            shown = bodies.anonymized(kind, masked_body) if phase == INPUT else None
            return Checked(body, verdicts, answers.refusal(answers.Blocked(phase, pii=True, anonymized=shown)))
        return Checked(
            answers.without_tokens(answers.with_note(masked_body)) if phase == OUTPUT else masked_body, verdicts
        )

    def masked(self, text: str, labels: dict[str, None]) -> str:
        """The text with what was found in it replaced; a JSON text stays JSON. Notes the labels."""

        def change(one: str) -> str:
            found = self.tools.finder.find(one)
            labels.update((finding.label, None) for finding in found)
            return masked(one, found) if found else one

        return texts.rewritten(text, change)

    def _keyword(self, phase: str, found: Sequence[str], began_s: float) -> Checked:
        keyword = next((hit for text in found if (hit := self.keywords[phase].found(text)) is not None), None)
        if keyword is None:
            return Checked(b"", (self.verdict(KEYWORDS, phase, PASSED, ("", began_s)),))
        verdicts = (self.verdict(KEYWORDS, phase, BLOCKED, (keyword, began_s)),)
        return Checked(b"", verdicts, answers.refusal(answers.Blocked(phase, keyword=True)))

    async def _safety(self, question: Question) -> Checked:
        began_s = self.tools.clock.monotonic_s()
        phase = question.phase
        if self.tools.judge is None:
            return self._failure(Checked(b""), SAFETY, phase, "no judge endpoint is configured", began_s)
        outcomes = await asyncio.gather(
            *(self.tools.judge.judge(one) for one in question.conversations), return_exceptions=True
        )
        unsafe = next((one for one in outcomes if isinstance(one, Judgement) and not one.safe), None)
        failure = next((one for one in outcomes if isinstance(one, BaseException)), None)
        if unsafe is None and failure is not None:
            if not isinstance(failure, JudgeFailed):
                raise failure
            return self._failure(Checked(b""), SAFETY, phase, str(failure), began_s)
        if unsafe is None:
            return Checked(b"", (self.verdict(SAFETY, phase, PASSED, ("", began_s)),))
        verdicts = (self.verdict(SAFETY, phase, BLOCKED, (", ".join(unsafe.names), began_s)),)
        refusal = answers.refusal(answers.Blocked(phase, categories=unsafe.categories))
        return Checked(b"", verdicts, None if self.policy.shadow else refusal)

    async def _topic(self, question: Question) -> Checked:
        began_s = self.tools.clock.monotonic_s()
        phase = question.phase
        topics = self._topics.get(phase)
        if topics is None:
            return self._failure(Checked(b""), TOPICS, phase, "no embeddings endpoint is configured", began_s)
        try:
            nearness = await topics.nearest(question.topic_text)
        except EmbeddingsFailed as error:
            return self._failure(Checked(b""), TOPICS, phase, str(error), began_s)
        detail = f"{nearness.topic}: {nearness.similarity:.3f}"
        if topics.allows(nearness):
            return Checked(b"", (self.verdict(TOPICS, phase, PASSED, (detail, began_s)),))
        verdicts = (self.verdict(TOPICS, phase, BLOCKED, (detail, began_s)),)
        return Checked(
            b"", verdicts, None if self.policy.shadow else answers.refusal(answers.Blocked(phase, off_topic=True))
        )
