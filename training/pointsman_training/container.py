"""Writes and reads the model container of FORMAT.md."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, LAYOUT, ALIGN = b"PTSMODEL", 1, 64
TYPES = {"int8": "i8", "uint8": "u8", "float32": "f32"}
BACK = {"i8": np.int8, "u8": np.uint8, "f32": np.float32}


def padded(data: bytes, filler: bytes = b"\0") -> bytes:
    """Filled up to a multiple of 64."""
    return data + filler * (-len(data) % ALIGN)


def write(path: Path, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """Writes a container; the answer is its hash."""
    blobs, places, at = [], {}, 0
    for name, value in sorted(tensors.items()):
        value = np.ascontiguousarray(value)
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise ValueError(f"{name} has a number that is not finite")
        blob = value.tobytes()
        kind = TYPES[str(value.dtype)]
        place = {"dtype": kind, "shape": list(value.shape), "offset": at, "length": len(blob)}
        places[name] = place
        blobs.append(padded(blob))
        at += len(blobs[-1])
    text = json.dumps({**header, "tensors": places}, ensure_ascii=False, separators=(",", ":"))
    head, data = padded(text.encode(), b" "), b"".join(blobs)
    digest = hashlib.sha256(head + data)
    start = MAGIC + struct.pack("<IIQQ", LAYOUT, len(head), len(data), 0) + digest.digest()
    path.write_bytes(start + head + data)
    return digest.hexdigest()


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and tensors of a container."""
    whole = path.read_bytes()
    layout, length, size, _ = struct.unpack("<IIQQ", whole[8:32])
    if whole[:8] != MAGIC or layout != LAYOUT or len(whole) != 64 + length + size:
        raise ValueError(f"{path} is no container of layout {LAYOUT}")
    if hashlib.sha256(whole[64:]).digest() != whole[32:64]:
        raise ValueError(f"{path} is damaged: its hash differs")
    header, tensors = json.loads(whole[64 : 64 + length]), {}
    for name, place in header["tensors"].items():
        start = 64 + length + place["offset"]
        flat = np.frombuffer(whole[start : start + place["length"]], BACK[place["dtype"]])
        tensors[name] = flat.reshape(place["shape"])
    return header, tensors
