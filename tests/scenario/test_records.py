"""Inference and usage tables of a real house: what is asked and answered is in them once, whoever is killed when."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from tests.fakes import records
from tests.scenario.answered import AnsweredLoad
from tests.scenario.house import Answer, House, entity, standstill, until
from tests.scenario.language_house import HELLO, SAID, LanguageHouse, language_house

pytestmark = pytest.mark.scenario
OLD_PREFIX = "of_old"
PRICES = {"prices": [{"provider": "openai", "model": "a-model", "input": 2, "output": 4, "source": "our contract"}]}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    """Two servers, tables looked after all the time, and a request of long ago that is still on its way into them."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "prices.json").write_text(json.dumps(PRICES))
    table = records.InferenceTable("main", "default", OLD_PREFIX)
    records.House(folder / "data").put(records.record("of-old", inference_table=table))
    settings = {
        "HEADGATE_WAREHOUSE_COMMIT_S": "0.1",
        "HEADGATE_WAREHOUSE_UPKEEP_S": "0.5",
        "HEADGATE_WAREHOUSE_PAYLOAD_RETENTION_S": str(30 * 86400),
        "HEADGATE_WAREHOUSE_PAYLOAD_BYTES": "20000",
        "HEADGATE_WAREHOUSE_SPOOL_BYTES": "200000",
        "HEADGATE_WAREHOUSE_WHEN_FULL": "refuse",
        "HEADGATE_WAREHOUSE_PRICES": str(folder / "prices.json"),
    }
    with language_house(folder / "data", **settings) as house:
        yield house


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """`until` for what reads tables."""
    return until(condition, what, pause_s=0.2)


def keeps(house: LanguageHouse, name: str, **more: Any) -> str:
    """An endpoint of one external model that keeps its requests; its name."""
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": name}
    gateway = {"usage_tracking_config": {"enabled": True}, "inference_table_config": table, **more.pop("gateway", {})}
    body = {"name": name, "config": {"served_entities": [house.entity(name)]}, "ai_gateway": gateway, **more}
    house.house.api("POST", "", body)
    house.house.settled(name)
    return name


def table_of(house: House, prefix: str) -> DeltaTable | None:
    """An inference table; None while there is none."""
    return _opened(house.data_dir / "tables" / "main" / "default" / f"{prefix}_payload")


def usage_of(house: House) -> DeltaTable | None:
    return _opened(house.data_dir / "tables" / "system" / "serving" / "endpoint_usage")


def served_of(house: House, name: str) -> set[str]:
    """Ids of what an endpoint serves and served, as the table says."""
    table = _opened(house.data_dir / "tables" / "system" / "serving" / "served_entities")
    rows = [] if table is None else table.to_pyarrow_table().to_pylist()
    return {row["served_entity_id"] for row in rows if row["endpoint_name"] == name}


def _opened(folder: Path) -> DeltaTable | None:
    try:
        return DeltaTable(str(folder))
    except TableNotFoundError:
        return None


def row_of(table: Callable[[], DeltaTable | None], answer: Answer) -> Row:
    """The row of one request, once it is there."""
    request_id = answer.headers["x-databricks-request-id"]

    def look() -> list[Row]:
        opened = table()
        rows = [] if opened is None else opened.to_pyarrow_table().to_pylist()
        return [row for row in rows if row["databricks_request_id"] == request_id]

    (row,) = eventually(look, f"request {request_id} is in its table")
    return dict(row)


def both(house: House, prefix: str, answer: Answer) -> tuple[Row, Row]:
    """Its rows in the inference table and in the usage table."""
    return row_of(lambda: table_of(house, prefix), answer), row_of(lambda: usage_of(house), answer)


def test_a_request_is_a_row_with_what_it_cost_whom(kept: LanguageHouse) -> None:
    policy, tags = "11111111-2222-3333-4444-555555555555", [{"key": "team", "value": "blue"}]
    keeps(kept, "rows", tags=tags, budget_policy_id=policy)
    sent = {**HELLO, "client_request_id": "mine", "usage_context": {"project": "p1"}}
    answer = kept.ask("rows", sent, Databricks_Ai_Gateway_Request_Tags='{"run":"7"}', User_Agent="tester/1")
    payload, usage = both(kept.house, "rows", answer)
    assert json.loads(payload["request"]) == sent
    assert json.loads(payload["response"]) == answer.json
    assert (payload["client_request_id"], payload["status_code"], payload["requester"]) == ("mine", 200, "admin")
    assert (usage["endpoint_name"], usage["provider"], usage["model"]) == ("rows", "openai", "a-model")
    assert (usage["input_token_count"], usage["output_token_count"]) == (11, 9)
    assert usage["cost_usd"] == Decimal("0.0000580000")
    assert usage["price_source"] == "our contract"
    assert dict(usage["usage_context"]) == {"project": "p1"}
    assert (dict(usage["tags"]), dict(usage["request_tags"])) == ({"team": "blue"}, {"run": "7"})
    assert (usage["budget_policy_id"], usage["user_agent"]) == (policy, "tester/1")
    assert [attempt["status"] for attempt in usage["attempts"]] == [200]
    assert usage["served_entity_id"] == payload["served_entity_id"] == usage["attempts"][0]["served_entity_id"]
    eventually(lambda: served_of(kept.house, "rows") == {usage["served_entity_id"]}, "what it serves is told")


