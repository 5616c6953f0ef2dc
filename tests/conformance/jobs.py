"""The tasks extension for the fixture: tools whose calls outlast their requests, and what is asked of such a task."""

import asyncio
import datetime
import secrets

from mcp import types
from mcp.shared.exceptions import MCPError
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


def serve(server):
    """Adds the extension to a server."""
    server.extensions[EXTENSION] = {}
    for method, handler in [("tasks/get", get), ("tasks/update", update), ("tasks/cancel", cancel)]:
        server.add_request_handler(method, OfTask, handler)
