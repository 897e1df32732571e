"""The REST door answers refused credentials later and later, and a good one at once."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.fakes.callers import SCIM

from headgate import errors
from headgate.access.attempts import HOLD_S, MOST_HELD, Attempts

ME = f"{SCIM}/Me"


class Naps:
    """What was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_guesses_wait_and_a_good_token_of_the_same_address_does_not(tmp_path: Path) -> None:
    naps = Naps()
    house = ApiHouse(tmp_path, attempts=Attempts(free=2, sleep=naps.sleep))
    for number in range(2 + MOST_HELD):
        assert house.request("GET", ME, token=f"guess{number}").error[:2] == (401, "UNAUTHENTICATED")
    assert naps.slept == [HOLD_S] * MOST_HELD
    turned_away = house.request("GET", ME, token="one more")
    assert turned_away.error[:2] == (429, "REQUEST_LIMIT_EXCEEDED") and turned_away.headers["retry-after"] == "2"
    for token, status in ((TOKEN, 200), ("", 401)):
        assert house.request("GET", ME, token=token).status == status
    assert len(naps.slept) == MOST_HELD
    house.close()


def test_routes_that_authenticate_by_themselves_are_no_way_around_it(tmp_path: Path) -> None:
    own = APIRouter()

    @own.get("/own/{secret}")
    async def look(secret: str) -> None:
        raise errors.Unauthenticated("No.")

    naps = Naps()
    attempts = Attempts(free=1, sleep=naps.sleep)
    house = ApiHouse(tmp_path, attempts=attempts, open_families=[own])
    for _ in range(1 + MOST_HELD):
        assert house.request("GET", "/own/x", token="guess").status == 401
    assert naps.slept == [HOLD_S] * MOST_HELD
    assert house.request("GET", "/own/x", token="guess").error[:2] == (429, "REQUEST_LIMIT_EXCEEDED")
    house.close()
