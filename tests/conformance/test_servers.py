"""The suite's server scenarios against `/mcp`: nothing fails but what `expected` names, with its reason."""

import pathlib

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
    assert judged.code == 0, judged.told


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
    if expected.exists():
        arguments += ["--expected-failures", str(expected)]
    judged = suite(tmp_path, *arguments)
    print(f"{topology} {revision}: {len(judged.passed)} passed, {len(judged.failed)} failed", *judged.failed, sep="\n  ")
    assert judged.code == 0, judged.told
