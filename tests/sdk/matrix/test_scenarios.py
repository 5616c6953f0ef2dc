"""What the conversation of the matrix does not have, for the clients that no other test has before a foreign provider:
forced and forbidden tools, documents, stops, refusals, counting, listing, and errors as the SDK's own exceptions."""

import base64
import json

import cohere
import openai
import pytest
from botocore.exceptions import ClientError, EventStreamError
from clients import CLIENTS
from cohere.core.api_error import ApiError
from google.genai import errors, types
from talk import CITY, TOOLS, Broken, Request, User

BOTH = "What is the weather in Paris and the time in Tokyo?"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
READ = f"I read 1 document(s): application/pdf of {len(PDF)} bytes"
FOREIGN = {
    "openai-responses": ["anthropic-messages", "gemini"],
    "gemini": ["openai-chat", "anthropic-messages"],
    "bedrock-converse": ["openai-responses", "gemini"],
    "cohere-chat": ["anthropic-messages", "openai-chat"],
}


def providers(client):
    return pytest.mark.parametrize("model", FOREIGN[client])


def sdk(house, client):
    return CLIENTS[client](house).sdk


@providers("openai-responses")
def test_responses(house, model):
    client = sdk(house, "openai-responses")
    tools = [{"type": "function", "name": name, "parameters": CITY, "strict": True} for name in TOOLS]

    def ask(text, **arguments):
        return client.responses.create(model=model, input=text, **arguments)

    forced = ask("hello", tools=tools, tool_choice={"type": "function", "name": "get_time"})
    assert [item.name for item in forced.output if item.type == "function_call"] == ["get_time"]
    single = ask(BOTH, tools=tools, parallel_tool_calls=False) if model == "anthropic-messages" else None
    assert single is None or len([item for item in single.output if item.type == "function_call"]) == 1
    assert ask(BOTH, tools=tools, tool_choice="none").output_text == f"You said: {BOTH}"
    file = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"}
    assert ask([{"role": "user", "content": [{"type": "input_text", "text": "what?"}, file]}]).output_text == READ
    # No other provider keeps answers: the gateway does, and knows which it has.
    first = ask("hello")
    assert ask("on", previous_response_id=first.id).output_text == "You said: on"
    with pytest.raises(openai.NotFoundError) as unknown:
        ask("on", previous_response_id="resp_1")
    assert unknown.value.body["param"] == "previous_response_id"


@providers("gemini")
def test_gemini(house, model):
    client = sdk(house, "gemini")
    tools = [types.Tool(function_declarations=[{"name": name, "parameters_json_schema": CITY} for name in TOOLS])]

    def ask(contents, **config):
        config = types.GenerateContentConfig(**config, automatic_function_calling={"disable": True})
        return client.models.generate_content(model=model, contents=contents, config=config)

    def choice(mode, names=None):
        return {"function_calling_config": {"mode": mode, "allowed_function_names": names}}

    forced = ask("hello", tools=tools, tool_config=choice("ANY", ["get_time"]))
    assert [call.name for call in forced.function_calls] == ["get_time"]
    assert ask(BOTH, tools=tools, tool_config=choice("NONE")).text == f"You said: {BOTH}"
    assert ask([types.Part.from_bytes(data=PDF, mime_type="application/pdf"), "what?"]).text == READ
    assert ask("one two three", stop_sequences=["two"]).text == "You said: one "
    few, many = (client.models.count_tokens(model=model, contents=text).total_tokens for text in ("one", "word " * 100))
    assert 0 < few < many
    assert model in [model.name.removeprefix("models/") for model in client.models.list()]
    assert client.models.get(model=model).name == f"models/{model}"


