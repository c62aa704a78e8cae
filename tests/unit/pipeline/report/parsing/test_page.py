import json
import re

import pytest

from pipeline.report.parsing.page import describe_rule

HOSTILE = "</script><script>alert(1)</script>"


class TestRule:
    def test_names_the_gate(self):
        assert describe_rule("own").endswith("its probability in the clip in that modality (own gate).")
        assert describe_rule("global").endswith("in the whole clip, whichever the modality (global gate).")

    def test_the_page_says_that_of_the_run(self, page, make_run, read_page):
        assert "(own gate)" in page.text
        assert "(global gate)" in read_page(make_run(method="han", has_media=False).build()).text


class TestPage:
    def test_is_well_formed_and_loads_nothing_from_anywhere(self, page, text):
        assert page.open == []
        assert page.tags.count("html") == page.tags.count("h1") == page.tags.count("script") == 1
        assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
        assert not re.search(r"url\(|@import|https?://", text)
        for address in page.addresses:
            if address.startswith("#"):
                assert f'id="{address[1:]}"' in text

    def test_first_says_what_was_run(self, page):
        assert page.text.count("Audio-visual video parsing") == 1
        run = "Data set synthetic_parsing · features extracted · method CPSP (parsing) · supervision weak · seed 123"
        assert run in page.text

    def test_shows_the_scores_with_intervals_references_and_coverage(self, page):
        assert "Type@AV per segment 63.0 % 95 % interval 53.0 % to 73.0 %" in page.text
        assert "predicting everything scores 14.5 %, predicting nothing 9.5 %" in page.text
        assert "Event@AV per segment 64.0 % 95 % interval 54.0 % to 74.0 %" in page.text
        assert "Type@AV per event 68.0 % 95 % interval 58.0 % to 78.0 %" in page.text
        assert "Event@AV per event 69.0 % 95 % interval 59.0 % to 79.0 %" in page.text
        assert "5 of 6 clips" in page.text
        assert "Weights of epoch 3, the last validated." in page.text

    def test_draws_the_references_on_the_scale_of_the_score(self, text):
        lines = re.findall(r'<i class="baseline" style="left:([\d.]+)%">', text)
        assert lines == ["14.50", "9.50"]
        assert '<i class="value" style="left:63.00%">' in text

    def test_says_of_the_score_selected_on_test_that_it_is_no_result(self, page):
        assert "Selected on the test split 85.2 % Epoch 4. Type@AV per segment, for comparison" in page.text

    def test_has_the_table_of_all_scores(self, page):
        assert (
            "All F-scores, own gate A V AV Type@AV Event@AV Per segment mean over clips 60.0 % 50.0 to 70.0"
            in page.text
        )
        assert "micro average 45.0 % 46.0 % 47.0 % 48.0 % 49.0 % with the global gate 25.0 %" in page.text
        assert "everything predicted 11.5 % nothing predicted 8.5 %" in page.text

    def test_shows_mean_and_deviation_of_several_seeds_and_nothing_of_one(self, make_run, page):
        assert "standard deviation" not in page.text
        run = make_run(has_media=False)
        path = run.root / "evaluate/metrics.json"
        seeds = {"num_seeds": 3, "segment_type_at_av_mean": 61.3, "segment_type_at_av_sd": 2.5}
        path.write_text(json.dumps(json.loads(path.read_text()) | seeds))
        assert "Seed 123 of 3: mean 61.3 %, standard deviation 2.5 %." in " ".join(run.build().split())

    def test_a_score_that_is_not_defined_is_a_dash(self, make_run, read_page):
        run = make_run(has_media=False)
        path = run.root / "evaluate/metrics.json"
        undefined = ("segment_type_at_av_low", "test_selected_segment_type_at_av", "test_selected_epoch")
        path.write_text(json.dumps(json.loads(path.read_text()) | dict.fromkeys(undefined)))
        text = read_page(run.build()).text
        assert "95 % interval – to 73.0 %" in text
        assert "Selected on the test split – Type@AV per segment, for comparison" in text

    def test_draws_the_score_by_which_epochs_are_selected(self, page):
        assert "Type@AV per segment, % validation test" in page.text
        assert "Accuracy" not in page.text
        assert "epoch 4, best on test" in page.text

    def test_shows_each_category_with_its_scores_and_what_was_found(self, page):
        assert "dog 2 75.5 % 50.5 % 25.5 %" in page.text
        assert "rain 2 75.5 % 50.5 % –" in page.text
        assert "dog 2 3 0" in page.text

    def test_says_what_was_wrong_and_how_sure_it_was(self, page):
        assert "Test, seen : 3 of 7 segments wrong, 42.9 %" in page.text
        assert "wrong modality 2 67 % 0 0 % 0 0 0 % A category that is there" in page.text
        assert "Reliability on test, heard" in page.text

    def test_names_the_clip_without_a_score_and_why(self, page):
        assert "1 test clip without a score" in page.text
        assert "clip5 rain visual: missing, audio: missing" in page.text

    def test_announces_random_weights_of_the_motion_stream(self, make_run, read_page, page):
        assert "Random network weights (visual, audio) and the embedded data set" in page.text
        motion = {"backbone": "r2plus1d_18", "weights": "random", "weights_sha256": None, "weights_seed": 1}
        text = read_page(make_run(has_media=False, visual={"motion": motion}).build()).text
        assert "Random network weights (visual, audio, motion) and the embedded data set" in text
        assert "motion net-of-motion last, weights random" in text

    def test_same_inputs_give_the_same_bytes_and_hold_no_path_of_this_machine(self, run_with_media, text):
        assert run_with_media.build("again") == text
        assert str(run_with_media.root) not in text


