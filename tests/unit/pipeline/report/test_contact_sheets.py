from pipeline.report.contact_sheets import NUM_SHEETS, choose_sheets
from pipeline.report.localization.run import LocalizationPrediction
from pipeline.store.manifest import Clip


def prediction(name, category, said=("background",)):
    clip = Clip(name, name, f"{name}.mp4", category, "1", "test")
    return LocalizationPrediction(clip, (category,), said, (0.5,))


class TestChoice:
    def test_takes_a_clip_of_each_category_before_a_second_one(self):
        clips = [prediction(f"{category}{n}", category) for n in range(3) for category in ("dog", "bell")]
        chosen = [item.clip.clip_id for item in choose_sheets(clips, ("bell", "dog"))]
        assert chosen == ["bell0", "dog0", "bell1", "dog1", "bell2", "dog2"]
        assert len(chosen) == NUM_SHEETS

    def test_does_not_depend_on_what_was_predicted_or_on_the_order(self):
        clips = [prediction(f"{n}", "dog") for n in range(9)]
        others = [prediction(f"{n}", "dog", ("dog" if n % 2 else "background",)) for n in range(9)][::-1]
        chosen, again = (choose_sheets(of_run, ("dog",)) for of_run in (clips, others))
        assert [item.clip for item in chosen] == [item.clip for item in again]
