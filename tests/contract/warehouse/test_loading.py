"""From the spool into Delta tables: every request once, whoever dies when, and read by others meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.fakes.records import AT_MS, PAYLOAD, TABLE, House, record, until

from headgate.domain.request_record import Attempt, InferenceTable
from headgate.domain.served_entity_record import ServedEntityRecord
from headgate.telemetry import metrics
from headgate.warehouse.tables import columns, delta, places
from headgate.warehouse.tables.places import TableName
from headgate.warehouse.upkeep import Upkeep


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def ids(rows: list[dict[str, object]]) -> list[object]:
    return sorted(row["databricks_request_id"] for row in rows)  # type: ignore[type-var]


def test_a_request_becomes_a_row_of_its_inference_table_and_one_of_the_usage_table(house: House) -> None:
    house.put(record("r1", client_request_id="mine", ttfb_ms=5))
    house.load()
    (payload,) = house.read(PAYLOAD)
    assert list(payload) == columns.PAYLOAD.names
    assert payload["databricks_request_id"] == "r1"
    assert payload["client_request_id"] == "mine"
    assert str(payload["request_date"]) == "2025-06-15"
    assert payload["request_time"].isoformat() == "2025-06-15T15:06:40+00:00"
    assert payload["status_code"] == 200
    assert payload["sampling_fraction"] == 1.0
    assert payload["execution_duration_ms"] == 12
    assert payload["request"] == '{"messages":[{"role":"user","content":"hello"}]}'
    assert payload["logging_error_codes"] == []
    assert payload["served_entity_id"] == "s1"
    assert payload["requester"] == "ann@example.com"
    (usage,) = house.usage()
    assert usage["account_id"], usage["workspace_id"] == ("account", "7")
    assert (usage["input_token_count"], usage["output_token_count"]) == (1000, 100)
    assert (usage["input_character_count"], usage["output_character_count"]) == (5, 2)
    assert usage["usage_context"] == [("team", "blue")]
    assert usage["request_streaming"] is False
    assert usage["endpoint_name"] == "chat"
    assert usage["time_to_first_byte_ms"] == 5
    # 800 tokens at 0.15, 200 cached ones at 0.075, 100 at 0.60 dollars per million.
    assert usage["cost_usd"] == Decimal("0.0001950000")
    assert "openai.com" in usage["price_source"]
    assert [attempt["status"] for attempt in usage["attempts"]] == [503, 200]
    assert usage["guardrails"][0]["detail"] == "EMAIL_ADDRESS"


def test_the_legacy_form_has_its_own_columns(house: House) -> None:
    legacy = InferenceTable("main", "default", "old", "legacy")
    house.put(record("r1", inference_table=legacy, entity_name="main.default.churn", entity_version="3"))
    house.load()
    (row,) = house.read(TableName("main", "default", "old_payload"))
    assert list(row) == columns.LEGACY_PAYLOAD.names
    assert row["timestamp_ms"] == AT_MS
    assert dict(row["request_metadata"]) == {
        "endpoint_name": "chat",
        "model_name": "main.default.churn",
        "model_version": "3",
    }


def test_a_body_that_is_too_large_is_left_out_and_said_to_be(house: House) -> None:
    house.settings = replace(house.settings, payload_bytes=100)
    house.put(
        record("large", request=b"x" * 101, response=b"y" * 100),
        record("both", request=b"x" * 101, response=b"y" * 101),
    )
    house.load()
    rows = {row["databricks_request_id"]: row for row in house.read(PAYLOAD)}
    assert rows["large"]["request"] is None
    assert rows["large"]["response"] == "y" * 100
    assert rows["large"]["logging_error_codes"] == ["MAX_REQUEST_SIZE_EXCEEDED"]
    assert rows["both"]["logging_error_codes"] == ["MAX_REQUEST_SIZE_EXCEEDED", "MAX_RESPONSE_SIZE_EXCEEDED"]


def test_a_stream_is_kept_as_the_one_answer_it_made(house: House) -> None:
    pieces = [b'{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"he"}}]}',
              b'{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":"stop"}]}']  # fmt: skip
    stream = b"".join(b"data: " + piece + b"\n\n" for piece in (*pieces, b"[DONE]"))
    house.put(record("r1", response=stream, streamed=True, usage=None))
    house.load()
    (row,) = house.read(PAYLOAD)
    assert row["response"] == (
        '{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
    )
    (usage,) = house.usage()
    assert (usage["input_token_count"], usage["output_token_count"], usage["tokens_estimated"]) == (1, 1, True)
    assert usage["output_character_count"] == 5


@pytest.mark.parametrize(
    ("response", "tokens"),
    [(b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n', (1, 1)), (b"", (None, None))],
)
def test_what_a_client_got_before_it_left_is_counted(
    house: House, response: bytes, tokens: tuple[int | None, ...]
) -> None:
    house.put(record("r1", status=499, complete=False, response=response, streamed=True, usage=None))
    house.load()
    (usage,) = house.usage()
    assert (usage["input_token_count"], usage["output_token_count"]) == tokens
    assert usage["tokens_estimated"] is (tokens[0] is not None)


@pytest.mark.parametrize(
    ("attempts", "tokens"),
    [
        ((Attempt("s0", "gpt", 499, 5),), (1, 0)),
        ((Attempt("s0", "gpt", 0, 5),), (None, None)),  # it was still being connected to
        ((), (None, None)),
    ],
)
def test_what_a_vendor_was_asked_before_its_client_left_is_counted(
    house: House, attempts: tuple[Attempt, ...], tokens: tuple[int | None, ...]
) -> None:
    house.put(record("r1", status=499, complete=False, response=None, usage=None, attempts=attempts))
    house.load()
    (usage,) = house.usage()
    assert (usage["input_token_count"], usage["output_token_count"]) == tokens
    assert usage["tokens_estimated"] is (tokens[0] is not None)


def test_requests_that_were_refused_are_rows_too(house: House) -> None:
    house.put(record("r1", status=429, error_code="REQUEST_LIMIT_EXCEEDED", usage=None, served_entity_id=None))
    house.load()
    (usage,) = house.usage()
    assert (usage["status_code"], usage["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert usage["input_token_count"] is None
    assert usage["cost_usd"] is None
    assert ids(house.read(PAYLOAD)) == ["r1"]


_DYING = """
import os, signal, sys
from pathlib import Path
from tests.fakes.records import House
house = House(Path(sys.argv[1]))
import deltalake, pyarrow  # before the fork: nobody has used them yet