def test_a_stream_is_the_answer_that_it_made(kept: LanguageHouse) -> None:
    keeps(kept, "streams")
    payload, usage = both(kept.house, "streams", kept.ask("streams", {**HELLO, "stream": True}))
    joined = json.loads(payload["response"])
    assert joined["choices"][0]["message"]["content"] == SAID
    assert (usage["request_streaming"], usage["complete"], usage["output_token_count"]) == (True, True, 9)
    assert usage["time_to_first_byte_ms"] is not None


def test_a_request_that_was_refused_is_a_row_with_its_error(kept: LanguageHouse) -> None:
    limits = [{"calls": 0, "key": "endpoint", "renewal_period": "minute"}]
    keeps(kept, "limited", gateway={"rate_limits": limits})
    answer = kept.ask("limited")
    assert answer.status == 429, answer
    payload, usage = both(kept.house, "limited", answer)
    assert json.loads(payload["response"]) == answer.json
    assert (payload["status_code"], usage["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert usage["cost_usd"] is None


def test_what_guardrails_said_is_in_the_usage_table_and_what_the_client_wrote_in_the_other(kept: LanguageHouse) -> None:
    keeps(kept, "guarded", gateway={"guardrails": {"input": {"pii": {"behavior": "BLOCK"}}}})
    answer = kept.ask("guarded", {"messages": [{"role": "user", "content": "I am ann@example.com"}]})
    assert answer.status == 400, answer
    payload, usage = both(kept.house, "guarded", answer)
    assert "ann@example.com" in payload["request"]
    assert json.loads(payload["response"]) == answer.json
    (verdict,) = [item for item in usage["guardrails"] if item["outcome"] == "blocked"]
    assert (verdict["guardrail"], verdict["phase"]) == ("pii", "input")


def test_every_attempt_is_told_and_the_row_is_of_the_last(kept: LanguageHouse) -> None:
    broken, sound = kept.entity("broken"), kept.entity("sound")
    kept.vendor.act("broken", status=503)
    shares = [
        {"served_model_name": name, "traffic_percentage": share} for name, share in (("broken", 100), ("sound", 0))
    ]
    config = {"served_entities": [broken, sound], "traffic_config": {"routes": shares}}
    gateway = {"usage_tracking_config": {"enabled": True}, "fallback_config": {"enabled": True}}
    kept.house.api("POST", "", {"name": "tries", "config": config, "ai_gateway": gateway})
    kept.house.settled("tries")
    usage = row_of(lambda: usage_of(kept.house), kept.ask("tries"))
    assert [attempt["status"] for attempt in usage["attempts"]] == [503, 200]
    assert (usage["status_code"], usage["served_entity_name"]) == (200, "sound")


def test_a_body_above_the_cap_is_left_out_and_said_to_be(kept: LanguageHouse) -> None:
    keeps(kept, "large")
    payload, usage = both(
        kept.house, "large", kept.ask("large", {"messages": [{"role": "user", "content": "x" * 20_000}]})
    )
    assert payload["request"] is None
    assert payload["response"] is not None
    assert payload["logging_error_codes"] == ["MAX_REQUEST_SIZE_EXCEEDED"]
    assert usage["input_token_count"] == 11


def test_old_days_go_and_small_files_become_large_ones(kept: LanguageHouse) -> None:
    def old_rows() -> int:
        table = table_of(kept.house, OLD_PREFIX)
        return -1 if table is None else table.to_pyarrow_table().num_rows

    eventually(lambda: old_rows() == 0, "the request of long ago came and is deleted")

    keeps(kept, "aged")

    def compacted() -> bool:
        kept.ask("aged")  # each a small file
        table = usage_of(kept.house)
        done = [] if table is None else [commit["operation"] for commit in table.history()]
        return "OPTIMIZE" in done and "DELETE" in done

    eventually(compacted, "the usage table is looked after")


def test_custom_models_have_tables_too_in_both_forms(house: House) -> None:
    here = {"catalog_name": "main", "schema_name": "default"}
    named = {name: {**here, "table_name_prefix": name} for name in ("modern", "legacy")}
    gateway = {
        "inference_table_config": {"enabled": True, **named["modern"]},
        "usage_tracking_config": {"enabled": True},
    }
    config = {"served_entities": [entity("versioned")]}
    house.api("POST", "", {"name": "modern", "config": config, "ai_gateway": gateway})
    house.api("POST", "", {"name": "legacy", "config": {**config, "auto_capture_config": named["legacy"]}})
    body = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}, "client_request_id": "mine"}
    answers = {}
    for name in named:
        house.settled(name)
        eventually(lambda name=name: served_of(house, name), "what it serves is told before it is asked anything")  # type: ignore[misc]
        answers[name] = house.predict(name, body)
    payload, usage = both(house, "modern", answers["modern"])
    assert json.loads(payload["request"]) == body
    assert json.loads(payload["response"]) == {"predictions": ["one"]}
    assert (usage["entity_version"], usage["client_request_id"], usage["provider"]) == ("1", "mine", None)
    assert usage["input_token_count"] is None
    row = row_of(lambda: table_of(house, "legacy"), answers["legacy"])
    assert dict(row["request_metadata"])["model_version"] == "1"
    assert (row["client_request_id"], json.loads(row["request"])) == ("mine", body)
    for name in named:
        house.delete(name)


