"""The conformance suite against the gateway: fixtures behind it, in as many servers and eras as a topology wants."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
BINARY = os.environ.get("POINTSMAN", "pointsman")
SUITE = pathlib.Path(os.environ.get("CONFORMANCE", ".tools/conformance"))
SUITE /= "node_modules/@modelcontextprotocol/conformance/dist/index.js"
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
identity: {{ anonymous: allow }}
mcp:
  prefix: never
  servers:
{servers}
"""


def started(command, pattern, processes, **options):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    processes.append(process)
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found.group(1)
    raise RuntimeError(f"{command} ended without saying {pattern}")


@contextlib.contextmanager
def running():
    """Processes, ended in the end."""
    processes = []
    try:
        yield processes
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=30)


def fixture(processes, era="both", part="all"):
    command = [sys.executable, str(HERE / "fixture.py"), "--era", era, "--part", part]
    return started(command, r"listening on (\S+)", processes)


def gateway(processes, folder, servers):
    """The address of a gateway in front of servers, given as lines of its configuration."""
    config = folder / "pointsman.yaml"
    lines = "\n".join(f"    {name}: {server}" for name, server in servers.items())
    config.write_text(CONFIG.format(folder=folder, servers=lines))
    address = started([BINARY, "serve", "-c", str(config)], r"listening on (\S+)", processes)
    return f"http://{address}/mcp"


class Judged:
    """What the suite says."""

    def __init__(self, code, told, folder):
        self.code, self.told = code, told
        self.passed, self.failed, self.warned = [], [], []
        for file in sorted(folder.glob("**/checks.json")):
            scenario = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", file.parent.name).removeprefix("server-")
            for check in json.loads(file.read_text()):
                said = f"{scenario}:{check['id']}"
                if check["status"] == "SUCCESS":
                    self.passed.append(said)
                elif check["status"] == "FAILURE":
                    self.failed.append(f"{said} {check.get('errorMessage', '')}")
                elif check["status"] == "WARNING":
                    self.warned.append(said)


def suite(folder, *arguments, **options):
    results = folder / "results"
    command = ["node", str(SUITE), *arguments, "-o", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    return Judged(done.returncode, done.stdout + done.stderr, results)


@pytest.fixture
def processes():
    with running() as processes:
        yield processes
