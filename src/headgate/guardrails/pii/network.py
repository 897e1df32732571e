"""E-mail addresses, credentials in URLs, IP and MAC addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from headgate.guardrails.pii.spans import (
    ADDRESS,
    DOTS_AND_COLONS,
    Recogniser,
    Span,
    overlapping,
    patterned,
    stands_free,
    words,
)

_LOCAL_BACKWARDS = re.compile(r"[0-9A-Za-z\u00c0-\u024f.!#$%&'*+?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[0-9A-Za-z\u00c0-\u024f.-]{4,253}")
_TOP_LEVEL = re.compile(r"(?:[A-Za-z\u00c0-\u024f]{2,63}|xn--[0-9a-z-]{2,59})\Z", re.IGNORECASE)
_USER_INFO = re.compile(r"[^\s/?#@<>\"']{1,220}@")
_FOUR = re.compile(r"[0-9](?<![0-9A-Za-z_.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])")
_TOUCHES = "[0-9A-Za-z_:]"
_SIX = re.compile(
    # A colon after up to four digits that stand free. The groups are spelled out: what looks back must know how far.
    f":(?:(?<!{_TOUCHES}:)"
    + "".join(f"|(?<={digits}:)(?<!{_TOUCHES}{digits}:)" for digits in ("[0-9A-Fa-f]" * count for count in range(1, 5)))
    + ")[0-9A-Fa-f:.]{1,45}"
)
_FIRST_GROUP = re.compile(r"[0-9A-Fa-f]{0,4}\Z")
_SEPARATORS = re.compile("[:-]")
_VERSIONS = words("version", "release", "build", "firmware", "section", "chapter", "kernel", "driver")


def email_addresses(text: str) -> Iterator[Span]:
    """Looked for from the `@`, so that long words cost nothing."""
    at = text.find("@")
    while at >= 0:
        local = _LOCAL_BACKWARDS.match(text[max(0, at - 64) : at][::-1])
        domain = _DOMAIN.match(text, at + 1)
        if local is not None and domain is not None and _in_url(text, at) is False:
            start = at - len(local[0].rstrip("./'!#$%&*=?^`{|}~"))
            end = at + 1 + _domain_length(domain[0])
            if start < at and end > at + 1 and text[start:at] != "git":
                yield start, end
        at = text.find("@", at + 1)


def _domain_length(candidate: str) -> int:
    """Of `example.com.-` that of `example.com`; 0: no domain."""
    name = candidate.rstrip(".-")
    while name and _TOP_LEVEL.match(name.rpartition(".")[2]) is None:
        # What follows the last good label is not the domain's: `example.com.2`.
        name = name.rpartition(".")[0]
    labels = name.split(".")
    good = len(labels) >= 2 and all(0 < len(label) < 64 and label[0] != "-" and label[-1] != "-" for label in labels)
    return len(name) if good else 0


def _in_url(text: str, at: int) -> bool:
    """Whether this `@` ends the credentials of a URL."""
    scheme = text.rfind("://", max(0, at - 223), at)
    return scheme >= 0 and _USER_INFO.fullmatch(text, scheme + 3, at + 1) is not None


def url_credentials(text: str) -> Iterator[Span]:
    """The `user:password` of `scheme://user:password@host`, or a token alone."""
    at = text.find("://")
    while at >= 0:
        found = _USER_INFO.match(text, at + 3)
        if found is not None and text[at - 1 : at].isalnum():
            yield found.start(), found.end() - 1
        at = text.find("://", at + 3)


def ip_addresses(text: str) -> Iterator[Span]:
    """Those of version 4 and 6 that are somebody's: not this machine's own, a mask, or all zeros."""
    for match in overlapping(_FOUR, text):
        if _somebodys(match[0]) and not _VERSIONS.before(text, match.start()):
            yield match.span()
    for match in overlapping(_SIX, text):
        if len(match[0]) > 45:
            continue
        group = _FIRST_GROUP.search(text, max(0, match.start() - 4), match.start())
        start = group.start() if group is not None else match.start()
        candidate = text[start : match.end()].rstrip(".")
        if candidate.endswith(":") and not candidate.endswith("::"):
            candidate = candidate[:-1]
        # `a::b` is C++, `12:34:56` a time.
        likely = candidate.count(":") >= 2 and len(candidate) >= 6 and any(map(str.isdigit, candidate))
        if likely and stands_free(text, start, start + len(candidate)) and _somebodys(candidate):
            yield start, start + len(candidate)


def _somebodys(candidate: str) -> bool:
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    return not (
        address.is_loopback or address.is_unspecified or (address.version == 4 and candidate.startswith("255."))
    )


def mac_addresses(text: str) -> Iterator[Span]:
    """Six pairs with colons or hyphens, or three fours with dots; not all digits alike."""
    for find in _MACS:
        for start, end in find(text):
            around = text[max(0, start - 1) : start] + text[end : end + 1]
            if _SEPARATORS.search(around) is None:
                yield start, end


def _is_mac(written: str) -> bool:
    return len(set(written.lower()) - set(":-.")) > 1


_MACS = (
    patterned(r":(?<=[0-9A-Fa-f]{2}:)[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){4}", _is_mac, lead=2),
    patterned(r"-(?<=[0-9A-Fa-f]{2}-)[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){4}", _is_mac, lead=2),
    patterned(r"\.(?<=[0-9A-Fa-f]{4}\.)[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}", _is_mac, lead=4),
)

EMAIL_ADDRESS = Recogniser("EMAIL_ADDRESS", 60, ADDRESS, email_addresses)
URL_CREDENTIALS = Recogniser("URL_CREDENTIALS", 90, ADDRESS, url_credentials)
IP_ADDRESS = Recogniser("IP_ADDRESS", 50, DOTS_AND_COLONS, ip_addresses)
MAC_ADDRESS = Recogniser("MAC_ADDRESS", 55, DOTS_AND_COLONS, mac_addresses)
