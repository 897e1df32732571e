"""Who comes from the login provider is one user, in the groups that their claim says and those that were given here."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.access.oauth.conftest import HandClock

from headgate.access.directory import DirectorySource, Follower
from headgate.access.oauth.people import People
from headgate.access.oauth.provider import LoginFailed
from headgate.domain.identity import ADMINISTRATOR_ID, ADMINS_ID, Group, User
from headgate.settings import LoginSettings
from headgate.store.database import Database
from headgate.store.identities import Identities
from headgate.store.oauth.logins import Logins

ADA = {"sub": "1", "email": "ada@headgate.test", "groups": ["devs"]}


class House:
    """Identities with two groups, and people of one provider."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.identities = Identities(database)
        self.identities.ensure_built_in("root@headgate.test")
        for number, name in ((10, "devs"), (11, "ops"), (12, "cn=x")):
            self.identities.add(Group(str(number), name))
        self.follower = Follower(DirectorySource(self.identities.revision, self.identities.read))
        given = {"issuer": "https://login.test", "groups_claim": "groups", **settings}
        self.logins = Logins(database)
        self.people = People(LoginSettings(**given), self.identities, self.logins, self.follower.refresh)

    def groups(self, user_id: str) -> set[str]:
        return {group.display_name for group in self.follower.refresh().groups if user_id in group.members}

    def user(self, user_id: str) -> User:
        found = self.follower.refresh().by_id(user_id)
        assert isinstance(found, User)
        return found


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def test_a_user_is_made_once(house: House) -> None:
    claims = {**ADA, "name": "Ada L", "given_name": "Ada", "family_name": "L\x00"}
    user_id = house.people.admit(claims)
    assert house.user(user_id) == User(user_id, "ada@headgate.test", "Ada L", "Ada", "")
    assert house.people.admit(claims) == user_id and house.groups(user_id) == {"devs"}


def test_somebody_made_before_is_found_by_name_at_first_and_by_account_later(house: House) -> None:
    house.identities.add(User("500", "Ada@Headgate.test"), ["11"])
    assert house.people.admit(ADA) == "500" and house.groups("500") == {"devs", "ops"}
    assert house.people.admit({**ADA, "email": "other@headgate.test", "groups": []}) == "500"
    assert house.groups("500") == {"ops"}
    with pytest.raises(LoginFailed, match="another account"):
        house.people.admit({**ADA, "sub": "2"})


def test_a_group_had_before_is_not_taken_away_by_a_login(house: House) -> None:
    house.identities.add(User("500", "ada@headgate.test"), ["10"])
    house.people.admit(ADA)
    house.people.admit({**ADA, "groups": []})
    assert house.groups("500") == {"devs"}


def test_groups_of_other_names_are_mapped_and_unknown_ones_passed_over(database: Database) -> None:
    house = House(
        database, group_mapping="engineering=devs, cn=a,cn=y=cn=x, theirs=nobody", admin_groups="bosses, chiefs"
    )
    user_id = house.people.admit({**ADA, "groups": ["engineering", "ops", "cn=y=cn", "theirs", 7, None]})
    assert house.groups(user_id) == {"devs"}
    assert house.people.admit({**ADA, "groups": "chiefs"}) == user_id
    assert house.groups(user_id) == {"admins"}
    assert house.people.admit({**ADA, "groups": {"x": 1}}) == user_id
    assert house.groups(user_id) == set()


def test_a_groups_name_never_makes_an_administrator(house: House) -> None:
    user_id = house.people.admit({**ADA, "groups": ["admins", "Admins", "users", "2", "3"]})
    assert house.groups(user_id) == set()


def test_the_first_administrator_stays_one(database: Database) -> None:
    house = House(database, admin_groups="bosses")
    root = {"sub": "r", "email": "root@headgate.test", "groups": ["bosses"]}
    for groups in (["bosses"], []):
        assert house.people.admit({**root, "groups": groups}) == ADMINISTRATOR_ID
        assert house.groups(ADMINISTRATOR_ID) == {"admins"}


def test_without_a_claim_groups_are_left_alone(database: Database) -> None:
    house = House(database, groups_claim="")
    assert house.people.wanted == {"email"}
    assert house.groups(house.people.admit(ADA)) == set()


def test_strangers_stay_out_where_users_are_not_made(database: Database) -> None:
    house = House(database, create_users=False)
    with pytest.raises(LoginFailed, match="Ask an administrator"):
        house.people.admit(ADA)
    house.identities.add(User("500", "ada@headgate.test"))
    assert house.people.admit(ADA) == "500"


def test_a_process_that_dies_while_groups_change_leaves_none_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = house.people.admit({**ADA, "groups": []})
    change, kept = house.identities.change, house.logins.keep_account
    for dies_at in ("change", "keep_account"):
        with monkeypatch.context() as patched:
            if dies_at == "change":
                patched.setattr(house.identities, "change", _dies)
            else:
                calls = iter([kept])
                patched.setattr(house.logins, "keep_account", lambda account, calls=calls: next(calls, _dies)(account))
            with pytest.raises(SystemExit):
                house.people.admit({**ADA, "groups": ["devs"]})
        assert house.identities.change == change
        house.people.admit({**ADA, "groups": []})
        assert house.groups(user_id) == set(), dies_at


def _dies(*_: Any, **__: Any) -> Any:
    raise SystemExit


def test_whoever_was_deleted_comes_back_as_somebody_new(house: House, clock: HandClock) -> None:
    first = house.people.admit({**ADA, "groups": []})
    house.identities.change(User, first, lambda one, groups: (one, groups | {ADMINS_ID}))
    house.identities.remove(User, first)
    second = house.people.admit({**ADA, "groups": []})
    assert second != first and house.groups(second) == set()
