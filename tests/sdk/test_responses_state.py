"""State of responses and conversations through the official `openai` SDK, behind providers of several formats."""

import json
import time

import openai
import pytest

MODELS = ["on-openai", "on-anthropic", "on-openai-chat"]
WEATHER = [
    {
        "type": "function",
        "name": "get_weather",
        "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def until(client, response, *statuses):
    for _ in range(200):
        response = client.responses.retrieve(response.id)
        if response.status in statuses:
            return response
        time.sleep(0.05)
    raise AssertionError(f"{response.id} is still {response.status}")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_turns_with_tools(client, model, stream):
    def ask(**body):
        if not stream:
            return client.responses.create(model=model, tools=WEATHER, **body)
        events = list(client.responses.create(model=model, tools=WEATHER, stream=True, **body))
        assert events[0].response.id == events[-1].response.id
        return events[-1].response

    first = ask(input="the weather in Paris")
    call = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments)["city"] == "Paris"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    second = ask(previous_response_id=first.id, input=[result])
    assert second.output_text == "The tools say: 12 degrees"
    assert second.previous_response_id == first.id
    for branch in ("left", "right"):
        assert ask(previous_response_id=second.id, input=branch).output_text == f"You said: {branch}"


@pytest.mark.parametrize("model", MODELS)
def test_retrieve_list_delete(client, model):
    response = client.responses.create(model=model, input="hello", metadata={"topic": "demo"})
    kept = client.responses.retrieve(response.id)
    assert kept.output_text == response.output_text == "You said: hello"
    assert kept.metadata == {"topic": "demo"}
    items = list(client.responses.input_items.list(response.id))
    assert [item.content[0].text for item in items] == ["hello"]
    client.responses.delete(response.id)
    for gone in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            gone(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=model, input="x", previous_response_id=response.id)


def test_input_items_page_by_page(client):
    texts = [f"item {number}" for number in range(7)]
    response = client.responses.create(model="on-openai", input=[{"role": "user", "content": text} for text in texts])
    listed = client.responses.input_items.list(response.id, limit=3, order="asc")
    assert [item.content[0].text for item in listed] == texts
    newest = client.responses.input_items.list(response.id, limit=3)
    assert [item.content[0].text for item in newest.data] == texts[:3:-1] and newest.has_more


def test_unkept_is_not_found(client):
    response = client.responses.create(model="on-openai", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


@pytest.mark.parametrize("model", MODELS)
def test_background(client, model):
    begun = client.responses.create(model=model, input="repeat 9 words", background=True)
    assert begun.status in ("queued", "in_progress") and begun.background
    ended = until(client, begun, "completed", "failed")
    assert ended.status == "completed" and len(ended.output_text.split()) == 9
    assert client.responses.cancel(begun.id).status == "completed"


@pytest.mark.parametrize("model", MODELS)
def test_background_stream_resumed(client, model):
    stream = client.responses.create(model=model, input="repeat 30 words", background=True, stream=True)
    first = next(iter(stream))
    identity, left = first.response.id, first.sequence_number
    stream.close()
    rest = list(client.responses.retrieve(identity, stream=True, starting_after=left))
    assert [event.sequence_number for event in rest] == sorted(event.sequence_number for event in rest)
    assert rest[0].sequence_number > left and rest[-1].type == "response.completed"
    assert len(rest[-1].response.output_text.split()) == 30


def test_input_tokens(client):
    response = client.responses.create(model="on-openai", input="a rather long beginning of a story")
    short = client.responses.input_tokens.count(model="on-openai", input="on")
    long = client.responses.input_tokens.count(model="on-openai", input="on", previous_response_id=response.id)
    assert 0 < short.input_tokens < long.input_tokens


def test_compact(client):
    first = client.responses.create(model="on-openai", input="hello")
    shorter = client.responses.compact(model="on-openai", previous_response_id=first.id, input="and now")
    assert shorter.object == "response.compaction" and shorter.usage.input_tokens > 0
    assert shorter.output[-1].type == "compaction"
    turn = [item.model_dump(exclude_none=True) for item in shorter.output] + [{"role": "user", "content": "go on"}]
    assert client.responses.create(model="on-openai", input=turn, store=False).output_text == "You said: go on"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.compact(model="on-anthropic", input="hello")
    assert refused.value.code == "unsupported_endpoint"


def test_conversations(client):
    talk = client.conversations.create(metadata={"topic": "demo"}, items=[{"type": "message", "role": "user", "content": "an opening"}])
    assert client.conversations.retrieve(talk.id).metadata == {"topic": "demo"}
    assert client.conversations.update(talk.id, metadata={"topic": "other"}).metadata == {"topic": "other"}
    for model in MODELS:
        response = client.responses.create(model=model, conversation=talk.id, input=f"to {model}")
        assert response.conversation.id == talk.id and response.output_text == f"You said: to {model}"
    items = list(client.conversations.items.list(talk.id, order="asc", limit=2))
    assert len(items) == 1 + 2 * len(MODELS)
    assert client.conversations.items.retrieve(items[0].id, conversation_id=talk.id).id == items[0].id
    added = client.conversations.items.create(talk.id, items=[{"type": "message", "role": "user", "content": "by hand"}])
    client.conversations.items.delete(added.data[0].id, conversation_id=talk.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(added.data[0].id, conversation_id=talk.id)
    assert client.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(talk.id)


def test_another_tenant_finds_nothing(client, gateway):
    stranger = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.make_key("--name", "stranger"), max_retries=0)
    response = client.responses.create(model="on-openai", input="ours")
    talk = client.conversations.create()
    for attempt in (
        lambda: stranger.responses.retrieve(response.id),
        lambda: stranger.responses.delete(response.id),
        lambda: stranger.responses.cancel(response.id),
        lambda: stranger.responses.create(model="on-openai", input="x", previous_response_id=response.id),
        lambda: stranger.responses.create(model="on-openai", input="x", conversation=talk.id),
        lambda: stranger.conversations.delete(talk.id),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()
    assert client.responses.retrieve(response.id).output_text == "You said: ours"
