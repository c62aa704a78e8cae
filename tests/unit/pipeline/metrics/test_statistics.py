import numpy as np
import pytest
import scipy.stats

from pipeline.metrics import statistics
from pipeline.metrics.statistics import (
    Comparison,
    Interval,
    Resampling,
    bootstrap_interval,
    compare,
    in_words,
    mean_and_deviation,
    seeds_interval,
)


def interval(correct, total, *, confidence=0.95, num_resamples=2000, seed=0):
    resampling = Resampling(confidence=confidence, num_resamples=num_resamples, seed=seed)
    return bootstrap_interval(np.asarray(correct), np.asarray(total), resampling)


def over_seeds(correct, total, *, confidence=0.95, num_resamples=2000, seed=0):
    resampling = Resampling(confidence=confidence, num_resamples=num_resamples, seed=seed)
    return seeds_interval(np.asarray(correct), np.asarray(total), resampling)


def comparison(correct_a, correct_b, total, *, confidence=0.95, num_resamples=1999, seed=0):
    resampling = Resampling(confidence=confidence, num_resamples=num_resamples, seed=seed)
    return compare(np.asarray(correct_a), np.asarray(correct_b), np.asarray(total), resampling)


def runs(rng, total, *, num_seeds, videos, seeds=0.0, cells=0.0):
    """Return correct segments (S, V) of one method.

    A segment is right with the probability Φ(0.7 + sum of normal effects): `videos` (V,) are given, as methods share
    them; `seeds` and `cells` are the deviations of the others, drawn here.
    """
    effects = rng.normal(0, seeds, (num_seeds, 1)) + rng.normal(0, cells, (num_seeds, len(total)))
    return rng.binomial(total, scipy.stats.norm.cdf(0.7 + videos + effects))


def mean_accuracy(*deviations, shift=0.0):
    """Return what the mean accuracy of :func:`runs` estimates: E Φ(0.7 + shift + Z) with Z normal, in closed form."""
    return 100 * scipy.stats.norm.cdf((0.7 + shift) / np.sqrt(1 + sum(deviation**2 for deviation in deviations)))


