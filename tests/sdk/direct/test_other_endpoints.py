"""What providers have besides conversations: files, batches, pictures, sound, moderations, model servers."""

import base64
import io
import json
import time
import urllib.request

import anthropic
import openai
import pytest
from servers import PNG


@pytest.fixture
def client(sim):
    return openai.OpenAI(base_url=f"{sim.url}/v1", api_key="sk-sim", max_retries=0)


def until(state, done):
    for _ in range(200):
        now = state()
        if done(now):
            return now
        time.sleep(0.02)
    raise AssertionError(f"still {now}")


def upload(client, *lines):
    return client.files.create(file=("lines.jsonl", "\n".join(json.dumps(line) for line in lines).encode()), purpose="batch")


def line(name, **body):
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


SAY = [{"role": "user", "content": "hello"}]


def test_files(client):
    file = client.files.create(file=("a.txt", b"one\r\n\r\ntwo"), purpose="user_data")
    assert client.files.content(file.id).read() == b"one\r\n\r\ntwo" and file.bytes == 10
    assert file.id in [one.id for one in client.files.list(purpose="user_data")]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.files.create(file=("a.txt", b"x"), purpose="fun")


def test_a_batch_runs_with_results_and_errors(client, sim):
    file = upload(client, line("good", model="gpt-5-mini", messages=SAY), line("bad", model="gpt-5-mini", messages=[]), line("good-2", model="gpt-5-mini", messages=SAY))
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.status == "validating"
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "completed")
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
    good = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert [one["custom_id"] for one in good] == ["good", "good-2"]
    usages = [one["response"]["body"]["usage"] for one in good]
    assert [served["told"] for served in sim.served() if served["path"] == "/v1/chat/completions"] == usages
    (bad,) = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
    assert bad["response"]["status_code"] == 400 and "empty array" in bad["response"]["body"]["error"]["message"]


def test_batches_fail_and_are_cancelled(client):
    def start(*lines):
        file = upload(client, *lines)
        return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id

    twice = start(line("a", model="m", messages=SAY), line("a", model="m", messages=SAY))
    failed = until(lambda: client.batches.retrieve(twice), lambda batch: batch.status == "failed")
    assert failed.errors.data[0].code == "duplicate_custom_id" and failed.errors.data[0].line == 2
    long = start(*(line(str(number), model="m", messages=SAY) for number in range(500)))
    client.batches.cancel(long)
    cancelled = until(lambda: client.batches.retrieve(long), lambda batch: batch.status == "cancelled")
    assert cancelled.request_counts.completed < 500
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h")


def test_batches_of_anthropic(sim):
    client = anthropic.Anthropic(base_url=sim.url, api_key="sk-sim", max_retries=0)
    params = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": SAY}
    requests = [{"custom_id": "good", "params": params}, {"custom_id": "bad", "params": {**params, "max_tokens": 0}}]
    batch = client.messages.batches.create(requests=requests)
    until(lambda: client.messages.batches.retrieve(batch.id), lambda batch: batch.processing_status == "ended")
    results = {result.custom_id: result.result for result in client.messages.batches.results(batch.id)}
    assert results["good"].message.content[0].text == "You said: hello" and results["good"].message.usage.service_tier == "batch"
    assert results["bad"].error.error.type == "invalid_request_error"
    assert batch.id in [one.id for one in client.messages.batches.list()]
    client.messages.batches.delete(batch.id)
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)


def test_moderations(client):
    good, bad = client.moderations.create(input=["a kind word", "I will kill the process"]).results
    assert not good.flagged and bad.flagged and bad.categories.violence


def test_pictures(client):
    made = client.images.generate(model="gpt-image-1", prompt="a red train", n=2, quality="low")
    assert all(base64.b64decode(one.b64_json).startswith(b"\x89PNG") for one in made.data)
    assert made.usage.output_tokens == 544 and made.data[0].b64_json != made.data[1].b64_json
    assert client.images.generate(model="dall-e-3", prompt="x").data[0].url.startswith("data:image/png")
    picture = ("a.png", base64.b64decode(PNG), "image/png")
    edited = client.images.edit(model="gpt-image-1", image=picture, prompt="bluer")
    assert edited.usage.input_tokens_details.image_tokens == 85
    assert client.images.create_variation(image=picture, response_format="b64_json").data[0].b64_json
    with pytest.raises(openai.BadRequestError, match="response_format"):
        client.images.generate(model="gpt-image-1", prompt="x", response_format="url")
    with pytest.raises(openai.BadRequestError, match="Invalid image file"):
        client.images.edit(model="gpt-image-1", image=("a.png", b"no picture", "image/png"), prompt="x")


def test_what_is_spoken_is_heard(client):
    sound = client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="mind the gap", response_format="wav").read()
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", io.BytesIO(sound)))
    assert heard.text == "mind the gap" and heard.usage.input_token_details.audio_tokens > 0
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound), stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "mind the gap"
    assert "-->" in client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format="srt")
    assert client.audio.translations.create(model="whisper-1", file=("a.wav", sound)).text == "In English: mind the gap"
    with pytest.raises(openai.BadRequestError, match="Invalid file format"):
        client.audio.transcriptions.create(model="whisper-1", file=("a.exe", sound))


def test_model_servers(sim):
    def ask(path, body):
        headers = {"authorization": "Bearer sk-sim", "content-type": "application/json"}
        request = urllib.request.Request(sim.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    tokens = ask("/tokenize", {"model": "m", "prompt": "hello world"})
    assert tokens["count"] == 4 and ask("/detokenize", {"model": "m", "tokens": tokens["tokens"]}) == {"prompt": "hello world"}
    assert [token["text"] for token in ask("/tokenize", {"inputs": "hello"})[0]] == ["hell", "o"]
    scores = ask("/score", {"model": "m", "text_1": "fresh bread", "text_2": ["old bread", "a train"]})
    assert [one["score"] for one in scores["data"]] == [0.5, 0.0]
    assert len(ask("/pooling", {"model": "m", "input": "hello"})["data"][0]["data"]) == 8
    ranked = ask("/rerank", {"query": "fresh bread", "texts": ["a train", "fresh bread"], "return_text": True})
    assert ranked[0] == {"index": 1, "score": 1.0, "text": "fresh bread"}
    ranked = ask("/rerank", {"model": "m", "query": "fresh bread", "documents": ["a train", "fresh bread"]})
    assert ranked["results"][0]["relevance_score"] == 1.0
