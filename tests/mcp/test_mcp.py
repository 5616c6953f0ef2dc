"""The official `mcp` SDK, in both of its eras and over the transport that came first, drives servers of both eras through
the gateway."""

import asyncio
import contextlib

import httpx2
import pytest
from mcp import types
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

MODERN = "2026-07-28"
ERAS = ["legacy", "first", MODERN]
SERVERS = ["old", "new", "piped"]
BOTH = pytest.mark.parametrize("era", ERAS)
ALL = pytest.mark.parametrize("server", SERVERS)


@contextlib.asynccontextmanager
async def connected(gateway, era, path="", **options):
    headers = {"Authorization": f"Bearer {gateway.key}"}
    if era == "first":
        transport = sse_client(gateway.url.replace("/mcp", "/sse") + path, headers=headers)
        async with Client(transport, mode="legacy", read_timeout_seconds=20, **options) as client:
            yield client
        return
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(gateway.url + path, http_client=http)
        async with Client(transport, mode=era, read_timeout_seconds=20, **options) as client:
            yield client


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 60))


def text_of(result):
    return result.content[0].text


async def answers_sampling(context, params):
    assert params.messages[0].content.text == "two words"
    return types.CreateMessageResult(
        role="assistant", content=types.TextContent(type="text", text="hello there"), model="m", stop_reason="endTurn"
    )


async def answers_elicitation(context, params):
    return types.ElicitResult(action="accept", content={"username": "u", "email": "e@example.com"})