class TestBootstrapInterval:
    @pytest.mark.parametrize("confidence", [0.8, 0.95])
    def test_equals_the_binomial_where_a_video_is_right_or_wrong_as_a_whole(self, confidence):
        # Resampled numbers of right videos are then Binomial(V, share right): 10,000 of them put a bound within
        # a video of its closed form.
        correct = np.repeat([10, 0], [150, 50])
        low, high = interval(correct, np.full(200, 10), confidence=confidence, num_resamples=10000)
        tail = (1 - confidence) / 2
        closed_form = scipy.stats.binom(200, 0.75).ppf([tail, 1 - tail]) / 200 * 100
        np.testing.assert_allclose([low, high], closed_form, atol=0.51)

    def test_equals_a_slow_restatement_with_unequal_totals(self):
        rng = np.random.default_rng(1)
        total = rng.choice([10, 20], size=80)
        correct = rng.binomial(total, 0.7)
        scores = []
        for _ in range(4000):
            drawn = rng.integers(0, 80, size=80)
            scores.append(100 * correct[drawn].sum() / total[drawn].sum())
        np.testing.assert_allclose(
            interval(correct, total, num_resamples=4000), np.percentile(scores, [2.5, 97.5]), atol=0.4
        )

    def test_covers_the_true_score_about_as_often_as_it_says(self):
        rng = np.random.default_rng(2)
        covered = 0
        for seed in range(200):
            share = rng.beta(4, 2, size=60)  # videos differ: mean 2/3
            low, high = interval(rng.binomial(10, share), np.full(60, 10), num_resamples=400, seed=seed)
            covered += low <= 100 * 4 / 6 <= high
        assert 0.90 <= covered / 200 <= 0.99

    def test_segments_of_a_video_are_not_taken_as_independent(self):
        rng = np.random.default_rng(3)
        right = 10 * rng.binomial(1, 0.7, size=100)
        low, high = interval(right, np.full(100, 10))
        alone_low, alone_high = interval(np.repeat(right // 10, 10), np.full(1000, 1))
        assert high - low == pytest.approx(np.sqrt(10) * (alone_high - alone_low), rel=0.15)

    def test_contains_the_score_and_narrows_with_less_confidence(self):
        correct = np.random.default_rng(4).binomial(10, 0.6, size=50)
        total = np.full(50, 10)
        wide, narrow = interval(correct, total, confidence=0.99), interval(correct, total, confidence=0.5)
        assert wide.low < narrow.low < 100 * correct.sum() / total.sum() < narrow.high < wide.high

    def test_the_seed_decides(self):
        correct = np.random.default_rng(5).integers(0, 1001, size=40)
        total = np.full(40, 1000)
        assert interval(correct, total, seed=1) == interval(correct, total, seed=1)
        assert interval(correct, total, seed=1) != interval(correct, total, seed=2)

    def test_how_much_is_held_in_memory_does_not_change_the_result(self, monkeypatch):
        correct = np.random.default_rng(6).integers(0, 11, size=40)
        whole = interval(correct, np.full(40, 10))
        monkeypatch.setattr(statistics, "MAX_DRAWS_AT_ONCE", 40 * 7)
        assert interval(correct, np.full(40, 10)) == whole
        monkeypatch.setattr(statistics, "MAX_DRAWS_AT_ONCE", 1)
        assert interval(correct, np.full(40, 10), num_resamples=50) == pytest.approx(whole, abs=5)

    def test_memory_stays_bounded_with_many_videos(self, monkeypatch):
        sizes = []
        accuracy = statistics._accuracy

        def record(correct, total, axis=-1):
            sizes.append(correct.size)
            return accuracy(correct, total, axis)

        monkeypatch.setattr(statistics, "_accuracy", record)
        interval(np.full(20000, 5), np.full(20000, 10), num_resamples=300)
        assert max(sizes) <= statistics.MAX_DRAWS_AT_ONCE

    def test_intervals_of_published_scores_stay_what_they_are(self):
        correct = [10, 9, 10, 3, 0, 7, 10, 8, 10, 10, 2, 6, 10, 10, 5, 9]
        assert interval(correct, np.full(16, 10)) == pytest.approx((57.5, 89.375))
        correct = [10, 19, 7, 3, 11, 7, 10, 8, 10, 10, 2, 6, 17, 10, 5, 9]
        total = [10, 20, 10, 10, 30, 10, 10, 20, 10, 10, 10, 10, 20, 10, 10, 10]
        low, high = interval(correct, total, confidence=0.9, num_resamples=500, seed=123)
        assert (low, high) == pytest.approx((57.07699275, 81.05882353))

    @pytest.mark.parametrize("right", [0, 10])
    def test_videos_that_score_alike_give_no_width(self, right):
        assert interval(np.full(30, right), np.full(30, 10)) == Interval(10.0 * right, 10.0 * right)

    def test_one_video_gives_its_score(self):
        assert interval([7], [10]) == Interval(70.0, 70.0)

    def test_two_videos_are_enough(self):
        assert interval([0, 10], [10, 10]) == Interval(0.0, 100.0)

    @pytest.mark.parametrize(
        ("correct", "total"), [([], []), ([[1]], [[1]]), ([True], [1])], ids=["none", "two axes", "truth values"]
    )
    def test_counts_of_another_shape_or_type_are_refused(self, correct, total):
        with pytest.raises(ValueError, match=r"correct: expected numbers of shape \(V,\)"):
            interval(correct, total)

    def test_a_number_of_segments_or_clips_that_is_not_whole_is_refused(self):
        with pytest.raises(ValueError, match=r"total: expected whole numbers of shape \(V,\).* found float64"):
            interval([1], [1.0])

    @pytest.mark.parametrize(("correct", "total"), [(11, 10), (-1, 10), (0, 0), (1.5, 1), (np.nan, 1), (-np.inf, 1)])
    def test_impossible_counts_are_refused(self, correct, total):
        with pytest.raises(ValueError, match=f"video 1: expected 0 <= .* found {correct} of {total}"):
            interval([5, correct], [10, total])

    def test_other_numbers_of_videos_are_refused(self):
        with pytest.raises(ValueError, match="correct: expected 1 videos, as total has, found 2"):
            interval([1, 1], [10])

    @pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, np.nan])
    def test_a_confidence_out_of_range_is_refused(self, confidence):
        with pytest.raises(ValueError, match="a confidence between 0 and 1"):
            interval([1, 2], [2, 2], confidence=confidence)

    def test_no_resamples_are_refused(self):
        with pytest.raises(ValueError, match="at least one resample"):
            interval([1, 2], [2, 2], num_resamples=0)


