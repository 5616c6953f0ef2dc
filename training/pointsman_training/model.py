"""The student: a few layers of MiniLM, heads with a pooling of their own, an exit for embeddings."""

import math

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from .labels import ALL_HEADS, PII_TAGS
from .tokens import base_folder

HIDDEN, HEADS, INTERMEDIATE, LAYERS = 384, 12, 1536, 3
CASES, MIDDLE, POSITIONS = 6, 192, 128


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
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """One step of the trunk."""
        rows, length, _ = x.shape
        shape = (rows, length, 3, HEADS, HIDDEN // HEADS)
        query, key, value = self.qkv(x).view(shape).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(HIDDEN // HEADS) + mask.to(query.dtype)
        seen = torch.softmax(scores, -1).to(value.dtype) @ value
        seen = seen.transpose(1, 2).reshape(rows, length, HIDDEN)
        x = self.norm(x + self.drop(self.joined(seen)))
        return self.norm_out(x + self.drop(self.narrow(functional.gelu(self.wide(x)))))


class Encoder(nn.Module):
    """Embeddings and layers."""

    def __init__(self, layers: int, positions: int) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, HIDDEN)
        self.positions = nn.Embedding(positions, HIDDEN)
        self.cases = nn.Embedding(CASES, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        nn.init.zeros_(self.cases.weight)

    def forward(self, ids: Tensor, cases: Tensor | None, real: Tensor) -> Tensor:
        """Hidden states of the last layer; `real` is true where a token is."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        if cases is not None:
            x = x + self.cases(cases)
        x = self.norm(x)
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
        "cases.weight": made.cases.weight.data,
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
    """Looks at the tokens that matter to it, then decides."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(HIDDEN))
        self.dense = nn.Linear(HIDDEN, MIDDLE)
        self.out = nn.Linear(MIDDLE, labels)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Logits of each text."""
        weight = torch.softmax((x @ self.query).masked_fill(~real, -1e4), 1)
        pooled = torch.einsum("bt,bth->bh", weight, x)
        return self.out(self.drop(functional.gelu(self.dense(pooled))))


class Student(nn.Module):
    """Trunk, text heads, PII tags, embedding exit."""

    def __init__(self, trunk: Encoder) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({n: TextHead(len(ls)) for n, ls in ALL_HEADS.items()})
        self.pii = nn.Linear(HIDDEN, len(PII_TAGS))
        self.exit = nn.Linear(HIDDEN, HIDDEN)
        nn.init.eye_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)

    def hidden(self, ids: Tensor, cases: Tensor, real: Tensor) -> Tensor:
        """The trunk's last states as f32."""
        return self.trunk(ids, cases, real).float()

    def embed(self, x: Tensor, real: Tensor) -> Tensor:
        """Embedding before the norm."""
        return self.exit(mean(x, real))


def mean(x: Tensor, real: Tensor) -> Tensor:
    """Mean over the real tokens."""
    weight = real.float()
    return torch.einsum("bt,bth->bh", weight / weight.sum(1, keepdim=True), x)
