"""The official SDKs straight at the simulated providers: they are judged before they judge."""

import json
import pathlib
import subprocess
import sys
import urllib.request

import pytest

# The larger half lies beside: how processes are started, and the picture. It has the same file name.
_beside = pathlib.Path(__file__).parent.parent / "conftest.py"
_house = {"__file__": str(_beside), "__name__": "house"}
exec(compile(_beside.read_text(), str(_beside), "exec"), _house)
BINARY, PNG, wait_for = _house["BINARY"], _house["PNG"], _house["wait_for"]

AWS = ("AKIASIMULATED0000000", "secret/of+the/simulated+account")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
BOTH = "What is the weather in Paris and the time in Tokyo?"
CALLS = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Tokyo"})]
LONG = "You are a patient railway clerk. " * 40


class Sim:
    def __init__(self, address):
        self.url = f"http://{address}"

    def served(self):
        """What the provider says it served since it was asked last."""
        with urllib.request.urlopen(f"{self.url}/_sim/served") as answer:
            served = json.load(answer)
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/_sim/served", method="DELETE")).read()
        return served


@pytest.fixture(scope="session")
def sim_process():
    command = [BINARY, "sim", "--address", "127.0.0.1:0", "--aws-access-key", AWS[0], "--aws-secret-key", AWS[1]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield wait_for(process, r"http://(\S+)")
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def sim(sim_process):
    sim = Sim(sim_process)
    sim.served()
    return sim