class TestSeedsInterval:
    def test_one_seed_gives_the_interval_over_videos(self):
        rng = np.random.default_rng(20)
        total = rng.choice([10, 20], size=50)
        correct = rng.binomial(total, 0.7)
        assert over_seeds([correct], total, seed=3) == interval(correct, total, seed=3)

    def test_equals_the_t_interval_of_the_seeds_where_videos_do_not_vary(self):
        right = np.array([741, 752, 760, 738, 755])  # of 1000, in every video
        low, high = over_seeds(np.tile(right[:, np.newaxis], 4), np.full(4, 1000), num_resamples=200_000)
        scores = right / 10
        closed_form = scipy.stats.t.interval(0.95, 4, scores.mean(), scipy.stats.sem(scores))
        np.testing.assert_allclose([low, high], closed_form, atol=0.02)

    def test_is_centred_on_the_mean_over_seeds_and_as_wide_as_the_analysis_of_variance_says(self):
        rng = np.random.default_rng(21)
        videos = rng.normal(0, 1, 40)
        correct = runs(rng, np.full(40, 100), num_seeds=4, videos=videos, seeds=0.3, cells=0.4)
        scores = correct.astype(float)
        squares = {"seeds": 0.0, "videos": 0.0, "cells": 0.0}  # mean squares of Fisher's table, one cell at a time
        for seed in range(4):
            for video in range(40):
                seed_effect = scores[seed].mean() - scores.mean()
                video_effect = scores[:, video].mean() - scores.mean()
                squares["seeds"] += seed_effect**2 / 3
                squares["videos"] += video_effect**2 / 39
                squares["cells"] += (scores[seed, video] - scores.mean() - seed_effect - video_effect) ** 2 / (3 * 39)
        of_videos = squares["videos"] - squares["cells"]
        variance = (squares["seeds"] + of_videos) / (4 * 40)
        degrees = (squares["seeds"] + of_videos) ** 2 / (squares["seeds"] ** 2 / 3 + of_videos**2 / 39)
        low, high = over_seeds(correct, np.full(40, 100), num_resamples=50_000)
        half_width = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(variance)
        assert (high - low) / 2 == pytest.approx(half_width, rel=0.03)
        assert (high + low) / 2 == pytest.approx(scores.mean(), abs=half_width / 10)

    def test_equals_the_jackknife_where_videos_differ_in_length(self):
        rng = np.random.default_rng(28)
        total = rng.choice([10, 90], p=[0.7, 0.3], size=60)
        correct = runs(rng, total, num_seeds=2, videos=rng.normal(0, 0.4, 60), seeds=0.1, cells=0.4)

        def jackknife(counts):
            """Return the variance of the score by leaving out one video after the other."""
            left = [100 * np.delete(counts, v).sum() / np.delete(total, v).sum() for v in range(60)]
            return 59 * np.var(left)

        scores = 100 * correct.sum(axis=1) / total.sum()
        of_seeds = (scores[0] - scores[1]) ** 2 / 4
        of_videos = jackknife(correct.mean(axis=0)) - jackknife((correct[0] - correct[1]) / 2)
        degrees = (of_seeds + of_videos) ** 2 / (of_seeds**2 + of_videos**2 / 59)
        low, high = over_seeds(correct, total, num_resamples=50_000)
        half_width = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(of_seeds + of_videos)
        assert jackknife((correct[0] - correct[1]) / 2) > 0.2 * of_videos
        assert of_seeds > 0.02 * of_videos
        assert (high - low) / 2 == pytest.approx(half_width, rel=0.08)

    def test_cells_are_counted_once(self):
        # Every segment an independent draw: the mean over seeds has the binomial's variance over S V segments. Seeds
        # and videos drawn both with replacement would give three times that.
        correct = np.random.default_rng(22).binomial(1, 0.7, size=(40, 400))
        low, high = over_seeds(correct, np.full(400, 1))
        assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.7 * 0.3 / (40 * 400)), rel=0.3)

    def test_seeds_that_score_alike_on_other_videos_leave_the_interval_over_videos(self):
        correct = [[10, 0, 7, 5] * 10, [0, 10, 5, 7] * 10]
        low, high = over_seeds(correct, np.full(40, 10), num_resamples=20_000)
        # Means of 5 and 6, twenty each: a deviation of 5 points over 40 videos.
        half_width = scipy.stats.t.ppf(0.975, 39) * 5 / np.sqrt(39)
        np.testing.assert_allclose([low, high], [55 - half_width, 55 + half_width], atol=0.05)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("num_seeds", "seeds", "cells"),
        [(2, 0.05, 0.3), (3, 0.0, 0.6), (5, 0.3, 0.0)],
        ids=["two seeds", "seeds alike in the mean", "seeds apart"],
    )
    def test_covers_the_true_mean_about_as_often_as_it_says(self, num_seeds, seeds, cells):
        rng = np.random.default_rng(23)
        truth = mean_accuracy(0.8, seeds, cells)
        covered = 0
        for seed in range(300):
            total = rng.choice([10, 20], size=60)
            correct = runs(rng, total, num_seeds=num_seeds, videos=rng.normal(0, 0.8, 60), seeds=seeds, cells=cells)
            low, high = over_seeds(correct, total, num_resamples=599, seed=seed)
            covered += low <= truth <= high
        assert 0.92 <= covered / 300 <= 0.97  # the standard deviation of 300 is 1.3 %

    def test_the_order_of_seeds_changes_nothing(self):
        correct = np.random.default_rng(24).integers(0, 11, size=(5, 30))
        whole = over_seeds(correct, np.full(30, 10))
        assert over_seeds(correct[[3, 0, 4, 2, 1]], np.full(30, 10)) == pytest.approx(whole, rel=1e-12)

    def test_the_seed_of_the_resampling_decides(self):
        correct = np.random.default_rng(25).integers(0, 11, size=(3, 30))
        assert over_seeds(correct, np.full(30, 10), seed=1) == over_seeds(correct, np.full(30, 10), seed=1)
        assert over_seeds(correct, np.full(30, 10), seed=1) != over_seeds(correct, np.full(30, 10), seed=2)

    def test_never_leaves_what_an_accuracy_can_be(self):
        low, high = over_seeds(np.full((2, 20), [[10], [9]]), np.full(20, 10))
        assert low == pytest.approx(95 - 12.706 * 5, abs=8)  # Student's t with one degree of freedom
        assert high == 100.0
        assert over_seeds(np.full((2, 20), [[1], [0]]), np.full(20, 10)).low == 0.0

    def test_one_video_varies_with_the_seeds_alone(self):
        low, high = over_seeds([[741], [752], [760]], [1000], num_resamples=200_000)
        half_width = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem([74.1, 75.2, 76.0])
        np.testing.assert_allclose([low, high], [75.1 - half_width, 75.1 + half_width], atol=0.05)

    def test_seeds_and_videos_that_all_score_alike_give_no_width(self):
        assert over_seeds(np.full((3, 20), 7), np.full(20, 10)) == Interval(70.0, 70.0)

    def test_one_seed_and_one_video_give_their_score(self):
        assert over_seeds([[7]], [10]) == Interval(70.0, 70.0)

    def test_narrow_and_unsigned_counts_do_not_overflow(self):
        correct = np.random.default_rng(26).integers(0, 101, size=(3, 30))
        whole = over_seeds(correct, np.full(30, 100))
        assert over_seeds(correct.astype(np.uint8), np.full(30, 100, np.uint8)) == pytest.approx(whole, rel=1e-12)

    def test_memory_stays_bounded_with_many_videos(self, monkeypatch):
        sizes = []
        accuracy = statistics._accuracy

        def record(correct, total, axis=-1):
            sizes.append(correct.size)
            return accuracy(correct, total, axis)

        monkeypatch.setattr(statistics, "_accuracy", record)
        correct = np.random.default_rng(27).binomial(10, np.linspace(0.2, 1, 20000), size=(3, 20000))
        over_seeds(correct, np.full(20000, 10), num_resamples=300)
        assert 20000 < max(sizes) <= statistics.MAX_DRAWS_AT_ONCE

    @pytest.mark.parametrize(
        "correct", [[1, 1], np.zeros((0, 2), int), [[True, True]]], ids=["one axis", "no seed", "truth values"]
    )
    def test_counts_of_another_shape_or_type_are_refused(self, correct):
        with pytest.raises(ValueError, match=r"correct: expected numbers of shape \(S, V\)"):
            over_seeds(correct, [10, 10])

    def test_totals_per_seed_are_refused(self):
        with pytest.raises(ValueError, match=r"total: expected whole numbers of shape \(V,\)"):
            over_seeds([[1, 1]], [[10, 10]])

    def test_other_numbers_of_videos_are_refused(self):
        with pytest.raises(ValueError, match="correct: expected 1 videos, as total has, found 2"):
            over_seeds([[1, 1], [1, 1]], [10])

    @pytest.mark.parametrize("impossible", [11, -1])
    def test_impossible_counts_are_refused(self, impossible):
        with pytest.raises(ValueError, match=f"correct of seed 1, video 2: expected 0 <= .* found {impossible} of 10"):
            over_seeds([[5, 5, 0], [5, 5, impossible]], [10, 10, 10])

    def test_a_video_without_segments_is_refused(self):
        with pytest.raises(ValueError, match=r"video 1: expected .* total > 0, found 0 of 0"):
            over_seeds([[5, 0], [5, 0]], [10, 0])

    @pytest.mark.parametrize(("confidence", "num_resamples"), [(95.0, 100), (np.nan, 100), (0.95, 0)])
    def test_a_resampling_out_of_range_is_refused(self, confidence, num_resamples):
        with pytest.raises(ValueError, match="a confidence between 0 and 1, and at least one resample"):
            over_seeds([[1, 2]], [2, 2], confidence=confidence, num_resamples=num_resamples)


