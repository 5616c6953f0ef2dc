"""int8 by rows."""

import numpy as np


def rows_to_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and a scale for each row; symmetric, −127..127."""
    scale = np.maximum(np.abs(weight).max(1), 1e-12).astype(np.float32) / np.float32(127)
    return np.clip(np.round(weight / scale[:, None]), -127, 127).astype(np.int8), scale
