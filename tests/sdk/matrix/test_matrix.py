"""Every official SDK before a provider of every format: a conversation, whole and streamed.

Each answer is held against what the provider says it served, and against the ledger.
"""

import json

import pytest
from clients import CLIENTS
from talk import PERSON, PICTURE, SYSTEM, THOUGHT, Request, Results, User

PROVIDERS = list(CLIENTS)
# Formats that tell what was written to the cache.
TELLS_WRITES = ("openai-chat", "openai-responses", "anthropic-messages", "bedrock-converse")
# Responses tell thoughts to those who ask for a summary, which only some organisations may; chat completions have no
# words for it.
UNTOLD = {("openai-chat", "openai-responses")}
# Nano-dollars a token, as the configuration has them.
PRICE = {"input": 2_000, "output": 10_000, "cache_read": 500, "cache_write": 3_000}


class Cell:
    def __init__(self, house, client, provider, stream):
        self.house, self.stream, self.provider = house, stream, provider
        self.client = CLIENTS[client](house)
        # Of this cell alone: what is cached of it was said in it.
        self.system = f"{SYSTEM}{client} {provider} {stream}"
        house.served()
        self.answers = []

    def ask(self, turns, **options):
        answer = self.client.ask(Request(self.provider, self.stream, self.system, turns, **options))
        self.answers.append(answer)
        return answer

    def settle(self):
        """The provider's record and the ledger agree with what the client was told."""
        served = self.house.served()
        rows = self.house.ledger(len(self.answers), self.provider, self.stream, self.client.surfaces)
        assert len(served) == len(rows) == len(self.answers)
        for answer, record, row in zip(self.answers, served, rows):
            assert record["outcome"] == "Complete"
            told = (record["input"], record["output"], record["cache_read"])
            assert (answer.used.input, answer.used.output, answer.used.cached) == told
            written = record["cache_write"] if self.provider in TELLS_WRITES else 0
            usage = json.loads(row["usage_json"])
            assert (usage["input"], usage["output"], usage.get("cache_read", 0), usage.get("cache_write", 0)) == (*told, written)
            fresh = record["input"] - record["cache_read"] - written
            cost = {"input": fresh, "output": record["output"], "cache_read": record["cache_read"], "cache_write": written}
            assert row["cost"] == sum(PRICE[kind] * count for kind, count in cost.items())
            assert (row["outcome"], row["status"], row["model_requested"]) == ("complete", 200, self.provider)
            assert (row["streamed"], row["estimated"], row["attempts"]) == (int(self.stream), 0, 1)
        return served


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_conversation(house, client, provider, stream):
    cell = Cell(house, client, provider, stream)
    finishes = cell.client.finishes

    # An agent that thinks, looks at a picture and calls two tools at once.
    turns = [User("What is the weather in Paris and the time in Tokyo?", picture=True)]
    called = cell.ask(turns, tools=True, thinking=True)
    assert [(call.name, call.arguments) for call in called.calls] == [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Tokyo"})]
    assert len({call.id for call in called.calls}) == 2 and all(call.id for call in called.calls)
    thought = "" if (client, provider) in UNTOLD else THOUGHT
    assert (called.thought, called.text, called.finish) == (thought, "", finishes["tools"])
    turns += [called, Results(called.calls, ["sunny", "late"])]
    concluded = cell.ask(turns, tools=True, thinking=True)
    assert (concluded.text, concluded.finish) == ("The tools say: sunny; late", finishes["stop"])
    # On, with all that was thought and said.
    turns += [concluded, User("Thanks, that is all.")]
    assert cell.ask(turns, tools=True, thinking=True).text == "You said: Thanks, that is all."

    seen = cell.ask([User("what?", picture=True)])
    assert seen.text == f"I see 1 image(s): image/png of {len(PICTURE)} bytes"
    formed = cell.ask([User("Who?")], form=PERSON)
    assert json.loads(formed.text) == {"name": "Zürich", "age": 7}
    cut = cell.ask([User("repeat 50 words")], most=20)
    assert (cut.finish, cut.text.split()) == (finishes["length"], ["word"] * 10)

    served = cell.settle()
    assert all(record["details"]["image_input"] > 0 for record in served[:4])
