from pipeline.annotations.manifest import Clip
from pipeline.report.inputs import Prediction
from pipeline.report.timelines import Stretch, choose_predictions, describe_outcome


def prediction(name, category, num_right, num_segments=4):
    clip = Clip(name, name, f"{name}.mp4", category, "1" * num_segments, "test")
    said = (category,) * num_right + ("background",) * (num_segments - num_right)
    return Prediction(clip, (category,) * num_segments, said, (0.5,) * num_segments)


def names(chosen):
    return [item.clip.clip_id for item in chosen]


class TestChoice:
    def test_takes_the_best_the_worst_and_a_middling_clip(self):
        clips = [prediction(f"{n}", "dog", n) for n in range(5)]
        assert names(choose_predictions(clips, 3)) == ["4", "0", "2"]

    def test_spreads_over_categories_first(self):
        clips = [prediction(f"{category}{n}", category, n) for category in ("dog", "cat", "bell") for n in (1, 4)]
        chosen = choose_predictions(clips, 3)
        assert {item.clip.category for item in chosen} == {"dog", "cat", "bell"}

    def test_does_not_depend_on_the_order(self):
        clips = [prediction(f"{n}", "dog" if n % 2 else "cat", n % 5) for n in range(20)]
        assert names(choose_predictions(clips, 7)) == names(choose_predictions(clips[::-1], 7))

    def test_takes_every_clip_once_where_there_are_few(self):
        clips = [prediction(f"{n}", "dog", n) for n in range(3)]
        assert sorted(names(choose_predictions(clips, 12))) == ["0", "1", "2"]
        assert choose_predictions([], 12) == []


class TestOutcome:
    def test_counts_each_kind_of_error(self):
        clip = Clip("a", "a", "a.mp4", "dog", "011110", "test")
        truth = ("background", "dog", "dog", "dog", "dog", "background")
        said = ("cat", "cat", "cat", "background", "dog", "background")
        assert describe_outcome(Prediction(clip, truth, said, (0.5,) * 6)) == (
            "2 of 6 segments right",
            "1 event segment missed",
            "1 background segment taken for an event",
            "2 event segments taken for cat",
        )

    def test_of_a_perfect_clip_is_one_phrase(self):
        assert describe_outcome(prediction("a", "dog", 4)) == ("4 of 4 segments right",)


def test_a_stretch_counts_segments_from_one():
    assert Stretch("dog", 0, 1, False).title == "segment 1: dog"
    assert Stretch("dog", 2, 3, True).title == "segments 3 to 5: dog, masked: a modality is missing"
