"""MLflow's pages behind our host, and who gets to see them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from tests.scenario.house import TOKEN, House

pytestmark = pytest.mark.wire


def test_the_page_and_its_parts_load_below_our_host(tracked: House) -> None:
    page = tracked.request("GET", "/mlflow/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    scripts = re.findall(rb'src="(static-files/[^"]+)"', page.body)
    assert scripts
    script = tracked.request("GET", f"/mlflow/{scripts[0].decode()}")
    assert script.status == 200 and len(script.body) == int(script.headers["content-length"]) > 100_000


def test_the_pages_data_come_from_the_same_runs(tracked: House) -> None:
    made = tracked.request("POST", "/api/2.0/mlflow/experiments/create", {"name": "shown"}).json["experiment_id"]
    run = tracked.request(
        "POST", "/mlflow/ajax-api/2.0/mlflow/runs/create", {"experiment_id": made, "start_time": 1}
    ).json
    info = run["run"]["info"]
    assert info["user_id"] == "admin"
    path = f"/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts/{made}/Runs/{info['run_id']}/artifacts/a/note.txt"
    assert tracked.request("PUT", path, b"shown").status == 204
    listed = tracked.request("GET", f"/mlflow/ajax-api/2.0/mlflow/artifacts/list?run_id={info['run_id']}&path=a").json
    assert listed["files"] == [{"path": "a/note.txt", "is_dir": False, "file_size": 5}]
    assert tracked.request("GET", f"/mlflow/get-artifact?run_uuid={info['run_id']}&path=a/note.txt").body == b"shown"
    query = {"query": f'query {{mlflowGetExperiment(input: {{experimentId: "{made}"}}) {{experiment {{name}}}}}}'}
    told = tracked.request("POST", "/mlflow/graphql", query).json
    assert told["data"]["mlflowGetExperiment"]["experiment"]["name"] == "shown"


@pytest.mark.parametrize(
    "path",
    [
        "/mlflow/ajax-api/3.0/mlflow/gateway/secrets/config",
        "/mlflow/ajax-api/3.0/mlflow/jobs/1",
        "/api/3.0/mlflow/gateway/endpoints/list",
        "/api/2.0/mlflow/webhooks",
        "/api/3.0/mlflow/workspaces",
        "/api/4.0/mlflow/traces/search-long-running",
        "/mlflow/static-files/../ajax-api/3.0/mlflow/workspaces",
        "/mlflow/static-files/%2e%2e/%2e%2e/handlers.py",
    ],
)
def test_what_is_not_tracking_is_not_there(tracked: House, path: str) -> None:
    answer = tracked.request("GET", path)
    assert (answer.status, answer.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_person_who_is_not_logged_in_is_sent_to_log_in_and_a_program_is_refused(tracked: House) -> None:
    status, headers = without_redirects(tracked, "/mlflow/", accept="text/html")
    assert (status, headers["location"]) == (302, "/login?return_to=%2Fmlflow%2F")
    for path in ("/mlflow/", "/mlflow/ajax-api/2.0/mlflow/experiments/get?experiment_id=0", "/version"):
        assert tracked.request("GET", path, token=None).status == 401
    assert tracked.request("POST", "/v1/traces", b"", token="stranger").status == 401


def test_whoever_is_logged_in_sees_the_pages_and_changes_things_from_our_own_only(tracked: House) -> None:
    form = urllib.parse.urlencode({"token": TOKEN, "return_to": "/mlflow/"}).encode()
    typed = {"content_type": "application/x-www-form-urlencoded", "origin": tracked.url}
    status, headers = without_redirects(tracked, "/login", form, **typed)
    assert (status, headers["location"]) == (303, "/mlflow/")
    cookie = headers["set-cookie"].split(";")[0]
    assert without_redirects(tracked, "/mlflow/", cookie=cookie, accept="text/html")[0] == 200
    path = "/mlflow/ajax-api/2.0/mlflow/experiments/create"

    def create(name: str, **more: str) -> int:
        body = json.dumps({"name": name}).encode()
        return without_redirects(tracked, path, body, cookie=cookie, content_type="application/json", **more)[0]

    assert create("from our page", origin=tracked.url) == 200
    assert create("from elsewhere", origin="https://evil.example") == 403
    assert create("from nowhere") == 403


def test_what_is_deleted_on_a_page_is_in_the_audit_log(tracked: House) -> None:
    made = tracked.request("POST", "/api/2.0/mlflow/experiments/create", {"name": "doomed"}).json["experiment_id"]
    for path in ("/mlflow/ajax-api/2.0/mlflow/experiments/delete", "/api/2.0/mlflow/experiments/restore"):
        assert tracked.request("POST", path, {"experiment_id": made}).status == 200
        events = tracked.request("GET", "/api/2.0/audit/events?max_results=50").json["events"]
        (event,) = [event for event in events if event["path"] == path]
        assert (event["user_identity"]["user_name"], event["outcome"]) == ("admin", "DONE")


def test_the_links_that_clients_print_lead_to_the_pages(tracked: House) -> None:
    assert without_redirects(tracked, "/ml/experiments/7/runs/abc")[1]["location"] == "/mlflow/#/experiments/7/runs/abc"
    assert without_redirects(tracked, "/", accept="text/html,*/*")[1]["location"] == "/mlflow/"
    assert without_redirects(tracked, "/")[0] == 404
    assert without_redirects(tracked, "/mlflow", authorization=f"Bearer {TOKEN}")[1]["location"] == "/mlflow/"


def without_redirects(house: House, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str]]:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(house.url + path, body, headers=named)
    try:
        with urllib.request.build_opener(Stay()).open(request, timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}
