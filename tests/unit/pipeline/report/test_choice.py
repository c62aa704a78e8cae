from pipeline.report import choice
from pipeline.report.choice import choose_predictions, list_clips
from pipeline.report.localization.run import LocalizationPrediction
from pipeline.store.manifest import Clip


def prediction(name, category, num_right, num_segments=4):
    clip = Clip(name, name, f"{name}.mp4", category, "1" * num_segments, "test")
    said = (category,) * num_right + ("background",) * (num_segments - num_right)
    return LocalizationPrediction(clip, (category,) * num_segments, said, (0.5,) * num_segments)


def names(chosen):
    return [item.clip.clip_id for item in chosen]


def choose_one_by_one(predictions, num_clips):
    """Restate the rule: look at all clips that are left, each time."""
    mean = sum(item.num_right for item in predictions) / max(1, len(predictions))
    orders = (lambda item: -item.num_right, lambda item: item.num_right, lambda item: abs(item.num_right - mean))
    left, chosen = list(predictions), []
    while left and len(chosen) < num_clips:
        order = orders[len(chosen) % 3]
        shown = [item.clip.category for item in chosen]
        best = min(left, key=lambda item: (shown.count(item.clip.category), order(item), item.clip.clip_id))
        left.remove(best)
        chosen.append(best)
    return chosen


class TestChoice:
    def test_takes_the_best_the_worst_and_a_middling_clip(self):
        clips = [prediction(f"{n}", "dog", n) for n in range(5)]
        assert names(choose_predictions(clips, 3)) == ["4", "0", "2"]

    def test_spreads_over_categories_first(self):
        clips = [prediction(f"{category}{n}", category, n) for category in ("dog", "cat", "bell") for n in (1, 4)]
        chosen = choose_predictions(clips, 3)
        assert {item.clip.category for item in chosen} == {"dog", "cat", "bell"}

    def test_is_that_of_looking_at_all_clips_each_time(self):
        clips = [prediction(f"{n:02}", ("dog", "cat", "cat", "bell")[n * n % 4], n * 7 % 5) for n in range(40)]
        for number in (0, 1, 7, 40):
            assert names(choose_predictions(clips, number)) == names(choose_one_by_one(clips, number))

    def test_does_not_depend_on_the_order(self):
        clips = [prediction(f"{n}", "dog" if n % 2 else "cat", n % 5) for n in range(20)]
        assert names(choose_predictions(clips, 7)) == names(choose_predictions(clips[::-1], 7))

    def test_takes_every_clip_once_where_there_are_few(self):
        clips = [prediction(f"{n}", "dog", n) for n in range(3)]
        assert sorted(names(choose_predictions(clips, 12))) == ["0", "1", "2"]
        assert choose_predictions([], 12) == []


class TestListing:
    def test_details_come_first_and_the_rest_by_category(self):
        clips = [prediction(f"{n}", "dog" if n % 2 else "cat", n % 5) for n in range(6)]
        listing = list_clips({"test": clips}, 2)
        assert names(listing.detailed) == names(sorted(choose_predictions(clips, 2), key=lambda c: -c.num_right))
        keys = [(item.clip.category, item.clip.clip_id) for item in listing.others]
        assert keys == sorted(keys)
        assert sorted(names([*listing.detailed, *listing.others])) == sorted(names(clips))

    def test_details_are_of_the_second_split_only_where_the_first_has_too_few(self):
        splits = {"test": [prediction("a", "dog", 1)], "val": [prediction("b", "dog", 1), prediction("c", "dog", 4)]}
        assert names(list_clips(splits, 2).detailed) == ["a", "c"]
        assert names(list_clips(splits, 1).others) == ["b", "c"]

    def test_of_many_clips_the_first_by_the_rule_are_listed(self, monkeypatch):
        monkeypatch.setattr(choice, "MAX_LISTED", 5)
        clips = [prediction(f"{n}", "dog", n % 5) for n in range(9)]
        listing = list_clips({"test": clips, "val": clips[:3]}, 1)
        assert len(listing.detailed) + len(listing.others) == 5 + 3
        assert listing.num_left_out == {"test": 4, "val": 0}
        of_test = {*names(listing.detailed), *names(listing.others[:4])}
        assert of_test == set(names(choose_predictions(clips, 5)))

    def test_as_many_as_asked_for_are_shown_in_detail_however_few_are_listed(self, monkeypatch):
        monkeypatch.setattr(choice, "MAX_LISTED", 1)
        clips = [prediction(f"{n}", "dog", n % 5) for n in range(9)]
        assert len(list_clips({"test": clips}, 3).detailed) == 3
