"""Anthropic messages."""

import base64
import json

import anthropic
import pytest
from scene import BOTH, CALLS, CITY, LONG, PERSON
from servers import PNG

TOOLS = [{"name": name, "input_schema": CITY} for name in ("get_weather", "get_time")]
MODEL = "claude-haiku-4-5"
SAY = [{"role": "user", "content": "hello"}]
THINKING = {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}}
OLD = {"anthropic-version": "2023-06-01"}


@pytest.fixture
def client(sim):
    return anthropic.Anthropic(base_url=sim.url, api_key="sk-sim", max_retries=0)


def ask(client, stream, **arguments):
    arguments = {"model": MODEL, "max_tokens": 500, **arguments}
    if not stream:
        return client.messages.create(**arguments)
    with client.messages.stream(**arguments) as events:
        return events.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_that_thinks(client, sim, stream):
    messages = [{"role": "user", "content": BOTH}]
    first = ask(client, stream, messages=messages, tools=TOOLS, **THINKING)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == CALLS
    told = sim.served()[0]["told"]
    assert (told["input_tokens"], told["output_tokens"]) == (first.usage.input_tokens, first.usage.output_tokens)
    assert told["output_tokens_details"]["thinking_tokens"] > 0
    blocks = [block.model_dump(exclude_none=True) for block in first.content]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "fine"} for call in calls]
    messages += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    second = ask(client, stream, messages=messages, tools=TOOLS, **THINKING)
    assert second.content[-1].text == "The tools say: fine; fine"

    def refused(change, **arguments):
        broken = json.loads(json.dumps(messages))
        change(broken)
        with pytest.raises(anthropic.BadRequestError) as error:
            ask(client, False, **{"messages": broken, "tools": TOOLS, **THINKING, **arguments})
        return error.value.message

    assert "without `tool_result` blocks immediately after" in refused(lambda messages: messages[2]["content"].pop())
    assert "without `tool_result` blocks immediately after" in refused(lambda messages: messages[2]["content"].insert(0, {"type": "text", "text": "x"}))
    assert "unexpected `tool_use_id`" in refused(lambda messages: messages[1]["content"].pop())
    assert "Expected `thinking`" in refused(lambda messages: messages[1]["content"].pop(0))
    assert "Invalid `signature`" in refused(lambda messages: messages[1]["content"][0].update(thinking="else"))
    assert "must define tools" in refused(lambda messages: None, tools=anthropic.omit)


@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_pictures_and_caches(client, sim, stream):
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    assert json.loads(ask(client, stream, messages=SAY, output_config=form).content[0].text) == {"name": "Zürich", "age": 7}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    seen = ask(client, stream, messages=[{"role": "user", "content": [picture]}])
    assert seen.content[0].text == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"
    system = [{"type": "text", "text": f"{LONG}{sim.url}{stream}", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    written, read = (ask(client, stream, messages=SAY, system=system).usage for _ in range(2))
    assert written.cache_creation_input_tokens == read.cache_read_input_tokens > 0
    if not stream:
        assert written.cache_creation.ephemeral_1h_input_tokens == written.cache_creation_input_tokens


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"extra_body": {"stop": ["x"]}}, "stop: Extra inputs are not permitted"),
        ({"extra_body": {"temperature": 0.5}}, "temperature: Extra inputs are not permitted"),
        ({"extra_body": {"temperature": 1.5}, "extra_headers": OLD}, "temperature: Input should be less than or equal to 1"),
        ({"extra_body": {"temperature": 0.5}, "extra_headers": OLD, **THINKING}, "may only be set to 1"),
        ({"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than `thinking.budget_tokens`"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
        ({"tools": TOOLS, "tool_choice": {"type": "any"}, **THINKING}, "forces tool use"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "first message must use"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
        ({"messages": [{"role": "user", "content": ""}]}, "must be non-empty"),
        ({"messages": [*SAY, {"role": "assistant", "content": "x "}]}, "trailing whitespace"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}}]}]}, "appears to be a image/png"),
        ({"tools": [{"name": "a b", "input_schema": CITY}]}, "String should match pattern"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type: Field required"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "Tool names must be unique"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}, "'additionalProperties' must be explicitly set to false"),
    ],
)
def test_what_is_refused(client, arguments, message):
    with pytest.raises(anthropic.BadRequestError, match=message):
        ask(client, False, **{"messages": SAY, **arguments})


def test_consecutive_messages_of_a_role_are_one(client):
    assert ask(client, False, messages=[*SAY, {"role": "user", "content": "there"}]).content[0].text == "You said: hellothere"
