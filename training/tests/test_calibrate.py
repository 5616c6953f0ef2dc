"""Fitting finds the scale that logits were spoilt with, and rules stand where they should."""

import numpy as np

from pointsman_training.calibrate import Evidence, apply, bound, fit, stands


def drawn(head: str, labels: int, scale: float) -> Evidence:
    """Rows whose labels are drawn from the softmax of logits, which are then spoilt by a scale."""
    draw = np.random.default_rng(3)
    logits = draw.normal(size=(4000, labels)).astype(np.float32) * 2
    chance = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([draw.choice(labels, p=one / one.sum()) for one in chance])
    said = np.eye(labels)[truth]
    return Evidence(head, logits * np.float32(scale), np.zeros_like(logits), said, np.ones(4000))


def test_the_temperature_is_found() -> None:
    share, found = fit(drawn("modality", 3, 3.0), True)
    assert abs(found["temperature"] - 3) < 0.3
    assert abs(share) < 1e-3


def test_slopes_and_shifts_are_found() -> None:
    draw = np.random.default_rng(4)
    true = draw.normal(size=(6000, 1)) * 2
    said = (draw.random((6000, 1)) < 1 / (1 + np.exp(-true))).astype(float)
    spoilt = ((true - 1) * 2).astype(np.float32)
    _, found = fit(Evidence("pair", spoilt, np.zeros_like(spoilt), said, np.ones(6000)), True)
    slope, shift = found["platt"][0]
    assert abs(slope - 0.5) < 0.1
    assert abs(shift - 1) < 0.15
    assert abs(apply(found, spoilt).mean() - said.mean()) < 0.01


def test_bounds_hold_what_they_promise() -> None:
    sure = np.linspace(0, 1, 1000)
    right = sure > 0.3
    assert abs(bound(sure, right, 1.0) - 0.3) < 0.01
    assert bound(sure, np.zeros(1000, bool), 0.5) is None
    chance = np.array([[0.01], [0.5], [0.99]])
    rule = {"outside": {"class": 0, "low": 0.02, "high": 0.98}}
    assert stands(rule, chance).tolist() == [True, False, True]
    assert not stands("never", chance).any()
