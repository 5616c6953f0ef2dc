"""The server that the conformance suite expects, on the official SDK, in whichever eras and parts a test wants.

    python fixture.py --era both|legacy|modern --part all|tools|prompts|resources

Says where it listens on its first line. The same tools serve both eras: what a tool wants of its client is a question in
the era with sessions and an `input_required` result in the one without.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import secrets
import socket
import warnings
import weakref

import jobs
import uvicorn
from mcp import types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

MODERN = "2026-07-28"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
PAUSE = 0.05

secret = secrets.token_bytes(32)
bus = InMemorySubscriptionBus()
sessions = weakref.WeakSet()


# What a tool wants of its client.


class Wanted(Exception):
    """Input is wanted before there is a result."""

    def __init__(self, result):
        self.result = result


def form(message, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt, most=100):
    text = types.TextContent(type="text", text=prompt)
    message = types.SamplingMessage(role="user", content=text)
    return types.CreateMessageRequest(params=types.CreateMessageRequestParams(messages=[message], max_tokens=most))


ANSWERS = {
    types.ElicitRequest: types.ElicitResult,
    types.CreateMessageRequest: types.CreateMessageResult,
    types.ListRootsRequest: types.ListRootsResult,
}
TEXT = {"type": "string"}


def sealed(name, step):
    return f"{step}.{hmac.new(secret, f'{name} {step}'.encode(), hashlib.sha256).hexdigest()}"


def opened(name, state):
    if state is None:
        return 0
    step = state.partition(".")[0]
    if not (step.isdigit() and hmac.compare_digest(state, sealed(name, int(step)))):
        raise MCPError(types.INVALID_PARAMS, "requestState is not what was given out")
    return int(step)


async def question(ctx, request):
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
    return await ctx.session.send_request(request, ANSWERS[type(request)], metadata=metadata)


async def ask(ctx, params, *rounds):
    """What the client answers to questions, by their keys; round after round."""
    if ctx.protocol_version != MODERN:
        answers = {}
        for questions in rounds:
            asked = (question(ctx, request) for request in questions.values())
            answers |= dict(zip(questions, await asyncio.gather(*asked)))
        return answers
    step, answers = opened(params.name, params.request_state), params.input_responses or {}
    if all(key in answers for key in rounds[step]):
        step += 1
    if step == len(rounds):
        return answers
    state = sealed(params.name, step)
    raise Wanted(types.InputRequiredResult(input_requests=rounds[step], request_state=state))


# Tools.


def text(words):
    return types.TextContent(type="text", text=words)


def embedded(uri, kind, words):
    contents = types.TextResourceContents(uri=uri, mime_type=kind, text=words)
    return types.EmbeddedResource(type="resource", resource=contents)


IMAGE = types.ImageContent(type="image", data=PNG, mime_type="image/png")
SIMPLE = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [types.AudioContent(type="audio", data=WAV, mime_type="audio/wav")],
    "test_embedded_resource": [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
    "test_custom_header": [text("The header says what the argument says.")],
    "json_schema_2020_12_tool": [text("Hello.")],
}


async def progress(ctx, params):
    token = (ctx.meta or {}).get("progress_token")
    for step in (0, 50, 100):
        if token is not None:
            await ctx.session.send_progress_notification(token, step, 100, f"step {step}", related_request_id=ctx.request_id)
        await asyncio.sleep(PAUSE)
    return "Done, with progress."


async def logging(ctx, params):
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await asyncio.sleep(PAUSE)
    return "Done, with logs."


async def reconnection(ctx, params):
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await asyncio.sleep(4 * PAUSE)
    return "Reconnection test completed"


async def ask_model(ctx, params):
    answers = await ask(ctx, params, {"it": sampling((params.arguments or {}).get("prompt", "Hello"))})
    return f"LLM response: {answers['it'].content.text}"


async def ask_user(ctx, params):
    message = (params.arguments or {}).get("message", "Who are you?")
    answers = await ask(ctx, params, {"it": form(message, username=TEXT, email=TEXT)})
    return f"User response: action={answers['it'].action}, content={json.dumps(answers['it'].content)}"


def asks_form(properties):
    async def tool(ctx, params):
        schema = {"type": "object", "properties": properties}
        request = types.ElicitRequest(params=types.ElicitRequestFormParams(message="Please answer", requested_schema=schema))
        answers = await ask(ctx, params, {"it": request})
        return f"Elicitation completed: action={answers['it'].action}, content={json.dumps(answers['it'].content)}"

    return tool


TITLED = [{"const": f"value{n}", "title": f"{n}. option"} for n in (1, 2, 3)]
CHOICES = ["option1", "option2", "option3"]
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
ENUMS = {
    "untitledSingle": {"type": "string", "enum": CHOICES},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": CHOICES}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


def asks(*rounds):
    async def tool(ctx, params):
        answers = await ask(ctx, params, *rounds)
        return "state-ok " + json.dumps({key: answer.model_dump(mode="json") for key, answer in answers.items()})

    return tool


NAME = form("What is your name?", name=TEXT)
OK = form("Please confirm", ok={"type": "boolean"})
ROOTS = types.ListRootsRequest()


async def greets(ctx, params):
    answers = await ask(ctx, params, {"user_name": NAME})
    return f"Hello, {answers['user_name'].content['name']}!"


async def what_it_can(ctx, params):
    """Asks what the client can answer, and nothing else."""
    requests = {"user_name": NAME, "greeting": sampling("Generate a greeting")}
    if ctx.protocol_version == MODERN:
        declared = ctx.session.client_capabilities
        can = {"user_name": declared.elicitation, "greeting": declared.sampling}
        await ask(ctx, params, {key: request for key, request in requests.items() if can[key] is not None})
        return "Done."
    told = await asyncio.gather(*(question(ctx, request) for request in requests.values()), return_exceptions=True)
    return f"{sum(not isinstance(one, Exception) for one in told)} answers."


async def needs_sampling(ctx, params):
    if ctx.protocol_version == MODERN and ctx.session.client_capabilities.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "sampling is needed", data)
    return await ask_model(ctx, params)


async def asks_midway(ctx, params):
    await ctx.session.report_progress(0.5, 1.0)
    return await ask_user(ctx, params)


def changes(event, method):
    async def tool(ctx, params):
        await bus.publish(event)
        for session in list(sessions):
            await getattr(session, method)()
        return "Changed."

    return tool


async def asked_name(ctx):
    return (await question(ctx, NAME)).content["name"]


TOOLS = {
    "test_tool_with_progress": progress,
    "test_tool_with_logging": logging,
    "test_logging_tool": logging,
    "test_reconnection": reconnection,
    "test_sampling": ask_model,
    "test_elicitation": ask_user,
    "test_elicitation_sep1034_defaults": asks_form(DEFAULTS),
    "test_elicitation_sep1330_enums": asks_form(ENUMS),
    "test_input_required_result_elicitation": greets,
    "test_input_required_result_sampling": asks({"capital_question": sampling("What is the capital of France?")}),
    "test_input_required_result_list_roots": asks({"client_roots": ROOTS}),
    "test_input_required_result_request_state": asks({"confirm": OK}),
    "test_input_required_result_multiple_inputs": asks(
        {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS}
    ),
    "test_input_required_result_multi_round": asks(
        {"step1": form("Step 1: What is your name?", name=TEXT)},
        {"step2": form("Step 2: What is your favorite color?", color=TEXT)},
    ),
    "test_input_required_result_tampered_state": asks({"confirm": OK}),
    "test_input_required_result_capabilities": what_it_can,
    "test_missing_capability": needs_sampling,
    "test_streaming_elicitation": asks_midway,
    "test_trigger_tool_change": changes(ToolsListChanged(), "send_tool_list_changed"),
    "test_trigger_prompt_change": changes(PromptsListChanged(), "send_prompt_list_changed"),
}
STREET = {"type": "object", "properties": {"street": TEXT, "city": TEXT}}
SCHEMAS = {
    "test_sampling": {"type": "object", "properties": {"prompt": TEXT}, "required": ["prompt"]},
    "test_elicitation": {"type": "object", "properties": {"message": TEXT}, "required": ["message"]},
    "test_custom_header": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"$anchor": "addressDef", **STREET}},
        "properties": {
            "name": TEXT,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": TEXT,
            "email": TEXT,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
}
LISTED = [*SIMPLE, "test_error_handling", *TOOLS]


async def list_tools(ctx, params):
    nothing = {"type": "object", "properties": {}}
    tools = [types.Tool(name=name, description=f"Tests {name}.", input_schema=SCHEMAS.get(name, nothing)) for name in LISTED]
    for name, properties in jobs.SCHEMAS.items():
        schema, support = {"type": "object", "properties": properties}, jobs.SUPPORT.get(name)
        execution = types.ToolExecution(task_support=support) if support and ctx.protocol_version != MODERN else None
        tools.append(types.Tool(name=name, description=f"Tests {name}.", input_schema=schema, execution=execution))
    return types.ListToolsResult(tools=tools)


async def call_tool(ctx, params):
    if params.name in SIMPLE:
        return types.CallToolResult(content=SIMPLE[params.name])
    if params.name == "test_error_handling":
        return types.CallToolResult(content=[text("This tool intentionally returns an error for testing")], is_error=True)
    if params.name in jobs.SCHEMAS and ctx.protocol_version == MODERN:
        if params.name != "test_tool_with_task":
            return await jobs.call(ctx, params)
        try:
            answers = await ask(ctx, params, {"user_name": NAME})
        except Wanted as wanted:
            return wanted.result
        return jobs.begun(jobs.named(answers["user_name"].content["name"]))
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    try:
        return types.CallToolResult(content=[text(await TOOLS[params.name](ctx, params))])
    except Wanted as wanted:
        return wanted.result


# Prompts.


def said(content):
    return types.PromptMessage(role="user", content=content)


PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


async def list_prompts(ctx, params):
    def argument(name):
        return types.PromptArgument(name=name, description=name, required=True)

    prompts = [
        types.Prompt(name=name, description=f"Tests {name}.", arguments=[argument(one) for one in arguments])
        for name, arguments in PROMPTS.items()
    ]
    return types.ListPromptsResult(prompts=prompts)


async def get_prompt(ctx, params):
    arguments = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            messages = [said(text("This is a simple prompt for testing."))]
        case "test_prompt_with_arguments":
            messages = [said(text(f"Prompt with arguments: arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'"))]
        case "test_prompt_with_embedded_resource":
            resource = embedded(arguments.get("resourceUri", ""), "text/plain", "Embedded resource content for testing.")
            messages = [said(resource), said(text("Please process the embedded resource above."))]
        case "test_prompt_with_image":
            messages = [said(IMAGE), said(text("Please analyze the image above."))]
        case "test_input_required_result_prompt":
            try:
                asked = form("What context should the prompt use?", context=TEXT)
                answers = await ask(ctx, params, {"user_context": asked})
            except Wanted as wanted:
                return wanted.result
            messages = [said(text(f"Use {answers['user_context'].content}."))]
        case _:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return types.GetPromptResult(messages=messages)


async def complete(ctx, params):
    values = [one for one in ("paris", "park", "party") if one.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


# Resources.


RESOURCES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", PNG),
    "test://watched-resource": ("text/plain", "Watched resource content."),
}


async def list_resources(ctx, params):
    resources = [
        types.Resource(uri=uri, name=uri.removeprefix("test://"), mime_type=kind) for uri, (kind, _) in RESOURCES.items()
    ]
    return types.ListResourcesResult(resources=resources)


async def list_templates(ctx, params):
    template = types.ResourceTemplate(uri_template="test://template/{id}/data", name="template", mime_type="application/json")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx, params):
    uri = str(params.uri)
    begins, ends = "test://template/", "/data"
    if uri == "test://static-binary":
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri in RESOURCES:
        kind, words = RESOURCES[uri]
        contents = types.TextResourceContents(uri=uri, mime_type=kind, text=words)
    elif uri.startswith(begins) and uri.endswith(ends):
        name = uri.removeprefix(begins).removesuffix(ends)
        words = json.dumps({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=words)
    else:
        code = types.INVALID_PARAMS if ctx.protocol_version == MODERN else -32002
        raise MCPError(code, f"Resource not found: {uri}", {"uri": uri})
    return types.ReadResourceResult(contents=[contents])


async def nothing(ctx, params):
    return types.EmptyResult()


# The server.


class Events(EventStore):
    """Events that a client may ask for again."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        at = int(last_event_id)
        stream = self.events[at - 1][0]
        for number, (other, message) in enumerate(self.events[at:], at + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


async def note_session(ctx, call_next):
    if ctx.protocol_version != MODERN:
        sessions.add(ctx.session)
    return await call_next(ctx)


def server(part):
    handlers = {
        "tools": {"on_list_tools": list_tools, "on_call_tool": call_tool, "on_set_logging_level": nothing},
        "prompts": {"on_list_prompts": list_prompts, "on_get_prompt": get_prompt, "on_completion": complete},
        "resources": {
            "on_list_resources": list_resources,
            "on_list_resource_templates": list_templates,
            "on_read_resource": read_resource,
            "on_subscribe_resource": nothing,
            "on_unsubscribe_resource": nothing,
        },
    }
    taken = {}
    for name, some in handlers.items():
        if part in (name, "all"):
            taken |= some
    methods = ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"]
    hints = {method: CacheHint(ttl_ms=60_000, scope="public") for method in ("server/discover", *methods)}
    server = Server(
        "fixture", version="1.0.0", cache_hints=hints, on_subscriptions_listen=ListenHandler(bus), **taken
    )
    if part in ("tools", "all"):
        jobs.serve(server, MODERN, asked_name)
    server.middleware.append(note_session)
    return server


def of_one_era(app, era):
    """A server that has never heard of the other era."""
    if era == "both":
        return app

    async def judged(scope, receive, send):
        if scope["type"] == "http":
            version = dict(scope["headers"]).get(b"mcp-protocol-version", b"").decode()
            if (version == MODERN) != (era == "modern"):
                code, supported = (-32022, [MODERN]) if era == "modern" else (-32600, ["2025-11-25"])
                error = {"code": code, "message": "Unsupported protocol version"}
                if era == "modern":
                    error["data"] = {"supported": supported, "requested": version}
                body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
                headers = [(b"content-type", b"application/json")]
                await send({"type": "http.response.start", "status": 400, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await app(scope, receive, send)

    return judged


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--era", choices=["both", "legacy", "modern"], default="both")
    parser.add_argument("--part", choices=["all", "tools", "prompts", "resources"], default="all")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    app = server(arguments.part).streamable_http_app(event_store=Events(), retry_interval=100)
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(of_one_era(app, arguments.era), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
