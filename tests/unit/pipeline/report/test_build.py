import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from pipeline.params.overriding import override
from pipeline.report import choice
from pipeline.store.shards import load_ledger, save_ledger

HOSTILE = "</script><script>alert(1)</script>"


class TestPage:
    def test_loads_nothing_from_anywhere(self, page, text):
        assert page.addresses
        assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
        assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
        assert not re.search(r"url\(|@import|https?://", text)

    def test_allows_its_own_script_and_nothing_else(self, page):
        assert page.tags.count("script") == 1
        digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
        assert page.policy == (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        )
        assert page.handlers == []

    def test_is_well_formed(self, page):
        assert page.open == []
        assert page.tags.count("html") == page.tags.count("h1") == 1

    def test_every_link_leads_to_a_section(self, page, text):
        for address in page.addresses:
            if address.startswith("#"):
                assert f'id="{address[1:]}"' in text

    def test_first_says_what_was_run(self, page):
        assert "Data set synthetic · features extracted · method CPSP · supervision full · seed 123" in page.text

    def test_shows_the_scores_with_interval_and_coverage(self, page):
        assert "83.3 %" in page.text
        assert "95 % interval 70.0 % to 95.0 %" in page.text
        assert "3 of 4 clips" in page.text
        assert "Epoch 4. For comparison with code that reports it, not a result." in page.text

    def test_shows_mean_and_deviation_of_several_seeds_and_nothing_of_one(self, make_run):
        run = make_run(has_media=False)
        assert "standard deviation" not in run.build()
        path = run.root / "evaluate/metrics.json"
        seeds = {"num_seeds": 3, "segment_accuracy_mean": 81.3, "segment_accuracy_sd": 2.5}
        path.write_text(json.dumps(json.loads(path.read_text()) | seeds))
        assert "Seed 123 of 3: mean 81.3 %, standard deviation 2.5 %." in " ".join(run.build().split())

    def test_names_the_clip_without_a_score_and_why(self, page):
        assert "1 test clip without a score" in page.text
        assert "visual: missing, audio: missing" in page.text

    def test_shows_the_parameters_by_their_keys(self, page):
        assert "cpsp.full.vpsa.margin 0.2" in page.text
        assert "num_resamples 2000" in page.text

    def test_shows_the_common_schedule_by_its_own_keys(self, make_run, read_page):
        run = make_run(has_media=False)
        run.params = override(
            run.params, {"train.recipe": "common", "train.common.full.num_epochs": 41}, subject="test"
        )
        text = read_page(run.build()).text
        assert "common.full.num_epochs 41" in text
        assert "cpsp.full.tau" in text
        assert "cpsp.full.num_epochs" not in text

    @pytest.mark.parametrize(
        ("changes", "kept"),
        [
            ({"train.method": "ave_att"}, "the last validated"),
            ({"train.method": "ave_att", "train.recipe": "common"}, "the best on validation"),
            ({"train.method": "psp"}, "the best on validation"),
            (
                {"train.method": "psp", "train.psp.weak.num_epochs": 5},
                "the last, as training ended before any could be chosen",
            ),
        ],
    )
    def test_says_which_epoch_was_kept(self, changes, kept, make_run, read_page):
        run = make_run(has_media=False)
        run.params = override(run.params, {"train.supervision": "weak", **changes}, subject="test")
        text = read_page(run.build()).text
        assert f"Weights of epoch 3, {kept}." in text
        assert f"whose weights were kept: {kept}." in text

    def test_does_not_depend_on_parameters_without_a_part_in_the_run(self, make_run):
        run = make_run(has_media=False)
        before = run.build()
        params = run.params
        run.params = params.model_copy(
            update={
                "extract": params.extract.model_copy(update={"batch_size": 7}),
                "train": params.train.model_copy(
                    update={
                        "device": "cuda:3",
                        "cache": "ram",
                        "psp": params.train.psp.model_copy(update={"weak": params.train.sspsp.weak}),
                        "weak": params.train.weak.model_copy(update={"background_clips": True}),
                    }
                ),
            }
        )
        assert run.build() == before

    def test_shows_recipe_and_weights_hash_of_both_feature_sets(self, page):
        assert "net-of-visual" in page.text
        assert "net-of-audio" in page.text
        assert page.text.count("ab" * 32) == 2

    def test_draws_a_chart_per_loss_term_with_the_selected_epoch(self, page):
        assert "Total loss" in page.text
        assert "Loss: avpsp" in page.text
        assert "epoch 3, selected" in page.text
        assert "epoch 4, best on test" in page.text

    def test_lists_videos_with_problems(self, page):
        assert "video3 audio failed missing" in page.text
        assert "video1 audio partial short" in page.text

    def test_shows_what_the_audit_found_and_only_that(self, page):
        assert "videos in two splits: train/test 12 twice0" in page.text
        assert "twice9, …" in page.text
        assert "empty videos" not in page.text
        assert "2.5 MB" in page.text

    def test_shows_pictures_and_says_which_are_missing(self, page):
        clips_with_media, num_segments = 4, 4
        assert sum(name is None and address.startswith("data:image/webp") for name, address in page.images) == (
            clips_with_media * num_segments
        )
        assert sum(name == "spectrogram" for name, _ in page.images) == clips_with_media
        assert page.text.count("no pictures: missing; no sound: missing") == 1

    def test_same_inputs_give_the_same_bytes(self, run_with_media, text):
        assert run_with_media.build("again") == text

    def test_holds_no_path_of_this_machine(self, run_with_media, text):
        assert str(run_with_media.root) not in text


