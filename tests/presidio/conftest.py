"""A gateway whose guardrail is a real Presidio, and a simulated provider that says what it is asked to say."""

import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
HERE = pathlib.Path(__file__).parent
REDACTS = "action: redact, restore: true, on_error: block"

CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
telemetry: {{ access_log: json }}
identity: {{ anonymous: allow }}
providers:
  sim: {{ kind: openai, base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
models:
  chat: {{ targets: [ {{ provider: sim, model: gpt-4o-mini, format: openai-chat }} ] }}
guardrails:
  - {{ name: presidio, type: presidio, url: "http://{presidio}", on: [input, tool_result], 
      timeout: 20s, {more} }}
"""


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")


class House:
    """Presidio, a provider, and the gateway between them."""

    def __init__(self, folder, more):
        self.processes = []
        self.presidio = self.start(sys.executable, str(HERE / "analyzer.py"))
        self.presidio_at = wait_for(self.presidio, r"listening on (\S+)")
        sim = wait_for(self.start(BINARY, "sim", "--address", "127.0.0.1:0"), r"http://(\S+)")
        config = folder / "pointsman.yaml"
        config.write_text(CONFIG.format(folder=folder, sim=sim, presidio=self.presidio_at, more=more))
        gateway = self.start(BINARY, "serve", "-c", str(config))
        self.url = "http://" + wait_for(gateway, r"listening on (\S+)")

    def start(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def ask(self, messages, stream=False, **more):
        """Status and text of the answer."""
        body = {"model": "chat", "messages": messages, "stream": stream, **more}
        request = urllib.request.Request(
            self.url + "/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, said(answer.read().decode(), stream)
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=40)


def said(text, stream):
    if not stream:
        return json.loads(text)["choices"][0]["message"]["content"]
    events = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.fixture
def house(request, tmp_path):
    house = House(tmp_path, getattr(request, "param", REDACTS))
    yield house
    house.stop()
