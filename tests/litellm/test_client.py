"""LiteLLM's management client manages keys, teams and users of the gateway, and reads what they spend."""

import hashlib
import uuid

import pytest
import requests
from litellm.proxy.client import Client
from litellm.proxy.client.exceptions import UnauthorizedError
from litellm.proxy.client.users import UsersManagementClient

from conftest import eventually


@pytest.fixture
def client(gateway):
    return Client(base_url=gateway.admin, api_key=gateway.token)


def make_team(client, **fields):
    """The client makes no teams by a method of its own: its scripts ask for the path."""
    return client.http.request("POST", "/team/new", json=fields)


def test_keys_live_from_the_first_to_the_last_day(gateway, client):
    alias = f"notebook-{uuid.uuid4()}"
    made = client.keys.generate(models=["chat"], duration="30d", key_alias=alias, user_id="kim")
    key, token = made["key"], made["token"]
    assert token == hashlib.sha256(key.encode()).hexdigest()
    assert made["models"] == ["chat"] and made["expires"] and made["user_id"] == "kim"
    assert gateway.chat(key) == 200

    info = eventually(lambda: (found := client.keys.info(token)["info"])["spend"] > 0 and found)
    assert info["key_alias"] == alias
    assert client.keys.info(key)["info"]["spend"] == info["spend"]

    listed = client.keys.list(key_alias=alias, return_full_object=True, include_team_keys=True, page=1, size=10)
    assert [row["token"] for row in listed["keys"]] == [token] and listed["total_count"] == 1
    assert client.keys.list(key_hash=token)["keys"] == [token]
    assert token in client.keys.list(user_id="kim", size=100)["keys"]

    client.keys.update(key=key, key_alias=f"{alias}-2", duration="1h", models=["nothing-there"])
    info = client.keys.info(token)["info"]
    assert info["key_alias"] == f"{alias}-2" and info["models"] == ["nothing-there"] and info["user_id"] == "kim"
    assert gateway.chat(key) == 403
    client.keys.update(key=token, models=[])
    assert gateway.chat(key) == 200

    assert client.keys.delete(keys=[key]) == {"deleted_keys": [token]}
    assert gateway.chat(key) == 401
    other = client.keys.generate(key_alias=f"{alias}-3")
    assert client.keys.delete(key_aliases=[f"{alias}-3"]) == {"deleted_keys": [other["token"]]}
    assert gateway.chat(other["key"]) == 401


def test_teams_are_made_listed_changed_and_deleted(gateway, client):
    alias = f"research-{uuid.uuid4()}"
    team = make_team(client, team_alias=alias, max_budget=5, budget_duration="30d", models=["chat"])
    team_id = team["team_id"]
    assert team["max_budget"] == 5.0
    assert team_id in [listed["team_id"] for listed in client.teams.list()]
    page = client.teams.list_v2(team_alias=alias)
    assert [found["team_id"] for found in page["teams"]] == [team_id]
    assert (page["total"], page["page"], page["total_pages"]) == (1, 1, 1)
    assert client.teams.list_v2(team_id=team_id)["teams"][0]["team_alias"] == alias
    many = client.teams.list_v2(page=1, page_size=1, sort_order="desc")
    assert many["page_size"] == 1 and len(many["teams"]) == 1 and many["teams"][0]["team_id"] == team_id
    assert client.teams.get_available() == []

    key = client.keys.generate(team_id=team_id, models=["all-team-models"])["key"]
    assert gateway.chat(key) == 200
    spent = eventually(lambda: client.http.request("GET", f"/team/info?team_id={team_id}")["team_info"]["spend"])
    logs = client.http.request("GET", f"/spend/logs?api_key={key}")
    assert logs[0]["team_id"] == team_id and logs[0]["model"] == "gpt-5-mini"
    assert sum(row["spend"] for row in logs) == pytest.approx(spent, abs=1e-12)
    assert client.http.request("GET", "/global/spend")["spend"] >= spent

    changed = client.http.request("POST", "/team/update", json={"team_id": team_id, "max_budget": 0})
    assert changed["data"]["max_budget"] == 0.0
    assert gateway.chat(key) == 429, "nothing may be spent any more"
    client.http.request("POST", "/team/delete", json={"team_ids": [team_id]})
    assert gateway.chat(key) == 401
    assert team_id not in [listed["team_id"] for listed in client.teams.list()]


def test_users_are_made_shown_listed_and_deleted(gateway):
    users = UsersManagementClient(gateway.admin, gateway.token)
    email = f"{uuid.uuid4()}@example.com"
    made = users.create_user({"user_email": email, "user_role": "internal_user", "max_budget": 3})
    user_id = made["user_id"]
    assert gateway.chat(made["key"]) == 200
    shown = users.get_user(user_id)
    assert shown["user_info"]["user_email"] == email and shown["user_info"]["max_budget"] == 3.0
    assert users.get_user_v2(user_id)["user_email"] == email
    assert user_id in [user["user_id"] for user in users.list_users()]
    assert user_id in [user["user_id"] for user in users.list_users({"page": 1, "page_size": 1000})]
    users.delete_user([user_id])
    assert gateway.chat(made["key"]) == 401
    assert user_id not in [user["user_id"] for user in users.list_users()]


def test_models_are_shown(client):
    assert "chat" in [model["model_name"] for model in client.models.info()]
    assert "chat" in [model["id"] for model in client.models.list()]
    groups = {group["model_group"]: group for group in client.model_groups.info()}
    assert groups["chat"]["providers"] == ["openai"]
    assert "sk-sim" not in str(client.models.info())


def test_nobody_manages_without_the_token(gateway, client):
    key = client.keys.generate()["key"]
    for token in (None, "sk-wrong", key):
        stranger = Client(base_url=gateway.admin, api_key=token)
        with pytest.raises(UnauthorizedError):
            stranger.keys.list()
        with pytest.raises(UnauthorizedError):
            stranger.teams.list()
        with pytest.raises(UnauthorizedError):
            stranger.keys.generate()


def test_a_key_has_names_of_its_own_for_models(gateway, client):
    made = client.keys.generate(aliases={"mine": "chat"})
    assert made["aliases"] == {"mine": "chat"}
    assert gateway.chat(made["key"], "mine") == 200
    assert gateway.chat(client.keys.generate()["key"], "mine") == 404


def test_what_has_no_meaning_here_is_refused_by_name(client):
    with pytest.raises(requests.exceptions.HTTPError) as refused:
        client.keys.generate(config={"a": "b"})
    assert refused.value.response.status_code == 400
    assert "config" in refused.value.response.json()["error"]["message"]
