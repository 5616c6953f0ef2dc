"""A gateway with a simulated provider, for LiteLLM's own management client and command line."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

import pytest

# LiteLLM looks for prices on the internet when it is imported, unless it is told not to.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

BINARY = os.environ.get("POINTSMAN", "pointsman")
TOKEN = "sk-the-admin-token-of-these-tests"
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
providers: {{ sim: {{ kind: openai, base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }} }} }}
models: {{ chat: {{ targets: [ {{ provider: sim, model: gpt-5-mini }} ], price: {{ input: 1000, output: 1000 }} }} }}
"""


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")


class Gateway:
    """Where it is, for callers and for whoever manages it."""

    def __init__(self, api, admin):
        self.api = f"http://{api}"
        self.admin = f"http://{admin}"
        self.token = TOKEN

    def chat(self, key, model="chat"):
        """Asks with a key; gives the status."""
        body = {"model": model, "messages": [{"role": "user", "content": "repeat 5 words"}]}
        request = urllib.request.Request(
            f"{self.api}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


def eventually(look, seconds=10):
    """What `look` gives, once that is something."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"still {found!r}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    processes = []

    def start(*arguments):
        environment = dict(os.environ, POINTSMAN_ADMIN_TOKEN=TOKEN)
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
        processes.append(process)
        return process

    try:
        sim = wait_for(start("sim", "--address", "127.0.0.1:0"), r"http://([\d.:]+)")
        config = pathlib.Path(folder) / "pointsman.yaml"
        config.write_text(CONFIG.format(folder=folder, sim=sim))
        serving = start("serve", "-c", str(config))
        yield Gateway(wait_for(serving, r"listening on (\S+)"), wait_for(serving, r"metrics on http://([\d.:]+)"))
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)
