"""A gateway with an organization, and a client of its directory."""

import json
import os
import re
import subprocess
import tempfile
import threading
import urllib.request

import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
TOKEN = "an-admin-token-of-the-tests-3f9c1a"
CONFIGURATION = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
"""


class Gateway:
    """A running gateway and its admin API."""

    def __init__(self, folder: str):
        file = os.path.join(folder, "pointsman.yaml")
        with open(file, "w", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION.format(folder=folder))
        self.process = subprocess.Popen(
            [BINARY, "serve", "-c", file],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "POINTSMAN_ADMIN_TOKEN": TOKEN},
            text=True,
        )
        for line in self.process.stdout:
            if found := re.search(r"metrics on (http://\S+)/metrics", line):
                self.admin = found[1]
                break
        else:
            raise RuntimeError("the gateway does not start")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def call(self, method: str, path: str, body: object) -> dict:
        """Asks as the operator."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        request = urllib.request.Request(self.admin + path, json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def gateway():
    """Ends with the tests."""
    with tempfile.TemporaryDirectory() as folder:
        running = Gateway(folder)
        yield running
        running.process.kill()
        running.process.wait()


@pytest.fixture(scope="session")
def directory(gateway):
    """The URL of a directory, and a token for it."""
    gateway.call("POST", "/admin/v1/organizations", {"id": "acme"})
    gateway.call("POST", "/admin/v1/users", {"id": "directory", "organization": "acme"})
    gateway.call("PUT", "/admin/v1/organizations/acme/members/directory", {"role": "owner"})
    made = gateway.call("POST", "/admin/v1/users/directory/tokens", {"name": "scim"})
    return f"{gateway.admin}/scim/v2/acme", made["secret"]
