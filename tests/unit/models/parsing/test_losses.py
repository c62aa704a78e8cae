"""Each loss against a slow restatement of its definition, in cases worked by hand, and on degenerate batches."""

import math

import pytest
import torch

from models.localization.losses import vpsa_infonce_loss
from models.parsing.losses import (
    parsing_vpsa_loss,
    segment_similarity,
    smoothed_cross_entropy,
    synchrony_loss,
    tag_loss,
)

SETTINGS = {"ratio": 0.6, "eta": 0.5}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def draw(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def cosine(first, second):
    inner = sum(a * b for a, b in zip(first, second, strict=True))
    return inner / math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))


def assert_nothing_to_learn(loss, *inputs):
    assert loss.item() == 0
    loss.backward()
    for tensor in inputs:
        assert tensor.grad.isfinite().all()
        assert not tensor.grad.any()


class TestTags:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
    def test_agrees_with_the_definition(self, smoothing):
        probabilities, tags = torch.rand(4, 3, dtype=torch.float64), torch.randint(0, 2, (4, 3))
        costs = []
        for p, y in zip(probabilities.flatten().tolist(), tags.flatten().tolist(), strict=True):
            target = (1 - smoothing) * y + smoothing / 2
            costs.append(-target * math.log(p) - (1 - target) * math.log(1 - p))
        found = tag_loss(probabilities, tags, smoothing=smoothing)
        assert found.item() == pytest.approx(sum(costs) / 12, rel=1e-12)

    def test_the_visual_targets_of_the_releases_are_from_five_to_ninety_five_hundredths(self):
        # Where the probability is the target, a smoothed loss is at its least.
        probabilities = torch.tensor([[0.95, 0.05]], dtype=torch.float64, requires_grad=True)
        tag_loss(probabilities, torch.tensor([[1, 0]]), smoothing=0.1).backward()
        torch.testing.assert_close(probabilities.grad, torch.zeros_like(probabilities), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_certain_probabilities_and_those_beyond_one_have_bounded_costs_and_no_gradient(self, dtype):
        probabilities = torch.tensor([[0.0, 1.0, 1.5]], dtype=dtype, requires_grad=True)
        wrong = tag_loss(probabilities, torch.tensor([[True, False, False]]))
        assert wrong.item() == pytest.approx(-math.log(1e-7), rel=0.02)
        wrong.backward()
        assert not probabilities.grad.any()

    def test_tags_of_another_shape_are_refused(self):
        with pytest.raises(ValueError, match=r"tags: expected shape \(2, 3\), found \(2, 4\)"):
            tag_loss(torch.rand(2, 3), torch.zeros(2, 4))


class TestSmoothedCrossEntropy:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.95])
    def test_agrees_with_the_definition(self, smoothing):
        logits, classes = draw(4, 5), torch.tensor([3, 0, 4, 3])
        costs = []
        for row, own in zip(logits.tolist(), classes.tolist(), strict=True):
            whole = math.log(sum(map(math.exp, row)))
            weights = [1 - smoothing if k == own else smoothing / 4 for k in range(5)]
            costs.append(sum(weight * (whole - score) for weight, score in zip(weights, row, strict=True)))
        found = smoothed_cross_entropy(logits, classes, smoothing=smoothing)
        assert found.item() == pytest.approx(sum(costs) / 4, rel=1e-12)

    def test_shapes_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match=r"logits: expected shape \(N, K\)"):
            smoothed_cross_entropy(draw(4), torch.zeros(4), smoothing=0.1)
        with pytest.raises(ValueError, match=r"classes: expected shape \(4\), found \(3,\)"):
            smoothed_cross_entropy(draw(4, 5), torch.zeros(3), smoothing=0.1)


class TestSynchrony:
    def test_a_row_holds_the_cosines_of_one_audio_segment(self):
        audio, visual = draw(2, 3, 4), draw(2, 3, 4)
        found = segment_similarity(audio, visual, temperature=0.2)
        assert found.shape == (2, 3, 3)
        for clip, i, j in ((0, 0, 2), (0, 2, 0), (1, 1, 1)):
            expected = cosine(audio[clip, i].tolist(), visual[clip, j].tolist()) / 0.2
            assert found[clip, i, j].item() == pytest.approx(expected)

    def test_each_sound_is_told_from_the_pictures_of_its_own_clip(self):
        audio, visual = draw(2, 3, 4), draw(2, 3, 4)
        costs = []
        for clip in range(2):
            for own in range(3):
                sound = audio[clip, own].tolist()
                scores = [cosine(sound, picture) / 0.5 for picture in visual[clip].tolist()]
                whole = math.log(sum(map(math.exp, scores)))
                weights = [0.9 if j == own else 0.05 for j in range(3)]
                costs.append(sum(weight * (whole - score) for weight, score in zip(weights, scores, strict=True)))
        found = synchrony_loss(audio, visual, temperature=0.5, smoothing=0.1)
        assert found.item() == pytest.approx(sum(costs) / 6)

    def test_a_single_segment_has_nothing_to_be_told_from(self):
        audio, visual = draw(2, 1, 4), draw(2, 1, 4)
        assert_nothing_to_learn(synchrony_loss(audio, visual, temperature=0.2, smoothing=0.1), audio, visual)

    def test_silent_clips_have_finite_gradients(self):
        audio, visual = torch.zeros(2, 3, 4, requires_grad=True), draw(2, 3, 4, dtype=torch.float32)
        synchrony_loss(audio, visual, temperature=0.02, smoothing=0.1).backward()
        assert audio.grad.isfinite().all()
        assert visual.grad.isfinite().all()

    def test_modalities_of_different_shape_are_refused(self):
        with pytest.raises(ValueError, match="visual: expected shape"):
            segment_similarity(draw(2, 3, 4), draw(2, 4, 4), temperature=0.2)


