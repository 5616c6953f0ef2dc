"""A gateway in front of a simulated provider of every format, its ledger, and the table of what went well."""

import json
import pathlib
import re
import sqlite3
import subprocess
import time
import urllib.request

import pytest
from servers import BINARY, wait_for

AWS = ("AKIASIMULATED0000000", "secret/of+the/simulated+account")
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
server: {{ workers: 1 }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
identity: {{ signing_secret: "0123456789abcdef0123456789abcdef" }}
providers:
  o: {{ kind: openai, base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  a: {{ kind: anthropic, base_url: "http://{sim}", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  g: {{ kind: gemini, base_url: "http://{sim}/v1beta", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  b:
    kind: aws-bedrock
    base_url: "http://{sim}"
    region: eu-west-1
    auth: {{ aws: {{ access_key_id: "{aws[0]}", secret_access_key: "{aws[1]}" }} }}
    retry: {{ attempts: 1 }}
  c: {{ kind: cohere, base_url: "http://{sim}", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  v: {{ kind: gcp-vertex, base_url: "http://{sim}", project: p, location: us-central1, auth: {{ api_key: ya29.sim }}, retry: {{ attempts: 1 }} }}
  l: {{ kind: vllm, base_url: "http://{sim}/fleet/v1", auth: {{ api_key: sk-sim }}, retry: {{ attempts: 1 }} }}
  # Never rested: every test sees its own fault.
  faulty:
    kind: openai
    base_url: "http://{sim}/v1"
    auth: {{ api_key: sk-sim }}
    retry: {{ attempts: 1 }}
    health: {{ consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms }}
models:
  limited: {{ targets: [ {{ provider: faulty, model: "m+fault=rate-limited:1" }} ] }}
  failing: {{ targets: [ {{ provider: faulty, model: "m+fault=status:500" }} ] }}
  broken: {{ targets: [ {{ provider: faulty, model: "m+fault=cut-clean" }} ] }}
  openai-chat: {{ targets: [ {{ provider: o, model: reason-1, format: openai-chat }} ], price: &price {{ input: 2, output: 10, cache_read: 0.5, cache_write: 3 }} }}
  openai-responses: {{ targets: [ {{ provider: o, model: gpt-5-mini, format: openai-responses }} ], price: *price }}
  anthropic-messages: {{ targets: [ {{ provider: a, model: claude-haiku-4-5 }} ], price: *price }}
  gemini: {{ targets: [ {{ provider: g, model: gemini-3-flash, format: gemini }} ], price: *price }}
  bedrock-converse: {{ targets: [ {{ provider: b, model: "eu.anthropic.claude-haiku-4-5-20251001-v1:0", format: bedrock-converse }} ], price: *price }}
  cohere-chat: {{ targets: [ {{ provider: c, model: command-a-reasoning, format: cohere-chat }} ], price: *price }}
  embed-openai: {{ targets: [ {{ provider: o, model: text-embedding-3-small }} ] }}
  embed-cohere: {{ targets: [ {{ provider: c, model: embed-v4.0 }} ] }}
  embed-google: {{ targets: [ {{ provider: g, model: gemini-embedding-001 }} ] }}
  embed-titan: {{ targets: [ {{ provider: b, model: "amazon.titan-embed-text-v2:0" }} ] }}
  embed-vertex: {{ targets: [ {{ provider: v, model: text-embedding-005 }} ] }}
  rank-cohere: {{ targets: [ {{ provider: c, model: rerank-v3.5 }} ] }}
  rank-vllm: {{ targets: [ {{ provider: l, model: ranker }} ], price: {{ input: 2, output: 0 }} }}
  rank-bedrock: {{ targets: [ {{ provider: b, model: "amazon.rerank-v1:0" }} ] }}
"""


class Caller:
    """A key, and the pair that signs for it."""

    def __init__(self, key, access, secret):
        self.key, self.aws = key, (access, secret)


class House:
    def __init__(self, url, sim, caller, narrow, database):
        self.url, self.sim, self.database = url, sim, database
        self.caller = caller
        # May ask for one model only.
        self.narrow = narrow

    def served(self):
        """What the provider says it served since it was asked last."""
        with urllib.request.urlopen(f"{self.sim}/_sim/served") as answer:
            served = json.load(answer)
        urllib.request.urlopen(urllib.request.Request(f"{self.sim}/_sim/served", method="DELETE")).read()
        return served

    def ledger(self, count, provider, stream, surfaces):
        """The rows of a cell: they are carried to the ledger a moment after the answer."""
        query = f"SELECT * FROM ledger WHERE model_requested = ? AND streamed = ? AND surface IN ({', '.join('?' * len(surfaces))}) ORDER BY at, id"
        until = time.monotonic() + 10
        while True:
            with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
                connection.row_factory = sqlite3.Row
                rows = connection.execute(query, (provider, stream, *surfaces)).fetchall()
            if len(rows) >= count or time.monotonic() > until:
                return [dict(row) for row in rows]
            time.sleep(0.02)


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    processes = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    sim = wait_for(start("sim", "--address", "127.0.0.1:0", "--aws-access-key", AWS[0], "--aws-secret-key", AWS[1]), r"http://(\S+)")
    config = pathlib.Path(folder) / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, sim=sim, aws=AWS))
    def make(*options):
        made = subprocess.run([BINARY, "key", "create", "-c", str(config), "--aws", *options], check=True, capture_output=True, text=True).stdout
        return Caller(*re.fullmatch(r"(\S+)\nAWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n", made).groups())

    caller, narrow = make("--name", "sdk"), make("--model", "gemini")
    address = wait_for(start("serve", "-c", str(config)), r"listening on (\S+)")
    yield House(f"http://{address}", f"http://{sim}", caller, narrow, folder / "p.db")
    for process in processes:
        process.terminate()
        process.wait(timeout=30)


CELLS = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    cell = getattr(item, "callspec", None) and item.callspec.params
    if cell and {"client", "provider", "stream"} <= cell.keys() and (report.when == "call" or report.failed):
        CELLS[cell["client"], cell["provider"], cell["stream"]] = "ok" if report.passed else "FAILED"


def pytest_terminal_summary(terminalreporter):
    clients = list(dict.fromkeys(client for client, _, _ in CELLS))
    providers = list(dict.fromkeys(provider for _, provider, _ in CELLS))
    for stream in (False, True):
        if not any(streamed == stream for _, _, streamed in CELLS):
            continue
        terminalreporter.write_line("")
        terminalreporter.write_line("streamed" if stream else "whole")
        terminalreporter.write_line(f"{'client / provider':20}" + "".join(f"{provider:20}" for provider in providers))
        for client in clients:
            cells = "".join(f"{CELLS.get((client, provider, stream), '-'):20}" for provider in providers)
            terminalreporter.write_line(f"{client:20}{cells}")
