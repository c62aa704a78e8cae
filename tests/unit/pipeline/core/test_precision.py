from collections.abc import Iterator

import pytest
import torch

from pipeline.core.precision import exact_float32

CONVOLUTIONS, PRODUCTS = torch.backends.cudnn.conv, torch.backends.cuda.matmul


@pytest.fixture(autouse=True)
def _tf32_allowed() -> Iterator[None]:
    before = CONVOLUTIONS.fp32_precision, PRODUCTS.fp32_precision
    CONVOLUTIONS.fp32_precision = PRODUCTS.fp32_precision = "tf32"
    yield
    CONVOLUTIONS.fp32_precision, PRODUCTS.fp32_precision = before


def switches() -> list[str]:
    return [CONVOLUTIONS.fp32_precision, PRODUCTS.fp32_precision]


def test_tf32_is_off_inside_and_as_before_afterwards():
    with exact_float32():
        assert switches() == ["ieee", "ieee"]
    assert switches() == ["tf32", "tf32"]


def test_tf32_is_as_before_after_an_error():
    with pytest.raises(KeyError), exact_float32():
        raise KeyError
    assert switches() == ["tf32", "tf32"]


@pytest.mark.gpu
def test_a_convolution_on_a_gpu_is_as_exact_as_float32():
    generator = torch.Generator().manual_seed(0)
    maps, kernel = torch.randn(4, 256, 28, 28, generator=generator), torch.randn(256, 256, 3, 3, generator=generator)
    expected = torch.nn.functional.conv2d(maps.double(), kernel.double())
    with exact_float32():
        exact = torch.nn.functional.conv2d(maps.cuda(), kernel.cuda()).cpu()
    assert (exact - expected).abs().max() < 1e-5 * expected.abs().max()
