"""One request through a model: decode, enforce the signature, predict, encode; every failure becomes an answer. Called by the
executor's threads, several at once. Knows no sockets.

Meaning, messages and HTTP status are those of MLflow's scoring server.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
import traceback
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Union

from headgate_worker import proving, redaction
from headgate_worker.conversing import Conversation, Unfit
from headgate_worker.decoding import JSON, BodyDecoder, Request, media_type, shortened
from headgate_worker.encoding import AnswerEncoder, NotEncodable
from headgate_worker.fast import FastPath, NotSplittable, close
from headgate_worker.proving import Proof
from headgate_worker.rows import Rows

TEXT, EVENTS = "text/plain", "text/event-stream"
_UNEXPECTED = (
    "Encountered an unexpected error while evaluating the model. Verify that the serialized input Dataframe is compatible with"
    " the model for inference."
)
_CANNOT_STREAM = (
    'This model cannot stream its answer: it implements no predict_stream. Leave "stream" out of the request, or log and'
    " register a model that implements predict_stream."
)
_OFF = "{} is off until the replica is replaced; the answers that were compared are MLflow's."
_CHECKS_SHARE = 0.002
"""Of the time, at most, that comparing with MLflow takes: its way may be a thousand times as long as the fast one, and at 2% of the
time it was what the 99th percentile was made of."""
_DONE = b"data: [DONE]\n\n"


class Cancelled(BaseException):
    """Nobody waits for this request any more. Raised into the thread that executes it; no `except Exception` stops it."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    content_type: str
    body: bytes


class Events:
    """A streamed answer: an iterator over server-sent events, whose `close` closes the model's generator."""

    def __init__(self, first: Any, rest: Iterator[Any], encoder: AnswerEncoder) -> None:
        self._pieces = self._run(first, rest, encoder)
        self._close_model = getattr(rest, "close", None)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Ends it; may be called at any time by the thread that iterates."""
        self._pieces.close()  # type: ignore[attr-defined]
        if self._close_model is not None:
            self._close_model()

    @staticmethod
    def _run(first: Any, rest: Iterator[Any], encoder: AnswerEncoder) -> Iterator[bytes]:
        try:
            piece = first
            while piece is not _END:
                yield b"data: " + encoder.unwrapped(piece) + b"\n\n"
                piece = next(rest, _END)
            yield _DONE
        except (Cancelled, GeneratorExit):
            raise
        except BaseException as error:
            _logged_trace()
            yield error_event(_message_of(error))


_END = object()


def error_body(error_code: str, message: str) -> bytes:
    """The body of an error answer that MLflow has no part in."""
    return json.dumps({"error_code": error_code, "message": message}).encode()


def error_event(message: str) -> bytes:
    """The last event of a stream that broke, in the one form in which OpenAI's clients raise it."""
    return b"data: " + json.dumps({"error": {"message": redaction.redacted(message)}}).encode() + b"\n\n"


