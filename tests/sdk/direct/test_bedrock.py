"""Bedrock, with signatures that are verified."""

import base64
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from scene import AWS, BOTH, CALLS, CITY, LONG, PERSON
from servers import PNG

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
TOOLS = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": CITY}}} for name in ("get_weather", "get_time")]}
PICTURE = base64.b64decode(PNG)


def connect(sim, access, secret):
    config = Config(retries={"max_attempts": 0})
    return boto3.client("bedrock-runtime", endpoint_url=sim.url, region_name="eu-west-1", aws_access_key_id=access, aws_secret_access_key=secret, config=config)


@pytest.fixture
def client(sim):
    return connect(sim, *AWS)


def ask(client, stream, messages, model=MODEL, **arguments):
    if not stream:
        answer = client.converse(modelId=model, messages=messages, **arguments)
        return answer["output"]["message"], answer["stopReason"], answer["usage"]
    blocks, stop, usage = {}, None, None
    for event in client.converse_stream(modelId=model, messages=messages, **arguments)["stream"]:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]["start"]["toolUse"]
            blocks[event["contentBlockStart"]["contentBlockIndex"]] = {"toolUse": {**start, "input": ""}}
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            block = blocks.setdefault(event["contentBlockDelta"]["contentBlockIndex"], {})
            if "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            elif "toolUse" in delta:
                block["toolUse"]["input"] += delta["toolUse"]["input"]
            else:
                thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                thought["text"] += delta["reasoningContent"].get("text", "")
                if "signature" in delta["reasoningContent"]:
                    thought["signature"] = delta["reasoningContent"]["signature"]
        elif "messageStop" in event:
            stop = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}, stop, usage


def user(*blocks):
    return {"role": "user", "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_that_thinks(client, sim, stream):
    arguments = {
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    }
    messages = [user(BOTH)]
    answer, stop, usage = ask(client, stream, messages, **arguments)
    assert stop == "tool_use" and sim.served()[0]["told"] == usage
    calls = [block["toolUse"] for block in answer["content"] if "toolUse" in block]
    assert [(call["name"], call["input"]) for call in calls] == CALLS
    results = [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "fine"}]}} for call in calls]
    messages += [answer, user(*results)]
    answer, stop, _ = ask(client, stream, messages, **arguments)
    assert (answer["content"][-1]["text"], stop) == ("The tools say: fine; fine", "end_turn")

    def refused(messages, **arguments):
        with pytest.raises(ClientError) as error:
            ask(client, False, messages, **arguments)
        assert error.value.response["Error"]["Code"] == "ValidationException"
        return error.value.response["Error"]["Message"]

    assert "Expected toolResult blocks" in refused([*messages[:2], user("well?")], **arguments)
    assert "toolConfig field must be defined" in refused(messages, inferenceConfig={"maxTokens": 4000})
    changed = json.loads(json.dumps(messages))
    changed[1]["content"][0]["reasoningContent"]["reasoningText"]["text"] += "!"
    assert "Invalid `signature`" in refused(changed, **arguments)


@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_pictures_and_caches(client, sim, stream):
    form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(PERSON), "name": "person"}}}}
    answer, _, _ = ask(client, stream, [user("Who?")], outputConfig=form)
    assert json.loads(answer["content"][0]["text"]) == {"name": "Zürich", "age": 7}
    picture = {"image": {"format": "png", "source": {"bytes": PICTURE}}}
    answer, _, _ = ask(client, stream, [user("what?", picture)])
    assert answer["content"][0]["text"] == f"I see 1 image(s): image/png of {len(PICTURE)} bytes"
    system = [{"text": f"{LONG}{sim.url}{stream}"}, {"cachePoint": {"type": "default"}}]
    usages = [ask(client, stream, [user("hello")], system=system)[2] for _ in range(2)]
    assert usages[0]["cacheWriteInputTokens"] == usages[1]["cacheReadInputTokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_models_own_body(client, stream):
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]})
    if stream:
        chunks = [json.loads(event["chunk"]["bytes"]) for event in client.invoke_model_with_response_stream(modelId=MODEL, body=body)["body"]]
        text = "".join(chunk["delta"].get("text", "") for chunk in chunks if chunk["type"] == "content_block_delta")
        assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5
    else:
        text = json.loads(client.invoke_model(modelId=MODEL, body=body)["body"].read())["content"][0]["text"]
    assert text == "You said: hello"
    with pytest.raises(ClientError, match=r"extraneous key \[model\]"):
        client.invoke_model(modelId=MODEL, body=json.dumps({**json.loads(body), "model": "x"}))


@pytest.mark.parametrize(
    "messages, message",
    [
        ([{"role": "assistant", "content": [{"text": "x"}]}], "must start with a user message"),
        ([user("a"), user("b")], "must alternate"),
        ([user("  ")], "is blank"),
        ([user("x", {"document": {"format": "pdf", "name": "a/b", "source": {"bytes": b"x"}}})], "document file name"),
        ([user({"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x"}}})], "text block is required"),
        ([user("a", {"toolUse": {"toolUseId": "1", "name": "a", "input": {}}})], "not allowed"),
    ],
)
def test_what_is_refused(client, messages, message):
    with pytest.raises(ClientError, match=message):
        client.converse(modelId=MODEL, messages=messages)


def test_signatures_are_verified(sim):
    with pytest.raises(ClientError, match="does not match the signature you provided"):
        ask(connect(sim, AWS[0], "another secret"), False, [user("x")])
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        ask(connect(sim, "AKIAANOTHER", AWS[1]), False, [user("x")])


def test_faults(sim):
    # The model's name with a fault is no name to the SDK: the fault stands in a header.
    def faulty(fault):
        client = connect(sim, *AWS)
        client.meta.events.register("before-sign.bedrock-runtime.*", lambda request, **_: request.headers.add_header("x-sim-fault", fault))
        return client

    with pytest.raises(ClientError) as limited:
        ask(faulty("rate-limited:1"), False, [user("x")])
    assert limited.value.response["Error"]["Code"] == "ThrottlingException"
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        ask(faulty("error-event"), True, [user("repeat 20 words")])
    for fault in ("malformed-event", "cut-abort", "reset-mid-stream"):
        with pytest.raises(Exception):
            ask(faulty(fault), True, [user("repeat 20 words")])
