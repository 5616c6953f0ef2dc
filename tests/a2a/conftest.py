"""A gateway in front of agents on the official SDK, each with another way in."""

import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
# Each agent by what its card names.
AGENTS = {name: [name] for name in ("rpc", "rest", "grpc", "old", "old_rest", "old_grpc")}
CONFIG = """
listeners: {{ api: {{ address: "{address}" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
a2a:
  agents:
{agents}
  default: rpc
  push: {{ private_hosts: ["127.0.0.1"], plain_http: true }}
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_until_open(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nobody listens on {port}")


class Gateway:
    def __init__(self, address, keys):
        self.url = f"http://{address}"
        self.key, self.other_key = keys


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    processes, lines = [], []

    def start(*arguments, **options):
        process = subprocess.Popen(arguments, text=True, **options)
        processes.append(process)
        return process

    agent = pathlib.Path(__file__).with_name("agent.py")
    for name, interfaces in AGENTS.items():
        port = free_port()
        start(sys.executable, str(agent), str(port), *interfaces)
        wait_until_open(port)
        lines.append(f'    {name}: {{ url: "http://127.0.0.1:{port}" }}')
    address = f"127.0.0.1:{free_port()}"
    config = folder / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, address=address, agents="\n".join(lines)))
    keys = [
        subprocess.run(
            [BINARY, "key", "create", "--database", f"sqlite://{folder}/p.db", "--name", name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for name in ("one", "two")
    ]
    serve = start(BINARY, "serve", "-c", str(config), stdout=subprocess.PIPE)
    for line in serve.stdout:
        if re.search(r"listening on \S+", line):
            break
    yield Gateway(address, keys)
    for process in reversed(processes):
        process.terminate()
        process.wait(timeout=30)
