"""`boto3`, Converse; its requests are signed."""

import json

import boto3
from botocore.config import Config
from talk import CITY, PICTURE, TOOLS, Answer, Call, Results, Used, User


class Client:
    surfaces = ["/model/{model}/converse", "/model/{model}/converse-stream"]
    finishes = {"tools": "tool_use", "stop": "end_turn", "length": "max_tokens"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        access, secret = caller.aws
        self.sdk = boto3.client(
            "bedrock-runtime",
            endpoint_url=house.url,
            region_name="eu-west-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}),
        )

    def ask(self, request):
        arguments = {
            "modelId": request.model,
            "system": [{"text": request.system}],
            "messages": messages(request),
            "inferenceConfig": {"maxTokens": request.most},
        }
        if request.tools:
            arguments["toolConfig"] = {"tools": [{"toolSpec": {"name": name, "description": "tells", "inputSchema": {"json": CITY}}} for name in TOOLS]}
        if request.thinking:
            arguments["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
        if request.form:
            structure = {"jsonSchema": {"schema": json.dumps(request.form), "name": "person"}}
            arguments["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
        if not request.stream:
            answer = self.sdk.converse(**arguments)
            return read(answer["output"]["message"]["content"], answer["stopReason"], answer["usage"])
        return read(*gathered(self.sdk.converse_stream(**arguments)["stream"]))


def gathered(events):
    blocks, stop, usage = {}, None, None
    for event in events:
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
            elif "redactedContent" in delta["reasoningContent"]:
                block["reasoningContent"] = delta["reasoningContent"]
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
    return [blocks[index] for index in sorted(blocks)], stop, usage


def messages(request):
    all = []
    for turn in request.turns:
        if isinstance(turn, User):
            blocks = [{"text": turn.text}]
            if turn.picture:
                blocks.append({"image": {"format": "png", "source": {"bytes": PICTURE}}})
            all.append({"role": "user", "content": blocks})
        elif isinstance(turn, Results):
            results = [{"toolResult": {"toolUseId": call.id, "content": [{"text": text}]}} for call, text in zip(turn.calls, turn.texts)]
            all.append({"role": "user", "content": results})
        else:
            all.append({"role": "assistant", "content": turn.raw})
    return all


def read(blocks, stop, usage):
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    thoughts = [block["reasoningContent"].get("reasoningText", {}).get("text", "") for block in blocks if "reasoningContent" in block]
    cached, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return Answer(
        raw=blocks,
        text="".join(block.get("text", "") for block in blocks),
        thought="".join(thoughts),
        calls=[Call(call["toolUseId"], call["name"], call["input"]) for call in calls],
        finish=stop,
        used=Used(usage["inputTokens"] + cached + written, usage["outputTokens"], cached),
    )
