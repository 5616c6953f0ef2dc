"""The joint layer finds what a second head knows, holds to the plain sum where nothing is gained, and thresholds hold by source."""

import numpy as np

from pointsman_training.calibrate import Evidence
from pointsman_training.joint import Lesson, choose, fit, folds, places, start
from pointsman_training.labels import TEXT_HEADS
from pointsman_training.metrics import auc
from pointsman_training.refit import limits

COLUMNS = 2 * sum(len(labels) for labels in TEXT_HEADS.values())


def lesson(helps: float) -> Lesson:
    """Attacks that the guard's own logit tells half of, and the harm head's the rest of, so far as it helps."""
    draw = np.random.default_rng(2)
    columns = draw.normal(size=(1500, COLUMNS))
    own, harm = places("jailbreak")[0].start, places("harmful")[0].start
    true = 2 * columns[:, own] + helps * columns[:, harm]
    said = np.stack([(true + draw.logistic(size=1500) > 0).astype(float)] * 3, axis=1)
    sources = np.array([f"source {at % 12}" for at in range(1500)])
    return Lesson("jailbreak", columns, said, sources, np.ones(1500))


def test_a_head_listens_where_it_helps() -> None:
    some = lesson(3.0)
    plain = auc(some.inputs[:, places("jailbreak")[0].start], some.said[:, 0] > 0.5)
    layer, crossed, strength = choose(some, 0.0)
    assert auc(crossed[:, 0], some.said[:, 0] > 0.5) > plain + 0.1
    assert auc(layer(some.inputs)[:, 0], some.said[:, 0] > 0.5) > plain + 0.1
    assert strength < 1


def test_a_strong_pull_leaves_the_plain_sum() -> None:
    some = lesson(0.0)
    layer = fit(some, 0.5, 1e6)
    base = start("jailbreak", 0.5, COLUMNS)
    scale = layer.weight[0].sum() / base[0].sum()
    assert scale > 0
    assert np.abs(layer.weight - scale * base).max() < 1e-3


def test_a_source_is_in_one_fold() -> None:
    sources = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 10 + ["d"] * 5)
    fold = folds(sources, 3)
    assert all(len(set(fold[sources == one])) == 1 for one in "abcd")
    assert len(set(fold)) == 3


def test_a_threshold_holds_for_the_loudest_source() -> None:
    draw = np.random.default_rng(4)
    sources = np.array([f"calm {at % 5}" for at in range(1000)] + ["loud"] * 200)
    value = np.concatenate([draw.random(1000) * 0.3, draw.random(200) * 0.8])
    said = np.zeros((1200, 3))
    proof = Evidence("jailbreak", said, said, said, np.ones(1200), np.full(1200, 10))
    found = {
        one["name"]: one["threshold"] for one in limits(value[:, None] * np.ones(3), proof, sources)
    }
    assert (value[sources == "loud"] >= found["fpr_1pct"]).mean() <= 0.01
    assert (value[sources == "loud"] >= found["fpr_3pct"]).mean() <= 0.03
    assert found["fpr_0.1pct"] >= found["fpr_1pct"] >= found["fpr_3pct"]
