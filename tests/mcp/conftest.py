"""A gateway in front of simulated MCP servers of both eras, over HTTP and over pipes, for the official SDK."""

import os
import pathlib
import re
import subprocess
import time

import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
mcp:
  servers:
    old: {{ url: "http://{old}/mcp", tools: {{ deny: ["delete_*"] }} }}
    new: {{ url: "http://{new}/mcp", tools: {{ deny: ["delete_*"] }} }}
    piped: {{ command: ["{binary}", sim, --mcp, stdio] }}
    dead: {{ url: "http://127.0.0.1:9/mcp" }}
"""


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")


class Gateway:
    def __init__(self, address, key):
        self.url = f"http://{address}/mcp"
        self.key = key


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    processes = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    old, new = (
        wait_for(start("sim", "--address", "127.0.0.1:0", "--mcp", era), r"http://(\S+)") for era in ("legacy", "modern")
    )
    config = pathlib.Path(folder) / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, old=old, new=new, binary=BINARY))
    command = [BINARY, "key", "create", "--database", f"sqlite://{folder}/p.db", "--name", "agent"]
    key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    address = wait_for(start("serve", "-c", str(config)), r"listening on (\S+)")
    time.sleep(1)
    yield Gateway(address, key)
    for process in processes:
        process.terminate()
        process.wait(timeout=30)
