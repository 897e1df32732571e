"""Microsoft's Presidio behind the same seam, for names, places and what else only a language model finds. Needs the extra `presidio`.

It takes milliseconds per sentence, so it is asked in threads. What is built in runs too: Presidio only adds to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.guardrails.pii.findings import Finder, Finding, merged

_RANK = 20
_LANGUAGE = "en"
_SIZES = ("trf", "lg", "md", "sm")


class Presidio:
    """The built-in findings and Presidio's. `engine`: a `presidio_analyzer.AnalyzerEngine`."""

    def __init__(self, built_in: Finder, engine: Any, *, language: str = _LANGUAGE, least_score: float = 0.5) -> None:
        self._built_in = built_in
        self._engine = engine
        self._language = language
        self._least_score = least_score

    def find(self, text: str) -> Sequence[Finding]:
        """See `Finder`."""
        results = self._engine.analyze(text=text, language=self._language, score_threshold=self._least_score)
        more = (Finding(result.start, result.end, result.entity_type, _RANK) for result in results)
        return merged([*self._built_in.find(text), *more])


def model(named: str) -> str:
    """The spaCy model to use: this one, or the largest English one there is. Raises InvalidParameterValue with advice.

    Asked before Presidio is, which would download one.
    """
    if find_spec("presidio_analyzer") is None or find_spec("spacy") is None:
        raise InvalidParameterValue(
            "guardrails.pii_engine is presidio, which is not installed: install headgate[presidio] and a spaCy model, or set it to built_in"
        )
    from spacy.util import get_installed_models

    installed = set(get_installed_models())
    if named:
        if named not in installed and not Path(named).is_dir():
            raise InvalidParameterValue(f"guardrails.presidio_model names a spaCy model that is not there: {named}")
        return named
    found = next((name for size in _SIZES if (name := f"{_LANGUAGE}_core_web_{size}") in installed), None)
    if found is None:
        raise InvalidParameterValue(
            "guardrails.pii_engine is presidio, which needs a spaCy model: install one (`python -m spacy download en_core_web_lg`), or name "
            "one, or a folder that holds one, in guardrails.presidio_model"
        )
    return found


def engine(named: str = "") -> Any:
    """Presidio's analyzer on that model. Takes seconds. Raises InvalidParameterValue."""
    found = model(named)
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    models = [{"lang_code": _LANGUAGE, "model_name": found}]
    nlp = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    made = AnalyzerEngine(nlp_engine=nlp, supported_languages=[_LANGUAGE])
    # It fetches a list of domains over the network with the first address it sees; ours finds addresses too.
    made.registry.remove_recognizer("EmailRecognizer")
    return made
