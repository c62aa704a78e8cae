"""Each loss against a slow restatement of its definition, in cases worked by hand, and on degenerate batches."""

import math

import pytest
import torch

from models.localization.losses import (
    IGNORED,
    avpsp_loss,
    category_loss,
    gate_loss,
    label_free_nce,
    relevance_loss,
    segment_contrast,
    spsa_loss,
    vpsa_loss,
    weak_category_loss,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def unit(vector):
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector]


def inner(first, second):
    return sum(a * b for a, b in zip(first, second, strict=True))


def assert_nothing_to_learn(loss, *inputs):
    assert loss.item() == 0
    loss.backward()
    for tensor in inputs:
        assert tensor.grad.isfinite().all()
        assert not tensor.grad.any()


MASK = torch.tensor([[1, 1, 0, 1], [0, 0, 1, 0], [1, 0, 1, 0]])
CATEGORIES = torch.tensor([0, 1, 0, 2, 1, 2, 0])


class TestRelevance:
    def test_agrees_with_the_definition(self):
        logits = draw(3, 4)
        terms = [
            -math.log(sigmoid(logit) if event else 1 - sigmoid(logit))
            for logit, event in zip(logits.flatten().tolist(), MASK.flatten().tolist(), strict=True)
        ]
        assert relevance_loss(logits, MASK).item() == pytest.approx(sum(terms) / 12)

    @pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
    def test_masks_of_any_dtype_will_do(self, dtype):
        logits = draw(3, 4)
        torch.testing.assert_close(relevance_loss(logits, MASK.to(dtype)), relevance_loss(logits, MASK))

    def test_a_mask_of_another_shape_is_refused(self):
        with pytest.raises(ValueError, match="event_mask: expected shape"):
            relevance_loss(draw(3, 4), MASK[:1])


class TestGate:
    def test_the_intended_form_takes_it_as_a_probability(self):
        gate = torch.tensor([[0.25, 0.5], [0.9, 1.0]], dtype=torch.float64)
        mask = torch.tensor([[1, 0], [0, 1]])
        expected = -(math.log(0.25) + math.log(0.5) + math.log(0.1) + 0) / 4
        assert gate_loss(gate, mask, form="intended").item() == pytest.approx(expected)

    def test_the_released_form_takes_it_as_a_logit(self):
        gate, mask = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[1, 0]])
        expected = -(math.log(sigmoid(1)) + math.log(0.5)) / 2
        assert gate_loss(gate, mask, form="released").item() == pytest.approx(expected)

    def test_certain_gates_have_bounded_costs_and_gradients(self):
        gate = torch.tensor([[0.0, 1.0]], requires_grad=True)
        loss = gate_loss(gate, torch.tensor([[1, 0]]), form="intended")
        loss.backward()
        assert loss.item() == pytest.approx(100)
        assert gate.grad.isfinite().all()

    @pytest.mark.parametrize("form", ["released", "intended"])
    def test_a_mask_of_another_shape_is_refused(self, form):
        with pytest.raises(ValueError, match="event_mask: expected shape"):
            gate_loss(torch.rand(3, 4), MASK[:1], form=form)

    def test_an_unknown_form_is_refused(self):
        with pytest.raises(ValueError, match="form: expected 'released' or 'intended', found 'paper'"):
            gate_loss(torch.rand(3, 4), MASK, form="paper")


class TestCategory:
    def test_agrees_with_the_definition_over_the_clips_that_have_a_category(self):
        logits, categories = draw(4, 3), torch.tensor([2, IGNORED, 0, 1])
        rows = [row for row, category in zip(logits.tolist(), categories, strict=True) if category != IGNORED]
        terms = [
            -math.log(math.exp(row[category]) / sum(map(math.exp, row)))
            for row, category in zip(rows, [2, 0, 1], strict=True)
        ]
        assert category_loss(logits, categories).item() == pytest.approx(sum(terms) / 3)

    def test_a_batch_of_background_clips_teaches_nothing(self):
        logits = draw(2, 3)
        assert_nothing_to_learn(category_loss(logits, torch.full((2,), IGNORED)), logits)

    def test_labels_of_another_shape_are_refused(self):
        with pytest.raises(ValueError, match=r"categories: expected shape \(4\), found \(1, 4\)"):
            category_loss(draw(4, 3), torch.zeros(1, 4, dtype=torch.int64))


