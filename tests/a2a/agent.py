"""An agent on the official SDK: JSON-RPC of both versions, HTTP+JSON and gRPC; the beginning of a message's id says what it does.

The ids are those of the official conformance kit, so that it can be run against this agent, directly and through the
gateway: `python agent.py PORT [interfaces]`, where the interfaces are among `rpc`, `rest`, `grpc` (at the next port), and
`old`, `old_rest` and `old_grpc`, which are the same in 0.3.
"""

import asyncio
import sys

import a2a.compat.v0_3.a2a_v0_3_pb2_grpc as old_service
import a2a.types.a2a_pb2_grpc as service
import grpc.aio
import httpx
import uvicorn
from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler
from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler, GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentProvider, AgentSkill, Part
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette

TEXT = [Part(text="Generated text content")]
FILE = [Part(raw=b"tck", media_type="text/plain", filename="output.txt")]
LINK = [Part(url="https://example.com/output.txt", media_type="text/plain", filename="output.txt")]
DATA = [Part(data=json_format.Parse('{"key": "value", "count": 42}', Value()))]
ARTIFACTS = {
    "tck-artifact-text": TEXT,
    "tck-artifact-file-url": LINK,
    "tck-artifact-file": FILE,
    "tck-artifact-data": DATA,
    "tck-stream-artifact-text": TEXT,
    "tck-stream-artifact-file": FILE,
    "tck-stream-001": TEXT,
    "tck-stream-003": TEXT,
    "tck-stream-ordering-001": TEXT,
}


class Executor(AgentExecutor):
    async def execute(self, context, queue):
        message = context.message
        what = message.message_id
        task = context.current_task
        # What goes on with a task is in its context, whether or not the message says so.
        updater = TaskUpdater(queue, context.task_id, task.context_id if task else context.context_id)
        if what.startswith("tck-message-response"):
            await queue.enqueue_event(updater.new_agent_message([Part(text="Direct message response")]))
            return
        if task is None:
            await queue.enqueue_event(new_task_from_user_message(message))
        if what.startswith("tck-reject-task"):
            await updater.reject()
        elif what.startswith("tck-input-required"):
            await updater.requires_input(updater.new_agent_message([Part(text="which one?")]))
        elif what.startswith("test-resubscribe-message-id"):
            await updater.start_work()
            await asyncio.sleep(4)
            await updater.complete()
        elif what.startswith("wait"):
            await updater.start_work()
            await asyncio.sleep(60)
        elif what.startswith("tck-stream-artifact-chunked"):
            await updater.start_work()
            await updater.add_artifact([Part(text="chunk-1 ")], artifact_id="chunked")
            await updater.add_artifact([Part(text="chunk-2")], artifact_id="chunked", append=True, last_chunk=True)
            await updater.complete()
        elif parts := next((parts for name, parts in ARTIFACTS.items() if what.startswith(name)), None):
            await updater.start_work()
            await updater.add_artifact(parts)
            await updater.complete()
        else:
            await updater.complete(updater.new_agent_message([Part(text="Hello from TCK")]))

    async def cancel(self, context, queue):
        await TaskUpdater(queue, context.task_id, context.context_id).cancel()


def card_of(port, interfaces):
    web = f"http://127.0.0.1:{port}"
    places = {
        "rpc": (web, "JSONRPC", "1.0"),
        "rest": (f"{web}/rest", "HTTP+JSON", "1.0"),
        "grpc": (f"127.0.0.1:{port + 1}", "GRPC", "1.0"),
        "old": (web, "JSONRPC", "0.3"),
        "old_rest": (f"{web}/rest", "HTTP+JSON", "0.3"),
        "old_grpc": (f"127.0.0.1:{port + 1}", "GRPC", "0.3"),
    }
    return AgentCard(
        name="Conformance agent",
        description="Does what the ids of messages say.",
        version="1.0.0",
        provider=AgentProvider(organization="Example", url="https://example.com"),
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version=version)
            for url, binding, version in (places[name] for name in interfaces)
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="tck", name="Conformance", description="Handles messages.", tags=["tck"])],
    )


async def serve(port, interfaces):
    card = card_of(port, interfaces)
    extended = AgentCard()
    extended.CopyFrom(card)
    extended.description = "For those who are known."
    store = InMemoryPushNotificationConfigStore()
    handler = DefaultRequestHandler(
        agent_executor=Executor(),
        task_store=InMemoryTaskStore(),
        agent_card=card,
        push_config_store=store,
        push_sender=BasePushNotificationSender(httpx.AsyncClient(), store),
        extended_agent_card=extended,
    )
    app = Starlette(
        routes=[
            *create_agent_card_routes(card, cache_control="public, max-age=60"),
            *create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True),
            *create_rest_routes(handler, path_prefix="/rest", enable_v0_3_compat=True),
        ]
    )
    if "grpc" in interfaces or "old_grpc" in interfaces:
        calls = grpc.aio.server()
        calls.add_insecure_port(f"127.0.0.1:{port + 1}")
        service.add_A2AServiceServicer_to_server(GrpcHandler(handler), calls)
        old_service.add_A2AServiceServicer_to_server(CompatGrpcHandler(handler), calls)
        await calls.start()
    await uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2:] or ["rpc", "rest", "grpc"]))
