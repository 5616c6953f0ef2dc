"""Writes the one file of weights that the engine reads.

The layout is that of `crates/semantics/src/container.rs`; parts and settings are those of
`crates/semantics/src/engine/bundle.rs`. Needs numpy alone; `encoder_parts` takes a BERT of the transformers library.
"""

import json
import struct
import zlib

import numpy as np

ALIGN = 64
KINDS = {np.dtype("int8"): "i8", np.dtype("float32"): "f32", np.dtype("uint8"): "u8"}


def quantise(weights):
    """Signed bytes and a scale for each row of `[outputs, inputs]`, as the engine multiplies them: `weights ≈ codes · scale`."""
    weights = np.asarray(weights, dtype=np.float32)
    scales = np.abs(weights).max(axis=1) / np.float32(127)
    safe = np.where(scales > 0, scales, 1)
    codes = np.clip(np.rint(weights / safe[:, None]), -127, 127).astype(np.int8)
    return codes, scales.astype(np.float32)


def linear(parts, name, weights, bias):
    """Adds a linear layer's three parts."""
    parts[name], parts[f"{name}.scale"] = quantise(weights)
    parts[f"{name}.bias"] = np.asarray(bias, dtype=np.float32)


def norm(parts, name, weight, bias):
    """Adds a layer norm's two parts."""
    parts[f"{name}.weight"] = np.asarray(weight, dtype=np.float32)
    parts[f"{name}.bias"] = np.asarray(bias, dtype=np.float32)


def text(value):
    """A part that is text."""
    return np.frombuffer(value.encode(), dtype=np.uint8)


def encoder_parts(state, config, vocabulary, blocks=None):
    """Parts and settings of a BERT: `state` is its state dictionary (arrays by name, without a prefix), `config` its settings
    as a dictionary, `vocabulary` the lines of its vocab.txt; the first `blocks` blocks where a number is given."""
    parts = {"vocabulary": text("\n".join(vocabulary))}
    parts["words"], parts["words.scale"] = quantise(state["embeddings.word_embeddings.weight"])
    kind = state["embeddings.token_type_embeddings.weight"][0]
    parts["positions"] = np.asarray(state["embeddings.position_embeddings.weight"] + kind, dtype=np.float32)
    norm(parts, "words.norm", state["embeddings.LayerNorm.weight"], state["embeddings.LayerNorm.bias"])
    count = blocks or config["num_hidden_layers"]
    for index in range(count):
        layer = f"encoder.layer.{index}."

        def both(name):
            return state[f"{layer}{name}.weight"], state[f"{layer}{name}.bias"]

        mixed = [both(f"attention.self.{name}") for name in ("query", "key", "value")]
        block = f"block.{index}."
        linear(parts, f"{block}mix", np.concatenate([w for w, _ in mixed]), np.concatenate([b for _, b in mixed]))
        linear(parts, f"{block}out", *both("attention.output.dense"))
        linear(parts, f"{block}up", *both("intermediate.dense"))
        linear(parts, f"{block}down", *both("output.dense"))
        norm(parts, f"{block}norm1", *both("attention.output.LayerNorm"))
        norm(parts, f"{block}norm2", *both("output.LayerNorm"))
    settings = {
        "vocabulary": config["vocab_size"], "width": config["hidden_size"], "heads": config["num_attention_heads"],
        "inner": config["intermediate_size"], "blocks": count, "positions": config["max_position_embeddings"],
        "epsilon": config["layer_norm_eps"], "lowercase": True, "strip_accents": True,
    }
    return parts, settings


def container(settings, parts):
    """The bytes of the file."""
    data = bytearray()
    table = {}
    for name in sorted(parts):
        value = np.ascontiguousarray(parts[name])
        if not np.isfinite(value.astype(np.float32)).all():
            raise ValueError(f"{name} has values that are no numbers")
        data.extend(b"\0" * (-len(data) % ALIGN))
        body = value.tobytes()
        table[name] = {"type": KINDS[value.dtype], "shape": list(value.shape), "offset": len(data), "crc32": zlib.crc32(body)}
        data.extend(body)
    header = json.dumps({"settings": settings, "parts": table}, separators=(",", ":"), sort_keys=True).encode()
    prefix = b"PMWEIGHT" + struct.pack("<III", 1, len(header), zlib.crc32(header)) + header
    return bytes(prefix + b"\0" * (-len(prefix) % ALIGN) + data)
