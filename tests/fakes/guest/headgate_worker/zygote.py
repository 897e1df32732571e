"""A zygote that forks the stand-in worker. REFUSE in its variables makes it refuse; BROKEN makes it die at once,
DIE_LEARNING when it is to import more."""

import json
import os
import select
import signal
import socket
import sys

from headgate_worker import worker


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    if "BROKEN" in spec["environment_vars"]:
        sys.exit("the warmed library cannot be imported")
    agent = socket.socket(fileno=spec["socket_fd"])
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    say(agent, {"op": "ready", "import_ms": 1.0, "skipped": []})
    buffer = b""
    while True:
        if wake in select.select([agent, wake], [], [])[0]:
            os.read(wake, 64)
            reap(agent)
            continue
        data = agent.recv(65536)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if told["op"] == "learn":
                learn(agent, spec, told["modules"])
            else:
                fork(agent, spec, told["spec"])


def learn(agent, spec, modules):
    if "DIE_LEARNING" in spec["environment_vars"]:
        os._exit(1)
    spec["modules"] = modules
    say(agent, {"op": "learned", "skipped": []})


def fork(agent, spec, told):
    learned = "REFUSE_LEARNED" in spec["environment_vars"] and spec["modules"]
    if "REFUSE" in spec["environment_vars"] or learned:
        say(agent, {"op": "refused", "replica": told["replica"], "reason": "a second thread is running"})
        return
    pid = os.fork()
    if pid == 0:
        agent.close()
        signal.set_wakeup_fd(-1)
        try:
            worker.serve(told)
        finally:
            os._exit(0)
    say(agent, {"op": "forked", "replica": told["replica"], "pid": pid, "fork_ms": 0.5})


def reap(agent):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        say(agent, {"op": "exited", "pid": pid, "status": code})


def say(agent, told):
    agent.sendall(json.dumps(told).encode() + b"\n")
