import pytest
import torch

from models.shapes import require_shape


def test_letters_take_any_size_and_numbers_one():
    require_shape("audio", torch.zeros(2, 7, 128), ("B", "T", 128))


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 64), (2, 7, 128, 1)])
def test_other_shapes_are_refused_with_both_shapes_and_the_remedy(shape):
    with pytest.raises(ValueError, match=r"audio: expected shape \(B, T, 128\), found \(2, 7.*; use VGGish"):
        require_shape("audio", torch.zeros(shape), ("B", "T", 128), hint="use VGGish")
