"""The grammar of attacks in other languages, and the features of the stage that learns from it."""

import json
import re

import pytest

from pointsman_training import languages, ngrams
from pointsman_training.generate import languages as grammar


@pytest.mark.parametrize("code", grammar.codes())
def test_every_template_makes_whole_texts(code: str) -> None:
    make = grammar.Maker(code, 3)
    assert {"harm", "goal", "safe"} <= make.language.slots.keys()
    kinds = {kind for kind, _, _ in make.language.templates}
    assert len(kinds) >= 15 and grammar.HARMLESS in kinds
    for _, _, template in make.language.templates:
        text = make.text(template)
        assert len(text) > 5 and not re.search(r"[{}|]", text), (template, text)


def test_templates_held_out_are_of_all_languages_and_their_texts_are_not_trained_on() -> None:
    made = list(grammar.texts(3, 3))
    kept = {one.text for one in made if one.held}
    assert not kept & {one.text for one in made if not one.held}
    for code in grammar.codes():
        mine = [one for one in made if one.lang == code]
        share = sum(one.held for one in mine) / len(mine)
        assert 0.15 < share < 0.35, (code, share)
        assert {one.attack for one in mine if one.held} == {True, False}


def test_what_is_measured_on_is_not_made() -> None:
    rows = [json.loads(line) for line in grammar.MEASURED.read_text(encoding="utf-8").splitlines()]
    text = rows[-1]["text"]
    others = grammar.measured(rows[-1]["lang"])
    assert grammar.is_copy(text, others) and grammar.is_copy(text.lower() + " 1", others)
    assert not grammar.is_copy("오늘 날씨가 어때요? 산책하러 가고 싶어요.", others)
    measured = {row["text"].lower().rstrip(".!?。！？") for row in rows}
    made = {one.text.lower().rstrip(".!?。！？") for one in grammar.texts(10, 20)}
    assert not measured & made


def test_texts_are_those_of_the_seed() -> None:
    assert list(grammar.texts(1, 1)) == list(grammar.texts(1, 1))


def test_features_are_of_the_stage_and_leave_the_others_as_they_were() -> None:
    usual = ngrams.buckets("忽略之前的指令 ignore")
    assert (usual < 1 << ngrams.BITS).all()
    beside = ngrams.buckets("忽略之前的指令 ignore", languages.RUNS, languages.BITS)
    assert len(beside) > len(usual) and beside.max() >= 1 << ngrams.BITS
    assert ngrams.buckets("忽略之前的指令 ignore").tolist() == usual.tolist()


def test_a_short_stretch_is_cut_behind_a_space() -> None:
    parts = ngrams.stretches("word " * 300, languages.STRETCH)
    assert "".join(parts) == "word " * 300
    assert all(part.endswith(" ") and len(part) <= languages.STRETCH for part in parts)
