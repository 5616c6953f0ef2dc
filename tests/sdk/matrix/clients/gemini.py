"""`google-genai`."""

from google import genai
from google.genai import types
from talk import CITY, PICTURE, TOOLS, Answer, Call, Results, Used, User


class Client:
    surfaces = ["/v1/models/{model}:generateContent", "/v1/models/{model}:streamGenerateContent"]
    finishes = {"tools": "STOP", "stop": "STOP", "length": "MAX_TOKENS"}

    def __init__(self, house, caller=None):
        caller = caller or house.caller
        self.sdk = genai.Client(api_key=caller.key, http_options={"base_url": house.url})

    def ask(self, request):
        config = {"system_instruction": request.system, "max_output_tokens": request.most, "automatic_function_calling": {"disable": True}}
        if request.tools:
            config["tools"] = [types.Tool(function_declarations=[{"name": name, "description": "tells", "parameters_json_schema": CITY} for name in TOOLS])]
        if request.thinking:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 2000}
        if request.form:
            config |= {"response_mime_type": "application/json", "response_json_schema": request.form}
        arguments = {"model": request.model, "contents": contents(request), "config": types.GenerateContentConfig(**config)}
        if not request.stream:
            return read([self.sdk.models.generate_content(**arguments)])
        return read(list(self.sdk.models.generate_content_stream(**arguments)))


def contents(request):
    all = []
    for turn in request.turns:
        if isinstance(turn, User):
            parts = [types.Part(text=turn.text)]
            if turn.picture:
                parts.append(types.Part.from_bytes(data=PICTURE, mime_type="image/png"))
            all.append(types.Content(role="user", parts=parts))
        elif isinstance(turn, Results):
            results = [
                types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": text}))
                for call, text in zip(turn.calls, turn.texts)
            ]
            all.append(types.Content(role="user", parts=results))
        else:
            all.append(types.Content(role="model", parts=turn.raw))
    return all


def read(chunks):
    parts = [part for chunk in chunks if chunk.candidates and chunk.candidates[0].content for part in chunk.candidates[0].content.parts or []]
    [finish] = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates and chunk.candidates[0].finish_reason]
    used = chunks[-1].usage_metadata
    calls = [part.function_call for part in parts if part.function_call]
    return Answer(
        raw=parts,
        text="".join(part.text for part in parts if part.text and not part.thought),
        thought="".join(part.text for part in parts if part.text and part.thought),
        calls=[Call(call.id, call.name, call.args) for call in calls],
        finish=finish.value,
        used=Used(
            used.prompt_token_count + (used.tool_use_prompt_token_count or 0),
            (used.candidates_token_count or 0) + (used.thoughts_token_count or 0),
            used.cached_content_token_count or 0,
        ),
    )
