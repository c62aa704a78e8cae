import numpy as np
import pytest

from pipeline.metrics.parsing_decoding import decode, gate_of

CLIPS, SEGMENTS, CATEGORIES = 6, 5, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def probabilities(rng):
    return rng.random((CLIPS, SEGMENTS, 2, CATEGORIES))


@pytest.fixture
def of_clips(rng):
    """Return global, audio and visual probabilities."""
    return rng.random((3, CLIPS, CATEGORIES))


class TestGateOf:
    def test_the_global_gate_is_one_for_both_modalities(self, of_clips):
        gate = gate_of("global", *of_clips)
        np.testing.assert_array_equal(gate[:, 0], of_clips[0])
        np.testing.assert_array_equal(gate[:, 1], of_clips[0])

    def test_own_gates_are_audio_then_visual(self, of_clips):
        gate = gate_of("own", *of_clips)
        np.testing.assert_array_equal(gate[:, 0], of_clips[1])
        np.testing.assert_array_equal(gate[:, 1], of_clips[2])

    @pytest.mark.parametrize(("index", "name"), [(0, "global"), (1, "audio"), (2, "visual")])
    def test_what_is_no_probability_of_clips_is_refused_by_its_name(self, of_clips, index, name):
        def with_faulty(array):
            return [array if number == index else each for number, each in enumerate(of_clips)]

        with pytest.raises(ValueError, match=rf"^{name}_probabilities: expected shape \(N, C\), all positive, found"):
            gate_of("own", *with_faulty(np.zeros(CLIPS)))
        with pytest.raises(ValueError, match=f"^{name}_probabilities: expected floating-point numbers, found int64"):
            gate_of("own", *with_faulty(np.zeros((CLIPS, CATEGORIES), int)))
        with pytest.raises(ValueError, match=f"^{name}_probabilities: expected probabilities, found 0.0 to 3.0"):
            gate_of("global", *with_faulty(np.linspace(0, 3, CLIPS * CATEGORIES).reshape(CLIPS, CATEGORIES)))
        with pytest.raises(
            ValueError, match=f"^{name}_probabilities: expected numbers, found {CLIPS * CATEGORIES} NaN"
        ):
            gate_of("global", *with_faulty(np.full((CLIPS, CATEGORIES), np.nan)))

    @pytest.mark.parametrize("index", [1, 2])
    def test_answers_about_other_clips_are_refused(self, of_clips, index):
        arrays = list(of_clips)
        arrays[index] = arrays[index][1:]
        with pytest.raises(ValueError, match=r"expected shape \(6, 4\), as the other answers have, found \(5, 4\)"):
            gate_of("own", *arrays)


class TestDecode:
    def test_equals_a_slow_restatement(self, probabilities, of_clips, rng):
        gate = gate_of("own", *of_clips)
        valid = rng.random((CLIPS, 2, SEGMENTS)) < 0.8
        positive = decode(probabilities, gate, valid=valid)
        assert positive.shape == (CLIPS, 2, CATEGORIES, SEGMENTS)
        for clip, modality, category, segment in np.ndindex(positive.shape):
            both = min(probabilities[clip, segment, modality, category], gate[clip, modality, category])
            assert positive[clip, modality, category, segment] == (both >= 0.5 and valid[clip, modality, segment])
        assert 0.1 < positive.mean() < 0.3

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_half_is_positive_and_the_next_smaller_number_is_not(self, dtype):
        half = np.full((1, 1, 2, 1), 0.5, dtype)
        less = np.nextafter(half, dtype(0))
        assert decode(half, half[0]).all()
        assert not decode(less, half[0]).any()
        assert not decode(half, less[0]).any()

    def test_a_segment_without_media_of_a_modality_holds_nothing_of_it_alone(self):
        everything = np.ones((1, 3, 2, 2))
        valid = np.array([[[True, False, True], [True, True, False]]])
        positive = decode(everything, np.ones((1, 2, 2)), valid=valid)
        np.testing.assert_array_equal(positive[0, :, 0], valid[0])
        np.testing.assert_array_equal(positive[0, :, 1], valid[0])

    def test_means_of_sigmoids_may_leave_their_range_by_rounding(self):
        assert decode(np.full((1, 1, 2, 1), np.float32(1.0000001)), np.full((1, 2, 1), np.float32(1.004))).all()

    def test_what_is_no_probability_of_segments_is_refused(self):
        gate = np.ones((1, 2, 3))
        with pytest.raises(ValueError, match=r"segment_probabilities: expected shape \(N, T, 2, C\), all positive"):
            decode(np.ones((1, 2, 3)), gate)
        with pytest.raises(ValueError, match=r"segment_probabilities: expected .* audio, then visual, found .*5, 3\)"):
            decode(np.ones((1, 2, 5, 3)), gate)
        with pytest.raises(ValueError, match=r"segment_probabilities: expected probabilities, found -4\.0 to 1\.0"):
            decode(np.linspace(-4, 1, 12).reshape(1, 2, 2, 3), gate)

    @pytest.mark.parametrize("shape", [(2, 2, 3), (1, 1, 3), (1, 2, 4)])
    def test_a_gate_of_another_shape_is_refused(self, shape):
        with pytest.raises(ValueError, match=r"gate: expected shape \(1, 2, 3\), as the other answers have, found"):
            decode(np.ones((1, 5, 2, 3)), np.ones(shape))

    @pytest.mark.parametrize("valid", [np.ones((1, 5, 2), bool), np.ones((1, 2, 5), int), np.ones((1, 5), bool)])
    def test_a_mask_of_another_shape_or_type_is_refused(self, valid):
        with pytest.raises(ValueError, match=r"valid: expected booleans of shape \(1, 2, 5\)"):
            decode(np.ones((1, 5, 2, 3)), np.ones((1, 2, 3)), valid=valid)
