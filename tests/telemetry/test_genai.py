"""The OpenTelemetry GenAI conventions (v1.41), judged by what a collector of somebody else's received."""

from conftest import PROVIDER_KEY

DURATIONS = [0.01 * 2**power for power in range(14)]
TOKENS = [float(4**power) for power in range(14)]


def only(spans, **attributes):
    found = [
        span
        for span in spans
        if all(span["attributes"].get(name.replace("__", ".")) == value for name, value in attributes.items())
    ]
    assert len(found) == 1, (attributes, found)
    return found[0]


def points(told, name):
    found = [metric for metric in told.metrics if metric["Name"] == name]
    assert found, [metric["Name"] for metric in told.metrics]
    # Cumulative: the last one tells all.
    return found[-1]["points"]


def test_every_request_to_a_model_is_a_span(told):
    names = sorted(span["Name"] for span in told.spans)
    assert names == sorted(
        ["chat on-openai"] * 2
        + ["chat on-claude"] * 2
        + ["chat on-mistral", "text_completion on-openai", "embeddings embedding", "chat breaking", "chat failing", "chat nowhere"]
        # Refused before the model was known: once malformed, once without a good key.
        + ["chat"] * 2
    )
    assert {span["Kind"] for span in told.spans} == {"SPAN_KIND_CLIENT"}


def test_spans_say_what_was_asked_of_whom(told):
    for provider, model, name in [
        ("openai", "gpt-5-mini", "on-openai"),
        ("anthropic", "claude-haiku-4-5", "on-claude"),
        ("mistral_ai", "mistral-small", "on-mistral"),
    ]:
        span = only(
            told.spans,
            gen_ai__operation__name="chat",
            gen_ai__request__model=name,
            gen_ai__request__stream=False,
        )["attributes"]
        assert span["gen_ai.provider.name"] == provider
        assert span["gen_ai.response.model"] == model
        assert span["gen_ai.usage.input_tokens"] > 0 and span["gen_ai.usage.output_tokens"] > 0
        assert span["http.response.status_code"] == 200
        assert span["pointsman.request.id"].startswith("req_")
        assert "error.type" not in span
    streamed = only(told.spans, gen_ai__request__stream=True, gen_ai__request__model="on-claude")["attributes"]
    assert streamed["gen_ai.response.time_to_first_chunk"] > 0
    assert only(told.spans, gen_ai__operation__name="embeddings")["attributes"]["gen_ai.usage.input_tokens"] > 0


def test_failures_have_a_type_and_no_words(told):
    failing = only(told.spans, gen_ai__request__model="failing")
    assert failing["attributes"]["error.type"] == "provider"
    assert failing["Status code"] == "STATUS_CODE_ERROR" and failing["Status message"] == "provider"
    breaking = only(told.spans, gen_ai__request__model="breaking")["attributes"]
    assert breaking["error.type"] == "provider" and breaking["pointsman.outcome"] == "provider_failed"
    nowhere = only(told.spans, gen_ai__request__model="nowhere")
    assert nowhere["attributes"]["error.type"] == "not_found"
    assert nowhere["attributes"]["pointsman.error.code"] == "model_not_found"
    assert only(told.spans, error__type="authentication")["attributes"]["http.response.status_code"] == 401
    assert only(told.spans, error__type="invalid_request")["attributes"]["http.response.status_code"] == 400


def test_metrics_have_the_names_units_and_bounds_of_the_conventions(told):
    kinds = {metric["Name"]: (metric["Unit"], metric["DataType"]) for metric in told.metrics}
    assert kinds == {
        "gen_ai.client.operation.duration": ("s", "Histogram"),
        "gen_ai.client.operation.time_to_first_chunk": ("s", "Histogram"),
        "gen_ai.client.token.usage": ("{token}", "Histogram"),
        "pointsman.overhead": ("s", "Histogram"),
    }
    for name, bounds in [("operation.duration", DURATIONS), ("token.usage", TOKENS)]:
        for point in points(told, f"gen_ai.client.{name}"):
            assert len(point["bounds"]) == len(bounds)
            assert all(abs(told - known) < 1e-9 for told, known in zip(point["bounds"], bounds))


def test_measurements_carry_the_required_attributes_and_few_others(told):
    allowed = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.token.type", "error.type"}
    for metric in told.metrics:
        for point in metric["points"]:
            assert {"gen_ai.operation.name", "gen_ai.provider.name"} <= set(point["attributes"]) <= allowed
    durations = points(told, "gen_ai.client.operation.duration")
    assert sum(int(point["Count"]) for point in durations) == len(told.spans)
    errors = {point["attributes"].get("error.type") for point in durations}
    assert errors == {None, "provider", "not_found", "authentication", "invalid_request"}
    # A name that no model answers to makes no series.
    assert "nowhere" not in {point["attributes"].get("gen_ai.request.model") for point in durations}
    usage = points(told, "gen_ai.client.token.usage")
    assert {point["attributes"]["gen_ai.token.type"] for point in usage} == {"input", "output"}
    # What the gateway had to guess is in the span, marked, and not among the measurements.
    assert only(told.spans, pointsman__usage__estimated=True)["attributes"]["gen_ai.request.model"] == "breaking"
    known = [span["attributes"] for span in told.spans if not span["attributes"]["pointsman.usage.estimated"]]
    total = sum(span["gen_ai.usage.input_tokens"] for span in known)
    inputs = [point for point in usage if point["attributes"]["gen_ai.token.type"] == "input"]
    assert sum(float(point["Sum"]) for point in inputs) == total


def test_no_prompt_and_no_key_is_told(told):
    assert "gen_ai.usage.input_tokens" in told.text
    for secret in ["MARK", PROVIDER_KEY, told.key, told.key[3:20], "word word"]:
        assert secret not in told.text


def test_a_collector_that_is_away_costs_nothing_but_its_data(gateway):
    body = {"model": "on-openai", "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(20):
        assert gateway.ask("/v1/chat/completions", body) == 200
    assert gateway.stop() < 15
