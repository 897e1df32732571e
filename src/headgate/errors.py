"""Every error a client can be shown, as one tree.

HeadgateError
├─ InvalidParameterValue 400   BadRequest 400   InvalidState 400   QuotaExceeded 400
├─ MalformedRequest 400        ResourceLimitExceeded 400
├─ Unauthenticated 401         PermissionDenied 403
├─ ResourceDoesNotExist 404    EndpointNotFound 404   NotFound 404
├─ MethodNotAllowed 405
├─ ResourceAlreadyExists 409   ResourceConflict 409
├─ UnsupportedMediaType 415    TooManyRequests 429
├─ InternalError 500           NotSupported 501
└─ TemporarilyUnavailable 503  DeadlineExceeded 504

A class carries the API's error code and HTTP status; the doors (api, gateway) turn an instance into
`{"error_code", "message"}` in one place each. Codes are those that Databricks' and MLflow's clients know:
an unknown code is shown to MLflow users as a 500.
"""

from __future__ import annotations

from typing import Any, ClassVar


class HeadgateError(Exception):
    """An error with a place on the wire. `message` says what was wrong and what to do."""

    error_code: ClassVar[str] = "INTERNAL_ERROR"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The wire form, `{"error_code", "message"}`."""
        return {"error_code": self.error_code, "message": self.message}


class InvalidParameterValue(HeadgateError):
    error_code = "INVALID_PARAMETER_VALUE"
    http_status = 400


class BadRequest(HeadgateError):
    error_code = "BAD_REQUEST"
    http_status = 400


class InvalidState(HeadgateError):
    error_code = "INVALID_STATE"
    http_status = 400


class QuotaExceeded(HeadgateError):
    error_code = "QUOTA_EXCEEDED"
    http_status = 400


class MalformedRequest(HeadgateError):
    error_code = "MALFORMED_REQUEST"
    http_status = 400


class ResourceLimitExceeded(HeadgateError):
    error_code = "RESOURCE_LIMIT_EXCEEDED"
    http_status = 400


class Unauthenticated(HeadgateError):
    error_code = "UNAUTHENTICATED"
    http_status = 401


class PermissionDenied(HeadgateError):
    error_code = "PERMISSION_DENIED"
    http_status = 403


class ResourceDoesNotExist(HeadgateError):
    error_code = "RESOURCE_DOES_NOT_EXIST"
    http_status = 404


class Hidden(ResourceDoesNotExist):
    """There is none, or none that this caller may know of: on the wire, and in what it costs, the two are one."""


class EndpointNotFound(HeadgateError):
    error_code = "ENDPOINT_NOT_FOUND"
    http_status = 404


class NotFound(HeadgateError):
    error_code = "NOT_FOUND"
    http_status = 404


class MethodNotAllowed(HeadgateError):
    error_code = "BAD_REQUEST"
    http_status = 405


class ResourceAlreadyExists(HeadgateError):
    error_code = "RESOURCE_ALREADY_EXISTS"
    http_status = 409


class ResourceConflict(HeadgateError):
    error_code = "RESOURCE_CONFLICT"
    http_status = 409


class UnsupportedMediaType(HeadgateError):
    error_code = "BAD_REQUEST"
    http_status = 415


class TooManyRequests(HeadgateError):
    error_code = "REQUEST_LIMIT_EXCEEDED"
    http_status = 429


class InternalError(HeadgateError):
    pass


class NotSupported(HeadgateError):
    error_code = "NOT_IMPLEMENTED"
    http_status = 501


class TemporarilyUnavailable(HeadgateError):
    error_code = "TEMPORARILY_UNAVAILABLE"
    http_status = 503


class DeadlineExceeded(HeadgateError):
    error_code = "DEADLINE_EXCEEDED"
    http_status = 504
