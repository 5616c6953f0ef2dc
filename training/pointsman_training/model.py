"""The student: a few layers of MiniLM, heads with a pooling of their own, an exit for embeddings."""

import math

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from .labels import ALL_HEADS, PII_TAGS
from .tokens import base_folder

HIDDEN, HEADS, INTERMEDIATE, LAYERS = 384, 12, 1536, 3
MIDDLE, POSITIONS = 192, 128


class Layer(nn.Module):
    """A BERT layer, norm after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.joined = nn.Linear(HIDDEN, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.wide = nn.Linear(HIDDEN, INTERMEDIATE)
        self.narrow = nn.Linear(INTERMEDIATE, HIDDEN)
        self.norm_out = nn.LayerNorm(HIDDEN, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """One step of the trunk."""
        rows, length, _ = x.shape
        shape = (rows, length, 3, HEADS, HIDDEN // HEADS)
        query, key, value = self.qkv(x).view(shape).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(HIDDEN // HEADS) + mask.to(query.dtype)
        seen = torch.softmax(scores, -1).to(value.dtype) @ value
        seen = seen.transpose(1, 2).reshape(rows, length, HIDDEN)
        x = self.norm(x + self.joined(seen))
        return self.norm_out(x + self.narrow(functional.gelu(self.wide(x))))


class Encoder(nn.Module):
    """Embeddings and layers."""

    def __init__(self, layers: int, positions: int) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, HIDDEN)
        self.positions = nn.Embedding(positions, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        """Hidden states of the last layer; `real` is true where a token is."""
        x = self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])
        mask = torch.where(real, 0.0, -10000.0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return x


def from_base(layers: list[int], positions: int) -> Encoder:
    """An encoder that starts from chosen layers of the base."""
    base = load_file(base_folder() / "model.safetensors")
    made = Encoder(len(layers), positions)
    table = base["embeddings.position_embeddings.weight"][:positions]
    state = {
        "words.weight": base["embeddings.word_embeddings.weight"],
        "positions.weight": table + base["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": base["embeddings.LayerNorm.weight"],
        "norm.bias": base["embeddings.LayerNorm.bias"],
    }
    for to, at in enumerate(layers):
        old = f"encoder.layer.{at}"
        for part in ("weight", "bias"):
            mine = [base[f"{old}.attention.self.{n}.{part}"] for n in ("query", "key", "value")]
            state[f"layers.{to}.qkv.{part}"] = torch.cat(mine)
            for new, name in NAMES.items():
                state[f"layers.{to}.{new}.{part}"] = base[f"{old}.{name}.{part}"]
    made.load_state_dict(state)
    return made


NAMES = {
    "joined": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm_out": "output.LayerNorm",
}


class TextHead(nn.Module):
    """Reads the first row and the mean of the content rows, then decides."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(2 * HIDDEN, MIDDLE)
        self.out = nn.Linear(MIDDLE, labels)
        self.drop = nn.Dropout(0.1)

    def forward(self, read: Tensor) -> Tensor:
        """Logits of each text."""
        return self.out(self.drop(functional.gelu(self.dense(read))))


class Student(nn.Module):
    """Trunk, text heads, PII tags; the embedding is the mean of the content rows."""

    def __init__(self, trunk: Encoder) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({n: TextHead(len(ls)) for n, ls in ALL_HEADS.items()})
        self.pii = nn.Linear(HIDDEN, len(PII_TAGS))

    def hidden(self, ids: Tensor, real: Tensor) -> Tensor:
        """The trunk's last states as f32."""
        return self.trunk(ids, real).float()


def content(real: Tensor) -> Tensor:
    """The tokens without start and end; all of them where there is nothing between."""
    inner = real.clone()
    inner[:, 0] = False
    inner.scatter_(1, real.sum(1, keepdim=True) - 1, False)
    return torch.where(inner.any(1, keepdim=True), inner, real)


def mean(x: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen tokens."""
    weight = chosen.float()
    weight = weight / weight.sum(1, keepdim=True)
    return (x * weight[:, :, None]).sum(1)


def first_and_mean(x: Tensor, real: Tensor) -> Tensor:
    """What a head reads of a window."""
    return torch.cat([x[:, 0], mean(x, content(real))], 1)
