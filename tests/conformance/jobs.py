"""Tasks for the fixture, as the extension of the newer era has them and as the older one has them itself: tools whose calls
outlast their requests, and what is asked of such a task."""

import asyncio
import datetime
import secrets

from mcp import types
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import Field

EXTENSION = "io.modelcontextprotocol/tasks"
LASTS = 60_000
POLL = 100
OVER = ("completed", "failed", "cancelled")

tasks = {}


class OfTask(types.RequestParams):
    task_id: str = Field(alias="taskId")
    input_responses: dict = Field(default_factory=dict, alias="inputResponses")


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def said(words, **more):
    return {"content": [{"type": "text", "text": words}], "resultType": "complete", **more}


class Task:
    """One call under way."""

    def __init__(self, work):
        self.id, self.status, self.more = secrets.token_hex(8), "working", {}
        self.begun = self.changed = now()
        self.wanted, self.answers, self.answered = {}, {}, asyncio.Event()
        self.job = asyncio.create_task(self.run(work))
        tasks[self.id] = self

    def become(self, status, **more):
        if self.status not in OVER:
            self.status, self.more, self.changed = status, more, now()

    async def run(self, work):
        try:
            self.become("completed", result=await work(self))
        except MCPError as error:
            self.become("failed", error={"code": error.error.code, "message": error.error.message})

    async def ask(self, **questions):
        """What the client answers, in the order of the questions."""
        keys = {f"{name}-{secrets.token_hex(4)}": name for name in questions}
        self.wanted = {key: question(questions[name]) for key, name in keys.items()}
        self.become("input_required")
        while self.wanted:
            self.answered.clear()
            await self.answered.wait()
        self.become("working")
        return [self.answers[key] for key in keys]

    def told(self):
        base = {"taskId": self.id, "status": self.status, "createdAt": self.begun, "lastUpdatedAt": self.changed}
        return base | {"ttlMs": LASTS, "pollIntervalMs": POLL}

    def detailed(self):
        wanted = {"inputRequests": self.wanted} if self.status == "input_required" else {}
        return self.told() | wanted | self.more


def question(message):
    schema = {"type": "object", "properties": {"confirm": {"type": "boolean"}, "name": {"type": "string"}}}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


# Tools.


async def greet(arguments):
    return said(f"Hello, {arguments.get('name')}!")


def slow_compute(arguments):
    async def work(task):
        await asyncio.sleep(arguments.get("seconds", 0))
        return said(f"Computed {arguments.get('label', '')}.")

    return work


def failing_job(arguments):
    async def work(task):
        await asyncio.sleep(0.3)
        return said("This job fails.", isError=True)

    return work


def protocol_error_job(arguments):
    async def work(task):
        await asyncio.sleep(0.1)
        raise MCPError(types.INTERNAL_ERROR, "This job breaks.")

    return work


def confirm_delete(arguments):
    async def work(task):
        (answer,) = await task.ask(confirm=f"Delete {arguments.get('filename')}?")
        return said(f"Answered {answer.get('action')}: {answer.get('content')}.")

    return work


def multi_input(arguments):
    async def work(task):
        answers = await task.ask(one="One?", other="Other?")
        return said(f"{len(answers)} answers.")

    return work


NUMBER, TEXT = {"type": "number"}, {"type": "string"}
SCHEMAS = {
    "greet": {"name": TEXT},
    "slow_compute": {"seconds": NUMBER, "label": TEXT},
    "failing_job": {},
    "protocol_error_job": {},
    "confirm_delete": {"filename": TEXT},
    "multi_input": {},
    "test_tool_with_task": {},
}
JOBS = {
    "slow_compute": slow_compute,
    "failing_job": failing_job,
    "protocol_error_job": protocol_error_job,
    "confirm_delete": confirm_delete,
    "multi_input": multi_input,
}
# Tools that are nothing but tasks.
REQUIRED = ["failing_job"]


def declared(ctx):
    capabilities = (ctx.meta or {}).get("io.modelcontextprotocol/clientCapabilities") or {}
    return EXTENSION in (capabilities.get("extensions") or {})


def lacks():
    data = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    return MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "tasks are needed", data)


def begun(work):
    return Task(work).told() | {"resultType": "task"}


async def call(ctx, params):
    """What a tool of these answers."""
    arguments = params.arguments or {}
    if params.name == "greet":
        return await greet(arguments)
    if not declared(ctx):
        if params.name in REQUIRED:
            raise lacks()
        # Waited for, where nobody knows tasks.
        task = Task(JOBS[params.name](arguments))
        await task.job
        return task.more["result"]
    return begun(JOBS[params.name](arguments))


def named(name):
    """The work that goes on once a name is known."""

    async def work(task):
        await asyncio.sleep(0.1)
        return said(f"Hello, {name}!")

    return work


# What is asked of tasks.


