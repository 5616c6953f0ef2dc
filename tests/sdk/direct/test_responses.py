"""OpenAI responses."""

import base64
import json

import openai
import pytest
from scene import BOTH, CALLS, CITY, LONG, PERSON
from servers import PNG

TOOLS = [{"type": "function", "name": name, "parameters": CITY, "strict": True} for name in ("get_weather", "get_time")]
MODEL = "gpt-5-mini"


@pytest.fixture
def client(sim):
    return openai.OpenAI(base_url=f"{sim.url}/v1", api_key="sk-sim", max_retries=0)


def ask(client, stream, **arguments):
    if not stream:
        return client.responses.create(model=MODEL, **arguments)
    with client.responses.stream(model=MODEL, **arguments) as events:
        numbers = [event.sequence_number for event in events]
        assert numbers == list(range(len(numbers)))
        return events.get_final_response()


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_whose_reasoning_is_sealed(client, sim, stream):
    arguments = {
        "tools": TOOLS,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    items = [{"role": "user", "content": BOTH}]
    first = ask(client, stream, input=items, **arguments)
    assert [item.type for item in first.output] == ["reasoning", "function_call", "function_call"]
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == CALLS
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "fine"} for call in calls]
    second = ask(client, stream, input=items, **arguments)
    assert second.output_text == "The tools say: fine; fine"
    told = [served["told"] for served in sim.served()]
    assert told[0] == first.usage.model_dump(exclude_none=True) and first.usage.output_tokens_details.reasoning_tokens > 0

    broken = json.loads(json.dumps(items))
    broken[1]["encrypted_content"] = base64.b64encode(b"something else").decode()
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        ask(client, False, input=broken, **arguments)
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        ask(client, False, input=items[:-1], **arguments)
    with pytest.raises(openai.BadRequestError, match="without its required following item"):
        ask(client, False, input=items[:2], **arguments)


def test_kept_responses_go_on_and_are_forgotten(client):
    first = client.responses.create(model=MODEL, input=BOTH, tools=TOOLS, reasoning={"effort": "low"})
    results = [{"type": "function_call_output", "call_id": item.call_id, "output": "fine"} for item in first.output if item.type == "function_call"]
    second = client.responses.create(model=MODEL, previous_response_id=first.id, input=results, tools=TOOLS)
    assert second.output_text == "The tools say: fine; fine"
    assert client.responses.retrieve(second.id).output_text == second.output_text
    kinds = [item.type for item in client.responses.input_items.list(second.id, order="asc")]
    assert kinds == ["message", "reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model=MODEL, previous_response_id=first.id, input="on")


@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_pictures_and_refusals(client, stream):
    form = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}
    assert json.loads(ask(client, stream, input="Who?", text=form).output_text) == {"name": "Zürich", "age": 7}
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}
    seen = ask(client, stream, input=[{"role": "user", "content": [{"type": "input_text", "text": "what?"}, picture]}])
    assert seen.output_text == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"
    refused = ask(client, stream, input="refuse this").output[0].content[0]
    assert refused.type == "refusal" and refused.refusal == "I cannot help with that."


def test_answers_that_are_cut_short(client):
    arguments = {"model": MODEL, "input": "repeat 50 words", "max_output_tokens": 16}
    *_, last = client.responses.create(**arguments, stream=True)
    assert last.type == "response.incomplete" and last.response.usage.output_tokens == 16
    short = client.responses.create(**arguments)
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_prompts_are_cached_and_counted(client, sim):
    arguments = {"model": MODEL, "instructions": LONG + str(sim.url), "input": "hello"}
    written, read = (client.responses.create(**arguments).usage for _ in range(2))
    assert written.input_tokens_details.cache_write_tokens == read.input_tokens_details.cached_tokens > 64
    counted = client.responses.input_tokens.count(**arguments)
    assert counted.input_tokens == read.input_tokens


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input": "x", "extra_body": {"top_k": 3}}, "Unknown parameter: 'top_k'"),
        ({"input": "x", "extra_body": {"max_tokens": 30}}, "Unknown parameter: 'max_tokens'"),
        ({"input": "x", "max_output_tokens": 5}, ">= 16"),
        ({"input": [{"role": "robot", "content": "x"}]}, "Invalid value: 'robot'"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, "Supported values are: 'output_text'"),
        ({"input": [{"type": "function_call_output", "call_id": "call_1", "output": "x"}]}, "No tool call found"),
        ({"input": [{"type": "message", "id": "x", "role": "user", "content": "x"}]}, "begins with 'msg'"),
        ({"input": "x", "tools": [{"type": "function", "name": "a b", "parameters": CITY, "strict": True}]}, "does not match pattern"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "p", "strict": True, "schema": {"type": "object", "properties": {}}}}}, "additionalProperties"),
        ({"input": []}, "Missing required parameter"),
    ],
)
def test_what_is_refused(client, arguments, message):
    with pytest.raises(openai.BadRequestError, match=message):
        client.responses.create(model=MODEL, **arguments)


@pytest.mark.parametrize("fault", ["cut-clean", "cut-abort", "reset-mid-stream", "malformed-event", "error-event"])
def test_streams_break(client, fault):
    with pytest.raises(Exception):
        with client.responses.stream(model=f"{MODEL}+fault={fault}", input="repeat 20 words") as events:
            for _ in events:
                pass
            events.get_final_response()
