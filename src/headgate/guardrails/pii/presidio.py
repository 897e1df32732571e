"""Microsoft's Presidio behind the same seam, for names, places and what else only a language model finds. Needs the extra `presidio`.

It takes milliseconds per sentence and reads at most `most_characters` at once. What is built in runs too: Presidio only adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.guardrails.pii.findings import Finder, Finding, merged

_RANK = 20


class Presidio:
    """The built-in findings and Presidio's. `engine`: a `presidio_analyzer.AnalyzerEngine`."""

    def __init__(self, built_in: Finder, engine: Any, *, language: str = "en", least_score: float = 0.5) -> None:
        self._built_in = built_in
        self._engine = engine
        self._language = language
        self._least_score = least_score

    def find(self, text: str) -> Sequence[Finding]:
        """See `Finder`."""
        results = self._engine.analyze(text=text, language=self._language, score_threshold=self._least_score)
        more = (Finding(result.start, result.end, result.entity_type, _RANK) for result in results)
        return merged([*self._built_in.find(text), *more])


def engine() -> Any:
    """Presidio's analyzer with its default models. Takes seconds. Raises InvalidParameterValue when it is not installed."""
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise InvalidParameterValue(
            "Presidio is not installed: install headgate[presidio] and a spaCy model, or set guardrails.pii_engine to built_in."
        ) from error
    return AnalyzerEngine()