def find(ctx, params):
    if not declared(ctx):
        raise lacks()
    # The SDK checks this header for its own methods alone.
    if ctx.request.headers.get("mcp-name") != params.task_id:
        raise MCPError(types.HEADER_MISMATCH, "the header Mcp-Name is not the task's id")
    if params.task_id not in tasks:
        raise MCPError(types.INVALID_PARAMS, f"Unknown task: {params.task_id}")
    return tasks[params.task_id]


async def get(ctx, params):
    return find(ctx, params).detailed()


async def update(ctx, params):
    task = find(ctx, params)
    for key, answer in params.input_responses.items():
        if task.wanted.pop(key, None):
            task.answers[key] = answer
    task.answered.set()
    return {}


async def cancel(ctx, params):
    task = find(ctx, params)
    task.become("cancelled")
    task.job.cancel()
    return {}


# The older era: the SDK has its types and not its methods, so that all of them are answered before it looks.


RELATED = "io.modelcontextprotocol/related-task"
SUPPORT = {name: "required" if name in REQUIRED else "optional" for name in [*JOBS, "test_tool_with_task"]}


def told_older(task):
    told = task.told()
    status = task.status
    if status == "completed" and task.more["result"].get("isError"):
        status = "failed"
    base = {name: told[name] for name in ["taskId", "createdAt", "lastUpdatedAt"]}
    return base | {"status": status, "ttl": LASTS, "pollInterval": POLL}


async def ask_older(ctx, task, key):
    """Asks what a task wants, on the stream of whoever waits for its result."""
    params = task.wanted[key]["params"]
    asked = types.ElicitRequestFormParams(message=params["message"], requested_schema=params["requestedSchema"])
    asked = asked.model_copy(update={"meta": {RELATED: {"taskId": task.id}}})
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
    try:
        answer = await ctx.session.send_request(types.ElicitRequest(params=asked), types.ElicitResult, metadata=metadata)
    except MCPError:
        # Nobody waits for the task any more.
        return
    task.answers[key] = answer.model_dump(mode="json")
    task.wanted.pop(key, None)
    task.answered.set()


async def result_older(ctx, task):
    """The result of a task, waited for; what it wants meanwhile is asked."""
    asking = {}
    while task.status not in OVER:
        for key in list(task.wanted):
            if key not in asking:
                asking[key] = asyncio.create_task(ask_older(ctx, task, key))
        await asyncio.sleep(0.02)
    if task.status == "failed":
        raise MCPError(task.more["error"]["code"], task.more["error"]["message"])
    if task.status == "cancelled":
        raise MCPError(types.INVALID_PARAMS, "the task was cancelled")
    result = {name: value for name, value in task.more["result"].items() if name != "resultType"}
    return result | {"_meta": {RELATED: {"taskId": task.id}}}


async def of_task_older(ctx, name):
    if name not in tasks:
        raise MCPError(types.INVALID_PARAMS, f"Unknown task: {name}")
    task = tasks[name]
    if ctx.method == "tasks/result":
        return await result_older(ctx, task)
    if ctx.method == "tasks/cancel":
        if task.status in OVER:
            raise MCPError(types.INVALID_PARAMS, f"The task is {task.status}.")
        task.become("cancelled")
        task.job.cancel()
    return told_older(task)


def older(modern, asked_name):
    """Tasks of the era with sessions."""

    async def middleware(ctx, call_next):
        if ctx.protocol_version == modern:
            return await call_next(ctx)
        params = ctx.params or {}
        if ctx.method in ("tasks/get", "tasks/result", "tasks/cancel"):
            return await of_task_older(ctx, params.get("taskId"))
        name = params.get("name")
        if ctx.method != "tools/call" or name not in SCHEMAS:
            answer = await call_next(ctx)
            if ctx.method == "initialize":
                capability = {"cancel": {}, "requests": {"tools": {"call": {}}}}
                answer = answer | {"capabilities": answer["capabilities"] | {"tasks": capability}}
            return answer
        arguments = params.get("arguments") or {}
        if name == "greet":
            return {"content": (await greet(arguments))["content"]}
        is_task = "task" in params
        if not is_task and (name in REQUIRED or name not in JOBS):
            raise MCPError(types.METHOD_NOT_FOUND, "this tool is nothing but a task")
        work = named(await asked_name(ctx)) if name not in JOBS else JOBS[name](arguments)
        task = Task(work)
        if is_task:
            return {"task": told_older(task)}
        return await result_older(ctx, task)

    return middleware


def serve(server, modern, asked_name):
    """Adds tasks to a server; `asked_name` asks a client of the older era for a name."""
    server.middleware.append(older(modern, asked_name))
    server.extensions[EXTENSION] = {}
    for method, handler in [("tasks/get", get), ("tasks/update", update), ("tasks/cancel", cancel)]:
        server.add_request_handler(method, OfTask, handler)
