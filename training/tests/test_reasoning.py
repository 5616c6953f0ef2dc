"""Outcomes with reasoning and without: what an output comes to, and which rows there are."""

from pointsman_training import reasoning


def test_an_answer_stands_behind_the_thought() -> None:
    thought = "<think>\nPerhaps the answer is (B). No.\n</think>\n\nThe answer is (C)."
    assert reasoning.answer(thought) == "C"
    assert reasoning.answer("<think>\n\n</think>\n\nAnswer: D") == "D"
    assert reasoning.answer("</think>\n\nNot C, it is G.") == "G"
    assert reasoning.answer("</think>\n\nNobody knows.") is None


def test_a_thought_without_end_has_no_answer() -> None:
    assert reasoning.answer("<think>\nSo the answer is (B). But wait") is None


def run(asked: int, output: str) -> dict:
    return {
        "question_id": asked,
        "question": f"Question {asked}?",
        "options": ["one", "two"],
        "answer": "B",
        "category": "law",
        "model_outputs": output,
    }


def test_rows_have_both_ways_and_their_lengths() -> None:
    runs = {
        "off": [run(1, "</think>The answer is (A)."), run(2, "</think>B"), run(3, "</think>B")],
        "on": [run(1, "<think>x</think>The answer is (B)."), run(3, "<think>and so on")],
    }
    tokens = {"off": {1: 10, 2: 9, 3: 8}, "on": {1: 300, 3: 900}}
    one, three = reasoning.rows(runs, tokens)
    assert one == {
        "text": "Question 1?",
        "options": ["one", "two"],
        "label_domain": "law",
        "correct": {"off": 0, "on": 1},
        "tokens": {"off": 10, "on": 300},
        "source": reasoning.SOURCE,
    }
    assert three["correct"] == {"off": 1, "on": 0} and three["tokens"]["on"] == 900


def test_a_row_without_a_length_is_left_out() -> None:
    runs = {"off": [run(1, "</think>B")], "on": [run(1, "<think>x</think>B")]}
    assert list(reasoning.rows(runs, {"off": {1: 10}, "on": {1: -1}})) == []
