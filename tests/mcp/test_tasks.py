"""Tasks at two replicas with one secret: any of them finds a task, nobody finds another's, and eras are bridged."""

import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import time

import httpx2
import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
HERE = pathlib.Path(__file__).parent
TASKS = "io.modelcontextprotocol/tasks"
KNOWS = {"extensions": {TASKS: {}}, "elicitation": {}}
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}/{replica}" }}
identity: {{ signing_secret: "a secret of the operator that nobody guesses" }}
mcp: {{ servers: {{ old: {{ url: "{old}" }}, new: {{ url: "{new}" }}, telling: {{ url: "{telling}" }} }} }}
"""


class Replicas:
    def __init__(self, folder):
        self.processes, self.folder = [], folder
        fixture = str(HERE.parent / "conformance" / "fixture.py")
        places = {
            "old": self.start([sys.executable, fixture, "--era", "legacy", "--part", "tools"]),
            "new": self.start([sys.executable, fixture, "--era", "modern", "--part", "tools"]),
            "telling": self.start([sys.executable, str(HERE / "telling.py")]),
        }
        configs = []
        for replica in ["a", "b"]:
            config = folder / f"{replica}.yaml"
            config.write_text(CONFIG.format(folder=folder, replica=replica, **places))
            configs.append(config)
        self.keys = [self.run("key", "create", "-c", str(configs[0]), "--name", name) for name in ["one", "other"]]
        self.urls = [f"http://{self.start([BINARY, 'serve', '-c', str(config)])}/mcp" for config in configs]

    def run(self, *arguments):
        return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def start(self, command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        for line in process.stdout:
            if found := re.search(r"listening on (\S+)", line):
                return found.group(1)
        raise RuntimeError(f"{command} ended")

    def head(self, method, params, key):
        name = params.get("name") or params.get("taskId")
        head = {
            "authorization": f"Bearer {self.keys[key]}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
        }
        return head | ({"mcp-name": name} if name else {})

    def message(self, method, params, capabilities):
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
        return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params | {"_meta": meta}}

    def ask(self, method, at=0, key=0, capabilities=KNOWS, **params):
        message, head = self.message(method, params, capabilities), self.head(method, params, key)
        text = httpx2.post(self.urls[at], json=message, headers=head, timeout=30).text
        return json.loads(text if text.startswith("{") else text.split("data: ")[-1])

    def call(self, name, at=0, **arguments):
        return self.ask("tools/call", at=at, name=name, arguments=arguments)["result"]

    def ended(self, task, at=0):
        for _ in range(100):
            told = self.ask("tasks/get", at=at, taskId=task)["result"]
            if told["status"] in ("completed", "failed", "cancelled", "input_required"):
                return told
            time.sleep(0.05)
        raise TimeoutError(told)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    replicas = Replicas(tmp_path_factory.mktemp("tasks"))
    yield replicas
    for process in reversed(replicas.processes):
        process.terminate()
        process.wait(timeout=30)


SERVERS = pytest.mark.parametrize("server", ["old", "new"])


@SERVERS
def test_any_replica_finds_a_task_and_nobody_anothers(replicas, server):
    begun = replicas.call(f"{server}_slow_compute", seconds=0.3, label="x")
    assert begun["resultType"] == "task" and begun["ttlMs"] == 60_000
    told = replicas.ended(begun["taskId"], at=1)
    assert (told["taskId"], told["status"]) == (begun["taskId"], "completed")
    assert told["result"]["content"][0]["text"] == "Computed x."
    for method in ["tasks/get", "tasks/cancel", "tasks/update"]:
        assert replicas.ask(method, key=1, taskId=begun["taskId"])["error"]["code"] == -32602
        assert replicas.ask(method, taskId="job-0")["error"]["code"] == -32602
        lacks = replicas.ask(method, capabilities={}, taskId=begun["taskId"])["error"]
        assert lacks["code"] == -32021 and TASKS in lacks["data"]["requiredCapabilities"]["extensions"]


@SERVERS
def test_a_task_wants_something(replicas, server):
    begun = replicas.call(f"{server}_multi_input")
    told = replicas.ended(begun["taskId"])
    assert told["status"] == "input_required" and len(told["inputRequests"]) == 2
    for key, asked in told["inputRequests"].items():
        assert asked["method"] == "elicitation/create"
        answer = {key: {"action": "accept", "content": {"confirm": True}}}
        assert replicas.ask("tasks/update", taskId=begun["taskId"], inputResponses=answer)["result"]["resultType"] == "complete"
    for _ in range(100):
        told = replicas.ask("tasks/get", taskId=begun["taskId"])["result"]
        if told["status"] == "completed":
            break
        time.sleep(0.05)
    assert told["result"]["content"][0]["text"] == "2 answers."


@SERVERS
def test_how_a_task_ends(replicas, server):
    failing = replicas.ended(replicas.call(f"{server}_failing_job")["taskId"])
    assert failing["status"] == "completed" and failing["result"]["isError"]
    breaking = replicas.ended(replicas.call(f"{server}_protocol_error_job")["taskId"])
    assert breaking["status"] == "failed" and breaking["error"]["message"] == "This job breaks."
    begun = replicas.call(f"{server}_slow_compute", seconds=60)
    assert replicas.ask("tasks/cancel", at=1, taskId=begun["taskId"])["result"]["resultType"] == "complete"
    assert replicas.ended(begun["taskId"])["status"] == "cancelled"


@SERVERS
@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_clients_with_sessions_get_the_results_of_tools_that_are_tasks(replicas, server, version):
    """Those that do not know tasks as their server does are answered when the task has ended."""
    head = {"authorization": f"Bearer {replicas.keys[0]}", "accept": "application/json, text/event-stream"}

    def ask(method, **params):
        message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = httpx2.post(replicas.urls[0], json=message, headers=head, timeout=30)
        head.update({"mcp-session-id": answer.headers.get("mcp-session-id", head.get("mcp-session-id"))})
        return json.loads(answer.text if answer.text.startswith("{") else answer.text.split("data: ")[-1])

    client = {"name": "old", "version": "1"}
    hello = ask("initialize", protocolVersion=version, capabilities={}, clientInfo=client)["result"]
    assert hello["protocolVersion"] == version
    assert ("tasks" in hello["capabilities"]) == (version == "2025-11-25")
    head["mcp-protocol-version"] = version
    answer = ask("tools/call", name=f"{server}_failing_job", arguments={})
    if (server, version) == ("old", "2025-11-25"):
        # It can ask for a task itself.
        assert answer["error"]["code"] == -32601
        return
    assert answer["result"]["content"][0]["text"] == "This job fails." and answer["result"]["isError"]
    assert "_meta" not in answer["result"] or not any("task" in name for name in answer["result"]["_meta"])


def test_who_listens_hears_of_their_tasks_alone(replicas):
    begun = replicas.call("telling_job", seconds=1)
    wanted = {"taskIds": [begun["taskId"], "job-0"]}

    def listen(key):
        message, head = replicas.message("subscriptions/listen", {"notifications": wanted}, KNOWS), replicas.head("subscriptions/listen", {}, key)
        with httpx2.Client(timeout=5) as client, client.stream("POST", replicas.urls[1], json=message, headers=head) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    acknowledged = next(listen(1))
    assert "taskIds" not in acknowledged["params"]["notifications"]
    heard = listen(0)
    assert next(heard)["params"]["notifications"]["taskIds"] == [begun["taskId"]]
    told = next(heard)
    assert told["method"] == "notifications/tasks"
    assert (told["params"]["taskId"], told["params"]["status"]) == (begun["taskId"], "completed")
    assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
    assert told["params"]["result"]["content"][0]["text"] == "done"


def test_a_call_is_counted_once_and_asking_after_it_is_not(replicas):
    def calls():
        with sqlite3.connect(f"file:{replicas.folder}/p.db?mode=ro", uri=True) as database:
            return database.execute("SELECT COUNT(*) FROM ledger WHERE surface = '/mcp'").fetchone()[0]

    time.sleep(2)
    before = calls()
    begun = replicas.call("new_slow_compute", seconds=0)
    for _ in range(5):
        replicas.ended(begun["taskId"])
    time.sleep(2)
    assert calls() == before + 1