class TestWeakCategory:
    def test_agrees_with_the_definition_over_the_clips_that_have_a_category(self):
        probabilities = torch.softmax(draw(3, 4), dim=1)
        categories = [3, IGNORED, 0]
        terms = []
        for row, category in zip(probabilities.tolist(), categories, strict=True):
            if category != IGNORED:
                terms += [-math.log(sigmoid(p if c == category else -p)) for c, p in enumerate(row)]
        loss = weak_category_loss(probabilities, torch.tensor(categories))
        assert loss.item() == pytest.approx(sum(terms) / len(terms))

    def test_a_batch_of_background_clips_teaches_nothing(self):
        probabilities = draw(2, 3)
        assert_nothing_to_learn(weak_category_loss(probabilities, torch.full((2,), IGNORED)), probabilities)

    def test_labels_of_another_shape_are_refused(self):
        with pytest.raises(ValueError, match="categories: expected shape"):
            weak_category_loss(draw(4, 3), torch.zeros(1, 3, dtype=torch.int64))


class TestAvpsp:
    def test_worked_by_hand(self):
        # Shares 1/4, 3/4, 0 against targets 1/2, 1/2, 0.
        similarity = torch.tensor([[0.2, 0.6, -0.9]], dtype=torch.float64)
        loss = avpsp_loss(similarity, torch.tensor([[1, 1, 0]]))
        assert loss.item() == pytest.approx((0.25**2 + 0.25**2) / 3, abs=1e-6)

    def test_agrees_with_the_definition(self):
        similarity = draw(3, 4)
        terms = []
        for row, events in zip(similarity.tolist(), MASK.tolist(), strict=True):
            positive = [max(0.0, value) for value in row]
            for value, event in zip(positive, events, strict=True):
                terms.append((value / (sum(positive) + 1e-8) - event / (sum(events) + 1e-6)) ** 2)
        assert avpsp_loss(similarity, MASK).item() == pytest.approx(sum(terms) / 12)

    def test_a_clip_without_similarity_costs_its_target_and_has_no_gradient(self):
        similarity = torch.full((1, 4), -0.5, dtype=torch.float64, requires_grad=True)
        loss = avpsp_loss(similarity, torch.tensor([[1, 1, 0, 0]]))
        assert loss.item() == pytest.approx(0.5**2 * 2 / 4, abs=1e-6)
        loss.backward()
        assert not similarity.grad.any()

    def test_a_background_clip_without_similarity_costs_nothing(self):
        similarity = torch.full((1, 4), -0.5, dtype=torch.float64, requires_grad=True)
        assert_nothing_to_learn(avpsp_loss(similarity, torch.zeros(1, 4)), similarity)

    def test_a_mask_of_another_shape_is_refused(self):
        with pytest.raises(ValueError, match="expected shape"):
            avpsp_loss(draw(3, 4), MASK[:, :3])


def restate_paper_spsa(fusion, mask, temperature):
    """Return the paper's L_spsa, anchor by anchor; None if no clip holds an event."""
    per_clip = []
    for segments, events in zip(fusion.tolist(), mask.tolist(), strict=True):
        directions = [unit(segment) for segment in segments]
        anchors = [i for i, event in enumerate(events) if event]
        background = [j for j, event in enumerate(events) if not event]
        terms = []
        for i in anchors:
            affinity = [math.exp(inner(directions[i], direction) / temperature) for direction in directions]
            attracted = sum(affinity[j] for j in anchors)
            repelled = sum(affinity[j] for j in background) / len(background) if background else 0.0
            terms.append(-math.log(attracted / (attracted + repelled)))
        if terms:
            per_clip.append(sum(terms) / len(terms))
    return sum(per_clip) / len(per_clip) if per_clip else None


