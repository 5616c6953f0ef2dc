"""What there is beside chat, asked by the official SDKs: where another format can be asked, of providers of another one."""

import base64
import json

import cohere
import openai
import pytest
from clients import CLIENTS
from cohere.core.api_error import ApiError
from google.genai import errors
from servers import PNG

# A name with "gemini" in it would have the SDK of Google make one content of all.
EMBEDDERS = ["embed-openai", "embed-cohere", "embed-google", "embed-titan", "embed-vertex"]
RANKERS = ["rank-cohere", "rank-vllm", "rank-bedrock"]
PICTURE = ("a.png", base64.b64decode(PNG), "image/png")
DOCUMENTS = ["nothing of it", "a red apple", "an apple"]


def sdk(house, client):
    return CLIENTS[client](house).sdk


@pytest.fixture
def settled(house):
    """Holds what was served while a test ran against the ledger's last rows of a model."""
    house.served()

    def check(model, surface, count=1):
        rows = house.ledger(count, model, False, [surface])[-count:]
        served = [record for record in house.served() if record["outcome"] == "Complete"]
        assert sum(json.loads(row["usage_json"])["input"] for row in rows) == sum(record["input"] for record in served)
        assert all((row["outcome"], row["status"]) == ("complete", 200) and row["cost"] > 0 for row in rows)

    return check


@pytest.mark.parametrize("model", EMBEDDERS)
def test_embeddings_of_openai(house, settled, model):
    client = sdk(house, "openai-chat")
    # The SDK asks for base64 where nothing is said, and decodes it.
    vectors = [one.embedding for one in client.embeddings.create(model=model, input=["one text", "another"]).data]
    floats = [one.embedding for one in client.embeddings.create(model=model, input=["one text", "another"], encoding_format="float").data]
    assert [len(vector) for vector in vectors] == [8, 8] and vectors[0] != vectors[1]
    assert all(abs(one - other) < 1e-6 for one, other in zip(vectors[0], floats[0]))
    coded = client.embeddings.create(model=model, input="one text", encoding_format="base64").data[0].embedding
    assert len(base64.b64decode(coded)) == 32
    short = client.embeddings.create(model=model, input="one text", dimensions=256)
    assert len(short.data[0].embedding) == 256 and short.usage.prompt_tokens > 0
    settled(model, "/v1/embeddings", 4)
    if model == "embed-openai":
        assert len(client.embeddings.create(model=model, input=[[1, 2], [3]]).data) == 2
    else:
        with pytest.raises(openai.BadRequestError, match="not token ids"):
            client.embeddings.create(model=model, input=[1, 2])


@pytest.mark.parametrize("model", EMBEDDERS)
def test_embeddings_of_cohere(house, settled, model):
    client = sdk(house, "cohere-chat")
    answer = client.embed(model=model, texts=["one text", "another"], input_type="search_document", embedding_types=["float"], output_dimension=256)
    assert [len(vector) for vector in answer.embeddings.float_] == [256, 256]
    assert answer.meta.billed_units.input_tokens > 0
    settled(model, "/v2/embed")
    if model != "embed-cohere":
        with pytest.raises(cohere.BadRequestError, match="int8"):
            client.embed(model=model, texts=["x"], input_type="search_query", embedding_types=["int8"])


@pytest.mark.parametrize("model", EMBEDDERS)
def test_embeddings_and_counts_of_gemini(house, settled, model):
    client = sdk(house, "gemini")
    answer = client.models.embed_content(model=model, contents=["one text", "another"], config={"output_dimensionality": 256})
    assert [len(embedding.values) for embedding in answer.embeddings] == [256, 256]
    settled(model, "/v1/models/{model}:batchEmbedContents")
    few, many = (client.models.count_tokens(model="openai-chat", contents=text).total_tokens for text in ("one", "word " * 100))
    assert 0 < few < many


@pytest.mark.parametrize("model", RANKERS)
def test_rankings_of_cohere(house, model):
    old = cohere.Client(api_key=house.caller.key, base_url=house.url)
    for client in (sdk(house, "cohere-chat"), old):
        answer = client.rerank(model=model, query="red apple", documents=DOCUMENTS, top_n=2)
        assert [result.index for result in answer.results] == [1, 2]
        assert answer.results[0].relevance_score > answer.results[1].relevance_score
    for surface in ("/v2/rerank", "/v1/rerank"):
        assert house.ledger(1, model, False, [surface])[-1]["cost"] > 0


