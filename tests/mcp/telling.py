"""A server of the newer era whose one tool is a task, and which tells whoever listens when it ends.

Says where it listens on its first line.
"""

import asyncio
import json
import socket

import uvicorn

TASKS = "io.modelcontextprotocol/tasks"
status, listeners = {}, {}


def told(name):
    task = {"taskId": name, "status": status[name], "createdAt": "2026-07-28T00:00:00Z", "lastUpdatedAt": "2026-07-28T00:00:00Z"}
    if status[name] == "completed":
        task["result"] = {"content": [{"type": "text", "text": "done"}], "resultType": "complete"}
    return task | {"ttlMs": 60_000, "pollIntervalMs": 50}


async def end(name, seconds):
    await asyncio.sleep(seconds)
    status[name] = "completed"
    for number, (wanted, queue) in listeners.items():
        if name in wanted:
            meta = {"io.modelcontextprotocol/subscriptionId": number}
            queue.put_nowait({"jsonrpc": "2.0", "method": "notifications/tasks", "params": told(name) | {"_meta": meta}})


def answer(message):
    params = message.get("params", {})
    match message["method"]:
        case "server/discover":
            return {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "extensions": {TASKS: {}}}}
        case "tools/list":
            return {"tools": [{"name": "job", "inputSchema": {"type": "object"}}], "ttlMs": 60_000}
        case "tools/call":
            name = f"job-{len(status)}"
            status[name] = "working"
            asyncio.get_running_loop().create_task(end(name, params.get("arguments", {}).get("seconds", 0)))
            return told(name) | {"resultType": "task"}
        case "tasks/get" if params.get("taskId") in status:
            return told(params["taskId"])
    return None


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    message = json.loads(body)
    if message["method"] == "subscriptions/listen":
        queue = asyncio.Queue()
        wanted = message["params"]["notifications"]
        listeners[message["id"]] = (wanted.get("taskIds", []), queue)
        queue.put_nowait({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": wanted}})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while True:
            event = f"data: {json.dumps(await queue.get())}\n\n".encode()
            await send({"type": "http.response.body", "body": event, "more_body": True})
    result = answer(message)
    said = {"jsonrpc": "2.0", "id": message.get("id")}
    said |= {"error": {"code": -32602, "message": "no"}} if result is None else {"result": {"resultType": "complete"} | result}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])
