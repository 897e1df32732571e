"""SCIM filters, as clients write them."""

from __future__ import annotations

import pytest

from headgate import errors
from headgate.api.identity import filters

CLEO = {
    "id": "11",
    "userName": "Cleo@example.com",
    "displayName": 'Cleo "K" (she)',
    "active": True,
    "name": {"givenName": "Cleo"},
    "emails": [{"value": "cleo@example.com", "primary": True}],
    "groups": [{"value": "20", "display": "team"}, {"value": "3", "display": "users"}],
    "externalId": "",
}


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "Cleo@example.com"',
        "userName eq 'cleo@EXAMPLE.com'",
        'username EQ "cleo@example.com"',
        'displayName eq "Cleo \\"K\\" (she)"',
        'displayName co "k"',
        'userName sw "cleo@"',
        'userName ew ".com"',
        'userName ne "max"',
        "active eq true",
        'active eq "true"',
        "id eq 11",
        "id pr",
        'emails.value eq "cleo@example.com"',
        'emails co "@example"',
        'emails.primary eq "true"',
        'groups.display eq "users"',
        'groups eq "20"',
        'name.givenName eq "Cleo"',
        'userName eq "max" or userName sw "cleo"',
        'userName sw "cleo" and active eq true or id eq 99',
        'id eq 99 and id eq 11 or userName sw "cleo"',
        'userName sw "cleo" and (id eq 99 or id eq 11)',
        "not (active eq false)",
        "not id eq 99",
        "(((id eq 11)))",
    ],
)
def test_what_matches(text: str) -> None:
    assert filters.parse(text)(CLEO)


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "cleo"',
        'nickName eq "cleo"',
        'nickName ne ""  and id eq 99',
        'groups ne "20"',
        "active eq false",
        "externalId pr",
        "nickName pr",
        'userName eq "max" or userName sw "max"',
        "id eq 11 and id eq 99",
        "not (active eq true)",
        'userName.given eq "cleo"',
        'userName eq "and"',
    ],
)
def test_what_does_not_match(text: str) -> None:
    assert not filters.parse(text)(CLEO)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an attribute is missing"),
        ("userName", "an operator is missing"),
        ("userName eq", "a value is missing"),
        ("userName is x", "is is no operator"),
        ('userName eq "x', "a quotation mark is not closed"),
        ('userName eq "x" userName eq "y"', "what comes from 'userName' on"),
        ("(id eq 1", "a parenthesis is not closed"),
        ("id eq (", "a value was expected"),
        ('"id" eq 1', "an attribute was expected"),
        ("(" * 50 + "id eq 1" + ")" * 50, "nested too deeply"),
        ("not " * 50 + "id eq 1", "nested too deeply"),
        ("x" * 5000, "has 5000"),
    ],
)
def test_what_cannot_be_understood_is_said(text: str, why: str) -> None:
    with pytest.raises(errors.InvalidParameterValue) as refused:
        filters.parse(text)
    assert why in refused.value.message
