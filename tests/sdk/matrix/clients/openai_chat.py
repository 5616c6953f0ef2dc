"""`openai`, chat completions."""

import json

import openai
from servers import PNG
from talk import CITY, TOOLS, Answer, Call, Results, Used, User


class Client:
    surfaces = ["/v1/chat/completions"]
    finishes = {"tools": "tool_calls", "stop": "stop", "length": "length"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        self.sdk = openai.OpenAI(base_url=f"{house.url}/v1", api_key=caller.key, max_retries=0)

    def ask(self, request):
        arguments = {"model": request.model, "messages": messages(request), "max_completion_tokens": request.most}
        if request.tools:
            arguments["tools"] = [{"type": "function", "function": {"name": name, "description": "tells", "parameters": CITY, "strict": True}} for name in TOOLS]
        if request.thinking:
            arguments["reasoning_effort"] = "low"
        if request.form:
            arguments["response_format"] = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": request.form}}
        if not request.stream:
            return read(self.sdk.chat.completions.create(**arguments))
        with self.sdk.chat.completions.stream(**arguments, stream_options={"include_usage": True}) as events:
            thought = ""
            try:
                for event in events:
                    if event.type == "chunk" and event.chunk.choices:
                        thought += getattr(event.chunk.choices[0].delta, "reasoning_content", None) or ""
                last = events.get_final_completion()
            except openai.LengthFinishReasonError as cut:
                last = cut.completion
            answer = read(last)
        assert answer.thought == thought
        return answer


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


def read(answer):
    [choice] = answer.choices
    message = choice.message
    raw = message.model_dump(exclude_none=True, exclude={"annotations", "parsed"})
    for call in raw.get("tool_calls", []):
        # What the SDK adds to what it gathers.
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    details = answer.usage.prompt_tokens_details
    return Answer(
        raw=raw,
        text=message.content or "",
        thought=getattr(message, "reasoning_content", None) or "",
        calls=[Call(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []],
        finish=choice.finish_reason,
        used=Used(answer.usage.prompt_tokens, answer.usage.completion_tokens, (details and details.cached_tokens) or 0),
    )
