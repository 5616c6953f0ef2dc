"""The judge of the same question: groups, thresholds, and a network that learns."""

import numpy as np

from pointsman_training import judge


def test_rows_that_share_a_text_are_one_group() -> None:
    found = judge.groups(["a", "b", "c", "x"], ["b", "c", "d", "y"])
    assert found[0] == found[1] == found[2] != found[3]


def test_wordings_of_a_template_are_one() -> None:
    assert judge.template("Convert 5 Euros to Won") == judge.template("Convert 77 Pesos to Yen")
    assert judge.template("Convert 5 Euros") != judge.template("Sell 5 Euros")


def test_the_network_learns_what_no_line_tells() -> None:
    draw = np.random.default_rng(0)
    seen = draw.normal(0, 1, (2000, 4))
    same = (seen[:, 0] > 0) != (seen[:, 1] > 0)
    net = judge.fit(seen, same, np.ones(len(seen)), 1)
    assert ((net.score(seen) > 0) == same).mean() > 0.9


def test_thresholds_hold_for_all_and_for_each_kind() -> None:
    score = np.concatenate([np.linspace(-5, 2, 1000), np.linspace(0, 6, 100), np.linspace(1, 9, 500)])
    same = np.arange(1600) >= 1100
    kinds = np.array(["0 far"] * 1000 + ["0 near"] * 100 + ["1 true"] * 500)
    none = np.zeros(1600)
    rows = judge.Rows([], none, same, kinds, none > 0, none, none)
    chance = 1 / (1 + np.exp(-score))
    least = judge.threshold(score, rows, 0.01, 0.03)
    assert (chance[~same] >= least).mean() <= 0.01
    assert (chance[kinds == "0 near"] >= least).mean() <= 0.03
    strict = judge.threshold(score, rows, 0.002, 0.01)
    assert strict > least and (chance[kinds == "0 near"] >= strict).mean() <= 0.01
    rows.conflict = ~same
    assert judge.threshold(score, rows, 0.01, 0.03) == 0.5


def test_a_line_through_scores_is_a_probability() -> None:
    draw = np.random.default_rng(3)
    score = draw.normal(0, 2, 4000)
    same = draw.random(4000) < 1 / (1 + np.exp(-(1.5 * score - 0.5)))
    slope, shift = judge.platt(score, same)
    assert abs(slope - 1.5) < 0.15 and abs(shift + 0.5) < 0.15
