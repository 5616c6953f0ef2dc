"""The official `a2a-sdk` drives agents through the gateway: each binding and version of the client, to each of the agent."""

import asyncio
import contextlib
import http.server
import json
import threading
import uuid

import grpc.aio
import httpx
import pytest
from a2a.client import ClientCallContext, ClientCallInterceptor, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.errors import A2AClientError
from a2a.compat.v0_3.grpc_transport import CompatGrpcTransport
from a2a.compat.v0_3.jsonrpc_transport import CompatJsonRpcTransport
from a2a.compat.v0_3.rest_transport import CompatRestTransport
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import A2AError, TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError

AGENTS = ["rpc", "rest", "grpc", "old", "old_rest", "old_grpc"]
NEW = ["JSONRPC", "HTTP+JSON", "GRPC"]
OLD = {"0.3 JSONRPC": CompatJsonRpcTransport, "0.3 HTTP+JSON": CompatRestTransport, "0.3 GRPC": CompatGrpcTransport}
# Over gRPC 0.3 names no agent: it leads to the default one.
PAIRS = [(agent, one) for agent in AGENTS for one in [*NEW, *OLD] if agent == "rpc" or one != "0.3 GRPC"]
ALL = pytest.mark.parametrize("agent", AGENTS)
EACH = pytest.mark.parametrize(("agent", "binding"), PAIRS)


class Keyed(ClientCallInterceptor):
    """Sends the key with every call: gRPC has no client to put it into."""

    def __init__(self, key):
        self.key = key

    async def before(self, args):
        context = args.context or ClientCallContext()
        context.service_parameters = {**(context.service_parameters or {}), "authorization": f"Bearer {self.key}"}
        args.context = context

    async def after(self, args):
        pass


@contextlib.asynccontextmanager
async def connected(gateway, agent, binding, key=None, streaming=True):
    headers = {"Authorization": f"Bearer {key or gateway.key}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as web:
        card = await A2ACardResolver(web, f"{gateway.url}/a2a/{agent}").get_agent_card()
        config = ClientConfig(
            httpx_client=web,
            grpc_channel_factory=grpc.aio.insecure_channel,
            supported_protocol_bindings=[binding.removeprefix("0.3 ")],
            streaming=streaming,
            use_client_preference=True,
        )
        if binding in OLD:
            kept = [one for one in card.supported_interfaces if one.protocol_version == "0.3"]
            del card.supported_interfaces[:]
            card.supported_interfaces.extend(kept)
        client = ClientFactory(config).create(card, [Keyed(key or gateway.key)])
        if binding in OLD:
            assert isinstance(client._transport, OLD[binding])
        yield client


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 60))


def message(what, **more):
    return Message(
        message_id=f"{what}-{uuid.uuid4()}", role=Role.ROLE_USER, parts=[Part(text="do it")], **more
    )


def ask(what, configuration=None, **more):
    return SendMessageRequest(message=message(what, **more), configuration=configuration)


async def events(stream):
    return [event async for event in stream]


def task_of(told):
    return next(event.task for event in told if event.HasField("task"))


async def begun(client, what):
    """A task that is under way, out of the first event of its stream, which is left."""
    async for event in client.send_message(ask(what)):
        if event.HasField("task"):
            return event.task
    raise AssertionError("no task")


@EACH
def test_a_message_is_answered_as_a_whole(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding, streaming=False) as client:
            told = await events(client.send_message(ask("tck-complete-task")))
            task = task_of(told)
            assert task.status.state == TaskState.TASK_STATE_COMPLETED
            assert task.status.message.parts[0].text == "Hello from TCK"
            again = await client.get_task(GetTaskRequest(id=task.id))
            assert (again.id, again.context_id) == (task.id, task.context_id)
            plain = await events(client.send_message(ask("tck-message-response")))
            assert plain[0].message.parts[0].text == "Direct message response"

    run(test)


