"""Rows of all tasks in one form, read from the data folder and from the generators."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .hazards import hazards_of
from .labels import ALL_HEADS, UNKNOWN


@dataclass
class Row:
    """A text and what is known of it: nothing is assumed of heads that `targets` does not name."""

    text: str
    source: str
    family: str
    group: str
    targets: dict[str, list[float]] = field(default_factory=dict)
    spans: list[tuple[int, int, str]] | None = None
    weight: float = 1.0
    kind: str = ""
    lang: str = "en"
    pair: str = ""
    """The second question, where a row is about two."""


def one_hot(head: str, label: str) -> list[float]:
    """The target vector of one label."""
    return [1.0 if name == label else 0.0 for name in ALL_HEADS[head]]


def guard(label: str) -> list[float]:
    """Targets of the guard: an attack, and of which kind."""
    return [float(label != "benign"), float(label == "injection"), float(label == "jailbreak")]


def harm(harmful: bool, hazards: list[float]) -> list[float]:
    """Targets of the harm head; harm of which no hazard is known says nothing of hazards."""
    if harmful and not any(hazards):
        hazards = [UNKNOWN] * len(hazards)
    return [float(harmful), *hazards]


def read(path: Path) -> Iterator[dict]:
    """The objects of a gzipped JSON lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def question_of(text: str) -> str:
    """The question without its options, so that both versions of it stay together."""
    return text.split("\nA.")[0].strip()


# Variants whose attack lies in a system prompt that the row does not have: many of their texts are
# ordinary questions, so they count little.
CONTEXT_BOUND = (
    "pl-different_user_input_language", "pl-few_shot_attack", "pl-repeated_token_attack",
    "pl-indirect_reference", "pl-output_formatting_manipulation", "pl-persuasion",
    "pl-mixed_techniques", "pl-token_smuggling",
)  # fmt: skip


def domain_rows(data: Path, split: str) -> Iterator[Row]:
    """Prompts by subject. Exam questions and utterances are no attacks either."""
    for item in read(data / "domain" / f"{split}.jsonl.gz"):
        question = question_of(item["text"])
        row = Row(item["text"], item["source"], item["kind"], question, kind=item["kind"])
        row.targets["domain"] = one_hot("domain", item["label"])
        if split == "train" and not item["source"].startswith("nq"):
            row.targets["jailbreak"] = guard("benign")
        yield row


def jailbreak_rows(data: Path, split: str) -> Iterator[Row]:
    """Attacks and what only looks like them."""
    for item in read(data / "jailbreak" / f"{split}.jsonl.gz"):
        family = item["family"]
        group = family if item["label"] != "benign" else item["text"]
        row = Row(item["text"], item["source"], family, group, lang=item["lang"])
        row.targets["jailbreak"] = guard(item["label"])
        if family.startswith(CONTEXT_BOUND):
            row.weight = 0.3
        yield row


def harmful_rows(data: Path, split: str) -> Iterator[Row]:
    """Plainly harmful requests, with the hazards that rules and categories give them."""
    for item in read(data / "harmful" / f"{split}.jsonl.gz"):
        harmful = item["label"] == "harmful"
        group = f"{item['source']}/{item['family']}" if harmful else item["text"]
        row = Row(item["text"], item["source"], item["family"], group, lang=item["lang"])
        hazards = hazards_of(item["text"], item["family"], harmful)
        row.targets["harmful"] = harm(harmful, hazards)
        yield row


def pii_rows(data: Path, split: str) -> Iterator[Row]:
    """Texts with marked personal data, and texts without any."""
    for item in read(data / "pii" / f"{split}.jsonl.gz"):
        template = item["template"]
        group = item["text"] if template == "neg" else f"{item['source']}/{template}"
        row = Row(item["text"], item["source"], template, group, lang=item["lang"])
        row.spans = [(s["start"], s["end"], s["type"]) for s in item["spans"]]
        yield row


SMALL = {
    "Mixtral-8x7B-Instruct-v0.1", "Llama-2-7b-hf", "gemma-7b", "Mistral-7B-Instruct-v0.2",
    "Phi-3-mini-4k-instruct", "mathstral-7B", "Meta-Llama-3_1-8B-Instruct", "codegemma-7b",
    "mistral-7b-instruct-v0.3", "llama3-chatqa-1.5-8b", "llama-3.1-8b-instruct",
    "gemma-2-9b-it", "qwen2.5-7b-instruct",
}  # fmt: skip
LARGE = {
    "gpt-4-1106-preview", "Meta-Llama-3_1-70B-Instruct", "Qwen1.5-72B-Chat", "gemini-1.5-pro-002",
    "gemini-1.5-flash-002", "llama-3.1-nemotron-51b-instruct",
    "llama-3.3-nemotron-super-49b-v1",
}  # fmt: skip


def share(correct: dict[str, int], models: set[str]) -> float | None:
    """How many of `models` were right."""
    known = [value for model, value in correct.items() if model in models]
    return sum(known) / len(known) if known else None


def with_options(text: str, options: list[str]) -> str:
    """The question as an exam prints it."""
    return "\n".join([text, *(f"{chr(65 + i)}. {o}" for i, o in enumerate(options))])


def routing_rows(data: Path, split: str) -> Iterator[Row]:
    """Which model solved what, as the chance that a small one does, only a large one, neither."""
    for item in read(data / "routing" / f"{split}.jsonl.gz"):
        small, large = share(item["correct"], SMALL), share(item["correct"], LARGE)
        if small is None or large is None:
            continue
        group, text = question_of(item["text"]), item["text"]
        if item.get("options") and (split == "dev" or len(text) % 2):
            text = with_options(text, item["options"])
        row = Row(text, item["source"], item["source"], group)
        beyond = (1 - small) * (1 - large)
        row.targets["difficulty"] = [small, (1 - small) * large, beyond]
        yield row


def small_task_rows(data: Path, split: str) -> Iterator[Row]:
    """Feedback, fact check and modality."""
    for head, name in (("feedback",) * 2, ("fact_check", "factcheck"), ("modality",) * 2):
        for item in read(data / "feedback_factcheck" / f"{name}_{split}.jsonl.gz"):
            row = Row(item["text"], item["source"], head, item["text"], lang=item["lang"])
            row.targets[head] = one_hot(head, item["label"])
            yield row


def pair_row(a: str, b: str, same: bool, source: str, kind: str, lang: str = "en") -> Row:
    """Two questions and whether one answer serves both."""
    row = Row(a, source, kind, a, kind=kind, lang=lang, pair=b)
    row.targets["pair"] = [float(same)]
    return row


def pair_rows(data: Path, split: str) -> Iterator[Row]:
    """Questions that mean the same, and near misses."""
    for item in read(data / "pairs" / f"{split}.jsonl.gz"):
        same = item["label"] == 1
        yield pair_row(item["a"], item["b"], same, item["source"], item["kind"], item["lang"])


def read_all(data: Path, split: str) -> list[Row]:
    """Every row of a split; rows of one text keep apart, they are joined by `merge`."""
    readers = (domain_rows, jailbreak_rows, harmful_rows, pii_rows, routing_rows, small_task_rows)
    return [row for reader in readers for row in reader(data, split)]


def merge(rows: list[Row]) -> list[Row]:
    """Joins rows of the same text, so that one pass of the encoder teaches all heads."""
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        first = seen.setdefault((row.text, row.pair), row)
        if first is not row:
            first.targets = {**row.targets, **first.targets}
            first.spans = first.spans if first.spans is not None else row.spans
            first.weight = min(first.weight, row.weight)
    return list(seen.values())
