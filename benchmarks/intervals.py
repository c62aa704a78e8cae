"""How often the intervals of ``pipeline/metrics/statistics.py`` hold what they promise, on data whose truth is known.

Correct segments are drawn for two methods, S seeds each, on the same V videos of ten segments. A segment is right with
the probability Φ(1.2 + effects), all of them normal: one of the video (common to both methods, and one of its own per
method), one of the seed, one of the cell of a seed and a video. Both methods have the same true mean, so that every
p-value of at most 0.05 is a false alarm: 5 % of them are promised. For the mean of one method over other seeds and
videos the printed figure is how often its 95 % interval holds the truth.

Beside ours stand a bootstrap over videos alone, a bootstrap that draws seeds and videos with replacement, with seeds'
deviations enlarged by sqrt(S / (S - 1)) (pigeonhole), and flipping signs per video (permutation). The last line is one
JSON object with our own worst figures.

    python benchmarks/intervals.py --num-data-sets 1000
"""

import argparse
import json
from typing import NamedTuple

import numpy as np
import scipy.stats

from pipeline.metrics.statistics import Resampling, compare, seeds_interval

NUM_SEGMENTS = 10
COMMON = 1.5
"""Standard deviation of the effect of a video on both methods."""
CONFIDENCE = 0.95


class Setting(NamedTuple):
    """Numbers of seeds of both methods, and standard deviations of the effects."""

    num_seeds: tuple[int, int]
    own: float
    seeds: float
    cells: float


SETTINGS = (
    Setting((1, 1), own=0.5, seeds=0.0, cells=0.5),
    Setting((2, 2), own=0.5, seeds=0.0, cells=0.5),
    Setting((2, 2), own=0.2, seeds=0.05, cells=0.5),
    Setting((3, 3), own=0.5, seeds=0.0, cells=0.5),
    Setting((3, 3), own=0.2, seeds=0.02, cells=0.5),
    Setting((3, 3), own=0.2, seeds=0.05, cells=0.5),
    Setting((3, 3), own=0.0, seeds=0.0, cells=0.7),
    Setting((3, 3), own=0.2, seeds=0.2, cells=0.2),
    Setting((3, 10), own=0.2, seeds=0.05, cells=0.5),
    Setting((5, 5), own=0.2, seeds=0.05, cells=0.5),
    Setting((5, 5), own=0.2, seeds=0.2, cells=0.2),
    Setting((10, 10), own=0.2, seeds=0.05, cells=0.5),
)


def draw(setting: Setting, num_videos: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return correct segments of both methods, (S, V) each."""
    common = rng.normal(0, COMMON, num_videos)
    methods = []
    for num_seeds in setting.num_seeds:
        effects = common + rng.normal(0, setting.own, num_videos)
        effects = effects + rng.normal(0, setting.seeds, (num_seeds, 1))
        effects = effects + rng.normal(0, setting.cells, (num_seeds, num_videos))
        methods.append(rng.binomial(NUM_SEGMENTS, scipy.stats.norm.cdf(1.2 + effects)))
    return methods


def true_mean(setting: Setting) -> float:
    """Return the expected accuracy in percent: E Φ(m + Z) is Φ(m / sqrt(1 + variance of Z))."""
    variance = COMMON**2 + setting.own**2 + setting.seeds**2 + setting.cells**2
    return 100 * float(scipy.stats.norm.cdf(1.2 / np.sqrt(1 + variance)))


def pigeonhole(correct: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return mean scores with seeds drawn too, for videos drawn in these shares, (n, V)."""
    num_seeds = len(correct)
    scores = shares @ (100 / NUM_SEGMENTS * correct.T)
    mean = scores.mean(axis=1)
    drawn = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=len(shares)) / num_seeds
    enlarged = np.sqrt(num_seeds / max(1, num_seeds - 1))
    resampled: np.ndarray = mean + enlarged * ((scores * drawn).sum(axis=1) - mean)
    return resampled


def holds(scores: np.ndarray, truth: float) -> bool:
    """Return whether the percentile interval of resampled scores holds the truth."""
    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return bool(low <= truth <= high)


def measure(setting: Setting, num_videos: int, num_data_sets: int, num_resamples: int) -> dict[str, float]:
    """Return shares in percent: means that are held, and differences that are falsely found."""
    rng = np.random.default_rng(0)
    total = np.full(num_videos, NUM_SEGMENTS)
    shares = rng.multinomial(num_videos, np.full(num_videos, 1 / num_videos), size=num_resamples) / num_videos
    signs = rng.choice([-1.0, 1.0], size=(num_resamples, num_videos))
    held = dict.fromkeys(("ours", "videos", "pigeonhole"), 0)
    found = dict.fromkeys(("ours", "videos", "pigeonhole", "signs"), 0)
    deviations = []
    for number in range(num_data_sets):
        first, second = draw(setting, num_videos, rng)
        truth = true_mean(setting)
        resampling = Resampling(confidence=CONFIDENCE, num_resamples=num_resamples, seed=number)
        low, high = seeds_interval(first, total, resampling)
        held["ours"] += low <= truth <= high
        comparison = compare(first, second, total, resampling)
        found["ours"] += not comparison.low <= 0 <= comparison.high

        mean_a, mean_b = (100 / NUM_SEGMENTS * correct.mean(axis=0) for correct in (first, second))
        held["videos"] += holds(shares @ mean_a, truth)
        found["videos"] += not holds(shares @ (mean_a - mean_b), 0.0)
        with_seeds = [pigeonhole(correct, shares, rng) for correct in (first, second)]
        held["pigeonhole"] += holds(with_seeds[0], truth)
        found["pigeonhole"] += not holds(with_seeds[0] - with_seeds[1], 0.0)
        flipped = np.abs(signs @ (mean_a - mean_b)) >= abs((mean_a - mean_b).sum()) - 1e-9
        found["signs"] += (1 + flipped.sum()) / (1 + num_resamples) <= 1 - CONFIDENCE
        if len(first) > 1:
            deviations.append((100 / NUM_SEGMENTS * first.mean(axis=1)).std(ddof=1))
    return {
        "sd_of_seeds": round(float(np.mean(deviations)), 2) if deviations else 0.0,
        **{f"held_{name}": round(100 * count / num_data_sets, 1) for name, count in held.items()},
        **{f"found_{name}": round(100 * count / num_data_sets, 1) for name, count in found.items()},
    }


def main() -> None:
    """Measure every setting and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-data-sets", type=int, default=1000)
    parser.add_argument("--num-videos", type=int, default=400)
    parser.add_argument("--num-resamples", type=int, default=999)
    arguments = parser.parse_args()
    results = []
    for setting in SETTINGS:
        result = measure(setting, arguments.num_videos, arguments.num_data_sets, arguments.num_resamples)
        results.append(result)
        print(json.dumps({**setting._asdict(), **result}), flush=True)
    extremes = {}
    for name in ("held_ours", "found_ours"):
        figures = [result[name] for result in results]
        extremes[name] = [min(figures), max(figures)]
    print(json.dumps(extremes))


if __name__ == "__main__":
    main()