@EACH
def test_artifacts_of_every_kind(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding, streaming=False) as client:
            async def part(what):
                told = await events(client.send_message(ask(what)))
                return task_of(told).artifacts[0].parts[0]

            assert (await part("tck-artifact-text")).text == "Generated text content"
            file = await part("tck-artifact-file")
            assert (file.raw, file.media_type, file.filename) == (b"tck", "text/plain", "output.txt")
            assert (await part("tck-artifact-file-url")).url == "https://example.com/output.txt"
            assert (await part("tck-artifact-data")).data.struct_value["count"] == 42

    run(test)


@EACH
def test_a_stream_comes_in_order(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding) as client:
            told = await events(client.send_message(ask("tck-stream-artifact-chunked")))
            kinds = [event.WhichOneof("payload") for event in told]
            assert kinds[0] == "task" and kinds[-1] == "status_update"
            pieces = [event.artifact_update for event in told if event.HasField("artifact_update")]
            assert "".join(piece.artifact.parts[0].text for piece in pieces) == "chunk-1 chunk-2"
            assert [piece.append for piece in pieces] == [False, True]
            assert told[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED

    run(test)


@EACH
def test_a_task_goes_on_where_it_wants_input(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding, streaming=False) as client:
            task = task_of(await events(client.send_message(ask("tck-input-required"))))
            assert task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
            more = ask("tck-complete-task", task_id=task.id, context_id=task.context_id)
            done = task_of(await events(client.send_message(more)))
            assert done.id == task.id and done.status.state == TaskState.TASK_STATE_COMPLETED

    run(test)


@EACH
def test_a_task_is_watched_again_and_cancelled(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding) as client:
            task = await begun(client, "wait")

            async def watch():
                return await events(client.subscribe(SubscribeToTaskRequest(id=task.id)))

            watching = asyncio.ensure_future(watch())
            await asyncio.sleep(1)
            cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
            assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
            told = await watching
            assert told[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED
            with pytest.raises(TaskNotCancelableError):
                await client.cancel_task(CancelTaskRequest(id=task.id))

    run(test)


@EACH
def test_a_dropped_stream_is_taken_up_again(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding) as client:
            task = await begun(client, "test-resubscribe-message-id")
            told = await events(client.subscribe(SubscribeToTaskRequest(id=task.id)))
            assert told[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED

    run(test)


@EACH
def test_tasks_of_others_are_not_there(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding, streaming=False) as client:
            task = task_of(await events(client.send_message(ask("tck-input-required"))))
        async with connected(gateway, agent, binding, key=gateway.other_key) as other:
            for attempt in (
                lambda: other.get_task(GetTaskRequest(id=task.id)),
                lambda: other.cancel_task(CancelTaskRequest(id=task.id)),
                lambda: events(other.subscribe(SubscribeToTaskRequest(id=task.id))),
                lambda: events(other.send_message(ask("tck-complete-task", task_id=task.id))),
                lambda: other.get_task(GetTaskRequest(id="no-such-task")),
            ):
                with pytest.raises(TaskNotFoundError):
                    await attempt()
            with pytest.raises(A2AError):
                await events(other.send_message(ask("tck-complete-task", context_id=task.context_id)))

    run(test)


@pytest.mark.parametrize("agent", ["rpc", "rest", "grpc"])
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_lists_have_the_callers_own_tasks(gateway, agent, binding):
    async def test():
        own = []
        async with connected(gateway, agent, binding, streaming=False) as client:
            for _ in range(3):
                own.append(task_of(await events(client.send_message(ask("tck-complete-task")))))
            seen, token = [], ""
            while True:
                page = await client.list_tasks(ListTasksRequest(page_size=2, page_token=token))
                seen += [task.id for task in page.tasks]
                token = page.next_page_token
                if not token:
                    break
            assert len(seen) == len(set(seen)) and {task.id for task in own} <= set(seen)
            one = await client.list_tasks(ListTasksRequest(context_id=own[0].context_id))
            assert [task.id for task in one.tasks] == [own[0].id] and one.total_size == 1
        async with connected(gateway, agent, binding, key=gateway.other_key) as other:
            page = await other.list_tasks(ListTasksRequest(page_size=100))
            assert not {task.id for task in page.tasks} & set(seen)

    run(test)


@pytest.mark.parametrize("agent", ["old", "old_rest", "old_grpc"])
def test_what_an_old_agent_does_not_know_is_refused_by_name(gateway, agent):
    async def test():
        async with connected(gateway, agent, "JSONRPC") as client:
            with pytest.raises(UnsupportedOperationError):
                await client.list_tasks(ListTasksRequest())

    run(test)


@EACH
def test_the_card_for_those_who_are_known(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding) as client:
            card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
            assert card.description == "For those who are known."
            assert all(gateway.url.removeprefix("http://") in one.url for one in card.supported_interfaces)

    run(test)


@contextlib.contextmanager
def listener():
    """Where a client is told: what came, with its headers."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            told.append((dict(self.headers.items()), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()


@ALL
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_addresses_are_told_through_the_gateway(gateway, agent, binding):
    async def test():
        with listener() as (url, told):
            config = TaskPushNotificationConfig(url=url, token="t0ken")
            config.authentication.scheme, config.authentication.credentials = "Bearer", "s3cret"
            configuration = SendMessageConfiguration(task_push_notification_config=config)
            async with connected(gateway, agent, binding, streaming=False) as client:
                sent = ask("test-resubscribe-message-id", configuration)
                task = task_of(await events(client.send_message(sent)))
                for _ in range(100):
                    if told and "COMPLETED" in json.dumps(told[-1][1]):
                        break
                    await asyncio.sleep(0.1)
                headers, last = told[-1]
                lower = {name.lower(): value for name, value in headers.items()}
                assert lower["x-a2a-notification-token"] == "t0ken" and lower["authorization"] == "Bearer s3cret"
                assert task.id in json.dumps(last) and "TASK_STATE_COMPLETED" in json.dumps(last)

    run(test)


@pytest.mark.parametrize("agent", ["rpc", "rest", "grpc"])
@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_addresses_are_kept_read_and_forgotten(gateway, agent, binding):
    async def test():
        async with connected(gateway, agent, binding) as client:
            task = await begun(client, "wait")
            config = TaskPushNotificationConfig(task_id=task.id, url="http://127.0.0.1:9/hook", token="k")
            made = await client.create_task_push_notification_config(config)
            assert (made.url, made.token) == ("http://127.0.0.1:9/hook", "k")
            got = await client.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(task_id=task.id, id=made.id)
            )
            assert got.url == made.url and not got.HasField("authentication")
            listed = await client.list_task_push_notification_configs(
                ListTaskPushNotificationConfigsRequest(task_id=task.id)
            )
            assert [one.url for one in listed.configs] == [made.url]
            await client.delete_task_push_notification_config(
                DeleteTaskPushNotificationConfigRequest(task_id=task.id, id=made.id)
            )
            for url in ("http://169.254.169.254/latest", "http://10.0.0.1/", "http://localhost:1/", "ftp://x/y"):
                with pytest.raises(A2AError):
                    await client.create_task_push_notification_config(
                        TaskPushNotificationConfig(task_id=task.id, url=url)
                    )
            await client.cancel_task(CancelTaskRequest(id=task.id))

    run(test)


def test_without_a_key_there_is_a_card_and_nothing_else(gateway):
    async def test():
        async with httpx.AsyncClient() as web:
            card = await A2ACardResolver(web, f"{gateway.url}/a2a/rpc").get_agent_card()
            assert card.security_requirements and not card.signatures
            client = ClientFactory(ClientConfig(httpx_client=web)).create(card)
            with pytest.raises(A2AClientError):
                await events(client.send_message(ask("tck-complete-task")))

    run(test)
