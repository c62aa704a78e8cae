import math

import pytest
import torch

from models.localization.heads import LocalizationHeads, gated_clip_probabilities, weak_clip_probabilities


def test_weak_prediction_worked_by_hand():
    # Relevances 0.5 and 0.75; the positive logit takes the larger, the negative one the smaller in size.
    event_logits = torch.tensor([[0.0, math.log(3)]])
    category_logits = torch.tensor([[2.0, -2.0]])
    expected = torch.softmax(torch.tensor([[0.75 * 2, 0.5 * -2]]), dim=-1)
    torch.testing.assert_close(weak_clip_probabilities(event_logits, category_logits), expected)


def test_a_relevance_of_0_to_1_is_taken_as_it_is():
    probabilities = gated_clip_probabilities(torch.tensor([[0.5, 0.75]]), torch.tensor([[2.0, -2.0]]))
    torch.testing.assert_close(probabilities, torch.softmax(torch.tensor([[0.75 * 2, 0.5 * -2]]), dim=-1))


def test_weak_prediction_agrees_with_the_definition_and_has_the_category_logits_arg_max():
    torch.manual_seed(0)
    event_logits, category_logits = torch.randn(20, 5), torch.randn(20, 4)
    probabilities = weak_clip_probabilities(event_logits, category_logits)
    for clip in range(20):
        best = [
            max(1 / (1 + math.exp(-relevance)) * logit for relevance in event_logits[clip].tolist())
            for logit in category_logits[clip].tolist()
        ]
        expected = [math.exp(value) / sum(map(math.exp, best)) for value in best]
        torch.testing.assert_close(probabilities[clip], torch.tensor(expected))
    assert torch.equal(probabilities.argmax(dim=1), category_logits.argmax(dim=1))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_category_is_judged_from_the_pooled_segments(pooling):
    heads = LocalizationHeads(num_features=3, num_categories=2, pooling=pooling)
    fusion = torch.randn(4, 5, 3)
    event_logits, category_logits = heads(fusion)
    rows = [[[clip[t][d].item() for t in range(5)] for d in range(3)] for clip in fusion]
    pooled = torch.tensor([[sum(row) / 5 if pooling == "mean" else max(row) for row in clip] for clip in rows])
    torch.testing.assert_close(category_logits, pooled @ heads.category.weight.T + heads.category.bias)
    assert event_logits.shape == (4, 5)
    torch.testing.assert_close(event_logits[2, 3], heads.relevance(fusion[2, 3])[0])


def test_a_single_clip_with_a_single_segment_keeps_its_axes():
    event_logits, category_logits = LocalizationHeads(num_features=3, num_categories=1)(torch.randn(1, 1, 3))
    assert event_logits.shape == (1, 1)
    assert weak_clip_probabilities(event_logits, category_logits).shape == (1, 1)


def test_unknown_pooling_and_no_category_are_refused():
    with pytest.raises(ValueError, match="pooling: expected 'mean' or 'max', found 'sum'"):
        LocalizationHeads(num_features=3, num_categories=2, pooling="sum")
    with pytest.raises(ValueError, match="num_categories: expected at least 1"):
        LocalizationHeads(num_features=3, num_categories=0)


def test_answers_keep_their_digits_where_autocast_rounds_the_rest():
    heads, fusion = LocalizationHeads(num_features=3, num_categories=2, pooling="max"), torch.randn(4, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = heads(fusion)
    for found, expected in zip(rounded, heads(fusion), strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
