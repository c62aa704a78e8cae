"""What becomes of the samples of a segment."""

import numpy as np
import pytest
import torch

from pipeline.features.contract import combine_samples
from pipeline.media.segments import NO_FRAME

OUTPUTS = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])


class TestMean:
    def test_is_over_the_samples_that_a_segment_has(self):
        rows = np.array([[0, 1, 2, 3], [2, 3, NO_FRAME, NO_FRAME], [NO_FRAME, 3, 3, 3]])
        expected = torch.tensor([[3.75, 37.5], [6.0, 60.0], [8.0, 80.0]])
        torch.testing.assert_close(combine_samples(OUTPUTS, rows, "mean"), expected)

    def test_weighs_a_frame_by_how_often_it_is_sampled(self):
        torch.testing.assert_close(
            combine_samples(OUTPUTS[:, 0], np.array([[0, 0, 0, 3]]), "mean"), torch.tensor([2.75])
        )

    def test_is_summed_in_float64(self):
        outputs = torch.tensor([2.0**25, 1.0, -(2.0**25), 1.0])
        assert combine_samples(outputs, np.array([[0, 1, 2, 3]]), "mean").item() == 0.5

    def test_of_one_sample_is_that_sample(self):
        assert torch.equal(combine_samples(OUTPUTS, np.array([[3], [0]]), "mean"), OUTPUTS[[3, 0]])

    def test_keeps_the_shape_of_a_map(self):
        maps = torch.randn(4, 7, 7, 5)
        combined = combine_samples(maps, np.array([[0, 1], [2, 3]]), "mean")
        torch.testing.assert_close(combined, torch.stack([maps[:2].mean(0), maps[2:].mean(0)]))


class TestStack:
    @pytest.mark.parametrize(
        ("row", "taken"),
        [
            ([0, 1, 2, 3], [0, 1, 2, 3]),
            ([NO_FRAME, NO_FRAME, 2, 3], [2, 2, 2, 3]),  # missing at the start: the nearest later one
            ([0, 1, NO_FRAME, NO_FRAME], [0, 1, 1, 1]),  # at the end: the nearest earlier one
            ([0, NO_FRAME, NO_FRAME, 3], [0, 0, 0, 3]),  # in the middle: the nearest earlier one
            ([NO_FRAME, 1, NO_FRAME, 3], [1, 1, 1, 3]),
            ([2, 2, 0, 0], [2, 2, 0, 0]),
        ],
    )
    def test_holds_every_sample_and_repeats_one_for_another_that_is_missing(self, row, taken):
        stacked = combine_samples(OUTPUTS, np.array([row]), "stack")
        assert stacked.shape == (1, 4, 2)
        assert torch.equal(stacked[0], OUTPUTS[taken])

    def test_has_the_samples_before_the_axes_of_a_feature(self):
        assert combine_samples(torch.zeros(6, 7, 7, 5), np.arange(6).reshape(3, 2), "stack").shape == (3, 2, 7, 7, 5)


@pytest.mark.parametrize("combine", ["mean", "stack"])
def test_a_segment_with_less_than_half_of_its_samples_is_zero(combine):
    rows = np.array([[0, NO_FRAME, NO_FRAME], [NO_FRAME] * 3, [1, NO_FRAME, 2]])
    combined = combine_samples(OUTPUTS, rows, combine)
    assert not combined[:2].any()
    assert combined[2].any()


@pytest.mark.parametrize("combine", ["mean", "stack"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_is_that_of_the_outputs(combine, dtype):
    assert combine_samples(OUTPUTS.to(dtype), np.array([[0, 1]]), combine).dtype == dtype
