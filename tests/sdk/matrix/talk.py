"""What every client says in its own words, and what it should hear, in nobody's words."""

import base64
import dataclasses
import typing

from servers import PNG

PICTURE = base64.b64decode(PNG)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS = ("get_weather", "get_time")
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
THOUGHT = "Let me think about this."
# Long enough for the caches of providers that cache by themselves.
SYSTEM = "You are a patient railway clerk. " * 40


class Broken(Exception):
    """A stream that says itself that it failed, where the SDK hands that over like anything else."""


@dataclasses.dataclass
class User:
    text: str
    picture: bool = False


@dataclasses.dataclass
class Results:
    """What the tools said, in the order of the calls."""

    calls: list
    texts: list


@dataclasses.dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclasses.dataclass
class Used:
    """Totals: of the prompt with what was cached, of the answer with what was thought."""

    input: int
    output: int
    cached: int = 0


@dataclasses.dataclass
class Answer:
    # As the SDK wants it back.
    raw: typing.Any
    text: str
    thought: str
    calls: list
    # In the format's own words.
    finish: str
    used: Used


@dataclasses.dataclass
class Request:
    model: str
    stream: bool
    system: str
    # User, Answer and Results in turns.
    turns: list
    tools: bool = False
    thinking: bool = False
    form: typing.Any = None
    most: int = 4000
