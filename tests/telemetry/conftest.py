"""A gateway that tells a real collector, Rotel, of requests of every kind; and what the collector understood."""

import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import rotel

BINARY = os.environ.get("POINTSMAN", "pointsman")
COLLECTOR = pathlib.Path(rotel.__file__).parent / "rotel-agent"
PROMPT = "MARKprompt repeat 20 words"
PROVIDER_KEY = "sk-MARKprovider"

CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
telemetry: {{ otlp: "http://{collector}" }}
providers:
  openai: &provider {{ base_url: "http://{sim}/v1", auth: {{ api_key: {key} }}, retry: {{ attempts: 1 }} }}
  claude: {{ <<: *provider, kind: anthropic, base_url: "http://{sim}" }}
  mistral: *provider
models:
  on-openai: {{ targets: [ {{ provider: openai, model: gpt-5-mini }} ] }}
  on-claude: {{ targets: [ {{ provider: claude, model: claude-haiku-4-5 }} ] }}
  on-mistral: {{ targets: [ {{ provider: mistral, model: mistral-small }} ] }}
  embedding: {{ targets: [ {{ provider: openai, model: text-embedding-3-small }} ] }}
  breaking: {{ targets: [ {{ provider: openai, model: "gpt-5-nano+fault=cut-clean" }} ] }}
  failing: {{ targets: [ {{ provider: openai, model: "gpt-5-nano+fault=status:500" }} ] }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")


def post(url, key, body):
    """The status of the answer, which is read to its end."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as refused:
        refused.read()
        return refused.code


class Gateway:
    """A gateway and a simulated provider."""

    def __init__(self, folder, collector):
        self.processes = []
        sim = wait_for(self.start("sim", "--address", "127.0.0.1:0"), r"http://(\S+)")
        config = folder / "pointsman.yaml"
        config.write_text(CONFIG.format(folder=folder, sim=sim, collector=collector, key=PROVIDER_KEY))
        command = [BINARY, "key", "create", "--database", f"sqlite://{folder}/p.db", "--name", "telemetry"]
        self.key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self.url = "http://" + wait_for(self.start("serve", "-c", str(config)), r"listening on (\S+)")

    def start(self, *arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def ask(self, path, body, key=None):
        return post(self.url + path, key or self.key, body)

    def stop(self):
        """Ends the gateway first, which hands out what it still holds; how long that took."""
        begun = time.monotonic()
        for process in reversed(self.processes):
            process.terminate()
            assert process.wait(timeout=40) in (0, -15)
        self.processes = []
        return time.monotonic() - begun


@pytest.fixture
def gateway(tmp_path):
    """A gateway whose collector is away."""
    gateway = Gateway(tmp_path, "127.0.0.1:1")
    yield gateway
    gateway.stop()


class Told:
    """What the collector understood, and all that it wrote."""

    def __init__(self, text, key):
        self.text = text
        self.key = key
        self.spans = []
        self.metrics = []
        parse(text, self)


def parse(text, told):
    """Reads the collector's detailed log: blocks of `name: value`, attributes as `-> name: Kind(value)`."""
    current = {}
    for line in text.splitlines():
        line = line.strip()
        if re.match(r"Span #\d+$", line):
            current = {"attributes": {}}
            told.spans.append(current)
        elif re.match(r"Metric #\d+$", line):
            current = {"points": []}
            told.metrics.append(current)
        elif re.match(r"HistogramDataPoints #\d+$", line):
            current = {"attributes": {}, "bounds": [], **told.metrics[-1]}
            told.metrics[-1]["points"].append(current)
        elif re.match(r"(ResourceSpans|ResourceMetrics) #\d+$", line):
            current = {}
        elif found := re.match(r"-> ([\w.]+): (\w+)\((.*)\)$", line):
            name, kind, value = found.groups()
            value = {"Int": int, "Double": float, "Bool": lambda text: text == "true"}.get(kind, str)(value)
            current.setdefault("attributes", {})[name] = value
        elif found := re.match(r"(?:-> )?(Name|Unit|DataType|Kind|Status code|Status message|Count|Sum)\s*: ?(.*)$", line):
            current[found.group(1)] = found.group(2)
        elif found := re.match(r"ExplicitBounds #\d+: (\S+)$", line):
            current["bounds"].append(float(found.group(1)))


@pytest.fixture(scope="session")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telemetry")
    grpc, http = free_port(), free_port()
    log = folder / "collector.log"
    with log.open("w") as out:
        collector = subprocess.Popen(
            [COLLECTOR, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
            + ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log", "metrics"]
            + ["--debug-log-verbosity", "detailed"],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1"},
        )
    try:
        until = time.monotonic() + 20
        while not listens(grpc):
            assert time.monotonic() < until, "the collector does not listen"
            time.sleep(0.05)
        gateway = Gateway(folder, f"127.0.0.1:{grpc}")
        try:
            live(gateway)
        finally:
            gateway.stop()
        time.sleep(0.5)
    finally:
        collector.terminate()
        collector.wait(timeout=20)
    return Told(log.read_text(), gateway.key)


def live(gateway):
    chat, messages = "/v1/chat/completions", "/v1/messages"

    def asking(model, **more):
        return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": PROMPT}], **more}

    for path, body, status in [
        (chat, asking("on-openai"), 200),
        (chat, asking("on-openai", stream=True), 200),
        (messages, asking("on-claude"), 200),
        (messages, asking("on-claude", stream=True), 200),
        (chat, asking("on-mistral"), 200),
        ("/v1/completions", {"model": "on-openai", "prompt": PROMPT}, 200),
        ("/v1/embeddings", {"model": "embedding", "input": PROMPT}, 200),
        (chat, asking("breaking", stream=True), 200),
        (chat, asking("failing"), 502),
        (chat, asking("nowhere"), 404),
        (chat, {"model": "on-openai", "messages": PROMPT}, 400),
        ("/v1/nothing", {}, 404),
    ]:
        assert gateway.ask(path, body) == status, (path, body)
    assert gateway.ask(chat, asking("on-openai"), key="pm-MARKwrong") == 401