class TestCompare:
    @pytest.mark.parametrize("num_videos", [12, 300])
    def test_equals_the_paired_t_test_where_each_method_has_one_seed(self, num_videos):
        rng = np.random.default_rng(30)
        total = np.full(num_videos, 1000)
        common = rng.normal(0, 0.5, num_videos)
        first = runs(rng, total, num_seeds=1, videos=common + 1 / np.sqrt(num_videos), cells=0.4)
        second = runs(rng, total, num_seeds=1, videos=common, cells=0.4)
        result = comparison(first, second, total, num_resamples=19_999)
        test = scipy.stats.ttest_rel(first[0] / 10, second[0] / 10)
        assert 0.001 < test.pvalue < 0.5
        assert result.difference == pytest.approx((first[0].mean() - second[0].mean()) / 10)
        assert result.p_value == pytest.approx(test.pvalue, rel=0.1)
        low, high = test.confidence_interval(0.95)
        assert result.high - result.low == pytest.approx(high - low, rel=0.03)

    def test_equals_welchs_t_test_of_the_seeds_where_videos_do_not_vary(self):
        first, second = np.array([741, 752, 760]), np.array([735, 738, 741, 733, 740])
        result = comparison(
            np.tile(first[:, np.newaxis], 4), np.tile(second[:, np.newaxis], 4), np.full(4, 1000), num_resamples=199_999
        )
        test = scipy.stats.ttest_ind(first / 10, second / 10, equal_var=False)
        assert result.difference == pytest.approx((first.mean() - second.mean()) / 10)
        assert result.p_value == pytest.approx(test.pvalue, rel=0.03)
        assert (result.low, result.high) == pytest.approx(test.confidence_interval(0.95), abs=0.03)

    def test_equals_the_binomial_of_two_proportions_where_segments_are_independent(self):
        rng = np.random.default_rng(31)
        first, second = rng.binomial(1, [[0.8], [0.7]], size=(2, 2000))
        result = comparison([first], [second], np.ones(2000, int), num_resamples=4_999)
        half_width = 1.96 * 100 * np.sqrt(0.8 * 0.2 / 2000 + 0.7 * 0.3 / 2000)
        assert (result.high - result.low) / 2 == pytest.approx(half_width, rel=0.05)

    def test_videos_count_by_their_segments(self):
        rng = np.random.default_rng(32)
        total = rng.choice([10, 90], size=100)
        first, second = rng.binomial(total, 0.8), rng.binomial(total, 0.7)
        result = comparison([first], [second], total, num_resamples=9_999)
        resampled = []
        for _ in range(4000):
            drawn = rng.integers(0, 100, size=100)
            resampled.append(100 * (first[drawn].sum() - second[drawn].sum()) / total[drawn].sum())
        assert result.difference == pytest.approx(100 * (first.sum() - second.sum()) / total.sum())
        assert (result.low, result.high) == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.25)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("num_seeds", "seeds", "cells", "own"),
        [((1, 1), 0.0, 0.0, 0.4), ((3, 3), 0.05, 0.3, 0.3), ((3, 5), 0.3, 0.3, 0.2)],
        ids=["one seed each", "three each", "seeds apart"],
    )
    def test_without_a_difference_p_values_are_uniform_and_intervals_cover_zero(self, num_seeds, seeds, cells, own):
        # Both methods have the same expected score: what is of a video is partly common, partly the method's `own`.
        rng = np.random.default_rng(33)
        p_values, covered = [], 0
        for seed in range(600):
            total = rng.choice([10, 20], size=40)
            common = rng.normal(0, 0.8, 40)
            first, second = (
                runs(rng, total, num_seeds=count, videos=common + rng.normal(0, own, 40), seeds=seeds, cells=cells)
                for count in num_seeds
            )
            result = comparison(first, second, total, num_resamples=199, seed=seed)
            p_values.append(result.p_value)
            covered += result.low <= 0 <= result.high
        assert 0.03 <= np.mean(np.array(p_values) <= 0.05) <= 0.07
        assert 0.93 <= covered / 600 <= 0.97
        assert scipy.stats.kstest(p_values, "uniform").pvalue > 0.01

    def test_a_true_difference_is_found_and_covered(self):
        rng = np.random.default_rng(34)
        truth = mean_accuracy(0.8, 0.3, shift=0.25) - mean_accuracy(0.8, 0.3)
        found = covered = 0
        for seed in range(200):
            common = rng.normal(0, 0.8, 200)
            first = runs(rng, np.full(200, 10), num_seeds=3, videos=common + 0.25, cells=0.3)
            second = runs(rng, np.full(200, 10), num_seeds=3, videos=common, cells=0.3)
            result = comparison(first, second, np.full(200, 10), num_resamples=399, seed=seed)
            found += result.low > 0
            covered += result.low <= truth <= result.high
        assert found >= 190
        assert 0.92 <= covered / 200 <= 0.98

    @pytest.mark.parametrize("num_seeds", [1, 3])
    def test_the_p_value_is_small_exactly_where_the_interval_excludes_zero(self, num_seeds):
        rng = np.random.default_rng(35)
        verdicts = set()
        for seed in range(300):
            first, second = rng.binomial(10, [[[0.75]], [[0.7]]], size=(2, num_seeds, 40))
            result = comparison(first, second, np.full(40, 10), num_resamples=100, confidence=0.9, seed=seed)
            assert (result.p_value <= 0.1) == (not result.low <= 0 <= result.high)
            verdicts.add(result.p_value <= 0.1)
        assert verdicts == {True, False}

    def test_equal_runs_of_one_seed_do_not_differ_at_all(self):
        correct = np.random.default_rng(36).integers(0, 11, size=(1, 50))
        assert comparison(correct, correct, np.full(50, 10)) == Comparison(0.0, 0.0, 0.0, 1.0)

    def test_equal_runs_of_several_seeds_do_not_differ_but_other_seeds_might(self):
        correct = np.random.default_rng(37).integers(0, 11, size=(3, 50))
        difference, low, high, p_value = comparison(correct, correct, np.full(50, 10))
        assert (difference, p_value) == (0.0, 1.0)
        assert low == -high < 0

    def test_a_segment_more_in_every_video_is_a_difference_without_width(self):
        correct = np.random.default_rng(38).integers(0, 10, size=(1, 50))
        result = comparison(correct + 1, correct, np.full(50, 10), num_resamples=999)
        assert result == pytest.approx((10.0, 10.0, 10.0, 0.001))

    def test_the_other_way_round_is_the_mirror_image(self):
        first, second = np.random.default_rng(39).binomial(10, [[[0.8]], [[0.6]]], size=(2, 3, 50))
        there = comparison(first, second, np.full(50, 10), num_resamples=19_999)
        back = comparison(second, first, np.full(50, 10), num_resamples=19_999)
        assert back.difference == -there.difference
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.2)

    def test_the_order_of_seeds_changes_nothing(self):
        first, second = np.random.default_rng(40).integers(0, 11, size=(2, 4, 30))
        whole = comparison(first, second, np.full(30, 10))
        assert comparison(first[[2, 0, 3, 1]], second[::-1], np.full(30, 10)) == pytest.approx(whole, rel=1e-12)

    def test_several_runs_of_the_same_score_count_like_one(self):
        first, second = np.random.default_rng(41).integers(0, 11, size=(2, 1, 30))
        once = comparison(first, second, np.full(30, 10))
        thrice = comparison(np.repeat(first, 3, axis=0), np.repeat(second, 2, axis=0), np.full(30, 10))
        assert thrice == pytest.approx(once, rel=1e-9)

    def test_cells_are_counted_once(self):
        rng = np.random.default_rng(42)
        first, second = rng.binomial(10, 0.7, size=(2, 20, 400))
        result = comparison(first, second, np.full(400, 10), num_resamples=9_999)
        half_width = 1.96 * np.sqrt(2 * 100**2 * 0.7 * 0.3 / 10 / (20 * 400))
        assert (result.high - result.low) / 2 == pytest.approx(half_width, rel=0.3)

    def test_one_video_says_nothing_about_others(self):
        assert comparison([[9], [8]], [[2]], [10]) == Comparison(65.0, -100.0, 100.0, 1.0)

    def test_never_leaves_what_a_difference_can_be(self):
        result = comparison([[10] * 9, [8] * 9], [[1] * 9, [0] * 9], np.full(9, 10))
        assert result.difference == 85.0
        assert -100 < result.low < result.high == 100.0
        opposite = comparison([[1] * 9, [0] * 9], [[10] * 9, [8] * 9], np.full(9, 10))
        assert -100.0 == opposite.low < opposite.high

    def test_unsigned_counts_do_not_wrap_around(self):
        first, second = np.random.default_rng(43).integers(0, 101, size=(2, 3, 30))
        whole = comparison(first, second, np.full(30, 100))
        narrow = comparison(first.astype(np.uint8), second.astype(np.uint8), np.full(30, 100, np.uint8))
        assert narrow == pytest.approx(whole, rel=1e-12)

    @pytest.mark.parametrize(("confidence", "enough"), [(0.95, 19), (0.9, 9), (0.99, 99)])
    def test_too_few_resamples_for_the_confidence_are_refused(self, confidence, enough):
        counts = [[1, 2, 2]], [[0, 2, 1]], [2, 2, 2]
        comparison(*counts, confidence=confidence, num_resamples=enough)
        with pytest.raises(ValueError, match=f"num_resamples: expected at least {enough} for a confidence of"):
            comparison(*counts, confidence=confidence, num_resamples=enough - 1)

    @pytest.mark.parametrize(("confidence", "num_resamples"), [(0.0, 100), (1.0, 100), (np.nan, 100), (0.95, 0)])
    def test_a_resampling_out_of_range_is_refused(self, confidence, num_resamples):
        with pytest.raises(ValueError, match="a confidence between 0 and 1, and at least one resample"):
            comparison([[1, 2]], [[1, 2]], [2, 2], confidence=confidence, num_resamples=num_resamples)

    @pytest.mark.parametrize("method", ["a", "b"])
    def test_faulty_counts_are_refused_by_the_name_of_their_method(self, method):
        def with_faulty(counts):
            good = [[1, 2]]
            return (counts, good) if method == "a" else (good, counts)

        with pytest.raises(ValueError, match=rf"correct_{method}: expected numbers of shape \(S, V\)"):
            comparison(*with_faulty([1, 2]), [2, 2])
        with pytest.raises(ValueError, match=f"correct_{method}: expected 2 videos, as total has, found 3"):
            comparison(*with_faulty([[1, 2, 2]]), [2, 2])
        with pytest.raises(ValueError, match=f"correct_{method} of seed 0, video 1: expected 0 <= .* found 3 of 2"):
            comparison(*with_faulty([[1, 3]]), [2, 2])