@providers("bedrock-converse")
def test_bedrock(house, model):
    client = sdk(house, "bedrock-converse")
    tools = [{"toolSpec": {"name": name, "inputSchema": {"json": CITY}}} for name in TOOLS]

    def ask(*blocks, **arguments):
        return client.converse(modelId=model, messages=[{"role": "user", "content": list(blocks)}], **arguments)["output"]["message"]["content"]

    forced = ask({"text": "hello"}, toolConfig={"tools": tools, "toolChoice": {"tool": {"name": "get_time"}}})
    assert [block["toolUse"]["name"] for block in forced if "toolUse" in block] == ["get_time"]
    document = {"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}}
    assert ask({"text": "what?"}, document)[-1]["text"] == READ
    stops = {"inferenceConfig": {"stopSequences": ["two"]}}
    if model == "openai-responses":
        with pytest.raises(ClientError, match="stop") as refused:
            ask({"text": "one two three"}, **stops)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
    else:
        assert ask({"text": "one two three"}, **stops)[-1]["text"] == "You said: one "
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]})
    few, many = (count(client, model, {"converse": {"messages": [{"role": "user", "content": [{"text": text}]}]}}) for text in ("one", "word " * 100))
    assert 0 < few < many and count(client, model, {"invokeModel": {"body": body}}) > 0
    # Its own provider is asked, and tells what it charges.
    said = [{"role": "user", "content": [{"text": "hello"}]}]
    used = client.converse(modelId="bedrock-converse", messages=said)["usage"]
    assert count(client, "bedrock-converse", {"converse": {"messages": said}}) == used["inputTokens"]
    whole = json.loads(client.invoke_model(modelId=model, body=body)["body"].read())
    assert whole["content"][-1]["text"] == "You said: hello"
    chunks = [json.loads(event["chunk"]["bytes"]) for event in client.invoke_model_with_response_stream(modelId=model, body=body)["body"]]
    assert "".join(chunk["delta"].get("text", "") for chunk in chunks if chunk["type"] == "content_block_delta") == "You said: hello"


def count(client, model, asked):
    return client.count_tokens(modelId=model, input=asked)["inputTokens"]


@providers("cohere-chat")
def test_cohere(house, model):
    client = sdk(house, "cohere-chat")
    tools = [{"type": "function", "function": {"name": name, "description": "tells", "parameters": CITY}} for name in TOOLS]

    def ask(text, **arguments):
        return client.chat(model=model, messages=[{"role": "user", "content": text}], **arguments)

    forced = ask("hello", tools=tools, tool_choice="REQUIRED")
    assert [call.function.name for call in forced.message.tool_calls] == list(TOOLS)
    assert ask(BOTH, tools=tools, tool_choice="NONE").message.content[-1].text == f"You said: {BOTH}"
    assert ask("one two three", stop_sequences=["two"]).message.content[-1].text == "You said: one "
    # What is to be answered from is a document of the provider's, or its text.
    baked = [{"id": "bread", "data": {"text": "Bread is baked at four."}}, "Trains go at five."]
    house.served()
    ask("when?", documents=baked)
    (asked,) = house.served()
    assert "Bread is baked at four." in asked["body"] and "Trains go at five." in asked["body"]
    ask("when?", documents=baked, citation_options={"mode": "OFF"})


# What each SDK raises when a provider limits, when one fails, and when a key may not ask for a model.
RAISED = {
    "openai-chat": (openai.RateLimitError, openai.InternalServerError, openai.PermissionDeniedError),
    "openai-responses": (openai.RateLimitError, openai.InternalServerError, openai.PermissionDeniedError),
    "gemini": (errors.ClientError, errors.ServerError, errors.ClientError),
    "bedrock-converse": (ClientError, ClientError, ClientError),
    "cohere-chat": (cohere.TooManyRequestsError, ApiError, cohere.ForbiddenError),
}
# What stands in the error where the class does not say.
SAID = {
    "gemini": lambda error: error.code,
    "bedrock-converse": lambda error: error.response["Error"]["Code"],
    "cohere-chat": lambda error: error.status_code,
}
CODES = {
    "gemini": (429, 502, 403),
    "bedrock-converse": ("ThrottlingException", "ModelErrorException", "AccessDeniedException"),
    "cohere-chat": (429, 502, 403),
}


BROKEN = {
    ("openai-chat", False): openai.InternalServerError,
    ("openai-chat", True): openai.APIError,
    ("openai-responses", False): openai.InternalServerError,
    ("openai-responses", True): Broken,
    ("gemini", False): errors.ServerError,
    ("gemini", True): errors.ServerError,
    ("bedrock-converse", False): ClientError,
    ("bedrock-converse", True): EventStreamError,
    ("cohere-chat", False): ApiError,
    ("cohere-chat", True): Broken,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("client", RAISED)
def test_errors(house, client, stream):
    def ask(model, caller=None):
        return CLIENTS[client](house, caller).ask(Request(model, stream, "s", [User("repeat 20 words")], most=100))

    for at, (model, caller) in enumerate([("limited", None), ("failing", None), ("openai-chat", house.narrow)]):
        with pytest.raises(RAISED[client][at]) as told:
            ask(model, caller)
        assert "sk-" not in str(told.value)
        if client in SAID:
            assert SAID[client](told.value) == CODES[client][at]
    # Half an answer is none.
    with pytest.raises(BROKEN[client, stream]):
        ask("broken")
