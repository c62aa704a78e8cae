"""The types that feature networks compute in, and float32 without TF32 on a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What the `precision` parameter of a modality stands for."""


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute convolutions and matrix products of float32 without TF32 inside of this context.

    TF32 rounds the factors to 10 bits behind the point, as float16 has; PyTorch allows it for convolutions unless told
    otherwise. The switches belong to the process and are put back.
    """
    switches = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision
