"""The suite's client scenarios against the side of the gateway that calls servers.

`auth/*` is not among them: the gateway brings credentials from its configuration and goes through no consent of a user.
"""

import pathlib
import shlex
import sys

import pytest

from conftest import suite

CLIENT = pathlib.Path(__file__).parent / "client.py"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
SCENARIOS = [
    ("initialize", LEGACY),
    ("tools_call", LEGACY),
    ("elicitation-sep1034-client-defaults", LEGACY),
    ("sse-retry", LEGACY),
    ("tools_call", MODERN),
    ("request-metadata", MODERN),
    ("sep-2322-client-request-state", MODERN),
    ("http-standard-headers", MODERN),
    ("http-custom-headers", MODERN),
    ("http-invalid-tool-headers", MODERN),
    ("json-schema-ref-no-deref", MODERN),
    ("json-schema-2020-12-preservation", MODERN),
]


@pytest.mark.parametrize("scenario, revision", SCENARIOS)
def test_the_gateway_passes_as_a_client(tmp_path, scenario, revision):
    command = f"{sys.executable} {shlex.quote(str(CLIENT))}"
    arguments = ["client", "--command", command, "--scenario", scenario, "--spec-version", revision]
    judged = suite(tmp_path, *arguments)
    print(f"{scenario} {revision}: {len(judged.passed)} passed, {len(judged.failed)} failed", *judged.failed, sep="\n  ")
    assert judged.passed and not judged.failed, judged.told
