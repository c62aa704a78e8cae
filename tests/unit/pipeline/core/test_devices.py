import pytest
import torch

from pipeline.core.devices import choose_device, choose_devices, describe_device
from pipeline.core.errors import ParamsError


@pytest.fixture
def num_gpus(monkeypatch):
    """Return a function that makes the machine have so many GPUs."""

    def pretend(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)

    return pretend


@pytest.mark.parametrize(("number", "expected"), [(0, "cpu"), (1, "cuda:0"), (8, "cuda:0")])
def test_auto_is_a_gpu_where_there_is_one(number, expected, num_gpus):
    num_gpus(number)
    assert choose_device("auto") == torch.device(expected)


def test_work_that_can_be_shared_is_shared_by_every_gpu(num_gpus):
    num_gpus(3)
    assert choose_devices("auto") == [torch.device("cuda", number) for number in range(3)]
    assert choose_devices("cuda:2") == [torch.device("cuda", 2)]
    num_gpus(0)
    assert choose_devices("auto") == [torch.device("cpu")]


def test_a_processor_is_named_with_its_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert describe_device(torch.device("cpu")) == "cpu (7 threads)"


def test_the_cpu_can_be_chosen_on_any_machine(num_gpus):
    for number in (0, 2):
        num_gpus(number)
        assert choose_device("cpu") == torch.device("cpu")


def test_a_gpu_can_be_chosen_by_number(num_gpus):
    num_gpus(2)
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(("number", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:7")])
def test_a_gpu_that_is_not_there_is_refused(number, name, num_gpus):
    num_gpus(number)
    with pytest.raises(
        ParamsError, match=f"^device {name}: expected a GPU of this machine, found {number} GPUs; write"
    ):
        choose_device(name)