class TestScores:
    """Of a video not counts of segments but the sum of its clips' scores, each in 0 … 1."""

    def test_whole_numbers_give_bit_for_bit_what_counts_give(self):
        rng = np.random.default_rng(50)
        total = rng.choice([10, 20], size=40)
        first, second = rng.binomial(total, [[[0.8]], [[0.7]]], size=(2, 3, 40))
        assert interval(first[0].astype(float), total) == interval(first[0], total)
        assert over_seeds(first.astype(np.float32), total) == over_seeds(first, total)
        whole = comparison(first, second, total)
        assert comparison(first.astype(float), second, total) == whole
        assert comparison(first, second.astype(float), total) == whole

    def test_the_interval_equals_a_slow_restatement(self):
        rng = np.random.default_rng(51)
        total = rng.choice([1, 2], size=80)
        scores = rng.beta(0.5, 0.5, size=80) * total
        resampled = []
        for _ in range(4000):
            drawn = rng.integers(0, 80, size=80)
            resampled.append(100 * scores[drawn].sum() / total[drawn].sum())
        low, high = interval(scores, total, num_resamples=4000)
        np.testing.assert_allclose([low, high], np.percentile(resampled, [2.5, 97.5]), atol=0.9)

    def test_the_interval_over_seeds_equals_students_where_videos_do_not_vary(self):
        scores = np.array([0.5411, 0.5322, 0.5703, 0.5504])
        low, high = over_seeds(np.tile(scores[:, np.newaxis], 5), np.ones(5, int), num_resamples=200_000)
        closed_form = scipy.stats.t.interval(0.95, 3, 100 * scores.mean(), 100 * scipy.stats.sem(scores))
        np.testing.assert_allclose([low, high], closed_form, atol=0.03)

    def test_the_comparison_equals_the_paired_t_test_of_one_seed_each(self):
        rng = np.random.default_rng(52)
        first, second = np.clip(rng.normal(0.5, 0.2, 200) + rng.normal([[0.0], [0.01]], 0.1, (2, 200)), 0, 1)
        result = comparison([first], [second], np.ones(200, int), num_resamples=19_999)
        test = scipy.stats.ttest_rel(first, second)
        assert 0.001 < test.pvalue < 0.5
        assert result.difference == pytest.approx(100 * (first - second).mean(), abs=1e-7)
        assert result.p_value == pytest.approx(test.pvalue, rel=0.1)

    def test_equal_runs_do_not_differ_by_a_last_bit(self):
        # Added as floating-point numbers, 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1: a difference without variance.
        scores = np.repeat([[0.1], [0.2], [0.3]], 7, axis=1)
        assert comparison(scores, scores[::-1], np.ones(7, int)) == comparison(scores, scores, np.ones(7, int))
        assert comparison(scores, scores[::-1], np.ones(7, int)).p_value == 1.0
        half = np.full((1, 7), 0.5)
        assert comparison(half, np.nextafter(half, 0), np.ones(7, int)) == (0, 0, 0, 1)

    def test_the_order_of_seeds_changes_nothing(self):
        scores = np.random.default_rng(53).random((5, 30))
        whole = over_seeds(scores, np.ones(30, int))
        assert over_seeds(scores[[3, 0, 4, 2, 1]], np.ones(30, int)) == pytest.approx(whole, rel=1e-12)


