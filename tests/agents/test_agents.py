"""Real coding agents, unmodified: each does a task with its own tools, on a provider of another format."""

import json

from conftest import TOOLS

SAID = "The tools say: "


def finished(agent, house, model, surface, path):
    """The file is there, and every request is a whole answer for the provider and in the ledger."""
    assert agent.file.read_text() == "Grüezi mitenand, d'Welt"
    served = house.served()
    assert len(served) >= 2
    assert {(record["path"], record["outcome"]) for record in served} == {(path, "Complete")}
    assert set(house.ledger(model, len(served))) == {(surface, "complete")}


def test_claude_code_on_responses(agent, house):
    said = agent(
        [TOOLS / "node_modules/@anthropic-ai/claude-code-linux-x64/claude", "-p", agent.task, "--dangerously-skip-permissions", "--output-format", "json"],
        ANTHROPIC_BASE_URL=house.url,
        ANTHROPIC_API_KEY=house.key,
        ANTHROPIC_MODEL="on-responses",
        ANTHROPIC_SMALL_FAST_MODEL="on-responses",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        # Without it, nothing that skips permissions runs as root.
        IS_SANDBOX="1",
    )
    result = json.loads(said)
    assert result["subtype"] == "success" and not result["is_error"]
    assert result["result"].startswith(SAID) and result["num_turns"] == 2
    assert result["usage"]["output_tokens"] > 0
    finished(agent, house, "on-responses", "/v1/messages", "/v1/responses")


CODEX = """
model = "on-messages"
model_provider = "pointsman"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.pointsman]
name = "Pointsman"
base_url = "{url}/v1"
env_key = "POINTSMAN_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


def test_codex_on_messages(agent, house):
    said = agent(
        ["node", TOOLS / "node_modules/@openai/codex/bin/codex.js", "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", agent.task],
        {".codex/config.toml": CODEX.format(url=house.url)},
        POINTSMAN_KEY=house.key,
    )
    assert SAID in said
    finished(agent, house, "on-messages", "/v1/responses", "/v1/messages")


GEMINI = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
}


def test_gemini_cli_on_chat(agent, house):
    said = agent(
        ["node", TOOLS / "node_modules/@google/gemini-cli/bundle/gemini.js", "-p", agent.task, "--yolo", "-m", "on-chat"],
        {".gemini/settings.json": json.dumps(GEMINI)},
        GOOGLE_GEMINI_BASE_URL=house.url,
        GEMINI_API_KEY=house.key,
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )
    assert SAID in said
    finished(agent, house, "on-chat", "/v1beta/models/{model}:streamGenerateContent", "/v1/chat/completions")
