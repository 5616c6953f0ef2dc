"""A real Presidio as a guardrail: what it finds is masked, comes back, and its death closes or opens as it was told."""

import pytest

LETTER = "Jané Roe (jane.roe@example.com, card 4111 1111 1111 1111, IBAN DE89370400440532013000) wrote; ask Tom Doe, 🙂 Jané Roe"
MASKED = "[PERSON_1] ([EMAIL_ADDRESS_1], card [CREDIT_CARD_1], IBAN [IBAN_CODE_1]) wrote; ask [PERSON_2], 🙂 [PERSON_1]"
MASKS = "action: redact, on_error: block"


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("stream", [False, True])
def test_what_presidio_finds_is_masked_and_comes_back(house, stream):
    # The provider repeats what it was told: it was told placeholders, and the client has its own words again.
    status, answer = house.ask(user(f"say in turn: {LETTER}"), stream)
    assert (status, answer) == (200, LETTER)
    status, answer = house.ask(user("say in turn: [PERSON_1]"), stream)
    assert (status, answer) == (200, "[PERSON_1]"), "what a client writes itself stands for nothing"


@pytest.mark.parametrize("house", [MASKS], indirect=True)
def test_the_provider_sees_placeholders(house):
    # Without restore the answer shows what the provider was told.
    assert house.ask(user(f"say in turn: {LETTER}")) == (200, MASKED)


@pytest.mark.parametrize("house", ["entities: [CREDIT_CARD, NATIONAL_ID], action: block"], indirect=True)
def test_our_names_of_entities_are_presidios(house):
    status, answer = house.ask(user("mail jane.roe@example.com"))
    assert status == 200, answer
    status, answer = house.ask(user("card 4111 1111 1111 1111"))
    assert status == 403 and "CREDIT_CARD" in answer and "4111" not in answer
    # An ITIN, which is a national number to us.
    status, answer = house.ask(user("my individual taxpayer itin is 911-70-1234"))
    assert status == 403 and "NATIONAL_ID" in answer, answer


def test_arguments_and_results_of_tools_are_masked(house):
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"to": "jane.roe@example.com"}'}}
    messages = user("say in turn: done") + [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sent to jane.roe@example.com"},
    ]
    status, answer = house.ask(messages)
    assert status == 200, answer


@pytest.mark.parametrize(
    "house, status", [("action: redact, on_error: block", 503), ("action: redact, on_error: allow", 200)], indirect=["house"]
)
def test_a_dead_presidio_closes_or_opens_as_it_was_told(house, status):
    assert house.ask(user("mail jane.roe@example.com"))[0] == 200
    house.presidio.kill()
    house.presidio.wait()
    for _ in range(8):
        got, answer = house.ask(user("mail jane.roe@example.com"))
        assert got == status, answer
    if status == 503:
        assert "presidio" in answer and "jane.roe" not in answer
