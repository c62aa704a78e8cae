import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.media.container import REASONS
from pipeline.report import choice
from pipeline.report.build import MAX_PROBLEM_VIDEOS, explain_offsets, percent
from pipeline.store.ledger import OffsetSummary
from pipeline.store.maps import load_maps, save_maps
from pipeline.store.shards import load_ledger, save_ledger

HOSTILE = "</script><script>alert(1)</script>"
NOTICE = "they say nothing about the method"


class Page(HTMLParser):
    """Collects the tags, the addresses, the clips of the list, the script and the visible words of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.words, self.open = [], [], [], [], []
        self.rows, self.images, self.script, self.policy = [], [], "", ""
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        attributes = dict(attrs)
        if "data-id" in attributes:
            self.rows.append(attributes)
        if tag == "img":
            self.images.append((attributes.get("class"), attributes["src"]))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "srcset", "poster", "xlink:href"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.script += data
        elif "style" not in self.open:
            self.words.append(data)

    def row(self, clip_id):
        return next(row for row in self.rows if row["data-id"] == clip_id)


@pytest.fixture(scope="module")
def text(run_with_media):
    return run_with_media.build()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


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


class TestNotice:
    def test_random_weights_and_embedded_data_are_announced(self, page):
        assert (
            "Random network weights (visual, audio) and the embedded data set: these scores show that the pipeline "
            "works; they say nothing about the method." in page.text
        )

    def test_random_weights_alone_are_announced(self, make_run):
        text = Page(make_run(dataset_format="csv", has_media=False).build()).text
        assert "Random network weights (visual, audio): these scores" in text

    def test_embedded_data_alone_is_announced(self, make_run):
        text = Page(make_run(weights="published", has_media=False).build()).text
        assert "The embedded data set: these scores" in text

    def test_random_principal_components_are_announced_where_they_are_used(self, make_run):
        run = make_run(weights="published", dataset_format="csv", has_media=False)
        audio = run.params.audio.model_copy(update={"pca_weights": "random", "postprocess": "pca"})
        run.params = run.params.model_copy(update={"audio": audio})
        assert "Random network weights (PCA of audio): these scores" in Page(run.build()).text

    def test_released_features_are_said_to_be_so_and_no_weights_announced(self, make_run):
        page = Page(make_run(source="released", dataset_format="ave", has_media=False).build())
        assert NOTICE not in page.text
        assert "features released" in page.text
        assert "those that the authors of the data set released" in page.text
        assert "frames_per_segment" not in page.text

    def test_released_features_are_not_taken_for_extracted_ones(self, make_run):
        run = make_run(source="released", has_media=False)
        features = run.params.features.model_copy(update={"source": "extracted"})
        run.params = run.params.model_copy(update={"features": features})
        with pytest.raises(PipelineError, match=r"features from 'random', as params\.yaml says, found 'released'"):
            run.build()

    def test_is_absent_for_published_weights_on_a_real_data_set(self, make_run):
        assert NOTICE not in make_run(weights="published", dataset_format="csv", has_media=False).build()


class TestLedgers:
    def test_each_modality_has_its_reasons_with_their_meaning_and_its_masked_segments(self, page):
        assert (
            f"Visual features videos ok partial failed ok 3 missing {REASONS['missing']} 1 all 4 3 0 1 "
            "segments masked 25.0 % 4 of 16 in usable videos 0.0 % 0 of 12" in page.text
        )
        assert (
            f"Audio features videos ok partial failed ok 2 missing {REASONS['missing']} 1 short {REASONS['short']} 1 "
            "all 4 2 1 1 segments masked 31.2 % 5 of 16 in usable videos 8.3 % 1 of 12" in page.text
        )

    def test_long_lists_of_videos_are_cut_and_say_so(self, make_run):
        run = make_run(num_test_clips=30, has_media=False)
        for modality in ("visual", "audio"):
            path = run.root / "features" / modality / "ledger.csv"
            save_ledger(path, [replace(row, status="failed", reason="missing", valid="") for row in load_ledger(path)])
        text = Page(run.build()).text
        assert "video9 visual failed missing" not in text.split("could not be used")[1]
        assert f"and {2 * 31 - MAX_PROBLEM_VIDEOS} more in the ledgers" in text

    def test_says_what_the_other_choice_of_frames_would_show(self, make_run):
        text = Page(make_run(has_media=False, offsets=("0.020", "0.471", "0.000")).build()).text
        assert (
            "Frames are chosen by number, as the AVE release does; in 1 of 3 videos the choice by time would show a "
            "frame more than 0.1 s away, at most 0.471 s (video1)." in text
        )
        assert "furthest apart at most video1 0.471 s video0 0.02 s median of 3 videos 0.02 s" in text

    def test_each_clip_shows_its_own_offset(self, make_run):
        text = Page(make_run(has_media=False, offsets=("0.020", "0.471", "0.000")).build()).text
        for clip, words in (
            ("clip0", "frames by number and by time up to 0.02 s apart"),
            ("clip1", "frames by number and by time up to 0.471 s apart"),
            ("clip2", "same frames by number and by time"),
        ):
            assert words in text.split(f"{clip} test")[1].split("Truth")[0]

    def test_without_offsets_says_so_once_and_no_clip_speaks_of_them(self, page):
        assert page.text.count("how far the choice by time would be from that is not in the ledger") == 1
        assert "apart" not in page.text
        assert "same frames" not in page.text

    def test_of_before_the_sampling_offset_is_shown_without_one(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "features/visual/ledger.csv"
        path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()))
        assert "is not in the ledger" in Page(run.build()).text

    @pytest.mark.parametrize(
        ("offsets", "sampling", "words"),
        [
            (
                OffsetSummary(3, 0.0, 0.0, 0, ()),
                "frames",
                "by number, as the AVE release does; the choice by time would show the same frames in 3 videos.",
            ),
            (
                OffsetSummary(1, 0.05, 0.05, 0, (("a", 0.05),)),
                "time",
                "by time; in 1 video the choice by number, as the AVE release does, would show frames at most 0.05 s "
                "away (a).",
            ),
            (
                OffsetSummary(9, 0.05, 2.76, 2, (("a", 2.76),)),
                "time",
                "by time; in 2 of 9 videos the choice by number, as the AVE release does, would show a frame more than "
                "0.1 s away, at most 2.76 s (a).",
            ),
        ],
    )
    def test_a_sentence_for_every_case(self, offsets, sampling, words):
        sentence = explain_offsets(offsets, sampling)
        assert sentence.replace("\N{NARROW NO-BREAK SPACE}", " ") == f"Frames are chosen {words}"


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

    def test_become_text(self, text):
        page = Page(text)
        assert HOSTILE in page.text
        assert "<img src=x onerror=alert(1)>" in page.text
        assert 'at most 0.471 s ("><img src=x onerror=alert(2)>1)' in page.text
        assert f'" onclick="{HOSTILE}' in page.text

    def test_become_no_tag_and_no_attribute(self, text):
        page = Page(text)
        assert page.tags.count("script") == 1
        assert "alert" not in page.script
        assert page.handlers == []
        assert "x" not in page.addresses

    @pytest.mark.parametrize("prefix", ['"><script>alert(1)</script>', "'\"></script>&quot;\n{{ 7 * 7 }}"])
    def test_can_be_filtered_by_as_they_are(self, make_run, prefix):
        categories = ('"><script>alert(1)</script>', "a b&amp;c")
        page = Page(make_run(categories, clip_prefix=prefix, has_media=False).build())
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

    def test_only_some_are_shown_in_detail_those_of_test_first(self, make_run):
        page = Page(make_run(has_media=False, num_detailed=2).build())
        assert page.text.count("Predicted") == 2
        assert [row["data-split"] for row in page.rows[:2]] == ["test", "test"]
        assert len(page.rows) == 5

    def test_a_long_list_is_cut_and_says_so(self, make_run, monkeypatch):
        monkeypatch.setattr(choice, "MAX_LISTED", 2)
        page = Page(make_run(has_media=False, num_test_clips=4, num_val_clips=3, num_detailed=1).build())
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

    def test_a_method_without_propagation_has_no_connections(self, make_run):
        page = Page(make_run(has_media=False, propagates=False).build())
        assert "Which segments were connected" not in page.text
        assert "Attention in every segment" in page.text

    def test_features_without_a_map_have_no_attention(self, make_run):
        run = make_run(num_positions=1, num_val_clips=0)
        page = Page(run.build())
        assert "Attention in every segment" not in page.text
        assert not [name for name, _ in page.images if name == "attention"]

    def test_without_a_validation_split_only_test_is_shown(self, make_run):
        page = Page(make_run(has_media=False, num_val_clips=0).build())
        assert "3 scored clips of test, the first 3 in detail" in page.text
        assert "Reliability on test" in page.text
        assert "Reliability on validation" not in page.text

    def test_without_any_media_says_so_once_and_shows_the_attention(self, make_run):
        run = make_run(source="released", dataset_format="ave", has_media=False)
        text = run.build()
        page = Page(text)
        assert page.text.count("There is no video of these clips") == 1
        assert "no pictures" not in page.text
        assert "Seen" not in page.text
        assert "Heard" not in page.text
        assert text.count('<details class="inner" open><summary>Attention') == 5

    def test_no_clip_in_detail_is_possible(self, make_run):
        run = make_run(has_media=False)
        report = run.params.report.model_copy(update={"num_clips": 0})
        run.params = run.params.model_copy(update={"report": report})
        page = Page(run.build())
        assert "5 scored clips of test and validation. The upper bar" in page.text
        assert len(page.rows) == 5


class TestMistakes:
    def test_are_counted_by_kind_on_both_splits(self, page):
        assert "Test : 2 of 12 segments wrong, 16.7 %" in page.text
        assert "Validation : 1 of 8 segments wrong, 12.5 %" in page.text
        assert "boundary off by one 2 100 % 1 100 % An event that begins" in page.text
        assert "missed event 0 0 % 0 0 % Any other" in page.text

    def test_those_that_lack_a_modality_are_counted_too(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "features/audio/ledger.csv"
        rows = load_ledger(path)
        rows[2] = replace(rows[2], status="partial", reason="short", valid="1100")
        save_ledger(path, rows)
        text = Page(run.build()).text
        assert "Of the wrong segments of test, 1 lacks a modality" in text
        assert "Of the wrong segments of validation" not in text

    def test_without_any_there_is_no_bar(self, make_run):
        text = make_run(has_media=False, num_test_clips=1, num_val_clips=1).build()
        assert "0 of 4 segments wrong" in Page(text).text
        assert 'class="stack kinds"' not in text


class TestReliability:
    def test_shows_the_error_over_the_segments_with_both_modalities(self, page):
        # Of 12 segments one is masked; 4 of 0.9 hold an event, 2 of 7 of 0.1 do.
        error = (4 * (1 - 0.9) + abs(2 - 7 * 0.1)) / 11
        assert f"Expected calibration error {error:.3f} over 11 segments" in page.text
        assert "0.9 to 1: 4 segments, said 0.90, an event in 1.00 of them" in page.text
        assert "0.2 to 0.3: 0 segments" in page.text

    def test_under_weak_supervision_says_what_relevance_is_not(self, make_run, page):
        words = "this is no probability that was trained to be one"
        assert words not in page.text
        assert words in Page(make_run(has_media=False, supervision="weak").build()).text


class TestManyCategories:
    def test_confusion_is_a_map_with_a_title_per_square(self, make_run):
        categories = tuple(f"category {n}" for n in range(60))
        text = make_run(categories, num_test_clips=5, has_media=False).build()
        assert 'class="confusion-map"' in text
        assert "category 1 → background: 1 segments, 50% of the row" in text
        assert 'class="heat' not in text

    def test_confusion_of_few_is_a_table_with_shares(self, page):
        assert "bell 3 75 % 0 1 25 % 4" in page.text


class TestRefusals:
    @pytest.mark.parametrize(
        ("file", "stage"),
        [
            ("prepared/manifest.csv", "prepare"),
            ("prepared/audit.json", "prepare"),
            ("features/visual/index.json", "extract_visual"),
            ("features/audio/ledger.csv", "extract_audio"),
            ("train/history.csv", "train"),
            ("evaluate/metrics.json", "evaluate"),
            ("evaluate/predictions.csv", "evaluate"),
            ("evaluate/predictions_val.csv", "evaluate"),
            ("evaluate/maps.safetensors", "evaluate"),
        ],
    )
    def test_a_missing_file_names_its_stage(self, make_run, file, stage):
        run = make_run(has_media=False)
        (run.root / file).unlink()
        with pytest.raises(PipelineError, match=rf"{file}: expected .*found no file; run `dvc repro {stage}`") as error:
            run.build()
        assert "\n" not in str(error.value)
        assert not (run.root / "report").exists()

    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            ("evaluate/predictions.csv", "clip0", "stranger", "clips of the test split, found 'stranger'"),
            ("evaluate/predictions.csv", "clip0,3", "clip0,2", "4 segments per clip, found 3 of 'clip0'"),
            ("evaluate/predictions.csv", "1,bell,bell", "1,bell,cat", "names of categories.txt, found 'cat'"),
            ("evaluate/predictions.csv", "clip0,0,background", "clip0,0,bell", "the truth of manifest.csv"),
            ("evaluate/predictions.csv", "0.9", "high", "a number, found 'high'"),
            ("evaluate/predictions.csv", "0.9", "1.5", "a relevance from 0 to 1"),
            ("evaluate/predictions_val.csv", "clip-val0", "clip0", "clips of the val split, found 'clip0'"),
            ("evaluate/confusion.csv", "bell,bell,3", "bell,bell,2", "12 segments, found 11"),
            ("evaluate/per_class.csv", "dog", "cat", "a row per name of categories.txt"),
            ("evaluate/per_class.csv", "segment_accuracy", "accuracy", "the column 'segment_accuracy'"),
            ("evaluate/metrics.json", '"num_clips": 3', '"num_clips": 2', "num_clips 3, the clips in predictions.csv"),
            ("evaluate/metrics.json", '"event_f1"', '"f1"', "the keys event_f1"),
            ("evaluate/metrics.json", "90.0", '"good"', "a number for category_accuracy, found 'good'"),
            ("evaluate/metrics.json", '"best_epoch": 3', '"best_epoch": 9', "the best epoch 9 of metrics.json"),
            ("features/audio/ledger.csv", "video0", "other", "the 4 videos of videos.csv"),
            ("features/audio/index.json", '"audio"', '"visual"', "modality 'audio', found 'visual'"),
            ("features/visual/index.json", "random:1", "keras", "from 'random', as params.yaml says, found 'keras'"),
            ("prepared/audit.json", "{", "[", "expected JSON"),
            ("prepared/manifest.csv", "videos/video0.mp4", "../../video0.mp4", "paths inside the raw folder"),
        ],
    )  # fmt: skip
    def test_a_contradiction_is_one_line(self, make_run, file, old, new, message):
        run = make_run(has_media=False)
        path = run.root / file
        text = path.read_text()
        path.write_text(text.replace(old, new, 1 if "," in old else -1))
        assert path.read_text() != text
        with pytest.raises(PipelineError, match=re.escape(message)) as error:
            run.build()
        assert str(error.value).startswith(str(run.root))
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda maps: maps.pop("val"), "maps of the splits with predictions, test, val, found test"),
            (lambda maps: maps.update(train=maps["val"]), "test, val, found test, train, val"),
            (
                lambda maps: maps["val"].update(attention=maps["val"]["attention"][:1]),
                "val/attention of shape (2, 4, P), found (1, 4, 49)",
            ),
            (
                lambda maps: maps["test"].update(audio_similarity=np.zeros((3, 4, 5), np.float16)),
                "test/audio_similarity of shape (3, 4, 4), found (3, 4, 5)",
            ),
            (
                lambda maps: maps["test"].update(attention=np.full((3, 4, 49), np.nan, np.float16)),
                "finite numbers in test/attention",
            ),
            (lambda maps: [of_split.pop("attention") for of_split in maps.values()], "test: attention, alone or with"),
            (
                lambda maps: maps.update(val={"attention": maps["val"]["attention"]}),
                "the same maps of test and val, found others",
            ),
        ],
    )
    def test_maps_that_do_not_fit_are_one_line(self, make_run, change, message):
        run = make_run(has_media=False)
        path = run.root / "evaluate/maps.safetensors"
        maps = load_maps(path)
        change(maps)
        save_maps(path, maps)
        with pytest.raises(PipelineError, match=re.escape(message)) as error:
            run.build()
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)

    def test_a_score_that_is_not_defined_is_a_dash(self, make_run):
        run = make_run(has_media=False)
        path = run.root / "evaluate" / "metrics.json"
        undefined = (
            "segment_accuracy_low",
            "category_accuracy",
            "test_selected_segment_accuracy",
            "test_selected_epoch",
        )
        path.write_text(json.dumps(json.loads(path.read_text()) | dict.fromkeys(undefined)))
        text = Page(run.build()).text
        assert "95 % interval – to 95.0 %" in text
        assert "Category accuracy –" in text


def test_percent_rounds_and_shows_none_as_a_dash():
    assert percent(0.04) == "0.0\u202f%"
    assert percent(99.96, 0) == "100\u202f%"
    assert percent(None) == "–"