class TestSpsa:
    @pytest.mark.parametrize("temperature", [0.1, 0.6])
    def test_the_paper_form_agrees_with_the_definition(self, temperature):
        fusion, mask = draw(4, 4, 5), torch.cat([MASK, torch.zeros(1, 4, dtype=torch.int64)])
        loss = spsa_loss(fusion, mask, temperature=temperature)
        assert loss.item() == pytest.approx(restate_paper_spsa(fusion, mask, temperature))

    def test_the_paper_form_worked_by_hand(self):
        # One event segment opposite to one background segment: −log(e / (e + 1/e)) at temperature 1.
        fusion = torch.tensor([[[2.0, 0.0], [-3.0, 0.0]]], dtype=torch.float64)
        loss = spsa_loss(fusion, torch.tensor([[1, 0]]), temperature=1.0)
        assert loss.item() == pytest.approx(-math.log(math.e / (math.e + 1 / math.e)))

    def test_descending_the_paper_form_parts_events_from_background(self):
        fusion, mask = draw(1, 4, 5), MASK[:1]
        optimiser = torch.optim.SGD([fusion], lr=1.0)
        for _ in range(200):
            optimiser.zero_grad()
            spsa_loss(fusion, mask, temperature=0.6).backward()
            optimiser.step()
        directions = torch.nn.functional.normalize(fusion[0].detach(), dim=-1)
        cosines = directions @ directions.T
        events, background = [0, 1, 3], 2
        assert cosines[events][:, events].min() > 0.8
        assert cosines[events, background].max() < -0.8

    def test_the_released_form_is_a_constant_of_the_number_of_events(self):
        fusion = draw(3, 4, 5)
        loss = spsa_loss(fusion, MASK, temperature=0.6, form="released")
        expected = sum((4 - n) * -math.log(1e-12) / n for n in (3, 1, 2)) / 3
        assert loss.item() == pytest.approx(expected)
        loss.backward()
        assert fusion.grad.abs().max() < 1e-12

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("form", ["paper", "released"])
    def test_a_batch_of_background_teaches_nothing(self, form, dtype):
        fusion = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
        assert_nothing_to_learn(spsa_loss(fusion, torch.zeros(2, 4), temperature=0.6, form=form), fusion)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("mask", [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
    @pytest.mark.parametrize("form", ["paper", "released"])
    def test_a_single_clip_gives_finite_values_and_gradients(self, form, mask, dtype):
        fusion = torch.randn(1, 4, 5, dtype=dtype, requires_grad=True)
        loss = spsa_loss(fusion, torch.tensor([mask]), temperature=0.1, form=form)
        loss.backward()
        assert loss.isfinite()
        assert fusion.grad.isfinite().all()

    def test_clips_of_events_alone_cost_nothing(self):
        loss = spsa_loss(draw(2, 4, 5), torch.ones(2, 4), temperature=0.6)
        assert loss.item() == pytest.approx(0, abs=1e-9)

    def test_background_clips_do_not_dilute_the_others(self):
        fusion = draw(2, 4, 5)
        with_background = spsa_loss(fusion, torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0]]), temperature=0.6)
        alone = spsa_loss(fusion[:1], torch.tensor([[1, 0, 0, 1]]), temperature=0.6)
        torch.testing.assert_close(with_background, alone)

    def test_inputs_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="fusion: expected shape"):
            spsa_loss(draw(3, 4), MASK, temperature=0.6)
        with pytest.raises(ValueError, match="event_mask: expected shape"):
            spsa_loss(draw(3, 4, 5), MASK[:1], temperature=0.6)
        with pytest.raises(ValueError, match="form: expected 'paper' or 'released', found 'other'"):
            spsa_loss(draw(3, 4, 5), MASK, temperature=0.6, form="other")

    @pytest.mark.parametrize("sum_axis", [1, 2])
    def test_the_contrast_of_free_pairs_agrees_with_the_definition(self, sum_axis):
        fusion = draw(2, 4, 5)
        events = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0]]).double()
        positives, negatives = torch.randint(0, 2, (2, 2, 4, 4)).double()
        anchors = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 1]]).double()
        loss = segment_contrast(
            fusion,
            events,
            positives=positives,
            negatives=negatives,
            temperature=0.6,
            sum_axis=sum_axis,
            anchors=anchors,
        )
        total = 0.0
        for clip in range(2):
            directions = [unit(segment) for segment in fusion[clip].tolist()]
            num_events = events[clip].sum().item()
            for anchor in range(4):
                attracted = repelled = 0.0
                for other in range(4):
                    pair = (clip, anchor, other) if sum_axis == 2 else (clip, other, anchor)
                    affinity = math.exp(inner(directions[anchor], directions[other]) / 0.6)
                    attracted += positives[pair].item() * affinity
                    repelled += negatives[pair].item() * affinity / (4 - num_events)
                term = -math.log(attracted / (attracted + repelled + 1e-12) + 1e-12)
                total += anchors[clip, anchor].item() * term / num_events
        assert loss.item() == pytest.approx(total / 2)


