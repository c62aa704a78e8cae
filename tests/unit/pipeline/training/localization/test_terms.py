"""Methods as the trainer sees them: which terms, what each param changes, and what odd batches give."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from avel_testing.methods import EVERY_TRAINING
from models.localization.answers import GatedLocalization, SegmentLocalization
from models.localization.losses import BACKGROUND_CLIP
from pipeline.core.fingerprints import import_closure
from pipeline.core.references import resolve
from pipeline.methods.registry import METHODS, methods_of
from pipeline.methods.settings import Task
from pipeline.params.schema import LocalizationTrainParams, ParsingTrainParams, TrainParams
from pipeline.training.localization.labels import ClipLabels, SegmentLabels, ShareLabels
from pipeline.training.localization.terms import TERMS as TERMS_BY_NAME
from pipeline.training.objective import Losses, terms_of, weigh

SHAPE = {"num_categories": 3, "visual_channels": 8, "num_positions": 4, "audio_features": 6}


EVENTS = torch.tensor(
    [[0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool
)
CATEGORIES = torch.tensor([0, 1, 2, 0, 1, 2])
TERMS = {
    ("avel", "full"): {"relevance", "category"},
    ("avel", "weak"): {"category"},
    ("avsdn", "full"): {"relevance", "category"},
    ("avsdn", "weak"): {"category"},
    ("cmran", "full"): {"relevance", "category"},
    ("cmran", "weak"): {"category"},
    ("ave_att", "full"): {"category"},
    ("ave_att", "weak"): {"category"},
    ("ave_dmrn", "full"): {"category"},
    ("psp", "full"): {"category", "avpsp"},
    ("psp", "weak"): {"category"},
    ("psp_cpsp", "full"): {"relevance", "category", "avpsp"},
    ("psp_cpsp", "weak"): {"category"},
    ("cpsp", "full"): {"relevance", "category", "avpsp", "spsa", "vpsa"},
    ("cpsp", "weak"): {"category", "vpsa"},
    ("sspsp", "full"): {"relevance", "category", "nce"},
    ("sspsp", "weak"): {"category", "nce"},
    ("cmbs", "full"): {"relevance", "gate", "category", "class_scores"},
    ("cmbs", "weak"): {"category"},
    ("cacenet", "full"): {"relevance", "gate", "category", "class_scores", "foreground"},
}
SHARES = torch.tensor([0.5, 1.0, 0.25, 0.5, 0.75, 0.5], dtype=torch.float64)


@pytest.fixture
def losses_of(make_params: Callable) -> Callable[..., Losses]:
    """Return a function that computes the losses of a batch under some params, always from the same weights."""

    def compute(
        method: str,
        supervision: str,
        *,
        categories: torch.Tensor = CATEGORIES,
        events: torch.Tensor = EVENTS,
        gradient: dict[str, torch.Tensor] | None = None,
        **changes: Any,
    ) -> Losses:
        changes = {f"train.{method}.{supervision}.{key.replace('__', '.')}": value for key, value in changes.items()}
        train: TrainParams = make_params(**changes, **{"train.method": method, "train.supervision": supervision}).train
        torch.manual_seed(0)
        network = build(method, supervision, SHAPE, train).eval()
        visual, audio = torch.rand(6, 4, 2, 2, 8), torch.rand(6, 4, 6)
        output = network(visual[: len(categories)], audio[: len(categories)])
        labels = ClipLabels(categories, SHAPE["num_categories"])
        if supervision == "full":
            labels = SegmentLabels(categories, SHAPE["num_categories"], events)
        elif METHODS[method].needs_event_shares:
            shares = torch.where(categories == BACKGROUND_CLIP, 0.0, SHARES[: len(categories)])
            labels = ShareLabels(categories, SHAPE["num_categories"], shares)
        losses = weigh(terms_of(method, train.supervision, train.settings), output, labels)
        if gradient is not None:
            losses.total.backward()
            gradient.update({name: parameter.grad for name, parameter in network.named_parameters()})
        return losses

    return compute


def build(method: str, supervision: str, shape: dict[str, int], train: TrainParams) -> torch.nn.Module:
    return resolve(METHODS[method].networks[supervision])(**shape, **train.settings.network_settings(train.conduct))


@pytest.mark.parametrize(
    ("task", "params"), [("localization", LocalizationTrainParams), ("parsing", ParsingTrainParams)]
)
def test_the_params_of_a_task_know_every_method_of_it_and_no_other(task: Task, params: type[TrainParams]) -> None:
    blocks = {name: field.annotation for name, field in params.model_fields.items() if name in METHODS}
    assert blocks == {name: method.settings for name, method in methods_of(task).items()}


def test_params_reach_other_processes(make_params: Callable) -> None:
    assert pickle.loads(pickle.dumps(make_params().train)) == make_params().train


@EVERY_TRAINING
def test_what_a_method_says_of_itself_fits_together(method: str, supervision: str) -> None:
    chosen = METHODS[method]
    assert set(chosen.terms[supervision]) <= TERMS_BY_NAME.keys()
    assert type(chosen.published[supervision]) is chosen.settings.model_fields[supervision].annotation
    for module in chosen.modules(supervision):
        assert import_closure(module)


@pytest.mark.parametrize(("method", "supervision"), TERMS)
def test_a_method_descends_its_own_terms(method: str, supervision: str, losses_of: Callable) -> None:
    losses = losses_of(method, supervision)
    assert set(losses.terms) == TERMS[method, supervision]
    assert torch.isfinite(losses.total)


@EVERY_TRAINING
def test_every_parameter_learns(method: str, supervision: str, losses_of: Callable) -> None:
    gradient: dict[str, torch.Tensor] = {}
    losses_of(method, supervision, gradient=gradient)
    assert [name for name, value in gradient.items() if value is None or not value.any()] == []


@EVERY_TRAINING
def test_what_shapes_a_network_can_be_written_as_json(method: str, supervision: str, make_params: Callable) -> None:
    train = make_params(**{"train.method": method, "train.supervision": supervision}).train
    settings = train.settings.network_settings(train.conduct)
    assert json.loads(json.dumps(settings)) == settings


def test_cpsp_is_psp_and_two_contrastive_terms(losses_of: Callable) -> None:
    psp, cpsp = losses_of("psp_cpsp", "full"), losses_of("cpsp", "full")
    torch.testing.assert_close(cpsp.total, psp.total + 0.01 * cpsp.terms["spsa"] + cpsp.terms["vpsa"])
    psp, cpsp = losses_of("psp_cpsp", "weak"), losses_of("cpsp", "weak")
    torch.testing.assert_close(cpsp.total, psp.total + cpsp.terms["vpsa"])


WEIGHTED = [("cpsp", "full", "avpsp"), ("cpsp", "full", "spsa"), ("cpsp", "full", "vpsa"), ("cpsp", "weak", "vpsa"),
            ("psp_cpsp", "full", "avpsp"), ("psp", "full", "avpsp"), ("cacenet", "full", "foreground"),
            ("sspsp", "full", "nce"), ("sspsp", "weak", "nce")]  # fmt: skip


@pytest.mark.parametrize(("method", "supervision", "term"), WEIGHTED)
def test_a_weight_of_zero_takes_its_term_out(method: str, supervision: str, term: str, losses_of: Callable) -> None:
    everything = losses_of(method, supervision)
    without = losses_of(method, supervision, **{f"{term}__weight": 0.0})
    assert set(everything.terms) - set(without.terms) == {term}
    for name, value in without.terms.items():
        torch.testing.assert_close(value, everything.terms[name])


@pytest.mark.parametrize(("method", "supervision", "term"), WEIGHTED)
def test_a_weight_scales_its_term_in_the_total(method: str, supervision: str, term: str, losses_of: Callable) -> None:
    once = losses_of(method, supervision, **{f"{term}__weight": 1.0})
    thrice = losses_of(method, supervision, **{f"{term}__weight": 3.0})
    assert once.terms[term] > 0
    torch.testing.assert_close(thrice.total - once.total, 2 * once.terms[term])


@pytest.mark.parametrize(
    ("method", "supervision", "changes", "changed"),
    [
        ("cpsp", "full", {"spsa__form": "released"}, {"spsa"}),
        ("cpsp", "full", {"spsa__temperature": 0.1}, {"spsa"}),
        ("cpsp", "full", {"vpsa__margin": 0.9}, {"vpsa"}),
        ("cpsp", "full", {"vpsa__num_negatives": 1}, {"vpsa"}),
        ("cpsp", "full", {"vpsa__form": "infonce"}, {"vpsa"}),
        ("cpsp", "weak", {"vpsa__margin": 0.9}, {"vpsa"}),
        ("cpsp", "weak", {"vpsa__num_negatives": 1}, {"vpsa"}),
        ("cpsp", "weak", {"vpsa__form": "infonce"}, {"vpsa"}),
        ("sspsp", "full", {"nce__temperature": 0.5}, {"nce"}),
        ("sspsp", "weak", {"nce__temperature": 0.5}, {"nce"}),
        ("avel", "full", {"pooling": "max"}, {"category"}),
        ("avsdn", "full", {"pooling": "max"}, {"category"}),
        ("psp_cpsp", "weak", {"pooling": "max"}, {"category"}),
        ("cpsp", "full", {"pooling": "max"}, {"category"}),
        ("sspsp", "weak", {"pooling": "max"}, {"category"}),
        ("cpsp", "full", {"tau": 0.5}, {"relevance", "category", "avpsp", "spsa", "vpsa"}),
        ("psp_cpsp", "weak", {"tau": 0.5}, {"category"}),
        ("psp", "weak", {"tau": 0.5}, {"category"}),
        ("psp", "full", {"tau": 0.5}, {"category", "avpsp"}),
        ("cmbs", "full", {"gate": "released"}, {"gate"}),
        ("cmbs", "full", {"gamma": 0.9}, {"category"}),
        ("cmbs", "full", {"alpha": 0.9}, {"relevance", "category", "class_scores"}),
        ("cmbs", "weak", {"gamma": 0.9}, {"category"}),
        ("cmbs", "weak", {"alpha": 0.9}, {"category"}),
        ("cmbs", "weak", {"beta": 0.9}, {"category"}),
        ("cmbs", "weak", {"gate": "released"}, set()),
        ("cacenet", "full", {"foreground__temperature": 0.5}, {"foreground"}),
        ("cacenet", "full", {"foreground__scale": 2.0}, {"relevance"}),
        ("cacenet", "full", {"gate": "released"}, {"gate"}),
        ("sspsp", "full", {"tau": 0.5}, {"relevance", "category", "nce"}),
    ],
)
def test_a_param_changes_what_it_names_and_nothing_else(
    method: str, supervision: str, changes: dict[str, Any], changed: set[str], losses_of: Callable
) -> None:
    before = losses_of(method, supervision).terms
    after = losses_of(method, supervision, **changes).terms
    assert {name for name in before if not torch.equal(before[name], after[name])} == changed


def test_eta_is_infonce_s_alone_and_the_margin_is_the_triplets_alone(losses_of: Callable) -> None:
    def vpsa(**changes: Any) -> torch.Tensor:
        return losses_of("cpsp", "full", **{f"vpsa__{key}": value for key, value in changes.items()}).terms["vpsa"]

    assert vpsa(form="infonce", eta=0.5) != vpsa(form="infonce")
    assert vpsa(form="infonce", margin=0.9) == vpsa(form="infonce")
    assert vpsa(eta=0.5) == vpsa()


def test_the_released_spsa_has_no_gradient_and_the_papers_has(losses_of: Callable) -> None:
    def difference(form: str) -> float:
        with_term: dict[str, torch.Tensor] = {}
        without: dict[str, torch.Tensor] = {}
        losses_of("cpsp", "full", gradient=with_term, spsa__form=form, spsa__weight=1.0)
        losses_of("cpsp", "full", gradient=without, spsa__weight=0.0)
        return max((with_term[name] - without[name]).abs().max().item() for name in with_term)

    assert difference("released") < 1e-5
    assert difference("paper") > 1e-3


def test_a_clip_without_events_has_no_category_to_learn(losses_of: Callable) -> None:
    events = EVENTS.clone()
    events[0] = False
    losses = losses_of("cpsp", "full", events=events)
    relabelled = CATEGORIES.clone()
    relabelled[0] = 2
    same = losses_of("cpsp", "full", events=events, categories=relabelled)
    for name in losses.terms:
        torch.testing.assert_close(losses.terms[name], same.terms[name])


ODD = {
    "all background": (CATEGORIES, torch.zeros_like(EVENTS)),
    "all event": (CATEGORIES, torch.ones_like(EVENTS)),
    "one class": (torch.ones(6, dtype=torch.int64), EVENTS),
    "fewer negatives than wanted": (torch.tensor([0, 0, 0, 0, 1, 1]), EVENTS),
    "one clip": (CATEGORIES[:1], EVENTS[:1]),
    "two clips": (CATEGORIES[:2], EVENTS[:2]),
}


@EVERY_TRAINING
@pytest.mark.parametrize("batch", ODD)
def test_odd_batches_have_a_finite_loss_and_gradient(
    method: str, supervision: str, batch: str, losses_of: Callable
) -> None:
    categories, events = ODD[batch]
    gradient: dict[str, torch.Tensor] = {}
    losses = losses_of(method, supervision, categories=categories, events=events, gradient=gradient)
    assert set(losses.terms) == set(losses_of(method, supervision).terms)
    assert torch.isfinite(losses.total)
    assert all(value is None or value.isfinite().all() for value in gradient.values())


@pytest.mark.parametrize("form", ["triplet", "infonce"])
@pytest.mark.parametrize("batch", ["all background", "one class", "one clip"])
def test_without_clips_of_another_category_vpsa_is_zero(form: str, batch: str, losses_of: Callable) -> None:
    categories, events = ODD[batch]
    losses = losses_of("cpsp", "full", categories=categories, events=events, vpsa__form=form)
    assert losses.terms["vpsa"] == 0


def test_a_clip_with_too_few_negatives_adds_nothing_to_the_triplets(losses_of: Callable) -> None:
    categories, _ = ODD["fewer negatives than wanted"]  # four clips have two negatives, two have four
    three = losses_of("cpsp", "full", categories=categories, vpsa__num_negatives=3, vpsa__margin=9.0).terms["vpsa"]
    two = losses_of("cpsp", "full", categories=categories, vpsa__num_negatives=2, vpsa__margin=9.0).terms["vpsa"]
    assert 2 / 6 * 8 < three < 2 / 6 * 11
    assert two > 8


def test_background_clips_push_every_category_down_and_are_never_compared(losses_of: Callable) -> None:
    background = torch.full((6,), BACKGROUND_CLIP)
    gradient: dict[str, torch.Tensor] = {}
    losses = losses_of("cpsp", "weak", categories=background, gradient=gradient)
    assert losses.terms["vpsa"] == 0
    # Of each category −log sigmoid(−p), between p = 0 and p = 1.
    assert 0.6931 < losses.terms["category"] < 1.3133
    mixed = CATEGORIES.clone()
    mixed[5] = BACKGROUND_CLIP
    absent = losses_of("cpsp", "weak", categories=CATEGORIES[:5]).terms["vpsa"]
    torch.testing.assert_close(losses_of("cpsp", "weak", categories=mixed).terms["vpsa"], absent)


@EVERY_TRAINING
@pytest.mark.parametrize("channels", [512, 1024])
def test_a_network_takes_the_maps_of_vgg_and_of_resnet(
    method: str, supervision: str, channels: int, make_params: Callable
) -> None:
    train = make_params(**{"train.method": method, "train.supervision": supervision}).train
    shape = {"num_categories": 141, "visual_channels": channels, "num_positions": 49, "audio_features": 128}
    network = build(method, supervision, shape, train).eval()
    output = network(torch.rand(1, 3, 7, 7, channels), torch.rand(1, 3, 128))
    if METHODS[method].rule == "per_segment":
        assert isinstance(output, SegmentLocalization)
        assert output.segment_logits.shape == (1, 3, 142)
        assert output.clip_probabilities.shape == (1, 142)
    else:
        assert isinstance(output, GatedLocalization)
        num_classes = 142 if train.conduct.background_class else 141
        assert output.event_logits.shape == (1, 3)
        assert output.category_logits.shape == output.clip_probabilities.shape == (1, num_classes)
    assert output.attention.shape == (1, 3, 49)
