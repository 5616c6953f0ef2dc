"""Realtime sessions through the official `openai` SDK, unmodified."""

import asyncio
import base64

import openai
import pytest
import websockets

QUIET = base64.b64encode(bytes(9_600)).decode()
LOUD = base64.b64encode(b"\x07" * 24_000).decode()


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def said(text):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def until(connection, kind):
    for event in connection:
        assert event.type != "error", event
        if event.type == kind:
            return event
    raise AssertionError(f"the session ended before {kind}")


def test_a_conversation_in_text(client):
    with client.realtime.connect(model="voice") as connection:
        assert until(connection, "session.created").session.model == "voice"
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "instructions": "be brief"})
        assert until(connection, "session.updated").session.instructions == "be brief"
        for words in (3, 12):
            connection.conversation.item.create(item=said(f"repeat {words} words"))
            connection.response.create()
            text = ""
            for event in connection:
                if event.type == "response.output_text.delta":
                    text += event.delta
                elif event.type == "response.done":
                    break
            assert len(text.split()) == words
            usage = event.response.usage
            assert event.response.status == "completed"
            assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 0


def test_a_conversation_aloud(client):
    with client.realtime.connect(model="voice") as connection:
        until(connection, "session.created")
        transcription = {"transcription": {"model": "gpt-4o-transcribe"}}
        connection.session.update(session={"type": "realtime", "audio": {"input": transcription}})
        for _ in range(4):
            connection.input_audio_buffer.append(audio=LOUD)
        connection.input_audio_buffer.append(audio=QUIET)
        transcript = until(connection, "conversation.item.input_audio_transcription.completed")
        assert transcript.usage.input_tokens > 0
        sound = b""
        for event in connection:
            if event.type == "response.output_audio.delta":
                sound += base64.b64decode(event.delta)
            elif event.type == "response.done":
                break
        assert sound
        assert event.response.usage.output_token_details.audio_tokens > 0


def test_the_asynchronous_client(gateway):
    async def talk():
        client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
        async with client.realtime.connect(model="voice") as connection:
            await connection.conversation.item.create(item=said("repeat 5 words"))
            await connection.response.create(response={"output_modalities": ["text"]})
            async for event in connection:
                if event.type == "response.done":
                    return event.response.output[0].content[0].text

    assert len(asyncio.run(talk()).split()) == 5


def test_an_answer_that_is_cancelled(client):
    with client.realtime.connect(model="voice") as connection:
        until(connection, "session.created")
        connection.conversation.item.create(item=said("repeat 3000 words"))
        connection.response.create()
        until(connection, "response.output_audio.delta")
        connection.response.cancel()
        done = until(connection, "response.done")
        assert done.response.status == "cancelled"


def test_a_provider_that_dies_is_an_error_and_then_a_close_that_is_not_clean(client):
    with client.realtime.connect(model="dying-voice") as connection:
        connection.conversation.item.create(item=said("repeat 30 words"))
        connection.response.create()
        errors = []
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as closed:
            while True:
                event = connection.recv()
                if event.type == "error":
                    errors.append(event.error)
        assert [error.type for error in errors] == ["server_error"]
        assert closed.value.rcvd.code == 1011


def test_a_wrong_key_and_an_unknown_model_are_refused_before_the_session(gateway, client):
    wrong = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="pm-wrong", max_retries=0)
    for refused, model, status in ((wrong, "voice", 401), (client, "voize", 404)):
        with pytest.raises(websockets.exceptions.InvalidStatus) as found:
            refused.realtime.connect(model=model).enter()
        assert found.value.response.status_code == status


def test_a_client_secret_opens_the_session_it_was_made_for(gateway, client):
    session = {"type": "realtime", "model": "voice", "instructions": "be brief", "output_modalities": ["text"]}
    made = client.realtime.client_secrets.create(session=session, expires_after={"anchor": "created_at", "seconds": 60})
    assert made.value.startswith("ek_") and made.session.model == "voice"
    browser = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=made.value, max_retries=0)
    with browser.realtime.connect(model="voice") as connection:
        assert until(connection, "session.updated").session.instructions == "be brief"
        connection.conversation.item.create(item=said("repeat 4 words"))
        connection.response.create()
        assert until(connection, "response.done").response.status == "completed"
    with pytest.raises(openai.AuthenticationError):
        browser.models.list()


def test_calls_over_webrtc_are_refused_with_the_reason(client):
    with pytest.raises(openai.NotFoundError, match="could not be metered"):
        client.realtime.calls.create(sdp="v=0")
