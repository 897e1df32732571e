"""The gateways under comparison: how each is started in front of the benchmark's upstream. Called by `bench.language.compare`.

Peers have no limits, no records and (but for LiteLLM, which insists on a key) no authentication: theirs is the easier task.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.environments import cache_folder, environment, installed_versions
from bench.processes import Launch, free_port

PORTKEY = "@portkey-ai/gateway@1.15.2"
KEY = "sk-bench-0123456789abcdef0123456789abcdef"
"""Opens nothing."""
MODEL = "gpt-fake"


class Absent(Exception):
    """It cannot be had here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One gateway. `launch(upstream port)` raises Absent; so does `versions`, where it must be installed first."""

    title: str
    launch: Callable[[int], Launch]
    versions: Callable[[], dict[str, str]]


def body(stream: bool = False, wish: str = "") -> bytes:
    """A chat request as small as they come."""
    said: dict[str, object] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 20,
    }
    if stream:
        said["stream"] = True
    if wish:
        said["user"] = wish
    return json.dumps(said).encode()


def upstream(port: int) -> Launch:
    """The upstream itself, as a process."""
    folder = Path(__file__).parents[2]
    command = (sys.executable, "-m", "bench.language.upstream", str(port))
    return Launch(command=command, url="", body=b"", environ={"PYTHONPATH": str(folder)}, folder=folder)


def direct(port: int) -> Launch:
    """No gateway at all."""
    return Launch(command=(), url=f"http://127.0.0.1:{port}/v1/chat/completions", body=body())


def _nginx(upstream: int) -> Launch:
    program = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")
    if not program:
        raise Absent("nginx is not installed: apt-get install nginx-light")
    port, folder = free_port(), cache_folder() / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log error;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {paths} tcp_nodelay on; keepalive_requests 1000000;\n"
        f"upstream vendor {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://vendor; proxy_http_version 1.1;\n"
        'proxy_set_header Connection ""; proxy_buffering off; } } }\n'
    )
    return Launch(
        command=(program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")),
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        body=body(),
    )


def _litellm(upstream: int) -> Launch:
    programs, port, folder = environment("litellm") / "bin", free_port(), cache_folder() / "litellm"
    folder.mkdir(parents=True, exist_ok=True)
    model = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-x"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": model}],
        "litellm_settings": {"telemetry": False},
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    place = ("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False")
    return Launch(
        command=(str(programs / "litellm"), "--config", str(folder / "config.yaml"), *place),
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        body=body(),
        headers={"authorization": f"Bearer {KEY}"},
        environ={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": KEY,
            "NO_DOCS": "True",
        },
        folder=folder,
    )


def _mlflow(upstream: int) -> Launch:
    programs, port, folder = environment("mlflow-gateway") / "bin", free_port(), cache_folder() / "mlflow-gateway"
    folder.mkdir(parents=True, exist_ok=True)
    secret = {"openai_api_key": "sk-x", "openai_api_base": f"http://127.0.0.1:{upstream}/v1"}
    endpoint = {
        "name": MODEL,
        "endpoint_type": "llm/v1/chat",
        "model": {"provider": "openai", "name": MODEL, "config": secret},
    }
    (folder / "config.yaml").write_text(json.dumps({"endpoints": [endpoint]}))
    place = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    return Launch(
        command=(
            str(programs / "mlflow"), "gateway", "start", "--config-path", str(folder / "config.yaml"), *place,
        ),
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        body=body(),
        environ={"PATH": f"{programs}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"},
        folder=folder,
    )  # fmt: skip


def _portkey(upstream: int) -> Launch:
    node, npm, folder = shutil.which("node"), shutil.which("npm"), cache_folder() / "portkey"
    if node is None or npm is None:
        raise Absent("there is no node or npm")
    start = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not start.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"● {PORTKEY}", flush=True)
        install = (npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), PORTKEY)
        done = subprocess.run(install, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode or not start.exists():
            raise Absent(f"npm install {PORTKEY} failed: {done.stderr[-300:]}")
    port = free_port()
    return Launch(
        command=(node, str(start), f"--port={port}", "--headless"),
        url=f"http://127.0.0.1:{port}/v1/chat/completions",
        body=body(),
        headers={
            "authorization": "Bearer sk-x",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        },
        environ={"NODE_ENV": "production"},
    )


def _nginx_version() -> dict[str, str]:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return {"nginx": said.strip().rpartition("/")[2]}


PEERS: dict[str, Peer] = {
    "nginx": Peer("nginx, a plain proxy", _nginx, _nginx_version),
    "litellm": Peer(
        "LiteLLM proxy, 1 worker", _litellm, lambda: installed_versions("litellm", "litellm", "uvicorn", "aiohttp")
    ),
    "mlflow": Peer(
        "mlflow gateway start, 1 worker",
        _mlflow,
        lambda: {
            f"{name} (mlflow gateway)": version
            for name, version in installed_versions("mlflow-gateway", "mlflow", "uvicorn", "aiohttp").items()
        },
    ),
    "portkey": Peer("Portkey gateway", _portkey, lambda: {"@portkey-ai/gateway": PORTKEY.rpartition("@")[2]}),
}
