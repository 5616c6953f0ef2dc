"""LiteLLM's command line, `litellm-proxy`, against the gateway."""

import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest
from click.testing import CliRunner
from litellm.proxy.client.cli import cli

PROGRAM = pathlib.Path(sys.executable).parent / "litellm-proxy"


@pytest.fixture
def environment(gateway, tmp_path):
    return {
        "LITELLM_PROXY_URL": gateway.admin,
        "LITELLM_PROXY_API_KEY": gateway.token,
        # What it remembers of whoever runs the tests does not come into it.
        "HOME": str(tmp_path),
        "COLUMNS": "400",
    }


@pytest.fixture
def run(environment):
    """Runs a command within this process: it takes seconds to be loaded."""

    def run(*arguments, good=True):
        done = CliRunner().invoke(cli, arguments, env=environment)
        assert (done.exit_code == 0) == good, done.output
        return done.stdout

    return run


def test_the_program_makes_a_key(gateway, environment):
    command = [PROGRAM, "keys", "generate", "--models", "chat", "--duration", "24h"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert gateway.chat(json.loads(done.stdout)["key"]) == 200


def test_keys_are_made_listed_and_deleted(gateway, run):
    alias = f"cli-{uuid.uuid4()}"
    made = json.loads(run("keys", "generate", "--models", "chat", "--duration", "24h", "--key-alias", alias))
    assert gateway.chat(made["key"]) == 200
    listed = json.loads(run("keys", "list", "--format", "json", "--key-alias", alias))
    assert [key["token"] for key in listed["keys"]] == [made["token"]]
    table = run("keys", "list", "--key-alias", alias)
    assert "1 keys out of 1" in table and alias in table
    assert json.loads(run("keys", "delete", "--key-aliases", alias)) == {"deleted_keys": [made["token"]]}
    assert gateway.chat(made["key"]) == 401
    again = json.loads(run("keys", "generate"))
    assert json.loads(run("keys", "delete", "--keys", again["key"])) == {"deleted_keys": [again["token"]]}


def test_teams_and_users_are_shown(run):
    alias = f"cli-{uuid.uuid4()}"
    body = json.dumps({"team_alias": alias, "max_budget": 7})
    team = json.loads(run("http", "request", "POST", "/team/new", "--json", body))
    listed = run("teams", "list")
    assert alias in listed and team["team_id"] in listed and "$7.0" in listed
    assert "No available teams" in run("teams", "available")
    made = json.loads(run("users", "create", "--email", f"{alias}@example.com", "--max-budget", "2"))
    assert alias in run("users", "list")
    assert json.loads(run("users", "get", "--id", made["user_id"]))["user_info"]["max_budget"] == 2.0


def test_spend_is_read(run):
    assert "spend" in json.loads(run("http", "request", "GET", "/global/spend"))


def test_what_is_refused_ends_with_an_error(run):
    assert "config" in run("keys", "generate", "--config", '{"a": "b"}', good=False)
