"""Sections of the settings tree that only concern traffic to language models; `settings.py` is the tree, and the only one that reads this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuardrailSettings:
    """What requests to language models and their answers are checked with."""

    pii_engine: str = "built_in"
    """`built_in`, or `presidio` for names and places too. The latter needs the extra `presidio` and a spaCy model, and takes milliseconds."""
    judge_endpoint: str = ""
    """Name of a serving endpoint, ours or an external model, that answers `safe` or `unsafe` as Llama Guard does. Default: none, and
    `safety` cannot be configured."""
    judge_style: str = "conversation"
    """`conversation` when its chat template asks the question (Llama Guard), `instructions` to ask any chat model in words."""
    judge_timeout_s: float = 10.0
    """The judge has failed after this time."""
    judged_characters: int = 400
    """Of a stream, the new text after which the judge is asked; so much waits for it."""
    embeddings_endpoint: str = ""
    """Name of a serving endpoint with embeddings, for `valid_topics`. Default: none, and they cannot be configured."""
    embeddings_timeout_s: float = 5.0
    """The embeddings have failed after this time."""
    topic_threshold: float = 0.3
    """Least nearness (cosine) of a request to one of the topics. It depends on the model; the table of verdicts shows what yours gives."""
    on_failure: str = "closed"
    """When a guardrail itself fails: `closed` answers 503, `open` lets the request pass. Recorded either way."""
    shadow: str = ""
    """Endpoints, separated by commas (`*`: all), whose guardrails record what they would have done, and do nothing."""
