"""The house itself: first start, second start, lock, SIGTERM, health, metrics, what it prints."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.scenario.house import House, clean_environment, content, entity, files, until

pytestmark = pytest.mark.scenario
BEHAVE = "/serving-endpoints/leaving/invocations"


def test_a_first_start_shows_a_token_once_and_a_second_one_does_not(tmp_path: Path) -> None:
    def start() -> tuple[str, int]:
        house = House(tmp_path / "data")
        environment = clean_environment(HEADGATE_PORT=str(house.port))
        command = [sys.executable, "-m", "headgate.cli.main", "serve", "--data-dir", str(house.data_dir)]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "DATABRICKS_TOKEN" in line:
                break
        process.terminate()
        lines += process.stdout.readlines()
        process.stdout.close()
        return "".join(lines), process.wait(60)

    first, code = start()
    token = (tmp_path / "data" / "admin-token").read_text().strip()
    assert code == 0
    assert f"export DATABRICKS_TOKEN={token}" in first and "export DATABRICKS_HOST=http://127.0.0.1:" in first
    second, code = start()
    assert code == 0
    assert token not in second and "admin-token" in second


def test_a_second_house_on_the_same_data_says_so_and_leaves(house: House) -> None:
    environment = clean_environment(HEADGATE_PORT="0")
    command = [sys.executable, "-m", "headgate.cli.main", "serve", "--data-dir", str(house.data_dir)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another Headgate" in done.stderr and str(house.data_dir) in done.stderr
    assert house.healthy()


def test_a_database_that_cannot_be_used_is_said_and_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "headgate.db").write_text("this is no database")
    environment = clean_environment(HEADGATE_PORT="0")
    command = [sys.executable, "-m", "headgate.cli.main", "serve", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "file is not a database" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("the database could not be prepared; the reason is above")


def test_sigterm_lets_running_requests_finish(house: House, tmp_path: Path) -> None:
    house.create("leaving", entity("behaving"))
    under_way = tmp_path / "under-way"
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(house.request, "POST", BEHAVE, {"dataframe_records": [{"do": f"wait {under_way}"}]})
        until(lambda: in_flight(house) >= 1, "it is told to be in flight")
        until(under_way.exists, "it runs")
        stopping = pool.submit(house.stop)
        until(lambda: not house.healthy(), "nobody is let in any more")
        under_way.unlink()
        assert stopping.result() == 0
        answer = running.result()
    assert (answer.status, answer.json) == (200, {"predictions": ["done"]})
    assert not house.healthy()
    house.start()
    assert house.request("POST", BEHAVE, {"dataframe_records": [{"do": "x"}]}).status == 200
    house.delete("leaving")


def metrics(house: House) -> str:
    return house.request("GET", "/metrics").body.decode()


def in_flight(house: House) -> float:
    lines = [line for line in metrics(house).splitlines() if line.startswith("headgate_requests_in_flight{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'endpoint="leaving"' in line)


def test_metrics_count_requests_per_entity_over_all_servers(house: House) -> None:
    house.create("counted", entity("churn"))
    body = {"dataframe_records": [{"a": 1.0, "b": 1.0, "c": 1.0}]}
    for _ in range(20):
        house.predict("counted", body)
    exported = house.request("GET", "/api/2.0/serving-endpoints/counted/metrics")
    assert exported.headers["content-type"].startswith("text/plain")
    for name in ("cpu_usage_percentage", "mem_usage_percentage", "provisioned_concurrent_requests_total", "request_count_total",
                 "request_4xx_count_total", "request_5xx_count_total", "request_latency_ms_bucket", "model_queue_time_ms_bucket"):  # fmt: skip
        until(
            lambda name=name: name in house.request("GET", "/api/2.0/serving-endpoints/counted/metrics").body.decode(),
            name,
        )
    # What the other server counted is a second old where `/metrics` is answered.
    until(lambda: 'endpoint="counted",served_entity="churn-1"' in metrics(house), "Prometheus is told, too")
    counted = 'request_count_total{endpoint="counted",served_model_name="churn-1"} 20.0'
    until(lambda: counted in house.request("GET", "/api/2.0/serving-endpoints/counted/metrics").body.decode(), counted)
    house.delete("counted")


def test_no_token_is_written_anywhere(house: House) -> None:
    """What the system wrote, apart from the owner's own file, holds no token."""
    from tests.scenario.house import TOKEN

    from headgate import settings

    run_dir = settings.load({"data_dir": house.data_dir}, environ={}).sockets
    for place in files(house.log, *house.data_dir.glob("*.db*"), house.data_dir / "logs", run_dir):
        assert TOKEN.encode() not in content(place), place