def restate_vpsa(fusion, categories, margin, num_negatives):
    """Return L_vpsa, clip by clip; no two clips are closer than 1e-6."""
    clips = []
    for segments in fusion.tolist():
        directions = [unit(segment) for segment in segments]
        clips.append([sum(column) / len(directions) for column in zip(*directions, strict=True)])
    losses = []
    for clip, category in zip(clips, categories.tolist(), strict=True):
        if category == IGNORED:
            continue
        everyone = zip(clips, categories.tolist(), strict=True)
        labelled = [(max(1e-6, math.dist(clip, c)), other) for c, other in everyone if other != IGNORED]
        positive = max(distance for distance, other in labelled if other == category)
        nearest = sorted(distance for distance, other in labelled if other != category)[:num_negatives]
        is_comparable = len(nearest) == num_negatives
        losses.append(max(0.0, positive - sum(nearest) / num_negatives + margin) if is_comparable else 0.0)
    return sum(losses) / len(losses)


class TestVpsa:
    @pytest.mark.parametrize(("margin", "num_negatives"), [(0.2, 3), (0.6, 4), (0.2, 1), (0.6, 5)])
    def test_agrees_with_the_definition(self, margin, num_negatives):
        fusion = draw(7, 4, 5)
        loss = vpsa_loss(fusion, CATEGORIES, margin=margin, num_negatives=num_negatives)
        assert loss.item() == pytest.approx(restate_vpsa(fusion, CATEGORIES, margin, num_negatives))

    def test_worked_by_hand(self):
        # Unit vectors at right angles lie √2 apart, opposite ones 2 apart.
        fusion = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]]).double()
        loss = vpsa_loss(fusion, torch.tensor([0, 0, 1]), margin=0.75, num_negatives=1)
        first, second = math.sqrt(2) - 2 + 0.75, 0.75
        assert loss.item() == pytest.approx((first + second + 0) / 3)

    def test_clips_without_a_category_are_left_out(self):
        fusion = draw(7, 4, 5)
        categories = CATEGORIES.clone()
        categories[[1, 3]] = IGNORED
        loss = vpsa_loss(fusion, categories, margin=0.6, num_negatives=2)
        kept = [0, 2, 4, 5, 6]
        torch.testing.assert_close(loss, vpsa_loss(fusion[kept], CATEGORIES[kept], margin=0.6, num_negatives=2))
        assert loss.item() == pytest.approx(restate_vpsa(fusion, categories, 0.6, 2))
        loss.backward()
        assert not fusion.grad[[1, 3]].any()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize(
        "categories",
        [[0], [0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 2], [IGNORED] * 4, [0, IGNORED, 1, 2]],
        ids=["one clip", "fewer clips than negatives", "one category", "too few others", "background", "mixed"],
    )
    def test_clips_with_too_few_negatives_teach_nothing(self, categories, dtype):
        fusion = torch.randn(len(categories), 4, 5, dtype=dtype, requires_grad=True)
        loss = vpsa_loss(fusion, torch.tensor(categories), margin=0.6, num_negatives=len(categories))
        assert_nothing_to_learn(loss, fusion)

    def test_a_clip_with_too_few_negatives_does_not_disturb_the_others(self):
        fusion, categories = draw(5, 4, 5), torch.tensor([0, 0, 0, 0, 1])
        loss = vpsa_loss(fusion, categories, margin=0.6, num_negatives=2)
        assert loss.item() == pytest.approx(restate_vpsa(fusion, categories, 0.6, 2))
        loss.backward()
        assert fusion.grad.isfinite().all()
        assert fusion.grad.any()

    def test_a_clip_that_is_its_only_positive_is_at_no_distance_in_single_precision(self):
        fusion = torch.randn(4, 10, 256)
        loss = vpsa_loss(fusion, torch.arange(4), margin=0.6, num_negatives=1)
        expected = vpsa_loss(fusion.double(), torch.arange(4), margin=0.6, num_negatives=1)
        torch.testing.assert_close(loss.double(), expected, rtol=0, atol=1e-6)

    def test_equal_clips_give_finite_gradients(self):
        fusion = torch.ones(4, 3, 5, requires_grad=True)
        vpsa_loss(fusion, torch.tensor([0, 0, 1, 1]), margin=0.2, num_negatives=1).backward()
        assert fusion.grad.isfinite().all()

    def test_inputs_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="fusion: expected shape"):
            vpsa_loss(draw(7, 5), CATEGORIES, margin=0.2, num_negatives=3)
        with pytest.raises(ValueError, match=r"categories: expected shape \(7\), found \(7, 1\)"):
            vpsa_loss(draw(7, 4, 5), CATEGORIES.unsqueeze(1), margin=0.2, num_negatives=3)
        with pytest.raises(ValueError, match="num_negatives: expected at least 1, found 0"):
            vpsa_loss(draw(7, 4, 5), CATEGORIES, margin=0.2, num_negatives=0)