class Scorer:
    """Answers requests with one model: `score` by MLflow's own functions; `rows` and `answer` by the fast path, once `prove` has
    found one that means the same."""

    def __init__(self, model: Any, checked_fraction: float = 0.001) -> None:
        """`checked_fraction`: of the requests on a native fast path, how many are also answered by MLflow and compared."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import BAD_REQUEST

        self._mlflow_error, self._bad_request_code = MlflowException, BAD_REQUEST
        self._decoder = BodyDecoder(model.metadata)
        self._encoder = AnswerEncoder()
        self._conversation = Conversation(model.metadata)
        self._predict = _call(model.predict)
        self._predict_stream = _call(model.predict_stream) if can_stream(model) else None
        self._model = model
        self._fast: Optional[FastPath] = None
        self._check_every = max(1, int(1.0 / checked_fraction)) if checked_fraction > 0 else 0
        self._unchecked = 0
        self._check_after = 0.0
        self.mismatches = 0
        """Answers of a fast path that differed from MLflow's."""

    @property
    def joins(self) -> bool:
        """Whether several `Rows` may be given to `answer` at once."""
        return self._fast is not None and self._fast.joins

    @property
    def is_native(self) -> bool:
        """Whether predictions run a library's own code on arrays, none of the user's."""
        return self._fast is not None and self._fast.is_native

    def prove(self, example: Optional[bytes]) -> Proof:
        """Looks for a fast path and compares it with MLflow's; `rows`, `joins` and `is_native` are of use from then on. Called once.
        `example`: the model's own, a JSON body."""
        self._fast, proof = proving.prove(self._model, self._decoder, example)
        return proof

    def rows(self, content_type: str, body: bytes) -> Optional[Rows]:
        """The request for `answer`; None when only `score` can answer it. Never raises."""
        fast = self._fast
        return None if fast is None else fast.decoder.rows(content_type, body)

    def answer(self, batch: Sequence[Rows]) -> List[Answer]:
        """One answer each, in the same order; several at once only with equal keys, and when it `joins`. Only `Cancelled` gets out."""
        answers = self.answer_unchecked(batch)
        return self.checked(batch, answers) if self.wants_check(len(batch)) else answers

    def wants_check(self, requests: int) -> bool:
        """Whether so many more answers of `answer_unchecked` make it time to have them `checked`."""
        if not self._check_every or not self.is_native:
            return False
        self._unchecked += requests
        if self._unchecked < self._check_every or (self._check_every > 1 and time.monotonic() < self._check_after):
            return False
        self._unchecked = 0
        return True

    def answer_unchecked(self, batch: Sequence[Rows]) -> List[Answer]:
        """As `answer`, but never compared with MLflow's."""
        fast = self._fast
        if fast is None:
            return [self._whole(rows) for rows in batch]
        if len(batch) == 1 and not fast.is_native:
            return [self._alone(fast, batch[0])]
        answers = self._fast_answers(fast, batch)
        if answers is None:
            # Whatever it was, each request finds out for itself, and gets the message it would have got alone.
            return [self._whole(rows) if fast.is_native else self._alone(fast, rows) for rows in batch]
        return answers

    def _fast_answers(self, fast: FastPath, batch: Sequence[Rows]) -> Optional[List[Answer]]:
        """None when anything went wrong."""
        try:
            items = fast.predictions([rows.values for rows in batch])
            if len(items) != sum(rows.count for rows in batch):
                raise NotSplittable(f"{len(items)} of them")
            answers, start, encode = [], 0, self._encoder.encode
            for rows in batch:
                end = start + rows.count
                answers.append(Answer(200, JSON, encode({"predictions": items[start:end]})))
                start = end
            return answers
        except Cancelled:
            raise
        except NotSplittable as error:
            if fast.is_joint and len(batch) > 1:
                self._fast = fast._replace(joins=False, is_joint=False)
                _say(f"Requests are no longer joined: predictions do not come one per row ({error}).")
            return None
        except BaseException:
            return None

    def checked(self, batch: Sequence[Rows], answers: List[Answer]) -> List[Answer]:
        """The answers, the first compared with MLflow's. If it differs, what made the difference is over: joining, or the fast
        path; and all answers are MLflow's."""
        fast = self._fast
        if fast is None:
            return answers
        began = time.monotonic()
        theirs = self._whole(batch[0])
        ended = time.monotonic()
        self._check_after = ended + (ended - began) / _CHECKS_SHARE
        if same(theirs, answers[0], fast.is_ordered):
            return answers
        self.mismatches += 1
        apart = fast._replace(joins=False, is_joint=False)
        alone = self._fast_answers(apart, batch[:1]) if fast.is_joint and len(batch) > 1 else None
        if alone is not None and same(theirs, alone[0], fast.is_ordered):
            self._fast = apart
            _say(
                f"Joined with others, a request got another answer than MLflow's own predict. {_OFF.format('Joining')}"
            )
        else:
            self._fast = None
            _say(f"The fast path gave another answer than MLflow's own predict. {_OFF.format('It')}")
        return [theirs, *(self._whole(rows) for rows in batch[1:])]

    def _alone(self, fast: FastPath, rows: Rows) -> Answer:
        """One request through the user's own code, which is called once, whether it fails or not."""
        try:
            data = fast.build([rows.values])
        except Exception:
            return self._whole(rows)
        try:
            return Answer(200, JSON, self._encoder.predictions(fast.predict(data)))
        except self._mlflow_error as error:
            _named(error, self._decoder.decode(JSON, rows.body).data)
            return self._failure(error)
        except BaseException as error:
            return self._failure(error)

    def _whole(self, rows: Rows) -> Answer:
        outcome = self.score(rows.content_type, rows.body)
        assert isinstance(outcome, Answer), "a body that asks for a stream is never decoded to rows"
        return outcome

    def score(self, content_type: str, body: bytes) -> Union[Answer, Events]:
        """The answer, whatever happens; only `Cancelled` gets out."""
        media, refusal = media_type(content_type)
        if refusal:
            return Answer(415, TEXT, refusal.encode())
        try:
            request = self._decoder.decode(media, body)
            if request.wants_stream:
                return self._stream(request)
            raw = self._of_model(request, self._predict)
            encode = self._encoder.unwrapped if request.is_unified else self._encoder.predictions
            return Answer(200, JSON, encode(raw))
        except BaseException as error:
            return self._failure(error)

    def converse(self, api: str, body: bytes) -> Union[Answer, Events]:
        """The answer to a request by the route `api` of language models, whatever happens; only `Cancelled` gets out."""
        talk = self._conversation
        try:
            said = self._decoder.parsed(body)
            request = self._decoder.unified(talk.asked(api, said))
            if request.wants_stream:
                return self._stream(request, lambda came: talk.pieces(api, came))
            answered = talk.answered(api, self._of_model(request, self._predict), said)
            return Answer(200, JSON, self._encoder.unwrapped(answered))
        except Unfit as error:
            return Answer(400, JSON, error_body("BAD_REQUEST", str(error)))
        except BaseException as error:
            return self._failure(error)

    def _failure(self, error: BaseException) -> Answer:
        """The answer to a request that raised it. To be called where it is handled."""
        if isinstance(error, Cancelled):
            raise error
        if isinstance(error, self._mlflow_error):
            return _error_answer(error)
        if isinstance(error, NotEncodable):
            return self._bad_request(
                f"The model's answer cannot be written as JSON: {error}. Let predict return JSON-like values."
            )
        # Also SystemExit and KeyboardInterrupt: a model must not end the process of all others.
        return self._bad_request(_UNEXPECTED, stack_trace=_logged_trace())

    def _of_model(self, request: Request, function: Callable[[Any, Any], Any]) -> Any:
        try:
            return function(request.data, request.params)
        except self._mlflow_error as error:
            _named(error, request.data)
            raise

    def _bad_request(self, message: str, **more: str) -> Answer:
        return _error_answer(self._mlflow_error(message, error_code=self._bad_request_code, **more))

    def _stream(
        self, request: Request, shaped: Callable[[Iterator[Any]], Iterator[Any]] = iter
    ) -> Union[Answer, Events]:
        if self._predict_stream is None:
            return self._bad_request(_CANNOT_STREAM)
        pieces = shaped(iter(self._of_model(request, self._predict_stream)))
        try:
            # The first piece decides: what fails before it is an answer with a status of its own.
            first = self._of_model(request, lambda data, params: next(pieces, _END))
        except BaseException:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
            raise
        return Events(first, pieces, self._encoder)


