"""`/api/2.0/sql/statements`: Databricks' statement execution API. Results come inline, as JSON arrays.

A statement belongs to whoever sent it; for others, administrators aside, there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field, model_validator

from headgate import errors
from headgate.access.principals import Principal
from headgate.access.table_rights import SYSTEM, TableRights
from headgate.api.dependencies import Caller
from headgate.api.model_registry import arguments
from headgate.api.model_registry.arguments import Arguments
from headgate.domain.namespace import DEFAULT_CATALOG
from headgate.warehouse import presence
from headgate.warehouse.sql import results, shelf
from headgate.warehouse.sql.running import Bounds, Visible
from headgate.warehouse.sql.statement import Parameter, Statement
from headgate.warehouse.sql.statements import Sent, Statements
from headgate.warehouse.tables import places
from headgate.warehouse.tables.places import TableName

PREFIX = "/api/2.0/sql/statements"
DEFAULT_SCHEMA = "default"
_LEAST_WAIT_S, _MOST_WAIT_S = 5, 50
_CANCEL_WAIT_S = 30.0
_PIECE_BYTES = 256 * 1024
_WAIT = re.compile(r"(\d{1,4})s")


class Given(Arguments):
    """The value of a parameter marker, `:name`."""

    name: str
    value: str | None = None
    type: str = "STRING"


class Execute(Arguments):
    """What a client sends. `warehouse_id` is taken and not looked at: there is one."""

    statement: str
    warehouse_id: str = ""
    catalog: str = DEFAULT_CATALOG
    schema_name: str = Field(DEFAULT_SCHEMA, alias="schema")
    parameters: list[Given] = Field(default_factory=list)
    row_limit: int | None = Field(None, ge=1)
    byte_limit: int | None = Field(None, ge=1)
    disposition: str = "INLINE"
    format: str = "JSON_ARRAY"
    wait_timeout: str = "10s"
    on_wait_timeout: str = "CONTINUE"

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, sent: Any) -> Any:
        """What is null was left out."""
        return {name: value for name, value in sent.items() if value is not None} if isinstance(sent, dict) else sent

    def wait_s(self) -> int:
        """How long the client waits. Raises InvalidParameterValue for whatever cannot be done."""
        found = _WAIT.fullmatch(self.wait_timeout)
        seconds = int(found[1]) if found else -1
        if seconds != 0 and not _LEAST_WAIT_S <= seconds <= _MOST_WAIT_S:
            raise errors.InvalidParameterValue(
                f"wait_timeout must be 0s, or between {_LEAST_WAIT_S}s and {_MOST_WAIT_S}s."
            )
        if self.on_wait_timeout not in ("CONTINUE", "CANCEL"):
            raise errors.InvalidParameterValue("on_wait_timeout must be CONTINUE or CANCEL.")
        if self.on_wait_timeout == "CANCEL" and seconds == 0:
            raise errors.InvalidParameterValue("With wait_timeout 0s, on_wait_timeout must be CONTINUE.")
        if self.disposition != "INLINE":
            raise errors.InvalidParameterValue(
                f"The disposition {self.disposition} is not supported: send INLINE, and ask for less at a time when a result is truncated."
            )
        if self.format != "JSON_ARRAY":
            raise errors.InvalidParameterValue(f"The format {self.format} is not supported: send JSON_ARRAY.")
        return seconds


_read = arguments.reader(Execute)


def routes(running: Statements, rights: TableRights) -> APIRouter:
    """The family."""
    family = Family(running, rights)
    router = APIRouter(prefix=PREFIX, tags=["Queries"])
    router.post("", openapi_extra=_documented())(family.execute_statement)
    router.get("/{statement_id}")(family.get_statement)
    router.get("/{statement_id}/result/chunks/{chunk_index}")(family.get_statement_result_chunk)
    router.post("/{statement_id}/cancel")(family.cancel_execution)
    return router


class Family:
    """The handlers; on the event loop, where statements run."""

    def __init__(self, running: Statements, rights: TableRights) -> None:
        self._running, self._rights = running, rights

    async def execute_statement(
        self, request: Request, caller: Caller, sent: Annotated[Execute, Depends(_read)]
    ) -> Response:
        """Run a statement. It goes on while nobody waits for it; its result is kept for a while."""
        missing = presence.missing()
        if missing is not None:
            raise errors.NotSupported(missing)
        running, wait_s = self._running, sent.wait_s()
        statement_id = await running.begin(_wanted(sent, caller, self._rights))
        request.state.audit_object = statement_id
        if wait_s and not await running.wait(statement_id, wait_s) and sent.on_wait_timeout == "CANCEL":
            await running.cancel(caller.id, statement_id)
            await running.wait(statement_id, _CANCEL_WAIT_S)
        return await self.get_statement(statement_id, caller)

    async def get_statement(self, statement_id: str, caller: Caller) -> Response:
        """What became of a statement, with its result."""
        owner, fate = await self._running.find(caller.id, caller.admin, statement_id)
        if fate.state == shelf.SUCCEEDED:
            return _streamed(await self._running.answer(owner, statement_id))
        return JSONResponse(results.told(statement_id, fate.state, fate.error, fate.sql_state))

    async def get_statement_result_chunk(self, statement_id: str, chunk_index: str, caller: Caller) -> Response:
        """Part of a result; there is one, number 0."""
        owner, fate = await self._running.find(caller.id, caller.admin, statement_id)
        if fate.state != shelf.SUCCEEDED:
            raise errors.InvalidState(f"The statement {statement_id} is {fate.state}: it has no result.")
        if chunk_index != "0":
            raise errors.ResourceDoesNotExist("The result has one chunk, with the index 0.")
        return _streamed(await self._running.answer(owner, statement_id), fate.result_at, leave=1)

    async def cancel_execution(self, statement_id: str, caller: Caller) -> dict[str, Any]:
        """Stop a statement; ask for its state to see when it is."""
        owner, fate = await self._running.find(caller.id, caller.admin, statement_id)
        if fate.state in (shelf.PENDING, shelf.RUNNING):
            await self._running.cancel(owner, statement_id)
        return {}


def visible(caller: Principal, rights: TableRights) -> Visible:
    """What this caller may read."""
    system = {name: name.table for name in places.SYSTEM}

    def find(name: TableName) -> str | None:
        if name.catalog == SYSTEM:
            return system.get(name) if rights.reads_system(caller) else None
        claim = rights.readable(caller, str(name))
        return claim.form if claim is not None else None

    def every() -> list[TableName]:
        own = [TableName(*claim.full_name.split(".")) for claim in rights.all_readable(caller)]
        return [*own, *(system if rights.reads_system(caller) else ())]

    return Visible(find, every)


def _wanted(sent: Execute, caller: Principal, rights: TableRights) -> Sent:
    given = [Parameter(one.name, one.value, one.type) for one in sent.parameters]
    statement = Statement(sent.statement, given, sent.catalog or DEFAULT_CATALOG, sent.schema_name or DEFAULT_SCHEMA)
    return Sent(caller.id, statement, visible(caller, rights), Bounds(sent.row_limit, sent.byte_limit))


def _streamed(file: IO[bytes], start: int = 0, leave: int = 0) -> Response:
    """The file from `start`, but for its last bytes. It may be large: it is read, in threads, as it goes out."""
    size = file.seek(0, 2) - start - leave
    file.seek(start)

    def pieces() -> Iterator[bytes]:
        left = size
        with file:
            while left > 0:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    return
                left -= len(piece)
                yield piece

    return StreamingResponse(pieces(), media_type="application/json", headers={"content-length": str(size)})


def _documented() -> dict[str, Any]:
    schema = Execute.model_json_schema(by_alias=True)
    schema.pop("$defs", None)
    parameter = Given.model_json_schema()
    schema["properties"]["parameters"]["items"] = parameter
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": True}}