def ids(table: DeltaTable | None) -> list[str]:
    """Of all its rows, by DuckDB, as any reader might while the house writes."""
    if table is None:
        return []
    found = table.to_pyarrow_dataset()
    with duckdb.connect() as connection:
        return [
            row[0]
            for row in connection.register("kept", found).execute("SELECT databricks_request_id FROM kept").fetchall()
        ]


def lost(house: House, load: AnsweredLoad) -> set[str]:
    """Answered requests that are not in their tables. Fails when one is there twice."""
    usage = Counter(ids(usage_of(house)))
    missing = {one for answered in load.answered.values() for one in answered} - set(usage)
    twice = [one for one, count in usage.items() if count > 1]
    for name, answered in load.answered.items():
        payload = Counter(ids(table_of(house, name)))
        missing |= set(answered) - set(payload)
        twice += [one for one, count in payload.items() if count > 1]
    assert twice == []
    return missing


def test_each_request_that_was_answered_is_there_once_whoever_is_killed(kept: LanguageHouse) -> None:
    house, rng = kept.house, random.Random(5)
    names = [keeps(kept, "hardy-1"), keeps(kept, "hardy-2")]
    with AnsweredLoad(house, names, HELLO) as load:
        for role in ("warehouse", "server", "warehouse", "everything", "server", "warehouse", "warehouse"):
            load.more(rng.randint(50, 200))
            if role == "everything":
                house.kill_everything()
                house.start()
            else:
                house.kill(until(lambda role=role: house.pids(role), f"there is a {role}")[0])  # type: ignore[misc]
            assert isinstance(ids(usage_of(house)), list)
        load.more(200)
    assert load.odd == []
    eventually(lambda: not lost(house, load), "every answered request is in its tables")
    assert load.count > 500


@pytest.mark.parametrize("when_full", ["refuse", "drop"])
def test_what_cannot_be_kept_is_refused_or_dropped_and_then_it_goes_on(kept: LanguageHouse, when_full: str) -> None:
    house, name = kept.house, keeps(kept, f"full-{when_full}")
    if house.settings["HEADGATE_WAREHOUSE_WHEN_FULL"] != when_full:
        assert house.stop() == 0
        house.settings["HEADGATE_WAREHOUSE_WHEN_FULL"] = when_full
        house.start()
    with AnsweredLoad(house, [name], HELLO) as load:
        load.more(10)
        (loader,) = until(lambda: house.pids("warehouse"), "there is a loader")
        with standstill(loader):
            if when_full == "refuse":
                until(lambda: load.refused > 5, "requests are refused")
            else:
                until(lambda: dropped(house) > 5, "requests are dropped")
                load.more(10)
        answered, before = load.answered[name], load.count
        eventually(lambda: set(answered[before:]) & set(ids(table_of(house, name))), "requests are kept again")
    assert load.odd == []
    if when_full == "refuse":
        eventually(lambda: not lost(house, load), "whatever was answered is in the table")
    else:
        assert load.refused == 0
        found = ids(table_of(house, name))
        assert len(set(found)) == len(found)


def dropped(house: House) -> float:
    """Answered and not recorded, as the metrics say."""
    shown = house.request("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in shown if line.startswith("headgate_records_dropped_total"))
