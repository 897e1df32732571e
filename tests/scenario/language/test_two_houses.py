"""Two houses, as on two machines, on one PostgreSQL: what is changed at one is in force at both, limits are one, and one of them may die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from tests.fakes import severed
from tests.fakes.vendor.process import VendorProcess
from tests.scenario.house import House, until
from tests.scenario.language_house import HELLO, LANGUAGE, LanguageHouse
from tests.scenario.load import SteadyLoad
from tests.scenario.test_rate_limits import PATIENT, Load

pytestmark = pytest.mark.scenario
WORKERS = 2
KEY = "ab" * 32
LIMIT = 60
REGISTRY = "/api/2.0/mlflow/unity-catalog"


@dataclass(frozen=True)
class Pair:
    """Two houses in front of one vendor, and their database."""

    a: LanguageHouse
    b: LanguageHouse
    database: sa.Engine

    def servers(self) -> set[str]:
        """Names of the rows of server processes."""
        with self.database.connect() as connection:
            return set(connection.execute(sa.text("SELECT server_id FROM servers")).scalars())

    def limit(self, name: str, **limit: int) -> None:
        """Set at the first house."""
        self.a.put_ai_gateway(name, rate_limits=[{**limit, "key": "endpoint", "renewal_period": "minute"}])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with severed.database() as (url, _), VendorProcess() as vendor:
        settings = {**LANGUAGE, **PATIENT, "HEADGATE_WORKERS": str(WORKERS), "HEADGATE_WAREHOUSE_COMMIT_S": "0.5"}
        settings |= {"HEADGATE_DATABASE_URL": url, "HEADGATE_SECRET_KEY": KEY}
        folder, engine = tmp_path_factory.mktemp("two"), sa.create_engine(url)
        with House(folder / "a", **settings) as a, House(folder / "b", **settings) as b:
            yield Pair(LanguageHouse(a, vendor), LanguageHouse(b, vendor), engine)
            engine.dispose()


def test_every_server_of_both_has_a_row_and_what_one_is_told_is_in_force_at_both(pair: Pair) -> None:
    until(lambda: len(pair.servers()) == 2 * WORKERS, "each server process has told of itself")
    pair.a.external_endpoint("now")
    assert {pair.b.ask("now").status for _ in range(8)} == {200}
    for _ in range(2):
        pair.limit("now", calls=0)
        assert set(Load(pair.b.house, "now").run(1).statuses) == {429}
        pair.b.put_ai_gateway("now")
        assert set(Load(pair.a.house, "now").run(1).statuses) == {200}


def test_a_secret_of_one_house_is_opened_by_the_other(pair: Pair) -> None:
    for path, body in (
        ("scopes/create", {"scope": "vendors"}),
        ("put", {"scope": "vendors", "key": "key", "string_value": "sk-of-a"}),
    ):
        assert pair.a.house.request("POST", f"/api/2.0/secrets/{path}", body).status == 200
    pair.a.external_endpoint("secret", openai_api_key="{{secrets/vendors/key}}", openai_api_key_plaintext=None)
    assert pair.b.ask("secret").status == 200
    assert pair.b.vendor.did("secret")["heard"][-1]["headers"]["authorization"] == "Bearer sk-of-a"


def test_each_house_keeps_the_requests_it_answered(pair: Pair) -> None:
    pair.a.external_endpoint("kept")
    table = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "kept"}
    pair.a.put_ai_gateway("kept", inference_table_config=table)
    for there, count in ((pair.a, 3), (pair.b, 5)):
        asked = {there.ask("kept").headers["x-databricks-request-id"] for _ in range(count)}
        until(lambda of=there.house.data_dir, ids=asked: _kept(of) == ids, "its table has them, and no others")


def test_one_house_dies_under_load_and_the_other_goes_on_within_the_limit(pair: Pair) -> None:
    pair.a.external_endpoint("steady")
    pair.a.external_endpoint("limited")
    pair.limit("limited", calls=LIMIT)
    loads = [Load(there.house, "limited") for there in (pair.a, pair.b)]
    with SteadyLoad(pair.b.house.port, "steady", HELLO, pause_s=0.01) as steady:
        running = [threading.Thread(target=load.run, args=(10,)) for load in loads]
        for thread in running:
            thread.start()
        until(lambda: all(load.let_in for load in loads), "both have let some in")
        pair.a.house.kill_everything()
        for thread in running:
            thread.join(120)
        steady.more(50)
        # The control of the house that is left takes over.
        pair.b.external_endpoint("after")
        assert pair.b.ask("after").status == 200
        steady.more(50)
        assert steady.failures == [] and steady.cut == 0 and steady.refused == 0, steady
    together = Load(pair.b.house, "limited")
    together.let_in = sorted((one for load in loads for one in load.let_in), key=lambda one: one.sent_s)
    assert together.most_in_a_minute() <= LIMIT
    pair.a.house.start()
    until(lambda: len(pair.servers()) == 2 * WORKERS, "nobody is counted twice")
    assert {pair.a.ask("after").status for _ in range(4)} == {200}


def test_a_house_without_the_files_says_where_they_are_and_what_to_do(pair: Pair) -> None:
    model = {"name": "main.default.local"}
    assert pair.b.house.request("POST", f"{REGISTRY}/registered-models/create", model).status == 200
    refused = pair.b.house.request("POST", f"{REGISTRY}/model-versions/create", model)
    assert refused.status == 503 and "set storage.url" in refused.json["message"], refused
    assert str(pair.a.house.data_dir) in refused.json["message"]


def _kept(data_dir: Path) -> set[str]:
    try:
        table = DeltaTable(str(data_dir / "tables" / "main" / "default" / "kept_payload"))
    except TableNotFoundError:
        return set()
    return set(table.to_pyarrow_table(columns=["databricks_request_id"]).column(0).to_pylist())
