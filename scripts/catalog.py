#!/usr/bin/env python3
"""Writes crates/catalog/data/models/ from a folder of facts. Run when the facts are renewed; nothing else needs it.

    python3 scripts/catalog.py FOLDER

FOLDER holds `models.jsonl.gz`: one JSON object a line with `provider`, `model`, `mode` and what is known of it
(`max_input_tokens`, `usd_per_million_tokens`, `usd_per_unit`, `usd_per_search`, `tiers`, `features`, ...).

Provider names are those of `providers.json` or their aliases; a model of a provider that is not there is told and
left out. Fields that people keep by hand in the models files (`aliases`, `successor`) survive. Facts are carried
over, never made up: what the source does not say is absent. Left out on purpose: throughput that is bought by the
month (`N-month-commitment`), which is no price of a request.
"""

import gzip
import json
import re
import sys
from decimal import Decimal
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "crates/catalog/data"

KINDS = {
    "chat": "chat", "responses": "chat", "completion": "completion", "embedding": "embedding", "rerank": "rerank",
    "image_generation": "image", "image_edit": "image", "video_generation": "video", "audio_speech": "speech",
    "audio_transcription": "transcription", "realtime": "realtime", "moderation": "moderation", "ocr": "ocr",
    "search": "search", "evaluation": "classifier", "decisions": "classifier",
}
ENDPOINTS = {
    "/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages",
    "/v1/completions": "completions", "/v1/embeddings": "embeddings", "/v1/batch": "batch",
    "/v1/images/generations": "images", "/v1/images/edits": "image_edits",
    "/v1/audio/transcriptions": "transcriptions", "/v1/audio/speech": "speech", "/v1/realtime": "realtime",
    "/v1/videos": "videos", "/v1/ocr": "ocr",
}
TIERS = {"batches": "batch", "flex": "flex", "priority": "priority"}
UNITS = {
    "image_input": "per_image_input", "image_output": "per_image_output", "pixel_input": "per_pixel_input",
    "pixel_output": "per_pixel_output", "second_input": "per_second_input", "second_output": "per_second_output",
    "character_input": "per_character_input", "character_output": "per_character_output", "page": "per_page",
    "query": "per_query", "request": "per_request",
}
NO_CAPABILITY = {"multimodal", "speed", "nova_canvas_image_edit", "box_questions"}
FAMILIES = {"vertex_ai": "gcp-vertex"}
# Dollars for a million tokens that can only be a slip of the source (a price for a thousand taken for one).
IMPLAUSIBLE = 2000
REGION = re.compile(r"^(us|eu|ap|ca|sa|me|af|il|mx)(-gov)?(-[a-z]+-\d)?$|^us-gov$|^global(-standard)?$")


def dollars(value, places):
    """The number as it was written, in dollars, with at most so many digits after the point."""
    exact = Decimal(repr(value))
    rounded = exact.quantize(Decimal(1).scaleb(-places)) if exact.as_tuple().exponent < -places else exact
    text = format(rounded.normalize(), "f")
    return Number(text)


class Number(float):
    """A number that is written as it was read."""

    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __repr__(self):
        return self.text


