"""A gateway in front of simulated providers of both formats, for the official SDKs."""

import pathlib
import subprocess
import urllib.request

import pytest
from servers import BINARY, make_key, wait_for

CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
providers:
  openai: {{ base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }} }}
  anthropic: {{ base_url: "http://{sim}", auth: {{ api_key: sk-sim }} }}
  # Asked once, never rested: every test sees its own fault.
  faulty-openai: &faulty
    kind: openai
    base_url: "http://{sim}/v1"
    auth: {{ api_key: sk-sim }}
    retry: {{ attempts: 1 }}
    timeouts: {{ first_byte: 2s, between_chunks: 2s }}
    health: {{ consecutive_failures: 0, failure_ratio: 0, max_cool_down: 1ms }}
  faulty-anthropic: {{ <<: *faulty, kind: anthropic, base_url: "http://{sim}" }}
models:
  on-openai: {{ targets: [ {{ provider: openai, model: gpt-5-mini }} ] }}
  on-openai-chat: {{ targets: [ {{ provider: openai, model: gpt-5-mini, format: openai-chat }} ] }}
  on-anthropic: {{ targets: [ {{ provider: anthropic, model: claude-haiku-4-5 }} ] }}
  reasoning-on-openai: {{ targets: [ {{ provider: openai, model: reason-1 }} ] }}
  embedding: {{ targets: [ {{ provider: openai, model: text-embedding-3-small }} ] }}
  voice: {{ targets: [ {{ provider: openai, model: gpt-realtime }} ] }}
  dying-voice: {{ targets: [ {{ provider: faulty-openai, model: "gpt-realtime+fault=cut-abort" }} ] }}
{faults}
"""

FAULTS = ["rate-limited:1", "status:500", "status:401", "cut-abort", "cut-clean", "malformed-event", "error-event", "stall-mid-stream"]


class Gateway:
    def __init__(self, address, key, folder):
        self.url = f"http://{address}"
        self.key = key
        self.folder = folder

    def make_key(self, *options):
        return make_key(self.folder, *options)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    processes = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    sim = wait_for(start("sim", "--address", "127.0.0.1:0"), r"http://(\S+)")
    faults = "".join(
        f'  "{provider}+{fault}": {{ targets: [ {{ provider: faulty-{provider}, model: "m+fault={fault}" }} ] }}\n'
        for provider in ("openai", "anthropic")
        for fault in FAULTS
    )
    config = pathlib.Path(folder) / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, sim=sim, faults=faults))
    key = make_key(folder, "--name", "sdk")
    address = wait_for(start("serve", "-c", str(config)), r"listening on (\S+)")
    urllib.request.urlopen(f"http://{address}/health").read()
    yield Gateway(address, key, folder)
    for process in processes:
        process.terminate()
        process.wait(timeout=30)
