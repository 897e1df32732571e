"""Configs change, processes die, keys are renewed while language models are asked: nobody but the dead process's own callers notices."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import Any

import pytest
from tests.scenario.house import standstill, until
from tests.scenario.language_house import HELLO, SAID, LanguageHouse, external
from tests.scenario.load import SteadyLoad
from tests.scenario.streams import Client, Stream

pytestmark = pytest.mark.scenario


def load_on(there: LanguageHouse, name: str) -> SteadyLoad:
    def said(told: Any) -> bool:
        return bool(told["choices"][0]["message"]["content"] == SAID)

    return SteadyLoad(there.house.port, name, HELLO, connections=4, check=said, pause_s=0.005)


def test_no_request_is_lost_while_an_endpoint_s_config_changes_again_and_again(there: LanguageHouse) -> None:
    one, two = there.entity("changing-1"), there.entity("changing-2")
    there.house.create("changing", one)
    there.vendor.act("changing-1", pause_s=0.4)  # a stream that lasts longer than an update
    with Client(there.house) as client, load_on(there, "changing") as load:
        stream = Stream(client, "changing", HELLO)
        assert stream.next() is not None
        for entity, _ in zip(itertools.cycle([two, one]), range(9), strict=False):
            there.house.update("changing", entity)
            name = entity["name"]
            seen = load.entities[name]
            until(lambda name=name, seen=seen: load.entities[name] > seen + 20, f"{name} serves")  # type: ignore[misc]
            # Who waited for the update is answered by it, whichever server he meets.
            assert {there.ask("changing").headers["served-model-name"] for _ in range(4)} == {name}
        stream.rest()
        assert (stream.text, stream.done, stream.headers["served-model-name"]) == (SAID, True, "changing-1")
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    there.house.delete("changing")


def test_an_update_goes_through_when_control_dies_in_the_middle_of_it(there: LanguageHouse) -> None:
    one, two = there.entity("orphan-1"), there.entity("orphan-2")
    there.house.create("orphan", one)
    with load_on(there, "orphan") as load:
        load.more(50)
        for entity in (two, one):
            (control,) = there.house.pids("control")
            there.house.api("PUT", "/orphan/config", {"served_entities": [entity]})
            there.house.kill(control)
            there.house.settled("orphan")
            until(lambda gone=control: set(there.house.pids("control")) - {gone}, "a new control lives")  # type: ignore[misc]
            assert there.ask("orphan").headers["served-model-name"] == entity["name"]
    assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    there.house.delete("orphan")


def test_a_killed_server_cuts_its_own_streams_only_and_their_requests_end_at_the_vendor(there: LanguageHouse) -> None:
    there.external_endpoint("halfway")
    there.vendor.act("halfway", hold_from=3)
    one, other = there.house.pids("server")
    with ExitStack() as clients:
        with standstill(other):
            cut = _begin(there, clients)
        with standstill(one):
            whole = _begin(there, clients)
        there.house.kill(one)
        until(lambda: there.vendor.did("halfway")["left"] == len(cut), "the vendor saw those leave")
        there.vendor.go_on("halfway")
        assert all(stream.rest().cut for stream in cut)
        assert not any(stream.done or stream.error for stream in cut), "nothing is made up for what was cut"
        assert {(stream.rest().text, stream.done, stream.cut) for stream in whole} == {(SAID, True, False)}
    assert there.vendor.did("halfway")["left"] == len(cut)
    until(lambda: len(there.house.pids("server")) == 2, "there are two servers again")
    there.vendor.act("halfway")
    assert {there.ask("halfway").status for _ in range(10)} == {200}
    there.house.delete("halfway")


def _begin(there: LanguageHouse, clients: ExitStack) -> list[Stream]:
    """Streams on connections of their own, until the vendor holds back the rest."""
    streams = []
    for _ in range(4):
        stream = Stream(clients.enter_context(Client(there.house)), "halfway", HELLO)
        while "wide" not in stream.text:
            assert stream.next() is not None
        streams.append(stream)
    return streams


def test_a_renewed_key_is_used_by_every_server_and_the_old_one_no_more(there: LanguageHouse) -> None:
    post = lambda path, body: there.house.request("POST", f"/api/2.0/secrets/{path}", body)  # noqa: E731
    assert post("scopes/create", {"scope": "vendors"}).status == 200
    assert post("put", {"scope": "vendors", "key": "openai", "string_value": "sk-first"}).status == 200
    there.vendor.act("renewed")
    entity = external(f"{there.vendor.url}/renewed", name="renewed")
    entity["external_model"]["openai_config"] = {
        "openai_api_key": "{{secrets/vendors/openai}}",
        "openai_api_base": f"{there.vendor.url}/renewed/v1",
    }
    there.house.create("renewed", entity)

    def used() -> set[str]:
        there.vendor.act("renewed")
        assert {there.ask("renewed").status for _ in range(12)} == {200}
        return {heard["headers"]["authorization"] for heard in there.vendor.did("renewed")["heard"]}

    assert used() == {"Bearer sk-first"}
    assert post("put", {"scope": "vendors", "key": "openai", "string_value": "sk-second"}).status == 200
    until(lambda: used() == {"Bearer sk-second"}, "all servers use the new key")
    there.house.delete("renewed")


def test_after_everything_was_killed_endpoints_and_their_sealed_keys_are_there_again(there: LanguageHouse) -> None:
    there.external_endpoint("survivor")
    there.put_ai_gateway("survivor", rate_limits=[{"calls": 1000, "key": "user", "renewal_period": "minute"}])
    before = there.house.api("GET", "/survivor")
    there.house.kill_everything()
    there.house.start()
    assert there.house.api("GET", "/survivor") == before
    answered = until(lambda: (got := there.ask("survivor")).status == 200 and got, "it answers")
    assert answered.json["choices"][0]["message"]["content"] == SAID
    assert there.vendor.did("survivor")["heard"][-1]["headers"]["authorization"] == "Bearer sk-plain"
    there.house.delete("survivor")
