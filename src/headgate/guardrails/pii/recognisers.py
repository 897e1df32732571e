"""All built-in recognisers as one finder. Linear in the text, a window at a time: see `spans` and `folding`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headgate.guardrails import folding
from headgate.guardrails.pii import identities, network, payment, phones
from headgate.guardrails.pii.findings import Finding, joined, ordered
from headgate.guardrails.pii.spans import REACH, Recogniser

RECOGNISERS: tuple[Recogniser, ...] = (
    payment.CREDIT_CARD,
    payment.IBAN_CODE,
    payment.CRYPTO,
    network.EMAIL_ADDRESS,
    network.URL_CREDENTIALS,
    network.IP_ADDRESS,
    network.MAC_ADDRESS,
    phones.PHONE_NUMBER,
    *identities.RECOGNISERS,
)


class BuiltIn:
    """The built-in finder. Holds nothing of what it reads."""

    def __init__(self, recognisers: Sequence[Recogniser] = RECOGNISERS, window: int = folding.WINDOW) -> None:
        """`window`: characters looked at in one go; what is found does not depend on it."""
        self._window = window
        self._by_trigger: dict[re.Pattern[str], list[Recogniser]] = {}
        for recogniser in recognisers:
            self._by_trigger.setdefault(recogniser.trigger, []).append(recogniser)

    def find(self, text: str) -> list[Finding]:
        """See `Finder`."""
        plain = folding.plain(text, self._window)
        found: list[Finding] = []
        for start in range(0, len(plain.text), self._window):
            found += ordered(self._begun(plain, start))
        return joined(found)

    def _begun(self, plain: folding.Plain, start: int) -> Iterator[Finding]:
        """What begins in the window that begins here."""
        end = start + self._window
        shift = max(0, start - REACH)
        text = plain.text[shift : end + REACH]
        for trigger, recognisers in self._by_trigger.items():
            if trigger.search(text) is None:
                continue
            for recogniser in recognisers:
                for begins, ends in recogniser.find(text):
                    if start <= begins + shift < end:
                        yield Finding(*plain.span(begins + shift, ends + shift), recogniser.label, recogniser.rank)
