"""Vertex AI over real HTTP: a token for the key file, then a stream with it."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.contract.providers import reading
from tests.fakes.vendor.server import Act, FakeVendor
from tests.fakes.vendor.vertex import GoogleTokens, Vertex

from headgate.providers import catalogue
from headgate.providers.port import CHAT, Outgoing, Request, Target

NOW_S = 1_760_000_000.0
BODY = b'{"model":"the-endpoint","messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"stream":true}'


def test_a_key_file_is_all_it_takes():
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    account = orjson.dumps({"client_email": "a@p.iam.gserviceaccount.com", "private_key": private.decode()}).decode()
    provider = catalogue.provider("google-cloud-vertex-ai", {})

    async def play() -> list[bytes]:
        async with FakeVendor([GoogleTokens(public.decode()), Vertex()], Act(piece_bytes=11)) as vendor:
            config = {
                "project_id": "p",
                "region": "europe-west4",
                "private_key": account,
                "google_cloud_vertex_ai_api_base": vendor.url,
                "google_cloud_vertex_ai_token_uri": f"{vendor.url}/token",
            }
            target = Target(provider.name, "gemini-2.5-flash", CHAT, config)
            async with aiohttp.ClientSession() as session:
                wanted = provider.token_request(target, NOW_S)
                assert wanted is not None
                credential = provider.credential(await _body(session, wanted), NOW_S)
                reader = provider.stream(target, False)
                out = provider.prepare(target, Request(BODY, True), credential, NOW_S)
                return reading.events([*reader.feed(await _body(session, out)), *reader.end()])

    *events, last = asyncio.run(play())
    (said,) = reading.streamed(reading.payload(event) for event in events)
    assert said.text == "Hello, wide world." and last == reading.DONE


async def _body(session: aiohttp.ClientSession, out: Outgoing) -> bytes:
    headers = {name.decode(): value.decode() for name, value in out.headers}
    async with session.request(out.method, out.url, data=out.body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.read()
