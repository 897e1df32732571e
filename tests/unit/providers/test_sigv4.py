"""Our signatures are those of AWS's own signer."""

from __future__ import annotations

import datetime
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from headgate.providers.bedrock.sigv4 import Keys, signed
from headgate.providers.port import Outgoing

NOW_S = 1_790_000_000.0
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)


def botocores(outgoing: Outgoing, keys: Keys, region: str) -> dict[str, str]:
    request = AWSRequest(
        outgoing.method, outgoing.url, {n.decode(): v.decode() for n, v in outgoing.headers}, outgoing.body
    )
    moment = datetime.datetime.fromtimestamp(NOW_S, datetime.timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_: moment):
        credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
        botocore.auth.SigV4Auth(credentials, "bedrock", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    model=TEXT.filter(lambda text: text not in (".", "..")),
    host=st.sampled_from(["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:8123", "https://vpce.example:443"]),
    body=st.binary(max_size=200),
    token=st.one_of(st.just(""), TEXT),
)  # fmt: skip
def test_a_signature_is_botocores(model: str, host: str, body: bytes, token: str) -> None:
    url = f"{host}/model/{quote(model, safe='')}/converse"
    headers = ((b"content-type", b"application/json"), (b"accept", b"a  b"))
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    outgoing = Outgoing("POST", url, headers, body)
    ours = {name.decode(): value.decode() for name, value in signed(outgoing, keys, "eu-west-1", NOW_S).headers}
    assert ours == botocores(outgoing, keys, "eu-west-1")


def test_keys_and_requests_show_no_secret() -> None:
    keys = Keys("AKIDEXAMPLE", "secret-one", "secret-two")
    request = signed(Outgoing("POST", "https://h/x", (), b"secret-three"), keys, "r", NOW_S)
    assert "secret" not in repr(keys) + repr(request)