class TestHostileNames:
    @pytest.fixture
    def text(self, make_run):
        run = make_run(
            (HOSTILE, '" onmouseover="alert(1)'),
            clip_prefix="<img src=x onerror=alert(1)>'\"",
            video_prefix='"><img src=x onerror=alert(2)>',
            offsets=("0.200", "0.471"),
        )
        path = run.root / "features" / "visual" / "ledger.csv"
        hostile = {"status": "partial", "reason": f'" onclick="{HOSTILE}', "detail": f"'\"{HOSTILE}"}
        save_ledger(path, [replace(row, **hostile, valid="1110") for row in load_ledger(path)])
        return run.build()

    def test_become_text(self, text, read_page):
        page = read_page(text)
        assert HOSTILE in page.text
        assert "<img src=x onerror=alert(1)>" in page.text
        assert 'at most 0.471 s ("><img src=x onerror=alert(2)>1)' in page.text
        assert f'" onclick="{HOSTILE}' in page.text

    def test_become_no_tag_and_no_attribute(self, text, read_page):
        page = read_page(text)
        assert page.tags.count("script") == 1
        assert "alert" not in page.script
        assert page.handlers == []
        assert "x" not in page.addresses

    @pytest.mark.parametrize("prefix", ['"><script>alert(1)</script>', "'\"></script>&quot;\n{{ 7 * 7 }}"])
    def test_can_be_filtered_by_as_they_are(self, make_run, prefix, read_page):
        categories = ('"><script>alert(1)</script>', "a b&amp;c")
        page = read_page(make_run(categories, clip_prefix=prefix, has_media=False).build())
        assert page.tags.count("script") == 1
        assert [(row["data-id"], row["data-category"]) for row in page.rows if row["data-split"] == "test"] == [
            (f"{prefix}{number}", categories[number % 2]) for number in range(3)
        ]