class TestInWords:
    def test_says_which_method_is_above(self):
        sentence = in_words(Comparison(1.2, 0.3, 2.1, 0.012), "CPSP", "PSP")
        assert sentence == "CPSP is 1.2 points above PSP [0.3, 2.1], p = 0.012"

    def test_says_how_far_below_the_first_is(self):
        sentence = in_words(Comparison(-1.2, -2.1, -0.3, 0.012), "CPSP", "PSP")
        assert sentence == "CPSP is 1.2 points below PSP [0.3, 2.1], p = 0.012"

    def test_says_so_where_the_interval_contains_zero(self):
        sentence = in_words(Comparison(0.3, -0.9, 1.5, 0.6), "CPSP", "PSP")
        assert sentence == "no difference shown between CPSP and PSP at these seeds: 0.3 points [-0.9, 1.5], p = 0.6"

    def test_no_difference_at_all_is_none_shown(self):
        sentence = in_words(Comparison(0.0, 0.0, 0.0, 1.0), "CPSP", "PSP")
        assert sentence == "no difference shown between CPSP and PSP at these seeds: 0.0 points [0.0, 0.0], p = 1"

    def test_nothing_rounds_to_minus_zero(self):
        assert "-0.0" not in in_words(Comparison(-0.01, -0.03, 0.02, 0.5), "CPSP", "PSP")

    def test_a_very_small_p_value_is_below_a_thousandth(self):
        assert in_words(Comparison(5.0, 4.0, 6.0, 0.0001), "CPSP", "PSP").endswith("p < 0.001")
        assert in_words(Comparison(5.0, 4.0, 6.0, 0.001), "CPSP", "PSP").endswith("p = 0.001")


class TestMeanAndDeviation:
    @pytest.mark.parametrize("num_values", [2, 3, 10])
    def test_equals_the_closed_form_of_consecutive_numbers(self, num_values):
        # Of 1 … n the mean is (n + 1) / 2 and the sample variance n (n + 1) / 12; the population's is (n² − 1) / 12.
        mean, deviation = mean_and_deviation([float(number) for number in range(1, num_values + 1)])
        assert mean == pytest.approx((num_values + 1) / 2)
        assert deviation == pytest.approx(np.sqrt(num_values * (num_values + 1) / 12))

    def test_two_values_lie_their_distance_apart_over_the_root_of_two(self):
        assert mean_and_deviation([77.5, 78.1]) == pytest.approx((77.8, 0.6 / np.sqrt(2)))

    def test_equal_values_do_not_deviate(self):
        assert mean_and_deviation([75.25] * 5) == (75.25, 0.0)
