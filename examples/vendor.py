"""A stand-in for a vendor of language models, so that 02_language_models.py needs neither a key nor the internet: it says back what it hears."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Vendor(BaseHTTPRequestHandler):
    """Speaks OpenAI's chat completions, whole and streamed. The model `moody` fails."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "moody":
            return self.answer(503, "application/json", json.dumps({"error": {"message": "Not today."}}).encode())
        words = f"You said: {asked['messages'][-1]['content']}"
        usage = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
        made: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        if not asked.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
            return self.answer(
                200, "application/json", json.dumps({**made, "choices": [choice], "usage": usage}).encode()
            )
        made["object"] = "chat.completion.chunk"
        chunks = [{"choices": [{"index": 0, "delta": {"content": f"{word} "}}]} for word in words.split()]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
        events = "".join(f"data: {json.dumps({**made, **chunk})}\n\n" for chunk in chunks)
        return self.answer(200, "text/event-stream", f"{events}data: [DONE]\n\n".encode())

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def vendor() -> Iterator[str]:
    """Runs it on a free port; its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
