"""Credentials of the machine's instance profile, from EC2's instance metadata service (version 2), as a walk of requests to send.

Pure: says what to ask and reads what comes; the gateway sends. The address is link-local and never comes from a user.
"""

from __future__ import annotations

from datetime import datetime

import orjson

from headgate.providers.bedrock.sigv4 import Keys
from headgate.providers.port import BadAnswer, Credential, Outgoing

_ADDRESS = "http://169.254.169.254/latest"
_SESSION_S = 300
_SPARE_S = 300.0
"""Credentials are fetched anew this long before they end."""


class Walk:
    """`first()`, then `next(body)` of each answer with status 200, until it returns a Credential. Four requests."""

    __slots__ = ("_expected", "_session", "_step")

    def __init__(self, instance_profile_arn: str) -> None:
        self._expected = instance_profile_arn
        self._session = b""
        self._step = 0

    def first(self) -> Outgoing:
        """A session with the metadata service."""
        ttl = (b"x-aws-ec2-metadata-token-ttl-seconds", str(_SESSION_S).encode())
        return Outgoing("PUT", f"{_ADDRESS}/api/token", (ttl,), b"")

    def next(self, body: bytes) -> Outgoing | Credential:
        """The next request, or what they were for. Raises BadAnswer, also when the machine has another profile than the configured one."""
        self._step += 1
        if self._step == 1:
            self._session = body.strip()
            return self._get("iam/info")
        if self._step == 2:
            self._check_profile(body)
            return self._get("iam/security-credentials/")
        if self._step == 3:
            role = body.decode(errors="replace").split("\n", 1)[0].strip()
            if not role or "/" in role:
                raise BadAnswer("The machine's metadata service names no role for its instance profile.")
            return self._get(f"iam/security-credentials/{role}")
        return credential(body)

    def _get(self, path: str) -> Outgoing:
        return Outgoing("GET", f"{_ADDRESS}/meta-data/{path}", ((b"x-aws-ec2-metadata-token", self._session),), b"")

    def _check_profile(self, body: bytes) -> None:
        found = _object(body).get("InstanceProfileArn")
        if found != self._expected:
            raise BadAnswer(f"The machine has the instance profile {found}, not {self._expected}.")


def credential(body: bytes) -> Credential:
    """The metadata service's credentials of a role. Raises BadAnswer."""
    said = _object(body)
    try:
        keys = [str(said[name]) for name in ("AccessKeyId", "SecretAccessKey", "Token")]
        expires = datetime.fromisoformat(str(said["Expiration"]).replace("Z", "+00:00"))
    except (KeyError, ValueError) as error:
        raise BadAnswer("The machine's metadata service gave no credentials for its instance profile.") from error
    return Credential(orjson.dumps(keys).decode(), expires.timestamp() - _SPARE_S)


def keys(fetched: Credential) -> Keys:
    """What to sign with."""
    return Keys(*orjson.loads(fetched.value))


def _object(body: bytes) -> dict[str, object]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer("The machine's metadata service answered something other than JSON.") from error
    if not isinstance(said, dict):
        raise BadAnswer("The machine's metadata service answered something other than an object.")
    return said
