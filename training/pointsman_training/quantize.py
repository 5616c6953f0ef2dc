"""int8 by rows, and the student as the gateway computes it."""

import torch
from torch import Tensor, nn

from .int8 import rows_to_int8


class Int8Linear(nn.Module):
    """A linear layer with int8 weights and activations quantized a row at a time."""

    def __init__(self, old: nn.Linear) -> None:
        super().__init__()
        values, scale = rows_to_int8(old.weight.detach().float().numpy())
        self.register_buffer("weight", torch.from_numpy(values).T.contiguous())
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("bias", old.bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """Whole numbers multiplied and summed exactly, as the engine does."""
        step = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
        whole = torch.round(x / step).to(torch.int8)
        sums = torch._int_mm(whole.view(-1, x.shape[-1]), self.weight)
        return sums.float().view(*x.shape[:-1], -1) * (step * self.scale) + self.bias


def quantized(model: nn.Module) -> nn.Module:
    """The same model with word table and linear layers in int8, in place."""
    for module in list(model.modules()):
        if isinstance(module, nn.Embedding) and module.num_embeddings > 1000:
            values, scale = rows_to_int8(module.weight.detach().numpy())
            module.weight.data = torch.from_numpy(values * scale[:, None])
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))
    return model
