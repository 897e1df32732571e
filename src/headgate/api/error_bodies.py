"""The one place where this door turns errors into `{"error_code", "message"}`. Called by `door` and installed by `app`.

Codes are only those that the official clients know; never 413, 422, a `detail` key or an `error` object (they take these
for server errors and retry, or lose the message).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from headgate import errors
from headgate.access.oauth.refusals import Refusal

_SHOWN = 3
_LANGUAGE_MODELS = re.compile(r"(/v1)?/(chat/completions|completions|embeddings|responses|messages|models)")
_THEIR_ADDRESS = (
    " Language models are asked below /serving-endpoints: that is the base URL of OpenAI's SDK, and of Anthropic's"
    " /serving-endpoints/anthropic."
)


def install(app: FastAPI) -> None:
    """Makes the app answer every error it raises or is raised in it. What is unexpected is left to the door."""
    app.add_exception_handler(errors.HeadgateError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Refusal, _answer_refusal)


def response(error: errors.HeadgateError) -> JSONResponse:
    """The wire form of one of our errors."""
    return JSONResponse(error.body(), error.http_status, headers=error.headers)


async def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.HeadgateError)
    if isinstance(error, errors.Unauthenticated):
        error = await _held_back(request, error)
    request.state.error = error  # for the audit log
    return response(error)


async def _held_back(request: Request, refusal: errors.HeadgateError) -> errors.HeadgateError:
    """For routes that authenticate by themselves, as the door does for all others."""
    address = request.client.host if request.client else ""
    try:
        await request.app.state.dependencies.attempts.hold(request.headers.get("authorization"), address)
    except errors.TooManyRequests as turned_away:
        return turned_away
    return refusal


async def _answer_refusal(_request: Request, error: Exception) -> JSONResponse:
    """What the authorization server refuses has OAuth's own shape."""
    assert isinstance(error, Refusal)
    challenge = {"WWW-Authenticate": 'Basic realm="headgate"'} if error.status == 401 else {}
    return JSONResponse(error.body(), error.status, headers={"Cache-Control": "no-store", **challenge})


async def _answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return response(_of_invalid(error.errors()))


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    """What the framework itself refuses: unknown routes, wrong methods, bodies it could not read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, errors.HeadgateError):
        return response(error.__cause__)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        advice = _THEIR_ADDRESS if _LANGUAGE_MODELS.fullmatch(request.url.path) else ""
        return response(errors.EndpointNotFound(f"No API found for '{where}'.{advice}"))
    if error.status_code == 405:
        allowed = ", ".join(_methods(request)) or "GET"
        message = f"No API found for '{where}'; this path allows {allowed}."
        return JSONResponse(errors.BadRequest(message).body(), 405, headers={"Allow": allowed})
    return response(errors.BadRequest("The request body could not be read: send one JSON object, encoded as UTF-8."))


def _methods(request: Request) -> list[str]:
    """What the path does allow: the framework only names the first of several routes."""
    routes: Sequence[APIRoute] = request.app.state.routes
    path = request.scope["path"]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})


def _of_invalid(problems: Sequence[Mapping[str, Any]]) -> errors.HeadgateError:
    first = problems[0]
    if first["type"] == "json_invalid":
        reason, position = first["ctx"]["error"], first["loc"][-1]
        return errors.BadRequest(f"The request body is not valid JSON: {reason} at character {position}.")
    if tuple(first["loc"]) == ("body",):
        if first["type"] == "value_error":
            return errors.InvalidParameterValue(f"Invalid request: {_reason(first)}.")
        return errors.BadRequest(
            "The request needs a body with one JSON object, and the header `Content-Type: application/json`."
        )
    told = "; ".join(f"{_path(problem['loc'])}: {_reason(problem)}" for problem in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more problems" if len(problems) > _SHOWN else ""
    return errors.InvalidParameterValue(f"Invalid request: {told}{more}.")


def _path(location: Sequence[str | int]) -> str:
    """`("body", "config", "served_entities", 0, "name")` -> `config.served_entities[0].name`."""
    kind, *steps = location
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    return text if kind == "body" else f"{kind} parameter {text}"


def _reason(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "this field is required"
    text = str(problem["msg"]).removeprefix("Value error, ")
    return text[0].lower() + text[1:]
