"""The official SDKs straight at the simulated providers: they are judged before they judge."""

import json
import subprocess
import urllib.request

import pytest
from scene import AWS
from servers import BINARY, wait_for


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