def dying_at(number):
    left = [number]
    def step(name):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return step

number = 0
while True:  # one process after the other, each dies one step later than the one before
    number += 1
    shutil = __import__("shutil")
    folder = Path(sys.argv[1]) / f"at-{number}"
    shutil.copytree(Path(sys.argv[1]) / "spool", folder / "spool")
    child = os.fork()
    if child == 0:
        House(folder).load(step=dying_at(number))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(number, status, flush=True)
    if status == 0:
        break
"""


def test_a_loader_killed_at_any_step_neither_loses_nor_repeats_a_request(house: House) -> None:
    other = replace(TABLE, prefix="other")
    for start in range(3):  # three segments, three tables
        house.put(*(record(f"r{start}-{number}", inference_table=(TABLE, other)[number % 2]) for number in range(10)))
    ran = subprocess.run(
        [sys.executable, "-c", _DYING, str(house.folder)], capture_output=True, text=True, timeout=240, check=True,
        env={**os.environ, "PYTHONPATH": "src:."},
    )  # fmt: skip
    deaths = [line.split() for line in ran.stdout.splitlines()]
    assert all(status == str(int(signal.SIGKILL)) for _, status in deaths[:-1])
    assert len(deaths) > 12  # claim, three reads, two steps per table, three deletions
    expected = sorted(f"r{start}-{number}" for start in range(3) for number in range(10))
    for number, _ in deaths:
        survivor = House(house.folder / f"at-{number}")
        survivor.load()
        assert ids(survivor.usage()) == expected, number
        found = survivor.read(PAYLOAD) + survivor.read(TableName("main", "default", "other_payload"))
        assert ids(found) == expected, number
        assert not list(survivor.spool_folder.glob("*.taken"))


def test_a_server_killed_while_it_writes_loses_nothing_it_had_answered_for(house: House) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tests.fakes.records import House, record\n"
        "async def main():\n"
        "    spool = House(Path(sys.argv[1])).spool()\n"
        "    async def client(name):\n"
        "        for number in range(10**6):\n"
        "            await spool.written(record(f'{name}-{number}'))\n"
        "            print(f'{name}-{number}', flush=True)\n"
        "    await asyncio.gather(*(client(name) for name in 'abc'))\n"
        "asyncio.run(main())\n"
    )
    answered: list[str] = []
    loader = house.loader()
    loader.start()
    for after in (1, 40, 400):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(house.folder)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": "src:."},
        ) as server:  # fmt: skip
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(after)]
            server.kill()
            lines += server.stdout.readlines()
        answered += [f"{line.strip()}" for line in lines if line.endswith("\n")]
    until(lambda: not list(house.spool_folder.glob("*.[ort]*")))
    loader.stop()
    found = Counter(ids(house.usage()))
    expected = Counter(answered)
    assert not expected - found
    # One per client may have been written without anybody being told.
    assert sum((found - expected).values()) <= 9
    assert Counter(ids(house.read(PAYLOAD))) == found


def test_a_table_that_cannot_be_written_holds_up_no_other(house: House) -> None:
    broken = Path(house.places.uri(TableName("main", "default", "broken_payload")))
    write_deltalake(broken, pa.table({"databricks_request_id": [1, 2]}))
    house.put(record("r1", inference_table=replace(TABLE, prefix="broken")), record("r2"))
    loader = house.loader()
    assert loader.lap()
    house.put(record("r3", inference_table=replace(TABLE, prefix="broken")), record("r4"))
    assert loader.lap()
    assert ids(house.usage()) == ["r1", "r2", "r3", "r4"]
    assert ids(house.read(PAYLOAD)) == ["r2", "r4"]
    assert len(list(house.spool_folder.glob("*.taken"))) == 2
    loader.stop()
    shutil.rmtree(broken)
    house.load()
    assert ids(house.read(TableName("main", "default", "broken_payload"))) == ["r1", "r3"]
    assert ids(house.usage()) == ["r1", "r2", "r3", "r4"]
    assert not list(house.spool_folder.glob("*.taken"))


def test_columns_that_came_later_are_added_and_those_of_others_stay(house: House) -> None:
    older = pa.schema([columns.PAYLOAD.field(name) for name in ("databricks_request_id", "request_date")])
    older = older.append(pa.field("of_somebody_else", pa.int64()))
    DeltaTable.create(house.places.uri(PAYLOAD), older, partition_by=["request_date"])
    house.put(record("r1"))
    house.load()
    (row,) = house.read(PAYLOAD)
    assert set(row) == {*columns.PAYLOAD.names, "of_somebody_else"}
    assert row["requester"] == "ann@example.com"


def test_readers_keep_their_version_through_compaction_retention_and_vacuum(house: House) -> None:
    old_ms = AT_MS - 400 * 86_400_000
    for number in range(4):
        house.put(record(f"new-{number}", at_ms=house.clock.now_ms()), record(f"old-{number}", at_ms=old_ms))
        house.load()
    reader = DeltaTable(house.places.uri(PAYLOAD))
    house.settings = replace(house.settings, payload_retention_s=86400.0 * 30)
    Upkeep(house.tables(), house.places.found, house.clock, house.counted).round()
    assert len(reader.to_pyarrow_table()) == 8  # its files are there for a day
    assert ids(house.read(PAYLOAD)) == [f"new-{number}" for number in range(4)]
    assert len(DeltaTable(house.places.uri(PAYLOAD)).file_uris()) == 1
    house.put(record("later", at_ms=house.clock.now_ms()))
    house.load()
    assert len(house.read(PAYLOAD)) == 5
    assert len(house.usage()) == 5  # its own retention, a year
    assert house.counted.number(metrics.LOAD_FAILURES, "upkeep").value == 0


def test_a_day_that_grows_is_not_written_again_and_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = house.clock.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, timezone.utc).date()
    for number in range(3):
        house.put(record(f"new-{number}", at_ms=now_ms), record(f"old-{number}"))
        house.load()
    tables = house.tables()
    monkeypatch.setattr(delta, "FEW_BYTES", 1)  # today's files are large enough
    assert tables.compact(PAYLOAD, today) == 3
    assert len(DeltaTable(house.places.uri(PAYLOAD)).file_uris()) == 4
    assert tables.compact(PAYLOAD, today) == 0
    monkeypatch.undo()
    assert tables.compact(PAYLOAD, today) == 3
    assert len(DeltaTable(house.places.uri(PAYLOAD)).file_uris()) == 2


def test_upkeep_and_loading_go_on_beside_each_other(house: House) -> None:
    house.put(record("first", at_ms=house.clock.now_ms()), record("old"))
    house.load()
    upkeep = Upkeep(house.tables(), house.places.found, house.clock, house.counted)
    going = threading.Event()

    def keep_up() -> None:
        while not going.is_set():
            upkeep.round()

    thread = threading.Thread(target=keep_up)
    thread.start()
    loader = house.loader()
    for number in range(15):
        house.put(record(f"r{number}", at_ms=house.clock.now_ms()))
        loader.lap()
    until(lambda: loader.lap() and not list(house.spool_folder.glob("*.taken")))
    going.set()
    thread.join()
    loader.stop()
    expected = sorted(["first", *(f"r{number}" for number in range(15))])
    assert ids(house.read(PAYLOAD)) == sorted([*expected, "old"])
    assert ids(house.usage()) == expected  # its retention is a year


def test_a_checkpoint_keeps_what_was_loaded(house: House) -> None:
    house.put(record("r1"))
    (segment,) = house.spool_folder.glob("*.ready")
    content = segment.read_bytes()
    house.load()
    table = DeltaTable(house.places.uri(PAYLOAD))
    table.create_checkpoint()
    (Path(house.places.uri(PAYLOAD)) / "_delta_log" / f"{0:020}.json").unlink()
    # As if the machine had died before the segment was deleted.
    (house.spool_folder / f"{table.transaction_version(_app_id(house))}.taken").write_bytes(content)
    house.load()
    assert ids(house.read(PAYLOAD)) == ["r1"]
    house.put(record("r2"))
    house.load()
    assert ids(house.read(PAYLOAD)) == ["r1", "r2"]


def _app_id(house: House) -> str:
    return f"headgate-{(house.spool_folder / 'id').read_text()}"


def test_duckdb_reads_the_files_while_more_are_written(house: House) -> None:
    for number in range(3):
        house.put(record(f"r{number}", response=b'{"n":%d}' % number))
        house.load()
        files = DeltaTable(house.places.uri(PAYLOAD)).file_uris()
        rows = duckdb.sql(f"select sum((response::json->>'n')::int)::int from read_parquet({files!r})").fetchall()
        assert rows == [(sum(range(number + 1)),)]


def test_served_entities_are_rows_that_follow_what_there_is(house: House) -> None:
    entity = ServedEntityRecord(
        "s1", 1, "chat", "e1", "gpt", "EXTERNAL_MODEL", "gpt-4o", AT_MS, provider="openai", task="llm/v1/chat"
    )
    now = [(entity,)]
    loader = house.loader(entities=lambda: now[0])
    loader.lap()
    loader.lap()
    version = DeltaTable(house.places.uri(places.SERVED_ENTITIES)).version()
    custom = ServedEntityRecord(
        "s2", 1, "churn", "e2", "churn-1", "CUSTOM_MODEL", "main.default.churn", AT_MS, max_concurrency=4
    )
    now[0] = (replace(entity, endpoint_delete_time_ms=AT_MS), custom)  # type: ignore[assignment]
    loader.lap()
    loader.stop()
    house.load(entities=lambda: now[0])
    rows = {row["served_entity_id"]: row for row in house.read(places.SERVED_ENTITIES)}
    assert list(rows) == ["s1", "s2"] or list(rows) == ["s2", "s1"]
    assert rows["s1"]["external_model_config"] == {"provider": "openai"}
    assert rows["s1"]["endpoint_delete_time"] is not None
    assert rows["s2"]["custom_model_config"]["max_concurrency"] == 4
    assert rows["s2"]["external_model_config"] is None
    assert version == 1  # made and filled; the second lap had nothing new


def test_requests_are_loaded_although_nobody_can_tell_the_entities(house: House) -> None:
    def away() -> tuple[ServedEntityRecord, ...]:
        raise ConnectionError("the database is away")

    house.put(record("r1"))
    house.load(entities=away)
    assert ids(house.usage()) == ["r1"]
    assert house.read(places.SERVED_ENTITIES) == []


def test_no_reader_must_take_many_large_bodies_into_memory_together(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "GROUP_BYTES", 200_000)
    for number in range(3):
        large = [record(f"large-{number}-{one}", request=f"{number}{one}".encode() * 5000) for one in range(20)]
        house.put(*large, *(record(f"small-{number}-{one}", at_ms=AT_MS - 86_400_000) for one in range(20)))
        house.load()
    for when in ("as they were added", "compacted"):
        groups = [
            group
            for part in DeltaTable(house.places.uri(PAYLOAD)).to_pyarrow_dataset().get_fragments()
            for group in part.row_groups
        ]
        assert sum(group.num_rows for group in groups) == 120, when
        assert max(group.total_byte_size for group in groups) < 300_000, when
        house.tables().compact(PAYLOAD, datetime.now(timezone.utc).date())
    assert max(group.num_rows for group in groups) > 5
