"""Cohere."""

import base64
import json

import cohere
import pytest
from cohere.core.api_error import ApiError
from scene import BOTH, CALLS, CITY, LONG, PERSON
from servers import PNG

TOOLS = [{"type": "function", "function": {"name": name, "description": "tells", "parameters": CITY}} for name in ("get_weather", "get_time")]
MODEL = "command-a-reasoning"


@pytest.fixture
def client(sim):
    return cohere.ClientV2(api_key="sk-sim", base_url=sim.url)


def ask(client, stream, messages, model=MODEL, **arguments):
    """The assistant's message as it is sent back, the reason to finish, and the usage."""
    once = {"request_options": {"max_retries": 0}}
    if not stream:
        answer = client.chat(model=model, messages=messages, **arguments, **once)
        return answer.message.model_dump(exclude_none=True), answer.finish_reason, answer.usage
    content, calls, finish, usage = {}, {}, None, None
    for event in client.chat_stream(model=model, messages=messages, **arguments, **once):
        if event.type == "content-start":
            content[event.index] = event.delta.message.content.model_dump(exclude_none=True)
        elif event.type == "content-delta":
            for key, value in event.delta.message.content.model_dump(exclude_none=True).items():
                content[event.index][key] += value
        elif event.type == "tool-call-start":
            calls[event.index] = event.delta.message.tool_calls.model_dump(exclude_none=True)
        elif event.type == "tool-call-delta":
            calls[event.index]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            finish, usage = event.delta.finish_reason, event.delta.usage
    message = {"role": "assistant"}
    if content:
        message["content"] = list(content.values())
    if calls:
        message["tool_calls"] = list(calls.values())
    return message, finish, usage


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_that_thinks(client, sim, stream):
    messages = [{"role": "user", "content": BOTH}]
    answer, finish, usage = ask(client, stream, messages, tools=TOOLS)
    assert finish == "TOOL_CALL" and answer["content"][0]["thinking"] == "Let me think about this."
    assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in answer["tool_calls"]] == CALLS
    assert sim.served()[0]["told"]["tokens"]["output_tokens"] == usage.tokens.output_tokens
    messages.append(answer)
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in answer["tool_calls"]]
    answer, finish, _ = ask(client, stream, messages, tools=TOOLS)
    assert (answer["content"][-1]["text"], finish) == ("The tools say: fine; fine", "COMPLETE")
    with pytest.raises(cohere.BadRequestError, match="all tool calls must be followed"):
        ask(client, False, messages[:-1], tools=TOOLS)


@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_pictures_and_caches(client, sim, stream):
    say = [{"role": "user", "content": "Who?"}]
    form = {"type": "json_object", "json_schema": PERSON}
    plain = {"model": "command-a", "response_format": form}
    assert json.loads(ask(client, stream, say, **plain)[0]["content"][0]["text"]) == {"name": "Zürich", "age": 7}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    seen = ask(client, stream, [{"role": "user", "content": [{"type": "text", "text": "what?"}, picture]}], model="command-a")
    assert seen[0]["content"][0]["text"] == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"
    long = [{"role": "system", "content": f"{LONG}{sim.url}{stream}"}, *say]
    usages = [ask(client, stream, long)[2] for _ in range(2)]
    assert usages[0].cached_tokens == 0 and usages[1].cached_tokens > 64


def test_embeddings_and_rankings(client, sim):
    answer = client.embed(model="embed-v4.0", input_type="search_query", texts=["one", "two"], embedding_types=["float", "int8"])
    assert len(answer.embeddings.float_) == len(answer.embeddings.int8) == 2
    documents = ["about trains", "about bread", "fresh bread here"]
    for ranks in (client, cohere.Client(api_key="sk-sim", base_url=sim.url)):
        results = ranks.rerank(model="rerank-v4", query="fresh bread", documents=documents, top_n=2).results
        assert [result.index for result in results] == [2, 1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"messages": [{"role": "user", "content": "x"}], "temperature": 1.5}, "at most 1"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "must be one of"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "last message"),
        ({"messages": [{"role": "user", "content": "x"}], "tool_choice": "REQUIRED"}, "tool_choice"),
        ({"messages": [{"role": "user", "content": "x"}], "request_options": {"additional_body_parameters": {"top_p": 0.5}}}, "not a valid field"),
    ],
)
def test_what_is_refused(client, arguments, message):
    with pytest.raises(cohere.BadRequestError, match=message):
        client.chat(model=MODEL, **arguments)


@pytest.mark.parametrize("fault, status", [("rate-limited:1", 429), ("status:500", 500), ("status:503", 503)])
def test_errors(client, fault, status):
    with pytest.raises(ApiError) as error:
        ask(client, False, [{"role": "user", "content": "x"}], model=f"{MODEL}+fault={fault}")
    assert error.value.status_code == status


def test_a_stream_ends_in_an_error(client):
    assert ask(client, True, [{"role": "user", "content": "repeat 20 words"}], model=f"{MODEL}+fault=error-event")[1] == "ERROR"
