"""AWS Signature Version 4 of one complete request. Pure: the time is passed in. Asked by this vendor's adapter only.

Follows AWS's public description of the scheme; tests compare it with botocore's signer.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from headgate.providers.port import Outgoing

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key; `session_token` only for short-lived ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Keys({self.access_key_id!r})"


def signed(outgoing: Outgoing, keys: Keys, region: str, now_s: float) -> Outgoing:
    """The same request with `x-amz-date`, `x-amz-security-token` where needed, and `authorization`. It must be sent to exactly this URL.

    The path of `outgoing.url` is percent-encoded already; AWS wants it encoded once more in what is signed.
    There is no query: Bedrock's routes have none.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    scope = f"{stamp[:8]}/{region}/bedrock/aws4_request"
    parts = urlsplit(outgoing.url)
    added = [(b"x-amz-date", stamp.encode())]
    if keys.session_token:
        added.append((b"x-amz-security-token", keys.session_token.encode()))
    headers = (*outgoing.headers, *added)
    to_sign = sorted([*headers, (b"host", _host(parts.scheme, parts.netloc).encode())])
    names = b";".join(name for name, _ in to_sign).decode()
    request = "\n".join(
        [
            outgoing.method,
            quote(parts.path, safe="/~"),
            "",
            *(f"{name.decode()}:{' '.join(value.decode().split())}" for name, value in to_sign),
            "",
            names,
            hashlib.sha256(outgoing.body).hexdigest(),
        ]
    )
    said = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(_key(keys.secret_access_key, scope), said.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return Outgoing(
        outgoing.method, outgoing.url, (*headers, (b"authorization", authorization.encode())), outgoing.body
    )


def _host(scheme: str, netloc: str) -> str:
    """As HTTP clients send it: without the scheme's own port."""
    return netloc.removesuffix({"https": ":443", "http": ":80"}.get(scheme, "\0"))


def _key(secret: str, scope: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
