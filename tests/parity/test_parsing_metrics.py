"""What is heard and seen by the released gates, and the scores of parsing, against the released ones."""

import numpy as np
import pytest

from pipeline.metrics.parsing import LEVELS, clip_f_scores, clip_scores, count_matches, evaluate
from pipeline.metrics.parsing_decoding import decode, gate_of

CASES = {"han_global_gate": "global", "cpsp_own_gate": "own", "han_global_gate_fixed_csv": "global"}
"""The cases of the second set, and the gate of each."""
SUMMARY = [
    f"{level}_{score}" for level in LEVELS for score in ("audio", "visual", "audio_visual", "type_at_av", "event_at_av")
]
"""The ten scores in the order in which the second set has them."""


def both(audio, visual):
    """Return the sets' matrices (N, C, T), 0 or 1, as events (N, 2, C, T)."""
    return np.stack([audio, visual], axis=1).astype(bool)


@pytest.fixture(scope="module")
def made_up(golden):
    """Return the arrays of the first set: made-up clips, of which the last twelve are edge cases."""
    return golden.arrays("metrics_avvp")


@pytest.fixture(scope="module")
def decoded(golden_more):
    """Return the arrays of the second set: probabilities of clips of LLP, and what was made of them."""
    return golden_more.arrays("llp_decode")


def test_f_scores_of_clips_are_the_released_ones(made_up, subtests):
    predicted = both(made_up["pred_audio"], made_up["pred_visual"])
    truth = both(made_up["gt_audio"], made_up["gt_visual"])
    for level in LEVELS:
        with subtests.test(level):
            scores = clip_f_scores(count_matches(predicted, truth, level=level))
            np.testing.assert_allclose(scores, made_up[f"{level}_f1"], rtol=0, atol=1e-12)


def test_means_over_clips_are_the_released_ones(made_up, subtests):
    predicted = both(made_up["pred_audio"], made_up["pred_visual"])
    truth = both(made_up["gt_audio"], made_up["gt_visual"])
    scores = evaluate(predicted, truth)
    for level in LEVELS:
        with subtests.test(level):
            columns = [scores[f"{level}_{name}"] for name in ("audio", "visual", "event_at_av", "audio_visual")]
            expected = made_up[f"mean_{level}_audio_visual_event_av"]
            np.testing.assert_allclose(columns, expected, rtol=0, atol=1e-10)
            for name in ("type_at_av", "event_at_av"):
                expected = float(made_up[f"{level}_{name}g"])
                assert scores[f"{level}_{name}"] == pytest.approx(expected, rel=0, abs=1e-10)


def test_own_gates_open_where_the_released_ones_do(made_up):
    audio, visual = made_up["decode_a_prob"], made_up["decode_v_prob"]
    unused = np.zeros_like(audio)
    predicted = decode(made_up["decode_frame_prob"], gate_of("own", unused, audio, visual))
    np.testing.assert_array_equal(predicted, both(made_up["decode_audio"], made_up["decode_visual"]))


@pytest.mark.parametrize("case", CASES)
def test_what_is_heard_and_seen_is_what_the_release_says(decoded, case):
    gate = gate_of(CASES[case], decoded["global_prob"], decoded["a_prob"], decoded["v_prob"])
    expected = both(decoded[f"{case}.pred_audio"], decoded[f"{case}.pred_visual"])
    np.testing.assert_array_equal(decode(decoded["frame_prob"], gate), expected)


@pytest.mark.parametrize("case", CASES)
def test_clips_of_llp_score_as_released(decoded, case, subtests):
    predicted = both(decoded[f"{case}.pred_audio"], decoded[f"{case}.pred_visual"])
    truth = both(decoded[f"{case}.gt_audio"], decoded["gt_visual"])
    for level in LEVELS:
        with subtests.test(level):
            scores = clip_f_scores(count_matches(predicted, truth, level=level))
            np.testing.assert_allclose(scores, decoded[f"{case}.{level}_f1"], rtol=0, atol=1e-12)
    with subtests.test("summary"):
        scores = evaluate(predicted, truth)
        np.testing.assert_allclose([scores[name] for name in SUMMARY], decoded[f"{case}.summary"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_the_released_scores_are_means_of_those_of_clips(decoded, case):
    predicted = both(decoded[f"{case}.pred_audio"], decoded[f"{case}.pred_visual"])
    scores = clip_scores(predicted, both(decoded[f"{case}.gt_audio"], decoded["gt_visual"]))
    means = [100 * scores[name].mean() for name in SUMMARY]
    np.testing.assert_allclose(means, decoded[f"{case}.summary"], rtol=0, atol=1e-10)
