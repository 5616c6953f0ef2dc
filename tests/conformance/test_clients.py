"""The suite's client scenarios against the side of the gateway that calls servers.

Of `auth/*`, all that either revision requires are among them, and of the extensions client credentials and workload
identity. Tokens that are bound to a key (DPoP) and grants of an enterprise's identity provider are not: the gateway has
neither.
"""

import pathlib
import shlex
import sys

import pytest

from conftest import suite

CLIENT = pathlib.Path(__file__).parent / "client.py"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
# What both revisions require of whoever gets tokens.
AUTH = [
    "metadata-default",
    "metadata-var1",
    "metadata-var2",
    "metadata-var3",
    "basic-cimd",
    "scope-from-www-authenticate",
    "scope-from-scopes-supported",
    "scope-omitted-when-undefined",
    "scope-step-up",
    "scope-retry-limit",
    "token-endpoint-auth-basic",
    "token-endpoint-auth-post",
    "token-endpoint-auth-none",
    "pre-registration",
]
# What the newer one requires besides.
MODERN_AUTH = [
    "resource-mismatch",
    "offline-access-scope",
    "offline-access-not-supported",
    "authorization-server-migration",
    "iss-supported",
    "iss-not-advertised",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "metadata-issuer-mismatch",
]
EXTENSIONS = ["client-credentials-jwt", "client-credentials-basic", "wif-jwt-bearer"]
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
    *((f"auth/{name}", revision) for revision in [LEGACY, MODERN] for name in AUTH + EXTENSIONS),
    *((f"auth/{name}", MODERN) for name in MODERN_AUTH),
]


@pytest.mark.parametrize("scenario, revision", SCENARIOS)
def test_the_gateway_passes_as_a_client(tmp_path, scenario, revision):
    command = f"{sys.executable} {shlex.quote(str(CLIENT))}"
    arguments = ["client", "--command", command, "--scenario", scenario, "--spec-version", revision]
    if scenario.removeprefix("auth/") in EXTENSIONS:
        # They belong to no revision.
        arguments.append("--force")
    judged = suite(tmp_path, *arguments)
    print(f"{scenario} {revision}: {len(judged.passed)} passed, {len(judged.failed)} failed", *judged.failed, sep="\n  ")
    assert judged.passed and not judged.failed and not judged.warned, judged.told
