"""The losses of segments' classes against their definitions, and the targets of PSP's first release."""

import math

import pytest
import torch

from models.localization.segment_losses import (
    accumulate_targets,
    class_share_loss,
    event_share_targets,
    segment_class_loss,
    segment_margin_loss,
)

CLASSES = torch.tensor([[0, 3, 3, 2], [3, 3, 3, 3]])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def log_sigmoid(value):
    return -math.log(1 + math.exp(-value))


def test_the_cross_entropy_counts_every_segment_background_too():
    logits = draw(2, 4, 4)
    terms = [
        -math.log(math.exp(row[label]) / sum(map(math.exp, row)))
        for row, label in zip(logits.flatten(0, 1).tolist(), CLASSES.flatten().tolist(), strict=True)
    ]
    loss = segment_class_loss(logits, CLASSES)
    assert loss.item() == pytest.approx(sum(terms) / 8)
    assert torch.autograd.gradcheck(lambda x: segment_class_loss(x, CLASSES), logits)


def test_the_margin_takes_probabilities_for_logits():
    probabilities = torch.softmax(draw(2, 4, 4), dim=-1).detach().requires_grad_()
    terms = [
        -log_sigmoid(p if label == k else -p)
        for row, label in zip(probabilities.flatten(0, 1).tolist(), CLASSES.flatten().tolist(), strict=True)
        for k, p in enumerate(row)
    ]
    loss = segment_margin_loss(probabilities, CLASSES)
    assert loss.item() == pytest.approx(sum(terms) / 32)
    assert torch.autograd.gradcheck(lambda x: segment_margin_loss(x, CLASSES), probabilities)


def test_the_share_loss_agrees_with_the_definition():
    probabilities = torch.softmax(draw(3, 4), dim=-1).detach().requires_grad_()
    shares = torch.softmax(draw(3, 4), dim=-1).detach()
    terms = [
        -(y * math.log(p) + (1 - y) * math.log(1 - p))
        for p, y in zip(probabilities.flatten().tolist(), shares.flatten().tolist(), strict=True)
    ]
    assert class_share_loss(probabilities, shares).item() == pytest.approx(sum(terms) / 12)
    assert torch.autograd.gradcheck(lambda x: class_share_loss(x, shares), probabilities)


def test_a_certain_mistake_costs_a_hundred_and_has_a_finite_gradient():
    probabilities = torch.tensor([[0.0, 1.0]], requires_grad=True)
    loss = class_share_loss(probabilities, torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(100)
    loss.backward()
    assert probabilities.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
def test_targets_share_out_the_event_or_else_the_background(dtype):
    mask = torch.tensor([[1, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0]], dtype=dtype)
    expected = torch.tensor([[0.5, 0, 0, 0.5], [0.25] * 4, [0.25] * 4, [0, 0, 1, 0]])
    targets = event_share_targets(mask)
    torch.testing.assert_close(targets, expected, rtol=0, atol=0)
    assert event_share_targets(mask, dtype=torch.float64).dtype == torch.float64


def test_a_smaller_batch_uses_the_first_rows_and_leaves_the_others():
    buffer = torch.zeros(3, 2)
    first = accumulate_targets(buffer, torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    kept = first.clone()
    second = accumulate_targets(buffer, torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(second, torch.tensor([[1.0, 1.0]]), rtol=0, atol=0)
    torch.testing.assert_close(first, kept, rtol=0, atol=0)
    torch.testing.assert_close(buffer, torch.tensor([[1.0, 1.0], [0.5, 0.5], [0.0, 1.0]]), rtol=0, atol=0)


def test_shapes_that_do_not_fit_are_refused():
    for loss in (segment_class_loss, segment_margin_loss):
        with pytest.raises(ValueError, match=r"classes: expected shape \(2, 4\), found \(4, 2\)"):
            loss(draw(2, 4, 4), CLASSES.T)
    with pytest.raises(ValueError, match="shares: expected shape"):
        class_share_loss(draw(2, 4), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="event_mask: expected shape"):
        event_share_targets(torch.zeros(4))
    with pytest.raises(ValueError, match=r"targets: expected shape \(2, 4\), found \(3, 4\); the buffer has a row"):
        accumulate_targets(torch.zeros(2, 4), torch.zeros(3, 4))
