import numpy as np
import pytest

from avel_testing.labels import BACKGROUND, labels
from pipeline.metrics.labels import mask_labels, predict_classes, predict_segments, validate, validate_logits


class TestPredictClasses:
    def test_each_segment_takes_its_own_largest_class(self):
        logits = np.array([[[0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.5], [3.0, 0.0, 2.9, 0.0]]])
        np.testing.assert_array_equal(predict_classes(logits), labels("1.0"))

    def test_of_equal_classes_the_first_counts(self):
        assert predict_classes(np.array([[[0.0, 2.0, 2.0, 2.0]]]))[0, 0] == 1

    def test_segments_without_media_are_background(self):
        logits = np.array([[[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]])
        np.testing.assert_array_equal(predict_classes(logits, valid=np.array([[True, False]])), labels("0."))

    def test_what_is_no_class_per_segment_is_refused(self):
        with pytest.raises(ValueError, match=r"segment_logits: expected shape \(N, T, C \+ 1\), all positive, found"):
            predict_classes(np.zeros((2, 3)))
        with pytest.raises(ValueError, match="segment_logits: expected numbers, found 1 NaN"):
            predict_classes(np.array([[[0.0, np.nan]]]))


class TestMaskLabels:
    def test_only_segments_without_media_change(self):
        masked = mask_labels(labels("01."), np.array([[True, False, True]]), num_categories=BACKGROUND)
        np.testing.assert_array_equal(masked, labels("0.."))

    def test_a_mask_of_other_segments_is_refused(self):
        with pytest.raises(ValueError, match="valid: expected booleans of shape"):
            mask_labels(labels("01."), np.array([[True, False]]), num_categories=BACKGROUND)


class TestPredictSegments:
    def test_a_clip_whose_class_is_background_has_no_event(self):
        category_logits = np.array([[0.0, 2.0, 1.0, 3.0], [0.0, 4.0, 1.0, 3.0]])
        predicted = predict_segments(np.array([[1.0, -1.0], [1.0, -1.0]]), category_logits, num_categories=3)
        np.testing.assert_array_equal(predicted, labels("..", "1."))

    def test_event_segments_take_the_clips_category(self):
        event_logits = np.array([[1.0, -1.0, 5.0], [-1.0, -1.0, 0.5]])
        category_logits = np.array([[0.0, 2.0, 1.0], [-3.0, -2.0, -9.0]])
        np.testing.assert_array_equal(predict_segments(event_logits, category_logits), labels("1.1", "..1"))

    @pytest.mark.parametrize(
        ("logit", "is_event"),
        [(0.0, False), (-0.0, False), (1e-17, False), (-1e-17, False), (1e-15, True), (-1e-15, False)],
    )
    def test_a_probability_of_exactly_half_is_background(self, logit, is_event):
        predicted = predict_segments(np.array([[logit]]), np.array([[1.0, 0.0, 0.0]]))
        assert predicted[0, 0] == (0 if is_event else BACKGROUND)

    def test_single_precision_logits_are_judged_in_double(self):
        predicted = predict_segments(np.array([[1e-10]], dtype=np.float32), np.zeros((1, 3), dtype=np.float32))
        assert predicted[0, 0] == 0

    def test_of_equal_category_logits_the_first_counts(self):
        assert predict_segments(np.array([[1.0]]), np.array([[0.0, 2.0, 2.0]]))[0, 0] == 1

    def test_infinite_logits_are_decided_without_a_warning(self):
        predicted = predict_segments(np.array([[np.inf, -np.inf, 1e5, -1e5]]), np.array([[-np.inf, 0.0, np.inf]]))
        np.testing.assert_array_equal(predicted, labels("2.2."))

    def test_masked_segments_are_background(self):
        valid = np.array([[True, False, True]])
        predicted = predict_segments(np.ones((1, 3)), np.array([[1.0, 0.0, 0.0]]), valid=valid)
        np.testing.assert_array_equal(predicted, labels("0.0"))

    @pytest.mark.parametrize("valid", [np.ones((1, 2), bool), np.ones((1, 3))])
    def test_a_mask_of_another_shape_or_type_is_refused(self, valid):
        with pytest.raises(ValueError, match=r"valid: expected booleans of shape \(1, 3\)"):
            predict_segments(np.ones((1, 3)), np.ones((1, 3)), valid=valid)

    def test_a_squeezed_batch_of_one_is_refused(self):
        with pytest.raises(ValueError, match=r"event_logits: expected shape \(N, T\)"):
            predict_segments(np.ones(10), np.ones((1, 3)))
        with pytest.raises(ValueError, match=r"category_logits: expected shape \(N, K\)"):
            predict_segments(np.ones((1, 10)), np.ones(3))


class TestValidate:
    @pytest.mark.parametrize("shape", [(4,), (0, 10), (10, 0), (1, 2, 3)])
    def test_another_shape_is_refused(self, shape):
        array = np.zeros(shape, int)
        with pytest.raises(ValueError, match=r"predicted: expected shape \(N, T\), N and T positive"):
            validate(array, array)

    def test_shapes_that_differ_are_refused(self):
        with pytest.raises(ValueError, match=r"the shape of truth, \(2, 2\), found \(1, 2\)"):
            validate(labels(".."), labels("..", ".."))

    @pytest.mark.parametrize("dtype", [float, bool])
    def test_labels_that_are_not_integers_are_refused(self, dtype):
        with pytest.raises(ValueError, match="truth: expected integer labels"):
            validate(labels("0"), labels("0").astype(dtype))

    @pytest.mark.parametrize("label", [-1, 4])
    def test_labels_out_of_range_are_refused(self, label):
        with pytest.raises(ValueError, match=rf"truth: expected labels from 0 to 3, found {label}"):
            validate(labels("0"), np.array([[label]]), num_categories=3)


class TestValidateLogits:
    def test_nan_is_refused(self):
        with pytest.raises(ValueError, match="event_logits: expected numbers, found 1 NaN"):
            validate_logits(np.array([[0.0, np.nan]]), np.zeros((1, 3)))

    def test_integers_are_refused(self):
        with pytest.raises(ValueError, match="category_logits: expected floating-point numbers, found int64"):
            validate_logits(np.zeros((1, 2)), np.zeros((1, 3), dtype=np.int64))

    def test_other_numbers_of_clips_are_refused(self):
        with pytest.raises(ValueError, match="category_logits: expected 2 clips, as event_logits has, found 1"):
            validate_logits(np.zeros((2, 2)), np.zeros((1, 3)))