def write(value):
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {write(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def rates(source):
    order = ["input", "output", "reasoning", "cache_read", "cache_read_audio", "cache_read_image", "cache_write",
             "cache_write_1h", "audio_input", "audio_output", "image_input", "image_output"]
    if any(value >= IMPLAUSIBLE for value in source.values() if not isinstance(value, list)):
        return {}
    return {key: dollars(source[key], 9) for key in order if key in source}


def units(row):
    source = dict(row.get("usd_per_unit", {}))
    if row["mode"] in ("image_generation", "image_edit"):
        # The source books pictures that are made under "input" where a model has one price a picture or pixel.
        if source.get("pixel_input") and not source.get("pixel_output"):
            source["pixel_output"] = source.pop("pixel_input")
        if source.get("image_input") and not source.get("image_output"):
            source["image_output"] = source.pop("image_input")
    told = {key: value for key, value in source.items() if value} or source
    return {UNITS[key]: dollars(value, 15) for key, value in told.items() if key in UNITS}


def searches(row):
    sizes = {key.removeprefix("search_context_size_"): value for key, value in row.get("usd_per_search", {}).items()}
    if not sizes:
        return {}
    usual = sizes.get("medium", next(iter(sizes.values())))
    price = {"per_search": dollars(usual, 15)}
    for size in ("low", "high"):
        if sizes.get(size, usual) != usual:
            price[f"per_search_{size}"] = dollars(sizes[size], 15)
    return price


def price(row):
    """Standard rates at the top, then rates above a prompt size, then those of other service tiers."""
    table = {}
    for name, source in row.get("usd_per_million_tokens", {}).items():
        tier, _, size = name.partition("_above_")
        place = table.setdefault(TIERS[tier], {}) if tier != "standard" else table
        if size:
            place = place.setdefault("above", {}).setdefault(size, {})
        place.update(rates(source))
    for tier in row.get("tiers", []):
        if "range" not in tier:
            continue
        low = int(tier["range"][0])
        place = table if low == 0 else table.setdefault("above", {}).setdefault(str(low), {})
        place.update(rates(tier))
    table.update(units(row))
    table.update(searches(row))

    def ordered(part):
        above = part.pop("above", None)
        later = {key: ordered(part.pop(key)) for key in ("batch", "flex", "priority") if key in part}
        if above:
            part["above"] = {size: above[size] for size in sorted(above, key=int)}
        part.update(later)
        return part

    return ordered(table)


def by_results(row):
    """Search engines that charge by the number of results: the price of the smallest step."""
    steps = [tier for tier in row.get("tiers", []) if "input_cost_per_query" in tier]
    return {"per_query": dollars(steps[0]["input_cost_per_query"], 15)} if steps else {}


def describe(row, identifier, variant):
    model = {"id": identifier}
    kind = KINDS.get(row["mode"], "speech" if "character_input" in row.get("usd_per_unit", {}) else "tool")
    if kind != "chat":
        model["kind"] = kind
    if variant:
        model["variant"] = True
    for field, source in (("context_window", "max_input_tokens"), ("max_output", "max_output_tokens"),
                          ("cache_minimum", "prompt_cache_min_tokens"), ("dimensions", "embedding_dimensions")):
        if row.get(source):
            model[field] = int(row[source])
    table = price(row) or by_results(row)
    # Rates of another tier alone say nothing of what an ordinary request costs.
    if any(not isinstance(rate, dict) for rate in table.values()):
        model["price"] = table
    features = [feature for feature in row.get("features", []) if feature not in NO_CAPABILITY]
    if features:
        model["features"] = sorted(features)
    for field, source in (("input", "input_modalities"), ("output", "output_modalities"),
                          ("efforts", "reasoning_efforts")):
        if row.get(source):
            model[field] = row[source]
    endpoints = [ENDPOINTS[path] for path in row.get("endpoints", []) if path in ENDPOINTS]
    if not endpoints and row["mode"] == "responses":
        endpoints = ["responses"]
    if endpoints:
        model["endpoints"] = list(dict.fromkeys(endpoints))
    if row.get("deprecated_on"):
        model["deprecated"] = row["deprecated_on"]
    if row.get("source"):
        model["source"] = row["source"]
    return model


def is_variant(identifier, kind):
    head = identifier.split("/")[0]
    sized = kind in ("image_generation", "image_edit") and (
        re.match(r"^\d+-x-\d+$|^(low|medium|high|xhigh|auto|standard|hd|max-x-max)$", head))
    return bool(sized or (REGION.match(head) and "/" in identifier))


def main(folder):
    known = {}
    for provider in json.loads((DATA / "providers.json").read_text()):
        for name in [provider["id"], *provider.get("aliases", [])]:
            known[name] = provider["id"]
    kept, found, lost = {}, {}, {}
    for path in sorted((DATA / "models").glob("*.json")):
        for model in json.loads(path.read_text()):
            hand = {key: model[key] for key in ("aliases", "successor") if key in model}
            if hand:
                kept[(path.stem, model["id"])] = hand
    with gzip.open(Path(folder) / "models.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            source = row["provider"] or ""
            family = source.split("-")[0]
            provider = known.get(source) or known.get(source.replace("_", "-")) or FAMILIES.get(family)
            if provider is None or "-month-commitment/" in row["model"]:
                lost[source] = lost.get(source, 0) + 1
                continue
            identifier = row["model"]
            for prefix in (source, family, "azure", "bedrock", "amazon-nova"):
                if identifier.startswith(prefix + "/"):
                    identifier = identifier[len(prefix) + 1:]
                    break
            identifier = identifier.replace("/bedrock/", "/")
            model = describe(row, identifier, is_variant(identifier, row["mode"]))
            model.update(kept.get((provider, identifier), {}))
            models = found.setdefault(provider, {})
            # Two rows of one model: the one that says more.
            if len(write(model)) > len(write(models.get(identifier, {}))):
                models[identifier] = model
    for path in (DATA / "models").glob("*.json"):
        path.unlink()
    for provider, models in found.items():
        lines = ",\n".join("  " + write(models[identifier]) for identifier in sorted(models))
        (DATA / "models" / f"{provider}.json").write_text(f"[\n{lines}\n]\n")
    print(f"{sum(map(len, found.values()))} models of {len(found)} providers; left out: {lost}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
