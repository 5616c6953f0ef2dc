"""The suite's server scenarios against `/mcp`: nothing fails but what `expected` names, with its reason.

That holds for what the suite runs and does not score, too: headers, the life of sessions, JSON Schema, tasks.
"""

import pathlib
import re

import pytest

from conftest import fixture, gateway, suite

LEGACY, MODERN = "2025-11-25", "2026-07-28"
PARTS = ["tools", "prompts", "resources"]
EXPECTED = pathlib.Path(__file__).parent / "expected"

# What is behind the gateway: the era and part of each server.
TOPOLOGIES = {
    "one": [("both", "all")],
    "three": [("both", part) for part in PARTS],
    "legacy": [("legacy", "all")],
    "modern": [("modern", "all")],
}


@pytest.mark.parametrize("revision", [LEGACY, MODERN])
def test_the_fixture_passes_by_itself(processes, tmp_path, revision):
    judged = suite(tmp_path, "server", "--url", fixture(processes), "--requirements", revision)
    assert judged.code == 0 and not judged.failed, judged.told


@pytest.mark.parametrize(
    "topology, revision",
    [("one", LEGACY), ("one", MODERN), ("three", LEGACY), ("three", MODERN), ("legacy", MODERN), ("modern", LEGACY)],
)
def test_the_gateway_passes(processes, tmp_path, topology, revision):
    servers = {}
    for era, part in TOPOLOGIES[topology]:
        servers[part] = f"{{ url: \"{fixture(processes, era, part)}\" }}"
    url = gateway(processes, tmp_path, servers)
    arguments = ["server", "--url", url, "--requirements", revision]
    expected = EXPECTED / f"{topology}-{revision}.yaml"
    named = []
    if expected.exists():
        arguments += ["--expected-failures", str(expected)]
        named = re.findall(r"^  - (\S+)", expected.read_text(), re.MULTILINE)
    judged = suite(tmp_path, *arguments)
    print(f"{topology} {revision}: {len(judged.passed)} passed, {len(judged.failed)} failed", *judged.failed, sep="\n  ")
    unexpected = [failed for failed in judged.failed if failed.partition(":")[0] not in named]
    assert judged.code == 0 and not unexpected, judged.told
