"""Writes and reads the file of weights that `crates/semantics/src/container.rs` defines."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, VERSION, ALIGN, PREFIX = b"PMWEIGHT", 1, 64, 20
TYPES = {"int8": "i8", "uint8": "u8", "float32": "f32"}
BACK = {"i8": np.int8, "u8": np.uint8, "f32": np.float32}


def padded(data: bytes) -> bytes:
    """Zeros up to a multiple of 64."""
    return data + b"\0" * (-len(data) % ALIGN)


def write(path: Path, settings: dict[str, Any], parts: dict[str, np.ndarray]) -> None:
    """Writes settings and parts."""
    blobs, places, at = [], {}, 0
    for name, value in sorted(parts.items()):
        value = np.ascontiguousarray(value)
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise ValueError(f"{name} has a number that is not finite")
        blob = value.tobytes()
        place = {"type": TYPES[str(value.dtype)], "shape": list(value.shape)}
        places[name] = {**place, "offset": at, "crc32": zlib.crc32(blob)}
        blobs.append(padded(blob))
        at += len(blobs[-1])
    said = {"settings": settings, "parts": places}
    head = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    start = MAGIC + struct.pack("<III", VERSION, len(head), zlib.crc32(head)) + head
    path.write_bytes(padded(start) + b"".join(blobs))


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings and parts; each checksum is looked at."""
    whole = path.read_bytes()
    version, length, check = struct.unpack("<III", whole[8:PREFIX])
    head = whole[PREFIX : PREFIX + length]
    if whole[:8] != MAGIC or version != VERSION or zlib.crc32(head) != check:
        raise ValueError(f"{path} is damaged, or no file of weights of version {VERSION}")
    start = PREFIX + length + (-(PREFIX + length) % ALIGN)
    said, parts = json.loads(head), {}
    for name, place in said["parts"].items():
        kind = np.dtype(BACK[place["type"]])
        size = int(np.prod(place["shape"])) * kind.itemsize
        blob = whole[start + place["offset"] :][:size]
        if zlib.crc32(blob) != place["crc32"]:
            raise ValueError(f"{path} is damaged: the checksum of {name} differs")
        parts[name] = np.frombuffer(blob, kind).reshape(place["shape"])
    return said["settings"], parts
