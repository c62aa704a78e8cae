"""Which device to compute on."""

import torch

from pipeline.errors import ParamsError, explain


def choose_device(name: str) -> torch.device:
    """Return the device a `device` parameter stands for; ``auto`` is the first GPU, else the CPU.

    Raises
    ------
    ParamsError
        If a GPU is asked for that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ParamsError(
            explain(
                f"device {name}",
                expected="a GPU of this machine",
                found=f"{torch.cuda.device_count()} GPUs",
                remedy="write auto or cpu",
            )
        )
    return device
