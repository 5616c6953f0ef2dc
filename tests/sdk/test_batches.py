"""Files and batches through the official `openai` and `anthropic` SDKs, unmodified."""

import json
import time

import anthropic
import openai
import pytest


@pytest.fixture
def openai_client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


@pytest.fixture
def anthropic_client(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)


def until(ask, ended):
    for _ in range(300):
        found = ask()
        if ended(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"it never ended: {found}")


def lines(*models):
    for number, model in enumerate(models):
        body = {"model": model, "messages": [{"role": "user", "content": f"line {number}"}]}
        yield json.dumps({"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


def create(client, *models, **more):
    file = client.files.create(purpose="batch", file=("lines.jsonl", "\n".join(lines(*models)).encode()))
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more)


def test_files(openai_client):
    client = openai_client
    file = client.files.create(purpose="user_data", file=("Grüezi.txt", b"mitenand"), expires_after={"anchor": "created_at", "seconds": 3600})
    assert (file.bytes, file.filename, file.purpose, file.status) == (8, "Grüezi.txt", "user_data", "processed")
    assert file.expires_at == file.created_at + 3600
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).content == b"mitenand"
    assert [found.id for found in client.files.list(purpose="user_data")] == [file.id]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_files_are_turned_page_by_page(openai_client):
    made = [openai_client.files.create(purpose="vision", file=(f"{number}", b"x")).id for number in range(5)]
    listed = [file.id for file in openai_client.files.list(purpose="vision", limit=2)]
    assert listed == made[::-1]


def test_batch(openai_client):
    client = openai_client
    batch = create(client, "on-openai", "on-anthropic", "nowhere", metadata={"night": "1"})
    assert batch.status == "validating" and batch.metadata == {"night": "1"}
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "completed")
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
    output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in output] == ["line-0", "line-1"]
    for number, line in enumerate(output):
        answer = openai.types.chat.ChatCompletion.model_validate(line["response"]["body"])
        assert answer.choices[0].message.content == f"You said: line {number}"
    (error,) = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
    assert (error["custom_id"], error["response"]["status_code"]) == ("line-2", 404)
    assert batch.id in [found.id for found in client.batches.list(limit=1)]


def test_batch_is_cancelled(openai_client):
    client = openai_client
    batch = create(client, *["on-openai"] * 2000)
    client.batches.cancel(batch.id)
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "cancelled")
    assert batch.cancelled_at and batch.request_counts.completed < 2000


def test_batch_of_a_damaged_file_names_its_line(openai_client):
    client = openai_client
    file = client.files.create(purpose="batch", file=("lines.jsonl", b"{}"))
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "failed")
    assert [(error.code, error.line) for error in batch.errors.data] == [("missing_required_parameter", 1)]


def test_message_batch(anthropic_client):
    client = anthropic_client
    requests = [
        {"custom_id": f"line-{number}", "params": {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": f"line {number}"}]}}
        for number, model in enumerate(["on-anthropic", "on-openai", "nowhere"])
    ]
    batch = client.messages.batches.create(requests=requests)
    assert batch.processing_status == "in_progress" and batch.request_counts.processing == 3
    batch = until(lambda: client.messages.batches.retrieve(batch.id), lambda batch: batch.processing_status == "ended")
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 1)
    results = list(client.messages.batches.results(batch.id))
    assert [result.custom_id for result in results] == ["line-0", "line-1", "line-2"]
    assert [result.result.message.content[0].text for result in results[:2]] == ["You said: line 0", "You said: line 1"]
    assert results[2].result.type == "errored" and results[2].result.error.error.type == "not_found_error"
    assert batch.id in [found.id for found in client.messages.batches.list()]
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)


def test_message_batch_is_cancelled(anthropic_client):
    client = anthropic_client
    params = {"model": "on-anthropic", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    batch = client.messages.batches.create(requests=[{"custom_id": f"line-{number}", "params": params} for number in range(2000)])
    assert client.messages.batches.cancel(batch.id).processing_status in ("canceling", "ended")
    batch = until(lambda: client.messages.batches.retrieve(batch.id), lambda batch: batch.processing_status == "ended")
    counts = batch.request_counts
    assert counts.canceled > 0 and counts.canceled + counts.succeeded == 2000