def can_stream(model: Any) -> bool:
    """Whether the model's author wrote a predict_stream; MLflow's own classes have one that only raises."""
    if getattr(model, "_predict_stream_fn", None) is None:
        return False
    from mlflow.pyfunc import PythonModel

    authored = [each for each in vars(model._model_impl).values() if isinstance(each, PythonModel)]
    return all(type(each).predict_stream.__module__ != PythonModel.__module__ for each in authored)


def _call(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """`function` with params where that MLflow's has them."""
    if "params" in inspect.signature(function).parameters:
        return lambda data, params: function(data, params=params)
    return lambda data, params: function(data)


def same(ours: Answer, theirs: Answer, exactly: bool) -> bool:
    """Whether two answers are equal; not `exactly`: but for the rounding of numbers."""
    if ours == theirs or exactly or ours.status != theirs.status:
        return ours == theirs
    return close(json.loads(ours.body), json.loads(theirs.body))


def _named(error: Any, data: Any) -> None:
    """Puts the data into the message of an MlflowException that `predict` raised, as MLflow's server does."""
    error.message = f"Failed to predict data '{shortened(data)}'. \nError: {error.message}"
    if error.error_code == "INTERNAL_ERROR" and _raised_in(error) == "mlflow.models.utils":
        error.error_code = "BAD_REQUEST"  # MLflow before 2.12 blames itself when input does not fit the signature


def _error_answer(error: Any) -> Answer:
    """Of an MlflowException: its own code, text and status."""
    return Answer(error.get_http_status_code(), JSON, error.serialize_as_json().encode())


def _raised_in(error: BaseException) -> str:
    """The module that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__")) if trace is not None else ""


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _logged_trace() -> str:
    trace = traceback.format_exc()
    sys.stderr.write(trace)
    return trace


def _message_of(error: BaseException) -> str:
    text = str(getattr(error, "message", "") or error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
