import numpy as np
import pytest

from pipeline.report.calibration import calibrate


def expected_error_step_by_step(probability, is_event, num_bins):
    """Restate the definition, segment by segment."""
    error = 0.0
    for number in range(num_bins):
        low, high = number / num_bins, (number + 1) / num_bins
        of_bin = [
            (said, found)
            for said, found in zip(probability, is_event, strict=True)
            if low <= said < high or (number == num_bins - 1 and said == 1)
        ]
        if of_bin:
            mean = sum(said for said, _ in of_bin) / len(of_bin)
            share = sum(found for _, found in of_bin) / len(of_bin)
            error += len(of_bin) / len(probability) * abs(mean - share)
    return error


def test_sorts_segments_into_bins_worked_out_by_hand():
    found = calibrate(np.array([0.1, 0.3, 0.6, 0.8, 1.0]), np.array([False, True, True, False, True]), num_bins=2)
    assert found.counts.tolist() == [2, 3]
    assert found.mean_probability == pytest.approx([0.2, 0.8])
    assert found.event_share == pytest.approx([1 / 2, 2 / 3])
    assert found.expected_error == pytest.approx((2 * 0.3 + 3 * (0.8 - 2 / 3)) / 5)


@pytest.mark.parametrize("num_bins", [1, 3, 10, 15])
def test_error_is_that_of_the_definition(num_bins):
    generator = np.random.default_rng(5)
    probability = np.concatenate([generator.random(200), np.arange(num_bins + 1) / num_bins])
    is_event = generator.random(len(probability)) < probability**2
    found = calibrate(probability, is_event, num_bins=num_bins)
    assert found.expected_error == pytest.approx(expected_error_step_by_step(probability, is_event, num_bins))
    assert found.counts.sum() == len(probability)


def test_an_edge_belongs_to_the_bin_above_it_and_one_to_the_last():
    edges = np.array([0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 1.0])
    assert calibrate(edges, np.ones(7, bool)).counts.tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 0, 1]


def test_certain_and_right_is_without_error_and_certain_and_wrong_is_all_error():
    truth = np.array([True, False, True])
    assert calibrate(truth.astype(float), truth).expected_error == 0
    assert calibrate(1 - truth.astype(float), truth).expected_error == 1


def test_empty_bins_have_no_value_and_nothing_at_all_has_no_error():
    found = calibrate(np.array([0.95]), np.array([True]))
    assert np.isnan(found.event_share[:9]).all()
    assert found.event_share[9] == 1
    assert calibrate(np.zeros(0), np.zeros(0, bool)).expected_error is None


@pytest.mark.parametrize(
    ("probability", "is_event", "options", "message"),
    [
        (
            np.array([0.5]),
            np.array([True, False]),
            {},
            r"is_event: expected .* shape \(1,\), found bool of shape \(2,\)",
        ),
        (np.array([[0.5]]), np.array([[True]]), {}, "is_event: expected"),
        (np.array([0.5]), np.array([1]), {}, "found int64"),
        (np.array([1.5]), np.array([True]), {}, "probability: expected values from 0 to 1"),
        (np.array([np.nan]), np.array([True]), {}, "probability: expected values from 0 to 1"),
        (np.array([0.5]), np.array([True]), {"num_bins": 0}, "num_bins: expected 1 or more, found 0"),
    ],
)
def test_refuses_what_it_cannot_compare(probability, is_event, options, message):
    with pytest.raises(ValueError, match=message):
        calibrate(probability, is_event, **options)
