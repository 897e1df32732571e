"""Presidio behind the seam of the recognisers. An engine stands in for its own, which is not installed where this runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from headgate.errors import InvalidParameterValue
from headgate.guardrails import configured
from headgate.guardrails.pii import presidio
from headgate.guardrails.pii.findings import masked
from headgate.guardrails.pii.presidio import Presidio
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.settings import GuardrailSettings


@dataclass
class Result:
    start: int
    end: int
    entity_type: str


class Engine:
    """Finds Ada, and an address in another way than we do."""

    def analyze(self, text: str, language: str, score_threshold: float) -> list[Any]:
        assert (language, score_threshold) == ("en", 0.5)
        names = [Result(at, at + 3, "PERSON") for at in range(len(text)) if text.startswith("Ada", at)]
        return [*names, *(Result(at, at + 7, "URL") for at in range(len(text)) if text.startswith("example", at))]


def test_presidio_adds_to_what_is_built_in() -> None:
    text = "Ask Ada at ada@example.com"
    assert masked(text, Presidio(BuiltIn(), Engine()).find(text)) == "Ask <PERSON> at <EMAIL_ADDRESS>"


def test_without_presidio_the_settings_are_refused_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presidio, "find_spec", lambda name: None)
    wanted = GuardrailSettings(pii_engine="presidio")
    assert "headgate[presidio]" in (configured.refusal(wanted) or "")
    with pytest.raises(InvalidParameterValue, match="built_in"):
        configured.finder(wanted)
