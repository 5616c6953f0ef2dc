"""Users let the gateway in at a server: each for themselves, in their own browser, and no longer than it is good."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse

import httpx2
import pytest

BINARY = os.environ.get("POINTSMAN", "pointsman")
HERE = pathlib.Path(__file__).parent
ADMIN = "an operator's token of these tests"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
CONFIG = """
listeners: {{ api: {{ address: "127.0.0.1:0" }}, admin: {{ address: "127.0.0.1:0" }} }}
stores: {{ database: "sqlite://{folder}/p.db", blobs: "file://{folder}" }}
identity: {{ signing_secret: "a secret of the operator that nobody guesses" }}
mcp: {{ servers: {{ files: {{ url: "{server}/mcp", oauth: {{}} }} }} }}
"""


class House:
    """A server that wants to be let in, and a gateway before it."""

    def __init__(self, folder, lifetime=3600, *more):
        self.folder, self.processes = folder, []
        (self.server,) = self.start([sys.executable, str(HERE / "granting.py"), str(lifetime), *more], r"listening on (\S+)")
        self.config = folder / "pointsman.yaml"
        self.config.write_text(CONFIG.format(folder=folder, server=self.server))
        self.one, self.other = self.key("one"), self.key("other")
        self.serve()

    def start(self, command, *patterns):
        environment = os.environ | {"POINTSMAN_ADMIN_TOKEN": ADMIN}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.processes.append(process)
        told, wanted = [], list(patterns)
        for line in process.stdout:
            while wanted and (found := re.search(wanted[0], line)):
                told.append(found.group(1))
                wanted.pop(0)
            if not wanted:
                return told
        raise RuntimeError(f"{command} ended")

    def serve(self):
        command = [BINARY, "serve", "-c", str(self.config)]
        address, admin = self.start(command, r"listening on ([\d.:]+)", r"metrics on http://([\d.:]+)")
        self.url, self.admin = f"http://{address}", f"http://{admin}"

    def restart(self):
        self.end(self.processes.pop())
        self.serve()

    def key(self, name):
        command = [BINARY, "key", "create", "-c", str(self.config), "--name", name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    @staticmethod
    def end(process):
        process.terminate()
        process.wait(timeout=30)

    def grants(self, key):
        return self.of_user("GET", "/oauth/grants/mcp", key).json()["grants"]

    def of_user(self, method, path, key):
        return httpx2.request(method, f"{self.url}{path}", headers={"authorization": f"Bearer {key}"}, timeout=20)

    def of_operator(self, method, path, token=None):
        headers = {"authorization": f"Bearer {token or ADMIN}"}
        return httpx2.request(method, f"{self.admin}{path}", headers=headers, timeout=20)

    def seen(self):
        return httpx2.get(f"{self.server}/seen").json()

    def ask(self, key, method, **params):
        headers = {
            "authorization": f"Bearer {key}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
        }
        if "name" in params:
            headers["mcp-name"] = params["name"]
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": META}}
        answer = httpx2.post(f"{self.url}/mcp", json=message, headers=headers, timeout=20)
        return answer.json()

    def tools(self, key):
        return [tool["name"] for tool in self.ask(key, "tools/list")["result"]["tools"]]

    def call(self, key, name):
        return self.ask(key, "tools/call", name=name, arguments={})

    def page(self, key):
        return self.call(key, "files_authorize")["result"]["structuredContent"]["url"]

    def form(self, page, key):
        ticket = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page).query))["ticket"]
        return {"ticket": ticket, "key": key}

    def consent(self, browser, page, key):
        assert "Go on" in browser.get(page).text
        return browser.post(page, data=self.form(page, key), headers={"origin": self.url})


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    for process in reversed(house.processes):
        house.end(process)


@pytest.fixture
def browser():
    with httpx2.Client(timeout=20, follow_redirects=True) as browser:
        yield browser


def test_users_are_let_in_each_for_themselves(house, browser):
    one, other = house.one, house.other
    assert house.tools(one) == house.tools(other) == ["files_authorize"]
    ended = house.consent(browser, house.page(one), one)
    assert ended.status_code == 200 and "is connected" in ended.text
    assert house.tools(one) == ["files_of_user-1"]
    assert house.call(one, "files_of_user-1")["result"]["content"][0]["text"] == "user-1"
    # What was granted to one is nothing to the other: not listed, not called.
    assert house.tools(other) == ["files_authorize"]
    assert house.call(other, "files_of_user-1")["error"]["code"] == -32602
    with httpx2.Client(timeout=20, follow_redirects=True) as another:
        assert house.consent(another, house.page(other), other).status_code == 200
    assert house.tools(other) == ["files_of_user-2"]
    assert house.tools(one) == ["files_of_user-1"]
    assert house.seen()["users"] == ["user-1"]


def test_nobody_goes_on_for_somebody_else(house, browser):
    one, other = house.one, house.other
    house.tools(one)
    page = house.page(one)
    # Another's key, no key, a page of somebody else, a ticket that was changed.
    assert house.consent(browser, page, other).status_code == 403
    assert house.consent(browser, page, "").status_code == 403
    for origin in [None, "null", "https://evil.example.com"]:
        headers = {"origin": origin} if origin else {}
        assert browser.post(page, data=house.form(page, one), headers=headers).status_code == 403
    broken = house.form(page, one)
    broken["ticket"] = broken["ticket"][:-2] + ("AA" if broken["ticket"][-2:] != "AA" else "BB")
    assert browser.post(page, data=broken, headers={"origin": house.url}).status_code == 400
    assert house.seen()["authorized"] == 0
    # Whoever comes back must have gone from the same browser.
    with httpx2.Client(timeout=20) as gone:
        place = gone.post(page, data=house.form(page, one), headers={"origin": house.url}).headers["location"]
        back = gone.get(place).headers["location"]
    assert "in another browser" in browser.get(back).text
    assert house.tools(one) == ["files_authorize"]
    # A page of ours loads nothing and stands in no frame.
    headers = browser.get(page).headers
    assert headers["x-frame-options"] == "DENY" and "default-src 'none'" in headers["content-security-policy"]


def test_grants_last_and_are_kept_sealed(house, browser):
    one = house.one
    house.tools(one)
    house.consent(browser, house.page(one), one)
    assert house.tools(one) == ["files_of_user-1"]
    house.restart()
    assert house.tools(one) == ["files_of_user-1"]
    kept = b"".join(file.read_bytes() for file in house.folder.glob("p.db*"))
    assert b"mcp_grant/files/" in kept
    for token in house.seen()["tokens"]:
        assert token.encode() not in kept


def test_a_token_is_renewed_before_it_ends(tmp_path, browser):
    house = House(tmp_path, lifetime=31)
    try:
        one = house.one
        house.tools(one)
        house.consent(browser, house.page(one), one)
        assert house.tools(one) == ["files_of_user-1"]
        time.sleep(1.5)
        assert house.call(one, "files_of_user-1")["result"]["content"][0]["text"] == "user-1"
        assert house.seen()["refreshed"] >= 1 and house.seen()["authorized"] == 1
    finally:
        for process in reversed(house.processes):
            house.end(process)


def test_what_was_taken_back_is_asked_for_again(house, browser):
    one = house.one
    house.tools(one)
    house.consent(browser, house.page(one), one)
    assert house.tools(one) == ["files_of_user-1"]
    httpx2.get(f"{house.server}/revoke")
    refused = house.call(one, "files_of_user-1")["error"]
    assert refused["code"] == -32042
    (asked,) = refused["data"]["elicitations"]
    assert asked["mode"] == "url" and json.dumps(asked["url"]) in json.dumps(refused)
    assert house.consent(browser, asked["url"], one).status_code == 200
    assert house.tools(one) == ["files_of_user-2"]


def both_let_in(house, browser):
    for key in (house.one, house.other):
        house.tools(key)
        with httpx2.Client(timeout=20, follow_redirects=True) as another:
            assert house.consent(another, house.page(key), key).status_code == 200
        house.tools(key)


def test_users_see_what_they_granted_and_take_it_back(house, browser):
    one, other = house.one, house.other
    assert house.grants(one) == []
    both_let_in(house, browser)
    (grant,) = house.grants(one)
    assert (grant["server"], grant["issuer"], grant["is_renewable"]) == ("files", house.server, True)
    assert grant["expires_at"] > time.time() and grant["scopes"] == ["use"]
    issued = house.seen()["tokens"]
    told = house.of_user("GET", "/oauth/grants/mcp", one).text
    assert not any(token in told for token in issued)
    assert house.of_user("GET", "/oauth/grants/mcp", "pm-nobody").status_code == 401
    assert house.of_user("DELETE", "/oauth/grants/mcp/nothing", one).status_code == 404

    taken = house.of_user("DELETE", "/oauth/grants/mcp/files", one).json()
    assert taken["grant"] == grant and taken["revocation"] == {"outcome": "done"}
    # Both its tokens, and nobody else's.
    assert [hint for hint, _ in house.seen()["revoked"]] == ["refresh_token", "access_token"]
    assert {token for _, token in house.seen()["revoked"]} == set(issued[:2])
    assert house.grants(one) == [] and len(house.grants(other)) == 1
    assert house.tools(one) == ["files_authorize"]
    assert house.call(one, "files_of_user-1")["error"]["code"] in (-32042, -32602)
    assert house.tools(other) == ["files_of_user-2"]
    assert house.of_user("DELETE", "/oauth/grants/mcp/files", one).status_code == 404
    kept = b"".join(file.read_bytes() for file in house.folder.glob("p.db*"))
    for token in issued:
        assert token.encode() not in kept
    # Written down, with who it was; and whoever wants may let the gateway in again.
    audited = [row for row in house.of_operator("GET", "/admin/v1/audit").json()["data"] if row["action"] == "take_back"]
    assert len(audited) == 3 and all(row["actor"] == grant["owner"] for row in audited)
    with httpx2.Client(timeout=20, follow_redirects=True) as another:
        assert house.consent(another, house.page(one), one).status_code == 200
    assert house.tools(one) == ["files_of_user-3"]


def test_the_operator_sees_all_grants_and_takes_any_back(house, browser):
    both_let_in(house, browser)
    path = "/admin/v1/mcp/grants"
    assert house.of_operator("GET", path, house.one).status_code == 401
    listed = house.of_operator("GET", path).json()
    assert listed["next"] is None and {grant["server"] for grant in listed["grants"]} == {"files"}
    assert house.of_operator("GET", f"{path}?server=others").json()["grants"] == []
    (mine,) = house.grants(house.one)
    assert sorted(grant["owner"] for grant in listed["grants"])[0] and mine in listed["grants"]
    place = f"{path}/files/{mine['owner'].replace(':', '%3A')}"
    assert house.of_operator("DELETE", place).json()["revocation"] == {"outcome": "done"}
    assert house.of_operator("DELETE", place).status_code == 404
    assert house.tools(house.one) == ["files_authorize"]
    assert house.tools(house.other) == ["files_of_user-2"]
    assert len(house.of_operator("GET", path).json()["grants"]) == 1


def test_a_grant_is_taken_back_where_nobody_revokes_and_at_every_replica(tmp_path, browser):
    house = House(tmp_path, 3600, "plain")
    try:
        one = house.one
        house.tools(one)
        house.consent(browser, house.page(one), one)
        assert house.tools(one) == ["files_of_user-1"]
        first, _ = house.url, house.serve()
        # Another one on the same database.
        assert house.tools(one) == ["files_of_user-1"]
        taken = house.of_user("DELETE", "/oauth/grants/mcp/files", one).json()
        assert taken["revocation"] == {"outcome": "not_offered"}
        assert house.tools(one) == ["files_authorize"]
        house.url = first
        until = time.monotonic() + 20
        while house.call(one, "files_of_user-1").get("error", {}).get("code") not in (-32042, -32602):
            assert time.monotonic() < until, "a replica goes on with what was taken back"
            time.sleep(1)
    finally:
        for process in reversed(house.processes):
            house.end(process)
