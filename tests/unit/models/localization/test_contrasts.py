import math

import pytest
import torch
from torch.nn import functional

from models.localization.contrasts import foreground_contrast, row_contrasts


def draw(num_clips=2, num_segments=3, dtype=torch.float64):
    torch.manual_seed(0)
    query, key = functional.normalize(torch.randn(2, num_clips, num_segments, 4, dtype=dtype), dim=-1)
    return query.requires_grad_(), key.requires_grad_()


def test_agrees_with_the_definition_row_by_row():
    query, key = draw()
    mask = torch.tensor([[1, 0, 1], [0, 0, 1]])
    found = row_contrasts(query, key, mask, temperature=0.5)
    for clip in range(2):
        rows = [*query[clip].tolist(), *key[clip].tolist()]
        events = mask[clip].tolist() * 2
        for i, row in enumerate(rows):
            similar = [math.exp(sum(a * b for a, b in zip(row, other, strict=True)) / 0.5) for other in rows]
            others = [j for j in range(6) if j != i]
            positives = [j for j in others if (events[i] and events[j]) or j % 3 == i % 3]
            attracted = sum(similar[j] for j in positives)
            expected = -math.log(attracted / sum(similar[j] for j in others) / len(positives))
            assert found[clip, i].item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(foreground_contrast(query, key, mask, temperature=0.5), found.mean())


def test_a_clip_of_one_segment_has_nothing_to_contrast():
    query, key = draw(num_segments=1)
    for event in (0, 1):
        loss = foreground_contrast(query, key, torch.full((2, 1), event))
        assert loss.item() == 0
        assert not any(gradient.any() for gradient in torch.autograd.grad(loss, (query, key)))


@pytest.mark.parametrize("event", [0, 1])
def test_clips_of_one_kind_of_segment_are_finite(event):
    query, key = draw()
    loss = foreground_contrast(query, key, torch.full((2, 3), event))
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (query, key)))


def test_single_precision_is_finite_where_exponentials_overflow():
    same = functional.normalize(torch.ones(1, 4, 8), dim=-1).requires_grad_()
    mask = torch.tensor([[True, True, False, False]])
    assert torch.exp(same @ same.mT / 0.01).isinf().all()
    loss = foreground_contrast(same, same, mask)
    # All similarities are equal: a row costs log 7 whatever its positives.
    assert loss.item() == pytest.approx(math.log(7), rel=1e-6)
    loss.backward()
    assert same.grad.isfinite().all()


def test_shapes_that_do_not_fit_are_refused():
    query, key = draw()
    with pytest.raises(ValueError, match=r"query: expected shape \(B, T, D\)"):
        foreground_contrast(query[0], key[0], torch.zeros(3))
    with pytest.raises(ValueError, match="key: expected shape"):
        foreground_contrast(query, key[:1], torch.zeros(2, 3))
    with pytest.raises(ValueError, match="event_mask: expected shape"):
        foreground_contrast(query, key, torch.zeros(2, 4))
