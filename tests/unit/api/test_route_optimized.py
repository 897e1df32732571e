"""An endpoint that is route optimized says where it is queried and what to ask a token for; that never changes."""

from __future__ import annotations

import json

from tests.fakes.api_house import WORKSPACE_ID, ApiHouse

from headgate.access.oauth import authorization_details
from headgate.store import routing


def test_it_tells_its_own_address_and_what_to_ask_for(api: ApiHouse) -> None:
    made = api.create("told", route_optimized=True)
    assert made.status == 200
    for body in (made.body, api.get("told").body):
        url = f"http://headgate.test/{WORKSPACE_ID}/serving-endpoints/told/invocations"
        details = body["data_plane_info"]["query_info"]["authorization_details"]
        assert body["route_optimized"] is True and body["endpoint_url"] == url
        assert body["data_plane_info"] == {"query_info": {"endpoint_url": url, "authorization_details": details}}
        assert authorization_details.read(details).endpoint_id == body["id"]
        assert json.loads(details)[0]["actions"] == ["query_inference_endpoint"]


def test_any_other_endpoint_has_neither(api: ApiHouse) -> None:
    for wish in ({}, {"route_optimized": False}):
        name = f"plain{len(wish)}"
        for body in (api.create(name, **wish).body, api.get(name).body):
            assert body["route_optimized"] is False and not {"endpoint_url", "data_plane_info"} & body.keys()


def test_nothing_that_is_sent_later_changes_it(api: ApiHouse) -> None:
    api.create("kept", route_optimized=True)
    api.activate("kept")
    config = {
        "served_entities": [{"entity_name": "main.default.churn", "entity_version": "2"}],
        "route_optimized": False,
    }
    assert api.request("PUT", "/api/2.0/serving-endpoints/kept/config", config).body["route_optimized"] is True
    assert api.get("kept").body["route_optimized"] is True
    for listed in api.request("GET", "/api/2.0/serving-endpoints").body["endpoints"]:
        assert not {"route_optimized", "endpoint_url", "data_plane_info"} & listed.keys()


def test_the_routing_table_knows_it(api: ApiHouse) -> None:
    api.create("routed", route_optimized=True)
    api.create("plain")
    found = routing.read(api.database).endpoints
    assert (found["routed"].route_optimized, found["plain"].route_optimized) == (True, False)
