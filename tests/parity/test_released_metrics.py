"""The scores of localization against the released ones."""

import numpy as np
import pytest

from pipeline.metrics.labels import predict_segments
from pipeline.metrics.segments import segment_accuracy


@pytest.fixture(scope="module")
def cases(golden):
    """Return the arrays of each case by the case's name, then by their own."""
    cases = {}
    for key, array in golden.arrays("metrics_avel").items():
        case, _, name = key.rpartition(".")
        cases.setdefault(case, {})[name] = array
    return cases


@pytest.fixture(scope="module")
def scored(cases):
    """Return the cases that have a score, at least one."""
    scored = {case: arrays for case, arrays in cases.items() if "predicted" in arrays}
    assert scored
    return scored


def test_predictions_are_the_released_ones(scored, subtests):
    for case, arrays in scored.items():
        with subtests.test(case):
            predicted = predict_segments(arrays["event_logits"], arrays["class_logits"])
            is_background = predicted == arrays["class_logits"].shape[1]
            np.testing.assert_array_equal(np.where(is_background, arrays["bg_flag"], predicted), arrays["predicted"])
            if "predicted_foreground" in arrays:
                np.testing.assert_array_equal(~is_background, arrays["predicted_foreground"])


def test_predictions_do_not_depend_on_the_other_clips(scored, subtests):
    for case, arrays in scored.items():
        with subtests.test(case):
            together = predict_segments(arrays["event_logits"], arrays["class_logits"])
            alone = [
                predict_segments(event[np.newaxis], category[np.newaxis])
                for event, category in zip(arrays["event_logits"], arrays["class_logits"], strict=True)
            ]
            np.testing.assert_array_equal(np.concatenate(alone), together)


def test_segment_accuracy_is_the_released_one_of_either_supervision(scored, subtests):
    for case, arrays in scored.items():
        with subtests.test(case):
            truth = arrays["labels"].argmax(axis=2)
            np.testing.assert_array_equal(truth, arrays["targets"])
            accuracy = segment_accuracy(arrays["predicted"], truth)
            assert accuracy == pytest.approx(float(arrays["accuracy_full"]), abs=1e-12)
            assert accuracy == pytest.approx(float(arrays["accuracy_weak"]), abs=1e-12)


def test_where_the_released_code_fails_on_a_squeezed_batch_ours_refuses_it(cases, subtests):
    failing = [case for case, arrays in cases.items() if "raises" in arrays]
    for case in failing:
        with subtests.test(case), pytest.raises(ValueError, match="with a row per clip"):
            predict_segments(np.zeros(10), np.zeros(3))
