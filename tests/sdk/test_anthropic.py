"""The official `anthropic` SDK, unmodified, against providers of both formats."""

import base64
import json

import anthropic
import pytest
from servers import PNG

MODELS = ["on-openai", "on-anthropic"]
SAY = [{"role": "user", "content": "Grüezi mitenand"}]
TOOLS = [
    {"name": name, "description": "tells something", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}
    for name in ("weather", "traffic")
]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": False}


@pytest.fixture
def client(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)


@pytest.mark.parametrize("model", MODELS)
def test_plain(client, model):
    answer = client.messages.create(model=model, max_tokens=100, system="Be brief.", messages=SAY)
    assert [block.text for block in answer.content] == ["You said: Grüezi mitenand"]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 7


@pytest.mark.parametrize("model", MODELS)
def test_streamed(client, model):
    with client.messages.stream(model=model, max_tokens=100, messages=SAY) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "You said: Grüezi mitenand"
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 7


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools(client, model, stream):
    messages = [{"role": "user", "content": "please call tools"}]
    arguments = {"model": model, "max_tokens": 500, "tools": TOOLS}
    if stream:
        with client.messages.stream(messages=messages, **arguments) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(messages=messages, **arguments)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert answer.stop_reason == "tool_use"
    assert [call.name for call in calls] == ["weather", "traffic"]
    assert all(call.input == {"city": "Zürich", "days": 7} for call in calls)
    messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]})
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"{call.name}: fine"} for call in calls]
    messages.append({"role": "user", "content": results})
    answer = client.messages.create(messages=messages, **arguments)
    assert answer.content[0].text == "The tools say: weather: fine; traffic: fine"


@pytest.mark.parametrize("model", MODELS)
def test_images(client, model):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    answer = client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": [image, {"type": "text", "text": "what is this?"}]}])
    assert answer.content[0].text == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"


@pytest.mark.parametrize("model", MODELS)
def test_structured_output(client, model):
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    answer = client.messages.create(model=model, max_tokens=100, messages=SAY, extra_body={"output_config": config})
    assert json.loads(answer.content[0].text) == {"name": "Zürich", "age": 7}


@pytest.mark.parametrize("model", ["reasoning-on-openai", "on-anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_thinking(client, model, stream):
    arguments = {"model": model, "max_tokens": 4000, "messages": SAY, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    if stream:
        with client.messages.stream(**arguments) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**arguments)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].thinking == "Let me think about this."
    if model == "on-anthropic":
        replayed = [*SAY, {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]}, *SAY]
        again = client.messages.create(**{**arguments, "messages": replayed})
        assert again.content[-1].text == "You said: Grüezi mitenand"


@pytest.mark.parametrize("model", MODELS)
def test_token_counting(client, model):
    few = client.messages.count_tokens(model=model, messages=SAY).input_tokens
    many = client.messages.count_tokens(model=model, messages=[{"role": "user", "content": "word " * 200}]).input_tokens
    assert 0 < few < many


def test_cache_control_reaches_the_provider(client):
    system = [{"type": "text", "text": "a long prompt " * 20, "cache_control": {"type": "ephemeral"}}]
    arguments = {"model": "on-anthropic", "max_tokens": 50, "system": system, "messages": SAY}
    assert client.messages.create(**arguments).usage.cache_creation_input_tokens > 0
    assert client.messages.create(**arguments).usage.cache_read_input_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_stop_reasons(client, model):
    answer = client.messages.create(model=model, max_tokens=5, messages=[{"role": "user", "content": "repeat 50 words"}])
    assert answer.stop_reason == "max_tokens"


def test_models(client):
    assert "on-anthropic" in [model.id for model in client.models.list()]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "fault, error",
    [("rate-limited:1", anthropic.RateLimitError), ("status:500", anthropic.InternalServerError), ("cut-abort", anthropic.InternalServerError)],
)
def test_errors_of_providers(client, provider, fault, error):
    with pytest.raises(error):
        client.messages.create(model=f"{provider}+{fault}", max_tokens=50, messages=SAY)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", ["cut-abort", "cut-clean", "malformed-event", "error-event", "stall-mid-stream"])
def test_a_broken_stream_never_ends_cleanly(client, provider, fault):
    messages = [{"role": "user", "content": "repeat 20 words"}]
    with pytest.raises(anthropic.APIError):
        with client.messages.stream(model=f"{provider}+{fault}", max_tokens=500, messages=messages) as stream:
            for _ in stream:
                pass


def test_errors_of_the_gateway(gateway, client):
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nothing", max_tokens=5, messages=SAY)
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=gateway.url, api_key="pm-wrong").messages.create(model="on-openai", max_tokens=5, messages=SAY)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="on-openai", max_tokens=5, messages=[{"role": "robot", "content": "x"}])
