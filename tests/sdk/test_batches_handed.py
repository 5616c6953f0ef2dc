"""Batches that go into the provider's own, through the official `openai` and `anthropic` SDKs, unmodified."""

import json
import pathlib
import subprocess

import anthropic
import openai
import pytest
from servers import BINARY, make_key, wait_for
from test_batches import create, until

CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
batches: {{ mode: auto }}
providers:
  openai: {{ base_url: "http://{sim}/v1", auth: {{ api_key: sk-sim }} }}
  anthropic: {{ base_url: "http://{sim}", auth: {{ api_key: sk-sim }} }}
models:
  on-openai: {{ targets: [ {{ provider: openai, model: gpt-5-mini }} ] }}
  on-anthropic: {{ targets: [ {{ provider: anthropic, model: claude-haiku-4-5 }} ] }}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a gateway that hands batches on, a key for it, and the address of its provider."""
    folder = tmp_path_factory.mktemp("handed")
    processes = []

    def start(*arguments):
        process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    sim = wait_for(start("sim", "--address", "127.0.0.1:0"), r"http://(\S+)")
    config = pathlib.Path(folder) / "pointsman.yaml"
    config.write_text(CONFIG.format(folder=folder, sim=sim))
    key = make_key(folder, "--name", "sdk")
    address = wait_for(start("serve", "-c", str(config)), r"listening on (\S+)")
    yield f"http://{address}", key, f"http://{sim}"
    for process in processes:
        process.terminate()
        process.wait(timeout=30)


def test_batch(site):
    url, key, sim = site
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    batch = create(client, "on-openai", "on-openai", "nowhere", metadata={"night": "1"})
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "completed")
    assert batch.metadata == {"night": "1", "pointsman_run_by": "openai"}
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in output] == ["line-0", "line-1"]
    for number, line in enumerate(output):
        answer = openai.types.chat.ChatCompletion.model_validate(line["response"]["body"])
        assert answer.choices[0].message.content == f"You said: line {number}"
    (error,) = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
    assert (error["custom_id"], error["response"]["status_code"]) == ("line-2", 404)
    there = openai.OpenAI(base_url=f"{sim}/v1", api_key="sk-sim", max_retries=0)
    assert [one.metadata for one in there.batches.list()] == [{"pointsman_batch": batch.id}]


def test_batch_is_cancelled(site):
    url, key, _ = site
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    batch = create(client, *["on-openai"] * 2000)
    until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.request_counts.completed > 0)
    client.batches.cancel(batch.id)
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "cancelled")
    assert batch.cancelled_at and 0 < batch.request_counts.completed < 2000


def test_message_batch(site):
    url, key, sim = site
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)
    params = {"model": "on-anthropic", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    batch = client.messages.batches.create(requests=[{"custom_id": f"line-{number}", "params": params} for number in range(3)])
    batch = until(lambda: client.messages.batches.retrieve(batch.id), lambda batch: batch.processing_status == "ended")
    assert batch.request_counts.succeeded == 3
    results = list(client.messages.batches.results(batch.id))
    assert [result.custom_id for result in results] == ["line-0", "line-1", "line-2"]
    assert {result.result.message.content[0].text for result in results} == {"You said: hi"}
    there = anthropic.Anthropic(base_url=sim, api_key="sk-sim", max_retries=0)
    assert len(list(there.messages.batches.list())) == 1
