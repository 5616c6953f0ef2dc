"""`cohere`, chat of version 2."""

import json

import cohere
from servers import PNG
from talk import CITY, TOOLS, Answer, Broken, Call, Results, Used, User


class Client:
    surfaces = ["/v2/chat"]
    finishes = {"tools": "TOOL_CALL", "stop": "COMPLETE", "length": "MAX_TOKENS"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        self.sdk = cohere.ClientV2(api_key=caller.key, base_url=house.url)

    def ask(self, request):
        arguments = {"model": request.model, "messages": messages(request), "max_tokens": request.most, "request_options": {"max_retries": 0}}
        if request.tools:
            arguments["tools"] = [{"type": "function", "function": {"name": name, "description": "tells", "parameters": CITY}} for name in TOOLS]
        arguments["thinking"] = {"type": "enabled", "token_budget": 2000} if request.thinking else {"type": "disabled"}
        if request.form:
            arguments["response_format"] = {"type": "json_object", "json_schema": request.form}
        if not request.stream:
            answer = self.sdk.chat(**arguments)
            return read(answer.message.model_dump(exclude_none=True), answer.finish_reason, answer.usage)
        return read(*gathered(self.sdk.chat_stream(**arguments)))


def gathered(events):
    content, calls, plan, finish, usage = {}, {}, "", None, None
    for event in events:
        if event.type == "content-start":
            content[event.index] = event.delta.message.content.model_dump(exclude_none=True)
        elif event.type == "content-delta":
            for key, value in event.delta.message.content.model_dump(exclude_none=True).items():
                content[event.index][key] = content[event.index].get(key, "") + value
        elif event.type == "tool-plan-delta":
            plan += event.delta.message.tool_plan
        elif event.type == "tool-call-start":
            calls[event.index] = event.delta.message.tool_calls.model_dump(exclude_none=True)
        elif event.type == "tool-call-delta":
            calls[event.index]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
        elif event.type == "message-end":
            finish, usage = event.delta.finish_reason, event.delta.usage
            if finish == "ERROR":
                raise Broken(event)
    message = {"role": "assistant"}
    if plan:
        message["tool_plan"] = plan
    if content:
        message["content"] = list(content.values())
    if calls:
        message["tool_calls"] = list(calls.values())
    return message, finish, usage


def messages(request):
    all = [{"role": "system", "content": request.system}]
    for turn in request.turns:
        if isinstance(turn, User):
            parts = [{"type": "text", "text": turn.text}]
            if turn.picture:
                parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}})
            all.append({"role": "user", "content": parts})
        elif isinstance(turn, Results):
            all += [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in zip(turn.calls, turn.texts)]
        else:
            all.append(turn.raw)
    return all


def read(message, finish, usage):
    content = message.get("content", [])
    calls = [(call["id"], call["function"]) for call in message.get("tool_calls", [])]
    return Answer(
        raw=message,
        text="".join(part.get("text", "") for part in content),
        thought="".join(part.get("thinking", "") for part in content),
        calls=[Call(id, function["name"], json.loads(function["arguments"])) for id, function in calls],
        finish=finish,
        used=Used(int(usage.tokens.input_tokens), int(usage.tokens.output_tokens), int(usage.cached_tokens or 0)),
    )
