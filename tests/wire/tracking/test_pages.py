"""MLflow's pages behind our host, and who gets to see them."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

import pytest
from tests.scenario.house import House

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
    assert (status, headers["location"]) == (302, "/login?next=%2Fmlflow%2F")
    for path in ("/mlflow/", "/mlflow/ajax-api/2.0/mlflow/experiments/get?experiment_id=0", "/version"):
        assert tracked.request("GET", path, token=None).status == 401
    assert tracked.request("POST", "/v1/traces", b"", token="stranger").status == 401


def test_the_links_that_clients_print_lead_to_the_pages(tracked: House) -> None:
    assert without_redirects(tracked, "/ml/experiments/7/runs/abc")[1]["location"] == "/mlflow/#/experiments/7/runs/abc"
    assert without_redirects(tracked, "/")[1]["location"] == "/mlflow/"
    assert without_redirects(tracked, "/mlflow", authorization="Bearer scenario-token")[1]["location"] == "/mlflow/"


def without_redirects(house: House, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    request = urllib.request.Request(house.url + path, headers=headers)
    try:
        with urllib.request.build_opener(Stay()).open(request, timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}
