"""Gemini."""

import base64
import json

import pytest
from scene import BOTH, CALLS, LONG
from servers import PNG
from google import genai
from google.genai import errors, types

CITY = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
TOOLS = [types.Tool(function_declarations=[{"name": name, "parameters": CITY} for name in ("get_weather", "get_time")])]
PERSON = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}
MODEL = "gemini-3-flash"


@pytest.fixture
def client(sim):
    return genai.Client(api_key="sk-sim", http_options={"base_url": sim.url})


def ask(client, stream, contents, model=MODEL, **config):
    config = types.GenerateContentConfig(**config, automatic_function_calling={"disable": True})
    if not stream:
        return client.models.generate_content(model=model, contents=contents, config=config)
    chunks = list(client.models.generate_content_stream(model=model, contents=contents, config=config))
    last = chunks[-1]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    last.candidates[0].content.parts = parts
    return last


def said(answer):
    return "".join(part.text or "" for part in answer.candidates[0].content.parts if not part.thought)


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_with_signatures(client, sim, stream):
    config = {"tools": TOOLS, "thinking_config": {"include_thoughts": True, "thinking_level": "LOW"}}
    contents = [types.Content(role="user", parts=[types.Part(text=BOTH)])]
    first = ask(client, stream, contents, **config)
    calls = [part.function_call for part in first.candidates[0].content.parts if part.function_call]
    assert [(call.name, call.args) for call in calls] == CALLS
    assert first.usage_metadata.thoughts_token_count > 0
    contents.append(first.candidates[0].content)
    results = [types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "fine"})) for call in calls]
    contents.append(types.Content(role="user", parts=results))
    second = ask(client, stream, contents, **config)
    assert said(second) == "The tools say: fine; fine"
    told = sim.served()[0]["told"]
    assert told["thoughtsTokenCount"] == first.usage_metadata.thoughts_token_count
    assert told["totalTokenCount"] == first.usage_metadata.total_token_count

    def without(change):
        broken = [content.model_copy(deep=True) for content in contents]
        change(broken)
        with pytest.raises(errors.ClientError) as refused:
            ask(client, False, broken, **config)
        return refused.value.message

    def signature(value):
        def change(contents):
            for part in contents[1].parts:
                if part.function_call and part.thought_signature:
                    part.thought_signature = value

        return change

    assert "missing a thought_signature" in without(signature(None))
    assert "Corrupted thought signature" in without(signature(b"something else"))
    assert "number of function response parts" in without(lambda contents: contents[2].parts.pop())


@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_and_pictures(client, stream):
    answer = ask(client, stream, "Who?", response_mime_type="application/json", response_schema=PERSON)
    assert json.loads(said(answer)) == {"name": "Zürich", "age": 7}
    parts = [types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"), "what?"]
    assert said(ask(client, stream, parts)) == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"
    heard = ask(client, stream, [types.Part.from_bytes(data=b"x" * 200, mime_type="audio/wav"), "what?"])
    assert said(heard) == "I hear 1 recording(s): audio/wav of 200 bytes"
    kinds = {detail.modality: detail.token_count for detail in heard.usage_metadata.prompt_tokens_details}
    assert kinds["AUDIO"] == 3
    assert ask(client, stream, "refuse this").candidates[0].finish_reason == "SAFETY"
    assert ask(client, stream, "repeat 50 words", max_output_tokens=5).candidates[0].finish_reason == "MAX_TOKENS"


def test_prompts_are_cached_and_counted(client, sim):
    first, second = (ask(client, False, "hello", system_instruction=LONG + sim.url).usage_metadata for _ in range(2))
    assert not first.cached_content_token_count and second.cached_content_token_count > 64
    assert client.models.count_tokens(model=MODEL, contents="one two").total_tokens == 8


def test_embeddings_and_models(client):
    answer = client.models.embed_content(model="gemini-embedding-001", contents=["one", "two"], config={"output_dimensionality": 4})
    assert [len(embedding.values) for embedding in answer.embeddings] == [4, 4]
    assert MODEL in [model.name.removeprefix("models/") for model in client.models.list()]
    with pytest.raises(errors.ClientError) as missing:
        client.models.get(model="gemini-0")
    assert missing.value.code == 404


@pytest.mark.parametrize(
    "contents, config, message",
    [
        ([{"role": "assistant", "parts": [{"text": "x"}]}], {}, "valid role"),
        ([{"role": "user", "parts": []}], {}, "must not be empty"),
        ("x", {"response_mime_type": "application/json", "response_schema": {"type": "ARRAY"}}, "items: missing field"),
        ("x", {"tools": [types.Tool(function_declarations=[{"name": "1 a"}])]}, "Invalid function name"),
        ([{"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": b"no picture"}}]}], {}, "Unable to process"),
        ("x", {"temperature": 3.0}, "supported range"),
    ],
)
def test_what_is_refused(client, contents, config, message):
    with pytest.raises(errors.ClientError, match=message):
        ask(client, False, contents, **config)


def test_keys_are_asked_for(sim):
    with pytest.raises(errors.ClientError, match="API key not valid"):
        ask(genai.Client(api_key="wrong", http_options={"base_url": sim.url}), False, "x")


@pytest.mark.parametrize("fault", ["cut-abort", "reset-mid-stream", "malformed-event", "error-event"])
def test_streams_break(client, fault):
    with pytest.raises(Exception):
        ask(client, True, "repeat 20 words", model=f"{MODEL}+fault={fault}")