def test_moderations(house):
    client = sdk(house, "openai-chat")
    good, bad = client.moderations.create(model="omni-moderation-latest", input=["a kind word", "I will kill the process"]).results
    assert not good.flagged and bad.flagged and bad.categories.violence
    assert house.ledger(1, "omni-moderation-latest", False, ["/v1/moderations"])[-1]["cost"] == 0


def test_pictures(house, settled):
    client = sdk(house, "openai-chat")
    made = client.images.generate(model="gpt-image-1", prompt="a red train", n=2, quality="low")
    assert all(base64.b64decode(one.b64_json).startswith(b"\x89PNG") for one in made.data) and len(made.data) == 2
    settled("gpt-image-1", "/v1/images/generations")
    edited = client.images.edit(model="gpt-image-1", image=[PICTURE], prompt="bluer")
    assert edited.usage.input_tokens_details.image_tokens == 85
    settled("gpt-image-1", "/v1/images/edits")
    for events in (
        client.images.generate(model="gpt-image-1", prompt="a red train", stream=True, partial_images=2),
        client.images.edit(model="gpt-image-1", image=[PICTURE], prompt="bluer", stream=True, partial_images=2),
    ):
        *partial, last = events
        assert [event.partial_image_index for event in partial] == [0, 1]
        assert base64.b64decode(last.b64_json).startswith(b"\x89PNG") and last.usage.output_tokens == 1056
    for surface in ("/v1/images/generations", "/v1/images/edits"):
        (row,) = house.ledger(1, "gpt-image-1", True, [surface])
        assert (json.loads(row["usage_json"])["output"], row["estimated"]) == (1056, 0)
    with pytest.raises(openai.BadRequestError, match="Invalid image file"):
        client.images.edit(model="gpt-image-1", image=("a.png", b"no picture", "image/png"), prompt="x")


def test_what_is_spoken_is_heard(house):
    client = sdk(house, "openai-chat")
    sound = client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="mind the gap", response_format="wav").read()
    assert sound.startswith(b"RIFF")
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound))
    assert heard.text == "mind the gap" and heard.usage.input_token_details.audio_tokens > 0
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", sound), stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "mind the gap"
    assert "-->" in client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), response_format="srt")
    assert client.audio.translations.create(model="whisper-1", file=("a.wav", sound)).text == "In English: mind the gap"
    for model, surface, streamed in [
        ("gpt-4o-mini-tts", "/v1/audio/speech", False),
        ("gpt-4o-transcribe", "/v1/audio/transcriptions", False),
        ("gpt-4o-transcribe", "/v1/audio/transcriptions", True),
        ("whisper-1", "/v1/audio/transcriptions", False),
        ("whisper-1", "/v1/audio/translations", False),
    ]:
        row = house.ledger(1, model, streamed, [surface])[-1]
        assert (row["outcome"], row["cost"] > 0) == ("complete", True), surface
    with pytest.raises(openai.BadRequestError, match="Invalid file format"):
        client.audio.transcriptions.create(model="whisper-1", file=("a.exe", sound))


def test_errors_are_each_sdks_own(house):
    with pytest.raises(openai.RateLimitError):
        sdk(house, "openai-chat").embeddings.create(model="limited", input="x")
    with pytest.raises(openai.NotFoundError):
        sdk(house, "openai-chat").images.generate(model="nobody's", prompt="x")
    with pytest.raises(cohere.TooManyRequestsError):
        sdk(house, "cohere-chat").embed(model="limited", texts=["x"], input_type="search_query", embedding_types=["float"], request_options={"max_retries": 0})
    with pytest.raises(ApiError) as failed:
        sdk(house, "cohere-chat").embed(model="failing", texts=["x"], input_type="search_query", embedding_types=["float"], request_options={"max_retries": 0})
    assert failed.value.status_code == 502
    # A client that nobody holds is closed.
    gemini = sdk(house, "gemini")
    with pytest.raises(errors.ClientError) as limited:
        gemini.models.embed_content(model="limited", contents="x")
    assert limited.value.code == 429
    with pytest.raises(openai.PermissionDeniedError):
        CLIENTS["openai-chat"](house, house.narrow).sdk.audio.speech.create(model="tts-1", voice="alloy", input="x")
