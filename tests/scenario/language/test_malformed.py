"""Ten thousand bodies nobody should send, on every route that leads to a language model: an answer of ours for each, and nothing else happens."""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import TOKEN, House, until
from tests.scenario.language import malformed
from tests.scenario.language_house import CHAT, COMPLETIONS, EMBEDDINGS, LanguageHouse

pytestmark = pytest.mark.scenario
BODIES = int(os.environ.get("HEADGATE_TESTS_MALFORMED", "10000"))
CLIENTS = 4
STATUSES = {200, 400, 404, 429}
MOST_GROWTH_BYTES = 48 * 1024**2
GOVERNED = {
    "usage_tracking_config": {"enabled": True},
    "rate_limits": [{"tokens": 10**9, "key": "user", "renewal_period": "minute"}],
    "guardrails": {"input": {"pii": {"behavior": "MASK"}}, "output": {"pii": {"behavior": "MASK"}}},
}


def routes(there: LanguageHouse) -> dict[str, dict[str, Any]]:
    """Endpoints of several vendors, governed and not, and a body that could be meant for each path to them."""
    made: dict[str, dict[str, Any]] = {}
    for name, provider, task, body in (
        ("m-openai", "openai", CHAT, malformed.CHAT),
        ("m-guarded", "openai", CHAT, malformed.CHAT),
        ("m-claude", "anthropic", CHAT, malformed.CHAT),
        ("m-gemini", "google-cloud-vertex-ai", CHAT, malformed.CHAT),
        ("m-bedrock", "amazon-bedrock", CHAT, malformed.CHAT),
        ("m-cohere", "cohere", EMBEDDINGS, malformed.EMBEDDINGS),
        ("m-complete", "openai", COMPLETIONS, malformed.COMPLETIONS),
        ("m-embed", "openai", EMBEDDINGS, malformed.EMBEDDINGS),
    ):
        there.external_endpoint(name, provider, task)
        made[f"/serving-endpoints/{name}/invocations"] = body
    there.put_ai_gateway("m-guarded", **GOVERNED)
    for door in ("/serving-endpoints", "/ai-gateway/mlflow/v1", "/ai-gateway/openai/v1"):
        made[f"{door}/chat/completions"] = {"model": "m-guarded", **malformed.CHAT}
        made[f"{door}/completions"] = {"model": "m-complete", **malformed.COMPLETIONS}
        made[f"{door}/embeddings"] = {"model": "m-embed", **malformed.EMBEDDINGS}
        made[f"{door}/responses"] = {"model": "m-openai", **malformed.RESPONSES}
    messages = "/serving-endpoints/anthropic/v1/messages"
    return {
        **made,
        messages: {"model": "m-claude", **malformed.MESSAGES},
        f"{messages}?beta=true": {"model": "m-guarded", **malformed.MESSAGES},
    }


def test_malformed_bodies_are_answered_in_our_words_and_harm_nothing(there: LanguageHouse) -> None:
    house = there.house
    servers = house.pids("server")
    paths = routes(there)
    _send(house, list(malformed.cases(BODIES // 4, paths, seed=1)))
    before = {pid: _resident_bytes(pid) for pid in servers}
    counted = _send(house, list(malformed.cases(BODIES - BODIES // 4, paths, seed=2)))
    assert sum(counted.values()) == BODIES - BODIES // 4 and counted[400] > BODIES // 3, counted
    assert house.pids("server") == servers and house.healthy(), "no server died"
    grown = {pid: _resident_bytes(pid) - before[pid] for pid in servers}
    assert max(grown.values()) < MOST_GROWTH_BYTES, grown
    until(lambda: there.vendor.did("m-openai")["busy"] == 0, "nothing is left over at the vendor")
    assert there.ask("m-guarded").status == 200
    assert not re.search(r"Traceback|Unhandled|never retrieved", house.log.read_text())


def _send(house: House, cases: list[malformed.Case]) -> Counter[int]:
    """All of them over a few connections; how often each status came."""
    counted: Counter[int] = Counter()
    wrong: list[str] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
        for case in islice(cases, number, None, CLIENTS):
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": case.content_type}
            try:
                connection.request("POST", case.path, case.body, headers)
                answer = connection.getresponse()
                status, said = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                wrong.append(f"{error!r} for {case}"[:1500])
                continue
            counted[status] += 1
            if status not in STATUSES or (status >= 400 and not _ours(said)):
                wrong.append(f"{status} {said[:500]!r} for {case}"[:1500])
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} answers, for example:\n" + "\n".join(wrong[:5])
    return counted


def _ours(said: bytes) -> bool:
    told = json.loads(said)
    return bool(told["error_code"] and told["message"]) and not {"detail", "error"} & set(told)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
