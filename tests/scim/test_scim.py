"""An independent judge of SCIM 2.0 servers, and its client, before the directory of an organization."""

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server


def test_the_judge_finds_nothing(directory):
    url, token = directory
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10) as client:
        scim = SyncSCIMClient(client)
        results = check_server(scim)
    said = [f"{result.status.name} {result.title}: {result.reason}" for result in results]
    wrong = [line for line, result in zip(said, results) if result.status in (Status.ERROR, Status.CRITICAL)]
    assert not wrong, "\n".join(wrong)
    passed = [result for result in results if result.status == Status.SUCCESS]
    assert len(passed) > 50, "\n".join(said)
