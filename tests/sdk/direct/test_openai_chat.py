"""OpenAI chat completions."""

import base64
import json

import openai
import pytest
from scene import BOTH, CALLS, CITY, LONG, PERSON
from servers import PNG

TOOLS = [{"type": "function", "function": {"name": name, "parameters": CITY, "strict": True}} for name in ("get_weather", "get_time")]
MODEL = "gpt-5-mini"
SAY = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(sim):
    return openai.OpenAI(base_url=f"{sim.url}/v1", api_key="sk-sim", max_retries=0)


def ask(client, stream, **arguments):
    arguments = {"model": MODEL, **arguments}
    if not stream:
        return client.chat.completions.create(**arguments)
    with client.chat.completions.stream(**arguments, stream_options={"include_usage": True}) as events:
        for _ in events:
            pass
        return events.get_final_completion()


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent(client, sim, stream):
    messages = [{"role": "user", "content": BOTH}]
    first = ask(client, stream, messages=messages, tools=TOOLS, model="reason-1", reasoning_effort="low")
    message = first.choices[0].message
    assert [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls] == CALLS
    told = sim.served()[0]["told"]
    assert told["total_tokens"] == first.usage.total_tokens
    assert told["completion_tokens_details"]["reasoning_tokens"] == first.usage.completion_tokens_details.reasoning_tokens > 0
    calls = [{"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}} for call in message.tool_calls]
    messages.append({"role": "assistant", "tool_calls": calls})
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in calls]
    assert ask(client, stream, messages=messages, tools=TOOLS).choices[0].message.content == "The tools say: fine; fine"
    with pytest.raises(openai.BadRequestError, match="did not have response messages"):
        ask(client, False, messages=messages[:-1], tools=TOOLS)


@pytest.mark.parametrize("stream", [False, True])
def test_every_kind_of_input(client, stream):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    assert json.loads(ask(client, stream, messages=SAY, response_format=form).choices[0].message.content) == {"name": "Zürich", "age": 7}
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"x" * 300).decode(), "format": "wav"}}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    answer = ask(client, stream, messages=[{"role": "user", "content": [sound, picture]}])
    size = len(base64.b64decode(PNG))
    assert answer.choices[0].message.content == f"I see 1 image(s): image/png of {size} bytes; I hear 1 recording(s): audio/wav of 300 bytes"
    details = answer.usage.prompt_tokens_details
    assert (details.audio_tokens, details.image_tokens) == (4, 85)


def test_prompts_are_cached(client, sim):
    messages = [{"role": "system", "content": LONG + sim.url}, *SAY]
    written, read = (ask(client, False, messages=messages).usage.prompt_tokens_details for _ in range(2))
    assert written.cache_write_tokens == read.cached_tokens > 64 and written.cached_tokens == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"extra_body": {"top_k": 3}}, "Unrecognized request argument supplied: top_k"),
        ({"extra_body": {"thinking": {}}}, "Unrecognized request argument supplied: thinking"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "Invalid value: 'robot'"),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}, "must be a response to a preceeding message"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]}, "Unknown parameter: 'messages.0..content.0..cache_control'"),
        ({"tools": []}, "empty array"),
        ({"tool_choice": "auto"}, "only allowed when 'tools' are specified"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
        ({"tools": [{"type": "function", "function": {"name": "a", "strict": True, "parameters": {"type": "object", "properties": {}}}}]}, "'additionalProperties' is required"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": PERSON}}}, "does not match pattern"),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ({"stop": list("abcde")}, "array too long"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time"),
        ({"model": "o3", "max_tokens": 5}, "Use 'max_completion_tokens' instead"),
        ({"temperature": 2.5}, "above maximum value"),
        ({"extra_body": {"stream_options": {"include_usage": True}}}, "only allowed when 'stream' is enabled"),
    ],
)
def test_what_is_refused(client, arguments, message):
    with pytest.raises(openai.BadRequestError, match=message):
        client.chat.completions.create(**{"model": MODEL, "messages": SAY, **arguments})
