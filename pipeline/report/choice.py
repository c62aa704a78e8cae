"""Which clips the page lists, and which of them it shows with pictures and sound.

A data set of 100,000 clips has more scored clips than a page can hold, and even a few hundred are too many to show in
detail. Both are chosen by one rule, split by split, so that what is chosen first shows the range.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.report.run import Prediction

MAX_LISTED = 1000
"""Clips of a split that the page lists."""


@dataclass(frozen=True)
class Listing:
    """The clips of the page in its order: those in detail first, the most segments right before others.

    Parameters
    ----------
    detailed : tuple of Prediction
    others : tuple of Prediction
        By split, category and id.
    num_left_out : dict of str to int
        Scored clips of each split that are not listed.
    """

    detailed: tuple[Prediction, ...]
    others: tuple[Prediction, ...]
    num_left_out: dict[str, int]


def list_clips(predictions: Mapping[str, Sequence[Prediction]], num_detailed: int) -> Listing:
    """Choose the clips to list, and of them `num_detailed` to show in detail: of the first split while it has any."""
    detailed: list[Prediction] = []
    others: list[Prediction] = []
    left_out = {}
    for split, of_split in predictions.items():
        wanted = num_detailed - len(detailed)
        chosen = choose_predictions(of_split, max(MAX_LISTED, wanted))
        detailed += sorted(chosen[:wanted], key=lambda item: (-item.num_right, item.clip.clip_id))
        others += sorted(chosen[wanted:], key=lambda item: (item.clip.category, item.clip.clip_id))
        left_out[split] = len(of_split) - len(chosen)
    return Listing(tuple(detailed), tuple(others), left_out)


def choose_predictions(predictions: Sequence[Prediction], num_clips: int) -> list[Prediction]:
    """Choose clips that show the range: in turn a good, a bad and a middling one, of the categories shown least.

    The choice depends on the predictions alone, not on their order; the first of many are the choice of few.
    """
    mean = sum(prediction.num_right for prediction in predictions) / max(1, len(predictions))
    orders: tuple[Callable[[Prediction], tuple[float, str]], ...] = (
        lambda prediction: (-prediction.num_right, prediction.clip.clip_id),
        lambda prediction: (prediction.num_right, prediction.clip.clip_id),
        lambda prediction: (abs(prediction.num_right - mean), prediction.clip.clip_id),
    )
    queues = _queues(predictions, orders)
    remaining = Counter(prediction.clip.category for prediction in predictions)
    shown: Counter[str] = Counter()
    taken: set[str] = set()
    chosen: list[Prediction] = []
    while len(chosen) < min(num_clips, len(predictions)):
        turn = len(chosen) % len(orders)
        fewest = min(shown[category] for category, number in remaining.items() if number)
        heads = [
            _first(queue[turn], taken)
            for category, queue in queues.items()
            if remaining[category] and shown[category] == fewest
        ]
        best = min(heads, key=orders[turn])
        chosen.append(best)
        taken.add(best.clip.clip_id)
        shown[best.clip.category] += 1
        remaining[best.clip.category] -= 1
    return chosen


def _queues(
    predictions: Sequence[Prediction], orders: Sequence[Callable[[Prediction], tuple[float, str]]]
) -> dict[str, tuple[deque[Prediction], ...]]:
    """Return the clips of each category in each order."""
    by_category: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_category.setdefault(prediction.clip.category, []).append(prediction)
    return {
        category: tuple(deque(sorted(of_category, key=order)) for order in orders)
        for category, of_category in by_category.items()
    }


def _first(queue: deque[Prediction], taken: set[str]) -> Prediction:
    while queue[0].clip.clip_id in taken:
        queue.popleft()
    return queue[0]
