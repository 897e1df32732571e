"""Keys of vendors: opened ahead, again when a secret changes, kept while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.gateway.vendors.parts import HandClock, endpoint, entity, model, table

from headgate import errors
from headgate.access.secrets import SecretUnavailable
from headgate.domain.external_model import ExternalModel
from headgate.gateway.vendors.fleet import KEPT_S, Fleet
from headgate.gateway.vendors.keys import Keys, KeySource
from headgate.language_settings import ProviderSettings
from headgate.telemetry.counting import Metrics

REFERENCE = {"openai_api_key": "{{secrets/ours/openai}}"}
FIRST = entity("first", external=model("first", fields={}, references=REFERENCE))
SEALED = entity("sealed", external=model("sealed", fields={}, sealed={"openai_api_key": "…"}))


class Store:
    """Where keys come from, until it is away."""

    def __init__(self) -> None:
        self.secret = "sk-1"
        self.revision = 1
        self.away = False
        self.problem: Exception | None = None
        self.opened: list[str] = []

    def read_revision(self) -> int:
        if self.away:
            raise OSError("the database is away")
        return self.revision

    def open_target(self, asked: ExternalModel) -> Mapping[str, str]:
        self.opened.append(asked.name)
        if self.away:
            raise OSError("could not connect with password hunter2")
        if self.problem is not None:
            raise self.problem
        return {**asked.fields, "openai_api_key": self.secret}


class House:
    def __init__(self, folder: Path) -> None:
        self.store, self.clock = Store(), HandClock()
        counted = Metrics(folder, "server-0")
        self.fleet = Fleet(ProviderSettings(), self.clock, counted)
        self.keys = Keys(
            KeySource(self.store.open_target, self.store.read_revision), self.fleet.all, self.clock, counted
        )
        self.fleet.update(table(endpoint(FIRST, SEALED)))

    def key(self) -> str:
        opened = self.fleet.of(FIRST).opened
        return "" if opened is None else opened.config["openai_api_key"]


def test_keys_are_opened_once_and_again_only_for_references_when_a_secret_changes(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        assert house.fleet.ready(FIRST), "in a moment"
        for _ in range(3):
            await house.keys.look()
        assert house.store.opened == ["first", "sealed"] and house.fleet.ready(FIRST)
        house.store.secret, house.store.revision = "sk-2", 2
        await house.keys.look()
        assert house.store.opened == ["first", "sealed", "first"] and house.key() == "sk-2"

    asyncio.run(main())


def test_the_last_keys_stay_in_use_while_the_store_is_away_and_a_change_is_not_missed(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.keys.look()
        house.store.revision, house.store.secret = 2, "sk-2"
        house.store.away = True
        await house.keys.look()
        assert house.key() == "sk-1"
        house.store.away = False
        house.store.problem = OSError("away between two questions")
        await house.keys.look()
        assert house.key() == "sk-1"
        house.store.problem = None
        await house.keys.look()
        assert house.key() == "sk-2"

    asyncio.run(main())


def test_what_is_the_same_stays_the_same_object(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.keys.look()
        before = house.fleet.of(FIRST).opened
        house.store.revision = 2
        await house.keys.look()
        assert house.fleet.of(FIRST).opened is before

    asyncio.run(main())


@pytest.mark.parametrize(
    ("problem", "status", "named"),
    [
        (SecretUnavailable("secret ours/openai is not there"), 400, "ours/openai"),
        (errors.InvalidParameterValue("openai_config.openai_api_key is missing."), 400, "openai_api_key"),
        (OSError("could not connect with password hunter2"), 503, "first"),
    ],
)
def test_requests_are_told_why_there_are_no_keys(
    tmp_path: Path, problem: Exception, status: int, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        house = House(tmp_path)
        house.store.problem = problem
        await house.keys.look()
        with pytest.raises(errors.HeadgateError) as refusal:
            await house.fleet.of(FIRST).keys()
        assert refusal.value.http_status == status and named in refusal.value.message
        assert "hunter2" not in refusal.value.message + caplog.text
        house.store.problem = None
        await house.keys.look()
        assert house.key() == "sk-1", "tried again without a hint"

    asyncio.run(main())


def test_a_secret_that_was_taken_away_is_not_used_any_more(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.keys.look()
        house.store.problem, house.store.revision = SecretUnavailable("secret ours/openai is not there"), 2
        await house.keys.look()
        assert house.key() == "" and not house.fleet.ready(FIRST) and house.fleet.ready(SEALED)

    asyncio.run(main())


def test_a_request_waits_for_keys_that_are_being_opened(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        waiting = asyncio.create_task(house.fleet.of(FIRST).keys())
        await asyncio.sleep(0)
        assert not waiting.done()
        following = asyncio.create_task(house.keys.run())
        assert (await asyncio.wait_for(waiting, 30)).config["openai_api_key"] == "sk-1"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(main())


def test_what_has_left_the_table_is_kept_for_a_while_and_comes_back_as_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.keys.look()
        before = house.fleet.of(FIRST)
        house.fleet.update(table(endpoint(SEALED)))
        assert house.fleet.of(FIRST) is before and not house.fleet.ready(FIRST)
        assert house.fleet.update(table(endpoint(FIRST, SEALED))) and house.fleet.of(FIRST) is before
        house.fleet.update(table(endpoint(SEALED)))
        house.clock.s += KEPT_S
        house.fleet.update(table(endpoint(SEALED)))
        with pytest.raises(errors.TemporarilyUnavailable):
            house.fleet.of(FIRST)

    asyncio.run(main())


def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.keys.look()
        vendor = house.fleet.of(FIRST)
        assert "sk-1" not in repr(vendor) + repr(vendor.opened) + repr(
            vendor.__dict__ if hasattr(vendor, "__dict__") else ""
        )

    asyncio.run(main())
