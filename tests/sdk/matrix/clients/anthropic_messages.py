"""`anthropic`."""

import anthropic
from servers import PNG
from talk import CITY, TOOLS, Answer, Call, Results, Used, User


class Client:
    surfaces = ["/v1/messages"]
    finishes = {"tools": "tool_use", "stop": "end_turn", "length": "max_tokens"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        self.sdk = anthropic.Anthropic(base_url=house.url, api_key=caller.key, max_retries=0)

    def ask(self, request):
        system = [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}]
        arguments = {"model": request.model, "max_tokens": request.most, "system": system, "messages": messages(request)}
        if request.tools:
            arguments["tools"] = [{"name": name, "description": "tells", "input_schema": CITY} for name in TOOLS]
        if request.thinking:
            arguments["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        if request.form:
            arguments["output_config"] = {"format": {"type": "json_schema", "schema": request.form}}
        if not request.stream:
            return read(self.sdk.messages.create(**arguments))
        with self.sdk.messages.stream(**arguments) as events:
            text = "".join(events.text_stream)
            answer = read(events.get_final_message())
        assert answer.text == text
        return answer


def messages(request):
    all = []
    for turn in request.turns:
        if isinstance(turn, User):
            blocks = [{"type": "text", "text": turn.text}]
            if turn.picture:
                blocks.insert(0, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
            all.append({"role": "user", "content": blocks})
        elif isinstance(turn, Results):
            results = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in zip(turn.calls, turn.texts)]
            all.append({"role": "user", "content": results})
        else:
            all.append({"role": "assistant", "content": turn.raw})
    return all


def read(answer):
    def of(kind):
        return [block for block in answer.content if block.type == kind]

    used = answer.usage
    read, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
    return Answer(
        raw=[block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in answer.content],
        text="".join(block.text for block in of("text")),
        thought="".join(block.thinking for block in of("thinking")),
        calls=[Call(block.id, block.name, block.input) for block in of("tool_use")],
        finish=answer.stop_reason,
        used=Used(used.input_tokens + read + written, used.output_tokens, read),
    )
