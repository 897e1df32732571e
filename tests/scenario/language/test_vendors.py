"""Vendors that are down, slow, half-open, limited or out of their mind, with another to fall back to and without."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.fakes.vendor.process import VendorProcess
from tests.scenario.house import free_port, until
from tests.scenario.language.conftest import IMPATIENT
from tests.scenario.language_house import HELLO, SAID, LanguageHouse, external
from tests.scenario.load import SteadyLoad
from tests.scenario.streams import Client, Stream

pytestmark = pytest.mark.scenario
SILENT_S = 120.0
FAULTS: dict[str, dict[str, Any]] = {
    "limited": {"status": 429, "message": "Slow down.", "headers": {"retry-after": "50"}},
    "fallen": {"status": 500, "message": "Fell over."},
    "silent": {"delay_s": SILENT_S},
    "hangs up": {"hang_up_after_bytes": -1},
    "hangs up within": {"hang_up_after_bytes": 40},
    "garbage": {"body": "<html>Bad gateway</html>"},
    "an empty answer": {"body": ""},
}
REFUSED = {"limited": 429, "fallen": 500, "silent": 504}
"""What clients get where nobody else can answer; 503 for the others."""


def endpoint(there: LanguageHouse, name: str, first: dict[str, Any], *, fallback: bool, **more: Any) -> None:
    """An endpoint of `<name>-a`, who acts so, and `<name>-b`, who is well and gets no traffic of his own."""
    failing = there.entity(f"{name}-a", **more)
    if SILENT_S in (first.get("delay_s"), first.get("pause_s")) and "pause_from" not in first:
        # He alone is not waited for.
        failing["external_model"]["timeouts"] = {"first_byte_s": 1}
    there.house.create(
        name,
        failing,
        there.entity(f"{name}-b"),
        routes={f"{name}-a": 100, f"{name}-b": 0},
    )
    there.vendor.act(f"{name}-a", **first)
    if fallback:
        there.put_ai_gateway(name, fallback_config={"enabled": True})


def slug(name: str) -> str:
    return name.replace(" ", "-")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_one_vendor_fails_at_another_answers(there: LanguageHouse, fault: str) -> None:
    name = f"fb-{slug(fault)}"
    endpoint(there, name, FAULTS[fault], fallback=True)
    with Client(there.house) as client:
        status, headers, told = client.answer(name, HELLO)
        assert (status, told["choices"][0]["message"]["content"]) == (200, SAID)
        assert headers["served-model-name"] == f"{name}-b"
        streamed = Stream(client, name, HELLO).rest()
        assert (streamed.text, streamed.done, streamed.error) == (SAID, True, None)
        assert streamed.headers["served-model-name"] == f"{name}-b"
    # Who said when to come again is not asked before.
    asked = there.vendor.did(f"{name}-a")["count"]
    # A connection that was kept and breaks at once may have been an old one: then the same is asked again on a new one.
    assert asked == (1 if fault == "limited" else 2) or (fault == "hangs up" and asked <= 4)
    assert there.vendor.did(f"{name}-b")["count"] == 2
    there.house.delete(name)


@pytest.mark.parametrize("fault", FAULTS)
def test_without_fallback_a_failure_is_told_in_our_words(there: LanguageHouse, fault: str) -> None:
    name = f"no-{slug(fault)}"
    endpoint(there, name, FAULTS[fault], fallback=False)
    with Client(there.house) as client:
        for wish in ({}, {"stream": True}):
            status, headers, told = client.answer(name, {**HELLO, **wish})
            assert status == REFUSED.get(fault, 503), told
            assert told["error_code"] and told["message"] and "error" not in told
            assert headers.get("retry-after") == ("50" if fault == "limited" else headers.get("retry-after"))
    assert there.vendor.did(f"{name}-b")["count"] == 0
    if fault == "silent":
        until(lambda: there.vendor.did(f"{name}-a")["left"] == 2, "the silent vendor was hung up on")
    there.house.delete(name)


def test_a_vendor_nobody_listens_at_is_passed_over_or_told(there: LanguageHouse) -> None:
    nowhere = external(f"http://127.0.0.1:{free_port()}", name="nowhere")
    there.house.create("lonely", nowhere)
    refused = there.ask("lonely")
    assert refused.status == 503 and refused.json["error_code"] == "TEMPORARILY_UNAVAILABLE", refused
    there.house.create("paired", nowhere, there.entity("well"), routes={"nowhere": 100, "well": 0})
    there.put_ai_gateway("paired", fallback_config={"enabled": True})
    answered = there.ask("paired")
    assert answered.status == 200 and answered.headers["served-model-name"] == "well"
    there.house.delete("lonely")
    there.house.delete("paired")


def test_an_answer_of_other_types_than_it_should_be_is_a_failure_of_the_vendor(there: LanguageHouse) -> None:
    odd = '{"id":"1","type":"message","role":"assistant","content":[{"type":"text","text":5}],"usage":{},"stop_reason":[]}'
    endpoint(there, "odd", {"body": odd}, fallback=True, provider="anthropic")
    answered = there.ask("odd")
    assert answered.status == 200 and answered.headers["served-model-name"] == "odd-b", answered
    there.house.delete("odd")


def test_what_the_client_did_wrong_is_no_reason_to_ask_another(there: LanguageHouse) -> None:
    endpoint(there, "wrong", {"status": 400, "message": "No such tool."}, fallback=True)
    refused = there.ask("wrong")
    assert refused.status == 400 and "No such tool." in refused.json["message"]
    assert there.vendor.did("wrong-b")["count"] == 0
    there.house.delete("wrong")


def test_when_all_fail_the_last_answer_is_the_client_s(there: LanguageHouse) -> None:
    endpoint(there, "both", FAULTS["fallen"], fallback=True)
    there.vendor.act("both-b", **FAULTS["limited"])
    refused = there.ask("both")
    assert (refused.status, refused.headers["retry-after"]) == (429, "50") and "Slow down." in refused.json["message"]
    there.house.delete("both")


def test_an_entity_s_own_deadline_for_all_of_an_answer_comes_before_the_general_one(there: LanguageHouse) -> None:
    entity = there.entity("hasty")
    entity["external_model"]["timeouts"] = {"total_s": 1}
    there.house.create("hasty", entity)
    there.vendor.act("hasty", delay_s=SILENT_S)
    assert there.ask("hasty").status == 504
    there.house.delete("hasty")


# -- streams --------------------------------------------------------------------------------------------------------


def test_every_piece_leaves_when_it_comes(there: LanguageHouse) -> None:
    there.external_endpoint("drip")
    there.vendor.act("drip", hold_from=2)
    with Client(there.house) as client:
        stream = Stream(client, "drip", HELLO)
        assert stream.next() is not None
        assert there.vendor.did("drip")["busy"] == 1, "the vendor had not finished when the first piece was here"
        there.vendor.go_on("drip")
        stream.rest()
    assert (stream.text, stream.done, stream.cut) == (SAID, True, False)
    there.house.delete("drip")


@pytest.mark.parametrize(
    "act",
    [{"hang_up_after_pieces": 0}, {"hang_up_after_pieces": 1}, {"pause_s": SILENT_S}],
    ids=["after the head", "after the role", "silent after the role"],
)
def test_a_stream_that_ends_before_it_said_anything_falls_back(there: LanguageHouse, act: dict[str, Any]) -> None:
    endpoint(there, "early", act, fallback=True)
    with Client(there.house) as client:
        stream = Stream(client, "early", HELLO).rest()
    assert (stream.text, stream.done, stream.error) == (SAID, True, None)
    assert stream.headers["served-model-name"] == "early-b"
    there.house.delete("early")


@pytest.mark.parametrize(
    "act",
    [{"hang_up_after_pieces": 3}, {"pause_s": SILENT_S, "pause_from": 3}],
    ids=["breaks", "falls silent"],
)
def test_a_stream_that_ends_early_ends_in_an_error_and_never_in_done(there: LanguageHouse, act: dict[str, Any]) -> None:
    endpoint(there, "midway", act, fallback=True)
    with Client(there.house) as client:
        stream = Stream(client, "midway", HELLO).rest()
    assert (stream.text, stream.done) == ("Hello, wide", False)
    assert stream.error["error"]["message"], "openai's clients raise for this"
    assert there.vendor.did("midway-b")["count"] == 0, "something had reached the client"
    if "pause_s" in act:
        until(lambda: there.vendor.did("midway-a")["left"] == 1, "the vendor was hung up on")
    there.house.delete("midway")


def test_a_client_that_leaves_ends_the_request_at_the_vendor(there: LanguageHouse) -> None:
    there.external_endpoint("abandoned")
    there.vendor.act("abandoned", pause_s=SILENT_S, pause_from=3)
    with Client(there.house) as client:
        stream = Stream(client, "abandoned", HELLO)
        while "wide" not in stream.text:
            assert stream.next() is not None
    until(lambda: there.vendor.did("abandoned")["left"] == 1, "the vendor saw it leave")
    there.vendor.act("abandoned", delay_s=SILENT_S)
    with Client(there.house) as client:
        client.begin("abandoned", HELLO)
        until(lambda: there.vendor.did("abandoned")["busy"] == 1, "the vendor works on it")
    until(lambda: there.vendor.did("abandoned")["left"] == 1, "the vendor saw this one leave, too")
    there.house.delete("abandoned")


# -- breaker --------------------------------------------------------------------------------------------------------


def test_a_vendor_that_keeps_failing_is_left_alone_until_a_probe_succeeds(there: LanguageHouse) -> None:
    endpoint(there, "breaker", {"status": 500}, fallback=True)
    open_s = float(IMPATIENT["HEADGATE_PROVIDERS_BREAKER_OPEN_S"])
    with Client(there.house) as client:  # one connection: one server's breaker

        def served() -> str:
            status, headers, _ = client.answer("breaker", HELLO)
            assert status == 200
            return headers["served-model-name"]

        def asked() -> int:
            return int(there.vendor.did("breaker-a")["count"])

        def most_probes() -> int:
            return int((time.monotonic() - began_s) / open_s)

        began_s = time.monotonic()
        assert [served() for _ in range(10)] == ["breaker-b"] * 10
        assert 3 <= asked() <= 3 + most_probes(), "open after three failures in a row"
        before = asked()

        def was_probed() -> bool:
            nonlocal began_s
            began_s = time.monotonic()
            return bool(served()) and asked() > before

        until(was_probed, "a probe was sent")
        assert [served() for _ in range(5)] == ["breaker-b"] * 5
        assert before + 1 <= asked() <= before + 1 + most_probes(), "one probe, then left alone again"
        there.vendor.act("breaker-a")
        until(lambda: served() == "breaker-a", "it is trusted again")
        assert [served() for _ in range(5)] == ["breaker-a"] * 5
    there.house.delete("breaker")


def test_a_vendor_may_die_and_come_back_under_load_without_a_failed_request(there: LanguageHouse) -> None:
    """Both server processes; the second vendor is another process, which stays."""
    with VendorProcess(free_port()) as mortal:
        mortal.act("mortal-a")
        there.house.create(
            "mortal",
            external(f"{mortal.url}/mortal-a", name="mortal-a"),
            there.entity("mortal-b"),
            routes={"mortal-a": 100, "mortal-b": 0},
        )
        there.put_ai_gateway("mortal", fallback_config={"enabled": True})
        check = lambda told: told["choices"][0]["message"]["content"] == SAID  # noqa: E731
        with SteadyLoad(there.house.port, "mortal", HELLO, connections=4, check=check, pause_s=0.005) as load:
            until(lambda: load.entities["mortal-a"] > 50, "the first vendor serves")
            mortal.kill()
            until(lambda: load.entities["mortal-b"] > 50, "the second serves in its place")
            mortal.start()
            mortal.act("mortal-a")
            before = load.entities["mortal-a"]
            until(lambda: load.entities["mortal-a"] > before + 50, "the first serves again")
        assert load.failures == [] and load.cut == 0 and load.refused == 0, load
    there.house.delete("mortal")
