"""All built-in recognisers as one finder. Linear in the text: see `spans`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headgate.guardrails import folding
from headgate.guardrails.pii import identities, network, payment, phones
from headgate.guardrails.pii.findings import Finding, merged
from headgate.guardrails.pii.spans import Recogniser

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

    def __init__(self, recognisers: Sequence[Recogniser] = RECOGNISERS) -> None:
        self._by_trigger: dict[re.Pattern[str], list[Recogniser]] = {}
        for recogniser in recognisers:
            self._by_trigger.setdefault(recogniser.trigger, []).append(recogniser)

    def find(self, text: str) -> list[Finding]:
        """See `Finder`."""
        plain = folding.plain(text)
        found = []
        for trigger, recognisers in self._by_trigger.items():
            if trigger.search(plain.text) is None:
                continue
            for recogniser in recognisers:
                for start, end in recogniser.find(plain.text):
                    found.append(Finding(*plain.span(start, end), recogniser.label, recogniser.rank))
        return merged(found) if found else found
