"""`openai`, responses."""

import json

import openai
from servers import PNG
from talk import CITY, TOOLS, Answer, Broken, Call, Results, Used, User


class Client:
    surfaces = ["/v1/responses"]
    finishes = {"tools": "completed", "stop": "completed", "length": "max_output_tokens"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        self.sdk = openai.OpenAI(base_url=f"{house.url}/v1", api_key=caller.key, max_retries=0)

    def ask(self, request):
        arguments = {"model": request.model, "instructions": request.system, "input": items(request), "max_output_tokens": request.most, "store": False}
        if request.tools:
            arguments["tools"] = [{"type": "function", "name": name, "description": "tells", "parameters": CITY, "strict": True} for name in TOOLS]
        if request.thinking:
            arguments["reasoning"] = {"effort": "low", "summary": "auto"}
            arguments["include"] = ["reasoning.encrypted_content"]
        if request.form:
            arguments["text"] = {"format": {"type": "json_schema", "name": "person", "schema": request.form, "strict": True}}
        if not request.stream:
            return read(self.sdk.responses.create(**arguments))
        text, numbers = "", []
        with self.sdk.responses.stream(**arguments) as events:
            for event in events:
                if event.type in ("error", "response.failed"):
                    raise Broken(event)
                numbers.append(event.sequence_number)
                if event.type == "response.output_text.delta":
                    text += event.delta
                # The SDK's own snapshot keeps no answer that was cut short.
                if event.type in ("response.completed", "response.incomplete"):
                    last = event.response
        assert numbers == sorted(set(numbers))
        answer = read(last)
        assert answer.text == text
        return answer


def items(request):
    all = []
    for turn in request.turns:
        if isinstance(turn, User):
            parts = [{"type": "input_text", "text": turn.text}]
            if turn.picture:
                parts.append({"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"})
            all.append({"role": "user", "content": parts})
        elif isinstance(turn, Results):
            all += [{"type": "function_call_output", "call_id": call.id, "output": text} for call, text in zip(turn.calls, turn.texts)]
        else:
            all += turn.raw
    return all


def read(answer):
    thoughts = [part.text for item in answer.output if item.type == "reasoning" for part in item.summary or item.content or []]
    return Answer(
        raw=[item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output],
        text=answer.output_text,
        thought="".join(thoughts),
        calls=[Call(item.call_id, item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"],
        finish=answer.incomplete_details.reason if answer.status == "incomplete" else answer.status,
        used=Used(answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.input_tokens_details.cached_tokens),
    )
