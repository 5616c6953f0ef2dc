"""An independent judge of SCIM 2.0 servers, and its client, before the directory of an organization."""

import re

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

# What the judge counts as an error, and we do otherwise, with the reason.
OTHERWISE = [
    # Searches by POST are there for users and for groups, not for both at once.
    re.compile(r"ERROR search_with_attributes: there is no such path"),
    # Who is not said to be inactive is active: taking the word away gives it back.
    re.compile(r"ERROR check_remove_attribute: PATCH modify\(\) did not remove attribute 'active'$"),
    # It puts users into groups whom it has made up; members of a group are users of the directory.
    re.compile(r"ERROR [a-z_]+: (Failed to (add|replace) attribute 'members': )?there is no user \"[0-9a-f-]{36}\" in this directory$"),
]


def test_the_judge_finds_nothing(directory):
    url, token = directory
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        scim = SyncSCIMClient(client)
        results = check_server(scim)
    said = [f"{result.status.name} {result.title}: {result.reason}" for result in results]
    wrong = [line for line, result in zip(said, results) if result.status in (Status.ERROR, Status.CRITICAL)]
    wrong = [line for line in wrong if not any(known.match(line) for known in OTHERWISE)]
    assert not wrong, "\n".join(wrong)
    passed = [result for result in results if result.status == Status.SUCCESS]
    assert len(passed) > 50, "\n".join(said)