class TestLabelFreeNce:
    def test_agrees_with_the_definition(self):
        audio, visual = draw(2, 3, 5), draw(2, 3, 5)
        sounds = [unit(row) for row in audio.flatten(0, 1).tolist()]
        pictures = [unit(row) for row in visual.flatten(0, 1).tolist()]
        terms = []
        for own, sound in enumerate(sounds):
            affinity = [math.exp(inner(sound, picture) / 0.5) for picture in pictures]
            terms.append(-math.log(affinity[own] / sum(affinity)))
        assert label_free_nce(audio, visual, temperature=0.5).item() == pytest.approx(sum(terms) / 6)

    def test_a_single_segment_has_nothing_to_be_told_from(self):
        audio, visual = draw(1, 1, 5), draw(1, 1, 5)
        assert_nothing_to_learn(label_free_nce(audio, visual), audio, visual)

    def test_modalities_of_different_shape_are_refused(self):
        with pytest.raises(ValueError, match="visual: expected shape"):
            label_free_nce(draw(2, 3, 5), draw(2, 4, 5))


def test_every_loss_has_the_gradient_of_its_value():
    fusion, logits, similarity = draw(7, 4, 5), draw(7, 3), draw(7, 4)
    mask = torch.randint(0, 2, (7, 4))
    assert torch.autograd.gradcheck(lambda x: relevance_loss(x, mask), similarity)
    assert torch.autograd.gradcheck(lambda x: category_loss(x, CATEGORIES), logits)
    assert torch.autograd.gradcheck(lambda x: weak_category_loss(x, CATEGORIES), logits)
    assert torch.autograd.gradcheck(lambda x: avpsp_loss(x, mask), similarity)
    assert torch.autograd.gradcheck(lambda x: spsa_loss(x, mask, temperature=0.6), fusion)
    assert torch.autograd.gradcheck(lambda x: vpsa_loss(x, CATEGORIES, margin=0.6, num_negatives=3), fusion)