async def answers_roots(context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///work", name="work")])


@BOTH
def test_lists_of_all_servers(gateway, era):
    async def test():
        async with connected(gateway, era) as client:
            tools, cursor = [], None
            while True:
                page = await client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if not cursor:
                    break
            names = [tool.name for tool in tools]
            assert len(set(names)) == len(names)
            for server in SERVERS:
                assert f"{server}_test_simple_text" in names
                assert f"{server}_json_schema_2020_12_tool" in names
            # Denied where it is denied, and only there.
            assert "old_delete_everything" not in names and "piped_delete_everything" in names
            schema = next(tool.input_schema for tool in tools if tool.name == "old_json_schema_2020_12_tool")
            assert schema["$defs"]["address"]["type"] == "object" and schema["additionalProperties"] is False
            uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
            assert "old+test://static-text" in uris and "piped+test://static-text" in uris
            templates = (await client.list_resource_templates()).resource_templates
            assert "new+test://template/{id}/data" in [template.uri_template for template in templates]
            assert "piped_test_simple_prompt" in [prompt.name for prompt in (await client.list_prompts()).prompts]

    run(test)


@BOTH
@ALL
def test_tools_are_called(gateway, era, server):
    async def test():
        async with connected(gateway, era) as client:
            result = await client.call_tool(f"{server}_test_simple_text", {})
            assert text_of(result) == "This is a simple text response for testing."
            failed = await client.call_tool(f"{server}_test_error_handling", {})
            assert failed.is_error
            embedded = await client.call_tool(f"{server}_test_embedded_resource", {})
            assert str(embedded.content[0].resource.uri) == f"{server}+test://embedded-resource"

    run(test)


@BOTH
def test_what_is_denied_is_not_there(gateway, era):
    async def test():
        async with connected(gateway, era) as client:
            told = []
            for name in ("old_delete_everything", "old_no_such_tool", "nobody_x"):
                with pytest.raises(MCPError) as error:
                    await client.call_tool(name, {})
                told.append((error.value.error.code, error.value.error.message.replace(name, "X")))
            assert set(told) == {(-32602, "Unknown tool: X")}

    run(test)


@BOTH
@ALL
def test_resources_prompts_and_completions(gateway, era, server):
    async def test():
        async with connected(gateway, era) as client:
            read = await client.read_resource(f"{server}+test://template/7/data")
            assert '"id":"7"' in read.contents[0].text.replace(" ", "")
            assert str(read.contents[0].uri) == f"{server}+test://template/7/data"
            with pytest.raises(MCPError) as error:
                await client.read_resource(f"{server}+test://nonexistent")
            assert error.value.error.code == (-32602 if era == MODERN or server == "new" else -32002)
            name = f"{server}_test_prompt_with_arguments"
            prompt = await client.get_prompt(name, {"arg1": "a", "arg2": "b"})
            assert "arg1='a', arg2='b'" in prompt.messages[0].content.text
            ref = types.PromptReference(type="ref/prompt", name=name)
            completion = await client.complete(ref=ref, argument={"name": "arg1", "value": "par"})
            assert completion.completion.values == ["paris", "park", "party"]

    run(test)


@BOTH
@ALL
def test_progress_arrives_before_the_answer(gateway, era, server):
    async def test():
        seen = []

        async def progress(done, total, message):
            seen.append((done, total))

        async with connected(gateway, era) as client:
            name = f"{server}_test_tool_with_progress"
            assert text_of(await client.call_tool(name, {}, progress_callback=progress)) == "progress done"
        assert seen == [(0, 100), (50, 100), (100, 100)]

    run(test)


@BOTH
@ALL
def test_servers_ask_their_client(gateway, era, server):
    async def test():
        options = {
            "sampling_callback": answers_sampling,
            "elicitation_callback": answers_elicitation,
            "list_roots_callback": answers_roots,
        }
        async with connected(gateway, era, **options) as client:
            sampled = await client.call_tool(f"{server}_test_sampling", {"prompt": "two words"})
            assert text_of(sampled) == "LLM response: hello there"
            elicited = await client.call_tool(f"{server}_test_elicitation", {"message": "who?"})
            assert text_of(elicited).startswith("User response: action=accept")
            if server != "new":
                assert "file:///work" in text_of(await client.call_tool(f"{server}_test_roots", {}))

    run(test)


@pytest.mark.parametrize("server", ["old", "piped"])
def test_logs_of_a_tool(gateway, server):
    async def test():
        seen = []

        async def log(params):
            seen.append(params.data)

        async with connected(gateway, "legacy", logging_callback=log) as client:
            await client.set_logging_level("info")
            await client.call_tool(f"{server}_test_tool_with_logging", {})
        assert seen == ["Tool execution started", "Tool processing data", "Tool execution completed"]

    run(test)


@pytest.mark.parametrize("server", ["old", "piped"])
@BOTH
def test_a_call_is_cancelled(gateway, era, server):
    async def test():
        async with connected(gateway, era) as client:
            call = asyncio.ensure_future(client.call_tool(f"{server}_test_slow", {}))
            await asyncio.sleep(0.5)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            # The session goes on.
            assert text_of(await client.call_tool(f"{server}_test_simple_text", {}))

    run(test)


@BOTH
@ALL
def test_one_server_alone_has_plain_names(gateway, era, server):
    async def test():
        async with connected(gateway, era, f"/{server}") as client:
            assert "test_simple_text" in [tool.name for tool in (await client.list_tools()).tools]
            assert text_of(await client.call_tool("test_simple_text", {}))
            read = await client.read_resource("test://static-text")
            assert str(read.contents[0].uri) == "test://static-text"

    run(test)


def test_parameters_are_repeated_in_headers(gateway):
    async def test():
        async with connected(gateway, MODERN) as client:
            await client.list_tools()
            result = await client.call_tool("new_test_custom_header", {"region": "eu-west-1"})
            assert text_of(result) == "region eu-west-1"
        # A client of the other era sends none: the gateway does.
        async with connected(gateway, "legacy") as client:
            result = await client.call_tool("new_test_custom_header", {"region": "eu-north-1"})
            assert text_of(result) == "region eu-north-1"

    run(test)


@contextlib.asynccontextmanager
async def cutting(gateway):
    """The gateway behind a proxy that breaks the first stream with progress in it; says how often it did."""
    cuts = []
    port = int(gateway.url.split(":")[2].split("/")[0])

    async def copy(reader, writer, is_answer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                if is_answer and not cuts and b"notifications/progress" in data:
                    cuts.append(len(data))
                    break
        writer.close()

    async def connected(reader, writer):
        answers, asks = await asyncio.open_connection("127.0.0.1", port)
        both = [asyncio.create_task(copy(reader, asks, False)), asyncio.create_task(copy(answers, writer, True))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, asks):
            end.close()
        await asyncio.gather(*both, return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    try:
        yield type(gateway)(f"127.0.0.1:{own}", gateway.key), cuts
    finally:
        server.close()


def test_a_broken_stream_is_taken_up_again(gateway):
    async def test():
        seen = []

        async def progress(done, total, message):
            seen.append(done)

        async with cutting(gateway) as (proxy, cuts), connected(proxy, "legacy") as client:
            arguments = {"to": 30, "pause_ms": 50, "key": "cut"}
            result = await client.call_tool("old_test_count", arguments, progress_callback=progress)
            assert text_of(result) == "counted to 30"
            assert len(cuts) == 1
            assert seen == list(range(1, 31))

    run(test)