class TestClips:
    def test_every_scored_clip_is_a_row_with_what_it_is_filtered_by(self, page):
        rows = {row["data-id"]: (row["data-category"].split("\n"), row["data-outcome"]) for row in page.rows}
        assert rows == {
            "clip0": (["bell"], "right"),
            "clip1": (["dog", "rain"], "missed"),
            "clip2": (["rain"], "modality boundary"),
            "clip3": ([""], "right"),
            "clip4": (["dog", "rain"], "missed invented"),
            "clip-val0": (["bell"], "right"),
            "clip-val1": (["dog", "rain"], "missed"),
        }

    def test_filters_offer_what_there_is_with_counts(self, page):
        assert "Category all bell (2) dog (3) rain (4) Split all test (5) validation (2)" in page.text
        assert "Outcome all all right (3) wrong modality (1) boundary off by one (1) missed (3) false (1)" in page.text

    def test_a_clip_in_detail_has_its_lanes_under_what_is_seen_and_heard(self, page):
        start = page.text.index("clip1 test")
        detail = page.text[start : page.text.index("Probabilities of the clip", start)]
        places = [
            detail.index(words)
            for words in (
                "Seen",
                "dog, seen: truth 2–3; predicted 2–3 wrong: nothing",
                "Heard",
                "rain, heard: truth 1–2; predicted nowhere wrong: 2 missed",
            )
        ]
        assert places == sorted(places)
        assert "the clip's: 0.20" in detail
        assert "0.20 closed" in detail
        assert detail.count("closed by the clip's 0.20") == 2

    def test_a_lane_is_hatched_where_there_is_no_media(self, text):
        tracks = re.findall(r'<div class="track lane-track">(.*?)<svg', text, re.DOTALL)
        hatched = [re.findall(r"grid-column:(\d+)", track) for track in tracks]
        assert [places for places in hatched if places] == [["4"], ["4"]]  # what is heard in clip1, and in clip-val1

    def test_says_of_a_modality_without_lanes_that_there_is_nothing(self, page):
        assert "nothing heard or predicted" in page.text

    def test_shows_the_probabilities_of_the_clip_and_which_of_them_are_the_gate(self, page, make_run, read_page):
        assert "category tagged seen in it gate heard in it gate whole clip dog yes 0.80 0.20 0.80" in page.text
        assert "1 other category is below 0.5 in all of these." in page.text
        text = read_page(make_run(method="han", has_media=False).build()).text
        assert "category tagged seen in it heard in it whole clip gate" in text

    def test_names_tags_that_differ_from_the_segments(self, page):
        assert page.text.count("tagged, but in no segment: bell; in its segments, but not tagged: rain") == 1

    def test_shows_pictures_and_says_which_are_missing(self, page):
        clips_with_media, num_segments = 4, 4
        assert sum(address.startswith("data:image/webp") and name is None for name, address in page.images) == (
            clips_with_media * num_segments
        )
        assert sum(name == "spectrogram" for name, _ in page.images) == clips_with_media
        assert page.text.count("no pictures: missing; no sound: missing") == 3

    def test_without_any_media_says_so_once(self, make_run, read_page):
        page = read_page(make_run(has_media=False).build())
        assert page.text.count("There is no video of these clips") == 1
        assert page.images == []

    @pytest.mark.parametrize("num_detailed", [1, 4])
    def test_only_some_are_shown_in_detail(self, make_run, read_page, num_detailed):
        page = read_page(make_run(has_media=False, report={"num_clips": num_detailed}).build())
        assert page.text.count("Probabilities of the clip") == num_detailed


class TestHostileNames:
    @pytest.fixture
    def hostile(self, make_run, read_page):
        names = (HOSTILE, '" onmouseover="alert(1)', "'><img src=x onerror=alert(1)>")
        return read_page(make_run(names, clip_prefix="<img src=x onerror=alert(1)>'\"").build())

    def test_become_text(self, hostile):
        assert HOSTILE in hostile.text
        assert f"{HOSTILE}, seen: truth 2–3" in hostile.text

    def test_become_no_tag_and_no_attribute(self, hostile):
        assert hostile.tags.count("script") == 1
        assert "alert" not in hostile.script
        assert hostile.handlers == []
        assert "x" not in hostile.addresses

    def test_can_be_filtered_by_as_they_are(self, hostile):
        assert hostile.rows[0]["data-category"] == HOSTILE
