"""A gateway whose providers speak other formats than the agents in front of it."""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sdk"))

from servers import BINARY, wait_for  # noqa: E402

# Where `./test` installs the agents.
TOOLS = pathlib.Path(os.environ.get("AGENTS", pathlib.Path(__file__).parents[2] / ".tools" / "agents"))
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
providers:
  o: {{ kind: openai, base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  a: {{ kind: anthropic, base_url: "http://{sim}", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
models:
  on-responses: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-responses }} ] }}
  on-chat: {{ targets: [ {{ provider: o, model: reason-1, format: openai-chat }} ] }}
  on-messages: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ] }}
"""


class House:
    def __init__(self, url, sim, key, database):
        self.url, self.sim, self.key, self.database = url, sim, key, database

    def served(self):
        """What the providers say they served since they were asked last."""
        with urllib.request.urlopen(f"{self.sim}/_sim/served") as answer:
            served = json.load(answer)
        urllib.request.urlopen(urllib.request.Request(f"{self.sim}/_sim/served", method="DELETE")).read()
        return served

    def ledger(self, model, count):
        """Surface and outcome of what was asked of a model."""
        until = time.monotonic() + 10
        while True:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
                rows = connection.execute("SELECT surface, outcome FROM ledger WHERE model_requested = ?", (model,)).fetchall()
            if len(rows) >= count or time.monotonic() > until:
                return rows
            time.sleep(0.05)


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    processes = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    sim = wait_for(start("sim", "--address", "127.0.0.1:0"), r"http://(\S+)")
    config = folder / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, sim=sim))
    key = subprocess.run([BINARY, "key", "create", "-c", str(config), "--name", "agent"], check=True, capture_output=True, text=True).stdout.strip()
    address = wait_for(start("serve", "-c", str(config)), r"listening on (\S+)")
    yield House(f"http://{address}", f"http://{sim}", key, folder / "p.db")
    for process in processes:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def agent(house, tmp_path):
    """Runs an agent in a folder and a home of its own. Beyond loopback it reaches nobody."""

    def run(command, files=(), **environment):
        home, work = tmp_path / "home", tmp_path / "work"
        work.mkdir()
        for name, text in dict(files).items():
            file = home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1,localhost",
            **environment,
        }
        house.served()
        done = subprocess.run(command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    agent = run
    agent.file = tmp_path / "work" / "hello.txt"
    agent.task = f'Create the file {agent.file} with the content "Grüezi mitenand, d\'Welt". Then say what the tool said.'
    return agent
