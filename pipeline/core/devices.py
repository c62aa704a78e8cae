"""The choice of devices to compute on."""

import torch

from pipeline.core.errors import ParamsError, explain


def choose_device(name: str) -> torch.device:
    """Return the device a `device` parameter stands for; ``auto`` is the first GPU, else the CPU.

    Raises
    ------
    ParamsError
        If a GPU is asked for that this machine does not have.
    """
    return choose_devices(name)[0]


def choose_devices(name: str) -> list[torch.device]:
    """Return the devices to spread work over: ``auto`` is every GPU, else the CPU.

    Raises
    ------
    ParamsError
        If a GPU is asked for that this machine does not have.
    """
    num_gpus = torch.cuda.device_count()
    if name == "auto":
        return [torch.device("cuda", number) for number in range(num_gpus)] or [torch.device("cpu")]
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        raise ParamsError(
            explain(
                f"device {name}",
                expected="a GPU of this machine",
                found=f"{num_gpus} GPUs",
                remedy="write auto or cpu",
            )
        )
    return [device]


def describe_device(device: torch.device) -> str:
    """Return a device's name for people, such as ``cuda:0 (NVIDIA H200)`` or ``cpu (2 threads)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
