"""A worker that speaks the protocol and behaves as the variable BEHAVE says: well, fail, exit, hang, deaf, stuck."""

import json
import os
import select
import signal
import socket
import sys
import threading
import time

from headgate_worker import protocol


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    if len(sys.argv) > 2:
        with os.fdopen(int(sys.argv[2])) as memory:
            memory.seek(0)
            spec["secret_vars"] = json.load(memory)
    serve(spec)


def serve(spec):
    os.environ.update(spec["environment_vars"])
    os.environ.update(spec.get("secret_vars", {}))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    behave = os.environ.get("BEHAVE", "well")
    os.makedirs(os.path.dirname(spec["log_path"]), exist_ok=True)
    with open(spec["log_path"], "a") as log:
        log.write(protocol.log_line(spec["replica"], "stdout", f"behaving {behave}"))
    if spec["lifeline_fd"] is not None:
        threading.Thread(target=watch, args=(spec["lifeline_fd"],), daemon=True).start()
    tell(spec, "STARTING")
    if behave == "exit":
        os._exit(3)
    if behave == "fail":
        tell(spec, "FAILED", message="the model cannot be loaded: no module named churn")
        os._exit(1)
    while behave == "hang":
        time.sleep(0.1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(spec["socket_path"])
    listener.listen()
    tell(spec, "READY", phases_ms={"load": 1.5}, modules=["json", "decimal"])
    Serving(spec, listener, behave).loop()


def watch(lifeline_fd):
    while os.read(lifeline_fd, 1):
        pass
    os._exit(0)


def tell(spec, state, message="", phases_ms=None, modules=None):
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    status = {
        "replica": spec["replica"], "pid": os.getpid(), "start_ticks": ticks, "state": state, "phase": "",
        "message": message, "how": "", "phases_ms": phases_ms or {}, "modules": modules or [],
    }  # fmt: skip
    with open(spec["status_path"] + ".tmp", "w") as file:
        json.dump(status, file)
    os.replace(spec["status_path"] + ".tmp", spec["status_path"])
    if spec["notify_socket"]:
        try:
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(spec["replica"].encode(), spec["notify_socket"])
        except OSError:
            pass


class Serving:
    def __init__(self, spec, listener, behave):
        self.spec, self.listener, self.behave = spec, listener, behave
        self.peers = {}
        self.servers = set()
        self.draining = False

    def loop(self):
        while not (self.draining and not self.servers):
            sockets = [*self.peers] if self.draining else [self.listener, *self.peers]
            for ready in select.select(sockets, [], [])[0]:
                if ready is self.listener:
                    peer, _ = self.listener.accept()
                    self.peers[peer] = protocol.Decoder()
                else:
                    self.read(ready)

    def read(self, peer):
        try:
            data = peer.recv(65536)
            for frame in self.peers[peer].feed(data):
                self.answer(peer, frame)
        except OSError:
            data = b""
        if not data:
            del self.peers[peer]
            self.servers.discard(peer)

    def answer(self, peer, frame):
        if frame.kind == protocol.HELLO:
            if json.loads(frame.payload)["role"] == "server":
                self.servers.add(peer)
            told = {"version": 1, "replica": self.spec["replica"], "slots": self.spec["slots"], "window": 8}
            peer.sendall(protocol.encode_json(protocol.HELLO, 0, told))
        elif frame.kind == protocol.PING and self.behave != "deaf":
            stuck = self.spec["slots"] if self.behave == "stuck" else 0
            told = {"executing": 0, "queued": 0, "stuck": stuck, "served": 0, "rss_bytes": 0}
            peer.sendall(protocol.encode_json(protocol.PONG, 0, told))
        elif frame.kind == protocol.REQUEST:
            told = {"environ": dict(os.environ), "limit": self.spec["memory_bytes"]}
            body = json.dumps(told).encode()
            meta = json.dumps({"status": 200, "content_type": "application/json"}).encode()
            peer.sendall(protocol.encode_with_meta(protocol.REPLY, frame.request_id, meta, body))
        elif frame.kind == protocol.DRAIN:
            self.draining = True
            self.listener.close()
            tell(self.spec, "DRAINING")
