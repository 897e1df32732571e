"""References to secrets are found wherever they stand, and what only looks like one is refused."""

from __future__ import annotations

import pytest

from headgate.domain import secret_references
from headgate.domain.secret_references import SecretReference
from headgate.errors import InvalidParameterValue

A, B = SecretReference("s", "a"), SecretReference("team@x.y", "b-1_2.c")


def test_references_are_found_in_order_and_once() -> None:
    text = "postgres://{{secrets/s/a}}:{{ secrets/team@x.y/b-1_2.c }}@host/{{secrets/s/a}}"
    assert secret_references.within(text) == [A, B]
    assert (
        secret_references.within("nothing {{here}} and {secrets/s/a}, {{secrets}}, {{secrets.a}}, {{ my_secrets/s/a }}")
        == []
    )


def test_text_around_references_stays() -> None:
    values = {A: "{{secrets/s/z}}", B: r"\1 $x"}
    text = "<{{secrets/s/a}}|{{secrets/team@x.y/b-1_2.c}}>"
    assert secret_references.resolved(text, values.__getitem__) == r"<{{secrets/s/z}}|\1 $x>"


@pytest.mark.parametrize(
    "text",
    ["{{secrets/s}}", "{{secrets//a}}", "{{secrets/s/a/b}}", "{{secrets/s/a b}}", "{{secrets/s/a",
     "x{{secrets/s/a}}{{ secrets / s / a }}", "{{secrets/s/" + "k" * 129 + "}}", "{{secrets/s@/a@}}"],
)  # fmt: skip
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterValue, match="is not a reference to a secret"):
        secret_references.within({"deep": [text]})


def test_nested_configs_are_resolved_and_left_as_they_were() -> None:
    config = {
        "name": "gpt",
        "openai_config": {"openai_api_key": "{{secrets/s/a}}", "timeout": 3, "nothing": None, "on": True},
        "headers": [{"Authorization": "Bearer {{secrets/s/a}}"}, "plain"],
        "{{secrets/s/a}}": "keys are names",
    }
    before = repr(config)
    assert secret_references.within(config) == [A]
    assert secret_references.resolved(config, lambda reference: f"value of {reference.key}") == {
        "name": "gpt",
        "openai_config": {"openai_api_key": "value of a", "timeout": 3, "nothing": None, "on": True},
        "headers": [{"Authorization": "Bearer value of a"}, "plain"],
        "{{secrets/s/a}}": "keys are names",
    }
    assert repr(config) == before


def test_what_cannot_be_opened_is_passed_on() -> None:
    def refuse(reference: SecretReference) -> str:
        raise KeyError(reference)

    with pytest.raises(KeyError):
        secret_references.resolved(["{{secrets/s/a}}"], refuse)