class TestClips:
    def test_every_scored_clip_is_a_row_with_what_it_is_filtered_by(self, page):
        assert [
            (row["data-id"], row["data-category"], row["data-split"], row["data-outcome"]) for row in page.rows
        ] == [
            ("clip0", "bell", "test", "right"),
            ("clip1", "dog", "test", "boundary"),
            ("clip2", "bell", "test", "boundary"),
            ("clip-val0", "bell", "val", "right"),
            ("clip-val1", "dog", "val", "boundary"),
        ]
        assert "5 scored clips of test and validation, the first 5 in detail" in page.text

    def test_filters_offer_what_there_is_with_counts(self, page):
        assert "Category all bell (3) dog (2) Split all test (3) validation (2)" in page.text
        assert "Outcome all all right (2) wrong category (0) boundary off by one (3) missed event (0)" in page.text

    def test_only_some_are_shown_in_detail_those_of_test_first(self, make_run, read_page):
        page = read_page(make_run(has_media=False, num_detailed=2).build())
        assert page.text.count("Predicted") == 2
        assert [row["data-split"] for row in page.rows[:2]] == ["test", "test"]
        assert len(page.rows) == 5

    def test_a_long_list_is_cut_and_says_so(self, make_run, monkeypatch, read_page):
        monkeypatch.setattr(choice, "MAX_LISTED", 2)
        page = read_page(make_run(has_media=False, num_test_clips=4, num_val_clips=3, num_detailed=1).build())
        assert [row["data-split"] for row in page.rows] == ["test", "test", "val", "val"]
        assert "4 of 7 scored clips of test and validation, the first 1 in detail" in page.text
        assert "2 more clips of test are not listed, chosen by the same rule; all are in predictions.csv ." in page.text
        assert (
            "1 more clips of validation are not listed, chosen by the same rule; all are in predictions_val.csv ."
            in page.text
        )

    def test_attention_lies_over_pictures_where_an_event_is_predicted(self, page):
        overlays = [address for name, address in page.images if name == "attention"]
        assert len(overlays) == 2 + 1 + 2 + 1  # clip0, clip1 and the same of validation; clip2 has no picture
        assert all(address.startswith("data:image/png") for address in overlays)

    def test_attention_of_all_segments_is_there_on_demand(self, page, text):
        assert sum(name == "pixels" for name, _ in page.images) == 5 * 4
        assert "segment 4: most attention, 50%, in row 1, column 1 of 7" in text

    def test_connections_are_drawn_with_what_they_are(self, page):
        assert page.text.count("Which segments were connected") == 5
        assert "Visual → audio, kept: 1 of 16 pairs, strongest visual segment 2 with audio segment 3, 0.75" in page.text

    def test_a_method_without_propagation_has_no_connections(self, make_run, read_page):
        page = read_page(make_run(has_media=False, propagates=False).build())
        assert "Which segments were connected" not in page.text
        assert "Attention in every segment" in page.text

    def test_features_without_a_map_have_no_attention(self, make_run, read_page):
        run = make_run(num_positions=1, num_val_clips=0)
        page = read_page(run.build())
        assert "Attention in every segment" not in page.text
        assert not [name for name, _ in page.images if name == "attention"]

    def test_without_a_validation_split_only_test_is_shown(self, make_run, read_page):
        page = read_page(make_run(has_media=False, num_val_clips=0).build())
        assert "3 scored clips of test, the first 3 in detail" in page.text
        assert "Reliability on test" in page.text
        assert "Reliability on validation" not in page.text

    def test_without_any_media_says_so_once_and_shows_the_attention(self, make_run, read_page):
        run = make_run(source="released", dataset_format="ave", has_media=False)
        text = run.build()
        page = read_page(text)
        assert page.text.count("There is no video of these clips") == 1
        assert "no pictures" not in page.text
        assert "Seen" not in page.text
        assert "Heard" not in page.text
        assert text.count('<details class="inner" open><summary>Attention') == 5

    def test_no_clip_in_detail_is_possible(self, make_run, read_page):
        run = make_run(has_media=False)
        report = run.params.report.model_copy(update={"num_clips": 0})
        run.params = run.params.model_copy(update={"report": report})
        page = read_page(run.build())
        assert "5 scored clips of test and validation. The upper bar" in page.text
        assert len(page.rows) == 5
