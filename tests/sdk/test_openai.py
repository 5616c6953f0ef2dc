"""The official `openai` SDK, unmodified, against providers of both formats."""

import base64
import json

import openai
import pytest
from servers import PNG

MODELS = ["on-openai", "on-anthropic"]
SAY = [{"role": "user", "content": "Grüezi mitenand"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "tells something",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]},
        },
    }
    for name in ("weather", "traffic")
]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"], "additionalProperties": False}


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


@pytest.mark.parametrize("model", MODELS)
def test_plain(client, model):
    answer = client.chat.completions.create(model=model, messages=[{"role": "system", "content": "Be brief."}, *SAY])
    assert answer.choices[0].message.content == "You said: Grüezi mitenand"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("model", MODELS)
def test_streamed(client, model):
    chunks = list(client.chat.completions.create(model=model, messages=SAY, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: Grüezi mitenand"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 7 and chunks[-1].choices == []


@pytest.mark.parametrize("model", MODELS)
def test_streamed_without_usage_has_none(client, model):
    chunks = list(client.chat.completions.create(model=model, messages=SAY, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert not any(chunk.usage for chunk in chunks)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools(client, model, stream):
    messages = [{"role": "user", "content": "please call tools"}]
    if stream:
        calls = {}
        for chunk in client.chat.completions.create(model=model, messages=messages, tools=TOOLS, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                known = calls.setdefault(call.index, {"id": call.id, "name": call.function.name, "arguments": ""})
                known["arguments"] += call.function.arguments or ""
        calls = [calls[index] for index in sorted(calls)]
    else:
        answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
        assert answer.choices[0].finish_reason == "tool_calls"
        calls = [{"id": call.id, "name": call.function.name, "arguments": call.function.arguments} for call in answer.choices[0].message.tool_calls]
    assert [call["name"] for call in calls] == ["weather", "traffic"]
    assert all(json.loads(call["arguments"]) == {"city": "Zürich", "days": 7} for call in calls)
    messages.append({"role": "assistant", "content": None, "tool_calls": [{"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]})
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": f"{call['name']}: fine"} for call in calls]
    answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS)
    assert answer.choices[0].message.content == "The tools say: weather: fine; traffic: fine"


@pytest.mark.parametrize("model", MODELS)
def test_forced_tool(client, model):
    answer = client.chat.completions.create(model=model, messages=SAY, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "traffic"}})
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["traffic"]


@pytest.mark.parametrize("model", MODELS)
def test_images(client, model):
    content = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == f"I see 1 image(s): image/png of {len(base64.b64decode(PNG))} bytes"


@pytest.mark.parametrize("model", MODELS)
def test_structured_output(client, model):
    answer = client.chat.completions.create(model=model, messages=SAY, response_format={"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}})
    assert json.loads(answer.choices[0].message.content) == {"name": "Zürich", "age": 7}


@pytest.mark.parametrize("model", ["reasoning-on-openai", "on-anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning(client, model, stream):
    arguments = {"model": model, "messages": SAY, "reasoning_effort": "low", "max_completion_tokens": 4000}
    if stream:
        deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**arguments, stream=True)]
        thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        text = "".join(delta.content or "" for delta in deltas)
    else:
        message = client.chat.completions.create(**arguments).choices[0].message
        thought, text = message.reasoning_content, message.content
    assert thought == "Let me think about this."
    assert text == "You said: Grüezi mitenand"


def test_signed_reasoning_survives_a_round_trip(client):
    arguments = {"model": "on-anthropic", "reasoning_effort": "low", "max_completion_tokens": 4000, "tools": TOOLS}
    messages = [{"role": "user", "content": "please call tools"}]
    message = client.chat.completions.create(messages=messages, **arguments).choices[0].message
    messages.append(message.model_dump(exclude_none=True, exclude={"annotations"}))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    # The simulated provider verifies the signature it made.
    answer = client.chat.completions.create(messages=messages, **arguments)
    assert answer.choices[0].message.content.startswith("The tools say")


@pytest.mark.parametrize("model", MODELS)
def test_stops_and_lengths(client, model):
    answer = client.chat.completions.create(model=model, messages=SAY, stop=["mit"])
    assert answer.choices[0].message.content == "You said: Grüezi "
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "repeat 50 words"}], max_tokens=5)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 5


def test_several_answers(client):
    answer = client.chat.completions.create(model="on-openai", messages=SAY, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="on-anthropic", messages=SAY, n=3)
    assert refused.value.body["param"] == "n"


@pytest.mark.parametrize("model", MODELS)
def test_refusal(client, model):
    choice = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "refuse this"}]).choices[0]
    assert (choice.message.refusal or choice.message.content) == "I cannot help with that."


@pytest.mark.parametrize("model", MODELS)
def test_completions(client, model):
    answer = client.completions.create(model=model, prompt="Hello", max_tokens=64)
    assert answer.choices[0].text == "You said: Hello"
    text = "".join(chunk.choices[0].text for chunk in client.completions.create(model=model, prompt="Hello", max_tokens=64, stream=True) if chunk.choices)
    assert text == "You said: Hello"


def test_embeddings(client):
    answer = client.embeddings.create(model="embedding", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) == 8
    assert answer.usage.prompt_tokens == 2


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "on-openai" in names and "on-anthropic" in names
    assert client.models.retrieve("on-openai").id == "on-openai"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "fault, error",
    [("rate-limited:1", openai.RateLimitError), ("status:500", openai.InternalServerError), ("status:401", openai.InternalServerError), ("cut-abort", openai.InternalServerError)],
)
def test_errors_of_providers(client, provider, fault, error):
    with pytest.raises(error) as told:
        client.chat.completions.create(model=f"{provider}+{fault}", messages=SAY)
    assert "sk-" not in str(told.value)
    if error is openai.RateLimitError:
        assert told.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", ["cut-abort", "cut-clean", "malformed-event", "error-event", "stall-mid-stream"])
def test_a_broken_stream_never_ends_cleanly(client, provider, fault):
    messages = [{"role": "user", "content": "repeat 20 words"}]
    with pytest.raises(openai.APIError):
        for _ in client.chat.completions.create(model=f"{provider}+{fault}", messages=messages, stream=True):
            pass


def test_errors_of_the_gateway(gateway, client):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="on-opnai", messages=SAY)
    assert "on-openai" in str(unknown.value)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="pm-wrong").models.list()
    with pytest.raises(openai.BadRequestError) as malformed:
        client.chat.completions.create(model="on-openai", messages=[{"role": "robot", "content": "x"}])
    assert malformed.value.body["param"] == "messages[0].role"
    limited = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.make_key("--model", "on-openai", "--rpm", "1"), max_retries=0)
    with pytest.raises(openai.PermissionDeniedError):
        limited.chat.completions.create(model="on-anthropic", messages=SAY)
    limited.chat.completions.create(model="on-openai", messages=SAY)
    with pytest.raises(openai.RateLimitError) as full:
        limited.chat.completions.create(model="on-openai", messages=SAY)
    assert int(full.value.response.headers["retry-after"]) > 0
    poor = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.make_key("--budget", "0.000000001"), max_retries=0)
    with pytest.raises(openai.RateLimitError) as spent:
        poor.chat.completions.create(model="on-openai", messages=SAY)
    assert spent.value.body["code"] == "insufficient_quota"


def test_vectors_of_the_model_that_ships(client):
    texts = ["How do I reset my password?", "I forgot my password, what now?", "Bananas are yellow."]
    answer = client.embeddings.create(model="pointsman-understand", input=texts)
    assert [item.index for item in answer.data] == [0, 1, 2]
    vectors = [item.embedding for item in answer.data]
    assert all(abs(sum(value * value for value in vector) - 1) < 1e-3 for vector in vectors)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    # The SDK asks for base64 unless told otherwise: both ways give the same numbers.
    plain = client.embeddings.create(model="pointsman-understand", input=texts, encoding_format="float")
    assert max(abs(a - b) for a, b in zip(vectors[0], plain.data[0].embedding)) < 1e-6
    short = client.embeddings.create(model="pointsman-understand", input=texts[0], dimensions=128)
    assert len(short.data[0].embedding) == 128
    assert "pointsman-understand" in [model.id for model in client.models.list()]
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="pointsman-understand", input=texts, dimensions=100_000)
