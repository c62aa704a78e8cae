"""What a network's answers mean: labels, relevance and the clip's category, by either rule."""

import numpy as np
import pytest
import torch

from models.localization.answers import GatedLocalization, Localization, SegmentLocalization
from pipeline.core.errors import TrainingError
from pipeline.training.localization.decisions import decide


def gated(event_logits: list[float], category_logits: list[float]) -> GatedLocalization:
    """Return the answer of a network about one clip."""
    return GatedLocalization(
        event_logits=torch.tensor([event_logits]),
        category_logits=torch.tensor([category_logits]),
        clip_probabilities=torch.softmax(torch.tensor([category_logits]), dim=1),
        fusion=torch.zeros(1, len(event_logits), 2),
        attention=torch.full((1, len(event_logits), 4), 0.25),
    )


def per_segment(probabilities: list[list[float]]) -> SegmentLocalization:
    """Return the answer of a network about one clip, from the probabilities of its classes."""
    logits = torch.tensor([probabilities], dtype=torch.float64).log() + 7.0
    return SegmentLocalization(
        segment_logits=logits,
        clip_probabilities=torch.softmax(logits.mean(dim=1), dim=1),
        fusion=torch.zeros(1, len(probabilities), 2),
        attention=torch.full((1, len(probabilities), 4), 0.25),
    )


def test_a_gated_answer_is_decided_by_relevance_and_category() -> None:
    decided = decide(gated([-1.0, 0.0, 2.0], [0.0, 3.0]), 2)
    np.testing.assert_array_equal(decided.labels, [[2, 2, 1]])
    np.testing.assert_allclose(decided.relevance, 1 / (1 + np.exp([[1.0, 0.0, -2.0]])))
    np.testing.assert_array_equal(decided.category_scores, [[0.0, 3.0]])
    assert decided.maps == {}


def test_a_clip_class_of_background_is_no_category_but_can_win() -> None:
    decided = decide(gated([2.0, -2.0], [0.0, 3.0, 5.0]), 2)
    np.testing.assert_array_equal(decided.labels, [[2, 2]])
    np.testing.assert_array_equal(decided.category_scores, [[0.0, 3.0]])
    np.testing.assert_array_equal(decide(gated([2.0, -2.0], [0.0, 6.0, 5.0]), 2).labels, [[1, 2]])


def test_an_answer_per_segment_is_decided_segment_by_segment() -> None:
    decided = decide(per_segment([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5], [0.1, 0.6, 0.3]]), 2)
    np.testing.assert_array_equal(decided.labels, [[0, 2, 1]])
    np.testing.assert_allclose(decided.relevance, [[0.9, 0.5, 0.7]])
    np.testing.assert_allclose(np.exp(decided.category_scores), [[1.0 / 3, 1.1 / 3]])


def test_a_category_that_no_segment_shows_still_has_a_score() -> None:
    answer = per_segment([[1.0, 1.0, 1.0]])
    answer.segment_logits[..., 1] = -5000.0
    decided = decide(answer, 2)
    assert np.isfinite(decided.category_scores).all()
    assert decided.relevance.max() <= 1


def test_maps_come_where_they_are_asked_for() -> None:
    decided = decide(gated([1.0], [0.0]), 1, with_maps=True)
    assert decided.maps.keys() == {"attention"}
    assert decided.maps["attention"].dtype == np.float16


@pytest.mark.parametrize("answer", [gated([np.nan], [0.0]), gated([0.0], [np.inf]), per_segment([[np.nan, 1.0]])])
def test_answers_that_are_not_finite_are_refused(answer: Localization) -> None:
    with pytest.raises(TrainingError, match="answers of the network: expected finite numbers"):
        decide(answer, 1)
