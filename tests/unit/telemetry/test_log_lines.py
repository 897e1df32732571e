"""What a log line looks like, and what it never holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from headgate.telemetry import logs

TOKEN = "hgt_Zk3-abcdefghijklmnop"


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_says_when_what_who_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text", "server-0")
    logging.getLogger("headgate.gateway").info("hello %s", "world")
    stamp, level, process, name, message = capsys.readouterr().err.rstrip().split(" ", 4)
    assert stamp.endswith("Z")
    assert len(stamp) == 24
    assert (level, process, name, message) == ("INFO", "server-0", "headgate.gateway", "hello world")


def test_json_is_one_object_a_line_with_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json", "control")
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["process"], told["logger"], told["message"]) == ("error", "control", "x", "it failed")
    assert "ValueError: bad\nthing" in told["error"]


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"authorization: bearer   {TOKEN}",
        f"{{'authorization': 'Basic {TOKEN}'}}",
        f"the token is {TOKEN}.",
        f"DATABRICKS_TOKEN={TOKEN}",
        f'{{"token": "{TOKEN}"}}',
        f"GET /x?token={TOKEN}&a=b",
        f"(b'authorization', b'Bearer {TOKEN}')",
    ],
)
@pytest.mark.parametrize("style", ["text", "json"])
def test_tokens_are_never_written(capsys: pytest.CaptureFixture[str], text: str, style: str) -> None:
    logs.configure("info", style, "server-0")
    logging.getLogger("x").info("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("x").exception("failed")
    written = capsys.readouterr().err
    assert TOKEN not in written
    assert "[redacted]" in written


def test_ordinary_text_is_left_alone() -> None:
    text = "3 tokens; token bucket; basic auth; a basic idea; secretary"
    assert logs.redact(text) == text


def test_the_level_holds_for_everybody_and_servers_chatter_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text", "server-0")
    logging.getLogger("headgate.x").debug("silent")
    logging.getLogger("uvicorn.access").info("GET /")
    assert capsys.readouterr().err == ""


def test_a_wrong_style_or_level_is_said() -> None:
    with pytest.raises(ValueError, match="neither `text` nor `json`"):
        logs.configure("info", "xml", "server-0")