TAGS = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 0]])
"""Every clip has another that shares none of its tags: 0, 1 and 4 have clip 2, which has them, and 3 has 1."""


def restate_vpsa(features, tags, ratio, eta):
    """Return the loss of each clip that can be contrasted."""
    means = [
        [sum(column) / len(rows) for column in zip(*rows, strict=True)] for rows in features.flatten(1, 2).tolist()
    ]
    of_clip = [{k for k, tag in enumerate(row) if tag} for row in tags.tolist()]
    losses = []
    for b, own in enumerate(of_clip):
        affinity = [math.exp(cosine(means[b], mean) / eta) for mean in means]
        positives = [affinity[c] for c, other in enumerate(of_clip) if own and len(own & other) / len(own) >= ratio]
        negatives = [affinity[c] for c, other in enumerate(of_clip) if own and other and not own & other]
        if negatives:
            attracted, repelled = sum(positives) / len(positives), sum(negatives) / len(negatives)
            losses.append(-math.log(attracted / (attracted + repelled)))
    return losses


class TestVpsa:
    @pytest.mark.parametrize("form", ["intended", "released"])
    @pytest.mark.parametrize("ratio", [0.5, 0.6, 1.0])
    def test_both_forms_agree_with_the_definition_where_every_clip_can_be_contrasted(self, form, ratio):
        features = draw(5, 3, 2, 4)
        losses = restate_vpsa(features, TAGS, ratio, 0.5)
        assert len(losses) == 5
        found = parsing_vpsa_loss(features, TAGS, ratio=ratio, eta=0.5, form=form)
        assert found.item() == pytest.approx(sum(losses) / 5)

    @pytest.mark.parametrize("spoilt", [[1, 1, 1, 1], [0, 0, 0, 0]])
    def test_a_clip_that_cannot_be_contrasted_leaves_itself_out_or_the_batch(self, spoilt):
        features, tags = draw(6, 3, 2, 4), torch.cat([TAGS, torch.tensor([spoilt])])
        losses = restate_vpsa(features, tags, **SETTINGS)
        assert len(losses) == 5
        intended = parsing_vpsa_loss(features, tags, **SETTINGS)
        assert intended.item() == pytest.approx(sum(losses) / 5)
        intended.backward()
        assert features.grad.isfinite().all()
        # A clip without tags is not compared with either; one that has them all may be a positive of others.
        assert features.grad[5].any() == any(spoilt)
        features.grad = None
        assert_nothing_to_learn(parsing_vpsa_loss(features, tags, **SETTINGS, form="released"), features)

    @pytest.mark.parametrize("form", ["intended", "released"])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("tags", [[[1, 0], [1, 1]], [[0, 0], [0, 0]], [[1, 0], [0, 0]], [[1, 1]]])
    def test_a_batch_without_contrast_teaches_nothing(self, tags, dtype, form):
        features = draw(len(tags), 3, 2, 4, dtype=dtype)
        assert_nothing_to_learn(
            parsing_vpsa_loss(features, torch.tensor(tags), ratio=0.9, eta=0.02, form=form), features
        )

    def test_the_form_of_localization_counts_the_clips_that_cannot_be_contrasted_too(self):
        features, tags = draw(6, 3, 2, 4), torch.cat([TAGS, torch.ones(1, 4)])
        ours = parsing_vpsa_loss(features, tags, **SETTINGS)
        torch.testing.assert_close(vpsa_infonce_loss(features.flatten(1, 2), tags, **SETTINGS), ours * 5 / 6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_clips_all_zero_and_all_equal_have_finite_gradients(self, dtype):
        for features in (torch.zeros(5, 3, 2, 4, dtype=dtype), torch.ones(5, 3, 2, 4, dtype=dtype)):
            features.requires_grad_()
            parsing_vpsa_loss(features, TAGS, ratio=0.9, eta=0.02).backward()
            assert features.grad.isfinite().all()

    def test_inputs_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match=r"features: expected shape \(B, T, 2, D\)"):
            parsing_vpsa_loss(draw(5, 3, 4), TAGS, **SETTINGS)
        with pytest.raises(ValueError, match=r"targets: expected shape \(4, C\)"):
            parsing_vpsa_loss(draw(4, 3, 2, 4), TAGS, **SETTINGS)
        with pytest.raises(ValueError, match="form: expected 'intended' or 'released', found 'paper'"):
            parsing_vpsa_loss(draw(5, 3, 2, 4), TAGS, **SETTINGS, form="paper")


def test_every_loss_has_the_gradient_of_its_value():
    features, visual, logits = draw(5, 3, 2, 4), draw(5, 3, 4), draw(4, 5)
    probabilities = torch.rand(5, 4, dtype=torch.float64, requires_grad=True)
    synchrony = {"temperature": 0.5, "smoothing": 0.1}
    classes = torch.tensor([3, 0, 4, 3])
    assert torch.autograd.gradcheck(lambda x: tag_loss(x, TAGS, smoothing=0.1), probabilities)
    assert torch.autograd.gradcheck(lambda x: smoothed_cross_entropy(x, classes, smoothing=0.1), logits)
    assert torch.autograd.gradcheck(lambda x, y: synchrony_loss(x[:, :, 0], y, **synchrony), (features, visual))
    assert torch.autograd.gradcheck(lambda x: parsing_vpsa_loss(x, TAGS, **SETTINGS), features)
