"""A client that the suite runs with the address of a server: it reaches that server through a gateway of its own.

It lists everything, calls every tool with the arguments that the suite wants or that fit its schema, reads every resource
and gets every prompt; what a server asks meanwhile is answered with the defaults of its schema.

Where the server wants a user's consent, the gateway names a page: it is opened and gone on from as a browser would.
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

# How often a user lets the gateway in before it is too much for them; a scenario counts.
MOST_CONSENTS = 8
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


async def consent(url):
    """Goes the way of a user: the page, its button, the authorization server, and back; says whether it ended well."""
    async with httpx2.AsyncClient(timeout=20, follow_redirects=True) as browser:
        page = await browser.get(url)
        assert "Go on" in page.text, page.text
        origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
        ended = await browser.post(url, data={"ticket": page.url.params["ticket"]}, headers={"origin": origin})
        print("consent:", ended.status_code, ended.text)
        return ended.status_code == 200


def page_of(error):
    """The page that an error wants to be opened, if it wants that."""
    if error.error.code != -32042:
        return None
    return error.error.data["elicitations"][0]["url"]


async def drive_with_consent(client):
    """Lists and calls, and consents whenever that is asked for: like a patient user, and not for ever."""
    calls = 0
    for _ in range(MOST_CONSENTS):
        tools = (await client.list_tools()).tools
        print("tools:", [tool.name for tool in tools])
        entrance = next((tool.name for tool in tools if tool.name == "authorize"), None)
        page = None
        if entrance:
            said = (await client.call_tool(entrance, {})).structured_content
            # Without one it is connected already.
            page = said and said["url"]
        elif tools:
            try:
                await client.call_tool(tools[0].name, {})
                calls += 1
            except MCPError as error:
                page = page_of(error)
                print("refused:", error)
                if not page:
                    return
        else:
            return
        if page and not await consent(page):
            return
        if calls == 2:
            return


def oauth_of(scenario, context):
    """How the gateway is configured for a scenario: as an operator would who has been given this."""
    said = {name: context[name] for name in ["client_id", "client_secret"] if name in context}
    if "client-credentials" in scenario:
        said["grant"] = "client_credentials"
    if "private_key_pem" in context:
        said["private_key"] = {"pem": context["private_key_pem"], "algorithm": context["signing_algorithm"]}
    if "valid_jwt" in context:
        said |= {"grant": "jwt_bearer", "assertion": context["valid_jwt"]}
    if scenario == "auth/basic-cimd":
        said["client_metadata"] = "https://conformance-test.local/client-metadata.json"
    return json.dumps(said)


async def main(server):
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    era = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    is_auth = scenario.startswith("auth/")
    oauth = f", oauth: {oauth_of(scenario, context)}" if is_auth else ""
    with running() as processes, tempfile.TemporaryDirectory() as folder:
        url = gateway(processes, pathlib.Path(folder), {"judge": f'{{ url: "{server}"{oauth} }}'})
        async with httpx2.AsyncClient(timeout=20) as http:
            transport = streamable_http_client(url, http_client=http)
            mode = era if era >= "2026-07-28" else "legacy"
            answers = {"elicitation_callback": elicited, "sampling_callback": sampled}
            async with Client(transport, mode=mode, read_timeout_seconds=20, **answers) as client:
                if is_auth:
                    await drive_with_consent(client)
                else:
                    await drive(client, context.get("toolCalls"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
