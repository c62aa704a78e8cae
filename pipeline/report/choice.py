"""Which clips the page lists, and which of them it shows with pictures and sound.

A data set of 100,000 clips has more scored clips than a page can hold, and even a few hundred are too many to show in
detail. Both are chosen by one rule, split by split, so that what is chosen first shows the range.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.report.run import Prediction

MAX_LISTED = 1000
"""Clips of a split that the page lists."""

P = TypeVar("P", bound=Prediction)


@dataclass(frozen=True)
class Listing(Generic[P]):
    """The clips of the page in its order: those in detail first, the better ones before others.

    Parameters
    ----------
    detailed : tuple of Prediction
    others : tuple of Prediction
        By split, categories and id.
    num_left_out : dict of str to int
        Scored clips of each split that are not listed.
    """

    detailed: tuple[P, ...]
    others: tuple[P, ...]
    num_left_out: dict[str, int]


def list_clips(predictions: Mapping[str, Sequence[P]], num_detailed: int) -> Listing[P]:
    """Choose the clips to list, and of them `num_detailed` to show in detail: of the first split while it has any."""
    detailed: list[P] = []
    others: list[P] = []
    left_out = {}
    for split, of_split in predictions.items():
        wanted = num_detailed - len(detailed)
        chosen = choose_predictions(of_split, max(MAX_LISTED, wanted))
        detailed += sorted(chosen[:wanted], key=lambda item: (-item.score, item.clip.clip_id))
        others += sorted(chosen[wanted:], key=lambda item: (item.categories, item.clip.clip_id))
        left_out[split] = len(of_split) - len(chosen)
    return Listing(tuple(detailed), tuple(others), left_out)


def choose_predictions(predictions: Sequence[P], num_clips: int) -> list[P]:
    """Choose clips that show the range: in turn a good, a bad and a middling one, of the categories shown least.

    Clips with several categories count for all of them together, as a category of its own. The choice depends on the
    predictions alone, not on their order; the first of many are the choice of few.
    """
    mean = sum(prediction.score for prediction in predictions) / max(1, len(predictions))
    orders: tuple[Callable[[P], tuple[float, str]], ...] = (
        lambda prediction: (-prediction.score, prediction.clip.clip_id),
        lambda prediction: (prediction.score, prediction.clip.clip_id),
        lambda prediction: (abs(prediction.score - mean), prediction.clip.clip_id),
    )
    queues = _queues(predictions, orders)
    remaining = Counter(prediction.categories for prediction in predictions)
    shown: Counter[tuple[str, ...]] = Counter()
    taken: set[str] = set()
    chosen: list[P] = []
    while len(chosen) < min(num_clips, len(predictions)):
        turn = len(chosen) % len(orders)
        fewest = min(shown[categories] for categories, number in remaining.items() if number)
        heads = [
            _first(queue[turn], taken)
            for categories, queue in queues.items()
            if remaining[categories] and shown[categories] == fewest
        ]
        best = min(heads, key=orders[turn])
        chosen.append(best)
        taken.add(best.clip.clip_id)
        shown[best.categories] += 1
        remaining[best.categories] -= 1
    return chosen


def _queues(
    predictions: Sequence[P], orders: Sequence[Callable[[P], tuple[float, str]]]
) -> dict[tuple[str, ...], tuple[deque[P], ...]]:
    """Return the clips of the same categories in each order."""
    by_categories: dict[tuple[str, ...], list[P]] = {}
    for prediction in predictions:
        by_categories.setdefault(prediction.categories, []).append(prediction)
    return {
        categories: tuple(deque(sorted(alike, key=order)) for order in orders)
        for categories, alike in by_categories.items()
    }


def _first(queue: deque[P], taken: set[str]) -> P:
    while queue[0].clip.clip_id in taken:
        queue.popleft()
    return queue[0]
