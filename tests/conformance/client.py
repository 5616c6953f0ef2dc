"""A client that the suite runs with the address of a server: it reaches that server through a gateway of its own.

It lists everything, calls every tool with the arguments that the suite wants or that fit its schema, reads every resource
and gets every prompt; what a server asks meanwhile is answered with the defaults of its schema.
"""

import asyncio
import json
import os
import pathlib
import sys
import tempfile

import httpx2
from conftest import gateway, running
from mcp import types
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

SAMPLES = {"string": "text", "integer": 5, "number": 2.5, "boolean": True, "array": [], "object": {}}


def sample(schema):
    """A value that fits a schema."""
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        wanted = schema.get("properties", {})
        return {name: sample(inner) for name, inner in wanted.items() if isinstance(inner, dict)}
    return SAMPLES.get(kind, "text")


async def elicited(context, params):
    return types.ElicitResult(action="accept", content=sample(params.requested_schema))


async def sampled(context, params):
    content = types.TextContent(type="text", text="hello")
    return types.CreateMessageResult(role="assistant", content=content, model="m", stop_reason="endTurn")


def call_of(tool, tools):
    if tool.name == "json_schema_echo":
        return {"name": tool.name, "arguments": {"schema": tools[0].input_schema}}
    return {"name": tool.name, "arguments": sample(tool.input_schema)}


async def drive(client, wanted):
    tools = (await client.list_tools()).tools
    calls = wanted or [call_of(tool, tools) for tool in tools]
    for call in calls:
        try:
            await client.call_tool(call["name"], call["arguments"])
        except MCPError as error:
            print(call["name"], error)
    for listed, call in [("list_resources", "read_resource"), ("list_prompts", "get_prompt")]:
        try:
            result = await getattr(client, listed)()
            for one in getattr(result, listed.removeprefix("list_")):
                await getattr(client, call)(str(getattr(one, "uri", one.name)))
        except MCPError as error:
            print(listed, error)


async def main(server):
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    era = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    with running() as processes, tempfile.TemporaryDirectory() as folder:
        url = gateway(processes, pathlib.Path(folder), {"judge": f'{{ url: "{server}" }}'})
        async with httpx2.AsyncClient(timeout=20) as http:
            transport = streamable_http_client(url, http_client=http)
            mode = era if era >= "2026-07-28" else "legacy"
            answers = {"elicitation_callback": elicited, "sampling_callback": sampled}
            async with Client(transport, mode=mode, read_timeout_seconds=20, **answers) as client:
                await drive(client, context.get("toolCalls"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
