import json
from dataclasses import replace

import pytest

from pipeline.core.errors import PipelineError
from pipeline.media.container import REASONS
from pipeline.report.build import MAX_PROBLEM_VIDEOS
from pipeline.report.provenance import explain_offsets, sort_audit
from pipeline.report.wording import SPACE
from pipeline.store.ledger import OffsetSummary
from pipeline.store.shards import load_ledger, save_ledger

NOTICE = "they say nothing about the method"


class TestNotice:
    def test_random_weights_and_embedded_data_are_announced(self, page):
        assert (
            "Random network weights (visual, audio) and the embedded data set: these scores show that the pipeline "
            "works; they say nothing about the method." in page.text
        )

    def test_random_weights_alone_are_announced(self, make_run, read_page):
        text = read_page(make_run(dataset_format="csv", has_media=False).build()).text
        assert "Random network weights (visual, audio): these scores" in text

    def test_embedded_data_alone_is_announced(self, make_run, read_page):
        text = read_page(make_run(weights="published", has_media=False).build()).text
        assert "The embedded data set: these scores" in text

    def test_random_principal_components_are_announced_where_they_are_used(self, make_run, read_page):
        run = make_run(weights="published", dataset_format="csv", has_media=False)
        audio = run.params.audio.model_copy(update={"pca_weights": "random", "postprocess": "pca"})
        run.params = run.params.model_copy(update={"audio": audio})
        assert "Random network weights (PCA of audio): these scores" in read_page(run.build()).text

    def test_released_features_are_said_to_be_so_and_no_weights_announced(self, make_run, read_page):
        page = read_page(make_run(source="released", dataset_format="ave", has_media=False).build())
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


class TestAudit:
    def test_splits_are_a_table_of_whatever_the_audit_counts_as_text(self):
        splits = {
            "val": {"num_clips": 2, "num_timed_clips": None, "of_tags": {"dog": 1}, "background_share": 0.25},
            "train": {"num_clips": 12345, "num_timed_clips": 0, "of_tags": {}, "background_share": None},
        }
        found = sort_audit({"splits": splits})["splits"]
        assert found["columns"] == ["clips", "timed clips", "background"]
        assert {split: [cell.replace(SPACE, " ") for cell in cells] for split, cells in found["rows"].items()} == {
            "train": ["12345", "0", "–"],
            "val": ["2", "–", "25.0 %"],
        }
        assert list(found["rows"]) == ["train", "val"]

    def test_an_audit_without_splits_has_no_table(self):
        assert sort_audit({"num_clips": 3})["splits"] == {"columns": [], "rows": {}}

    def test_a_table_of_many_columns_stands_on_its_side(self, make_run, read_page):
        run = make_run(has_media=False)
        path = run.root / "prepared/audit.json"
        audit = json.loads(path.read_text())
        audit["splits"] = {
            "val": {"num_clips": 7, "num_videos": 6, "num_audio_segments": 50, "num_visual_segments": 40},
            "test": {"num_clips": 9, "num_videos": 8, "num_audio_segments": 70, "num_visual_segments": 60},
        }
        path.write_text(json.dumps(audit))
        text = read_page(run.build()).text
        assert "split val test clips 7 9 videos 6 8 audio segments 50 70 visual segments 40 60" in text


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

    def test_long_lists_of_videos_are_cut_and_say_so(self, make_run, read_page):
        run = make_run(num_test_clips=30, has_media=False)
        for modality in ("visual", "audio"):
            path = run.root / "features" / modality / "ledger.csv"
            save_ledger(path, [replace(row, status="failed", reason="missing", valid="") for row in load_ledger(path)])
        text = read_page(run.build()).text
        assert "video9 visual failed missing" not in text.split("could not be used")[1]
        assert f"and {2 * 31 - MAX_PROBLEM_VIDEOS} more in the ledgers" in text

    def test_says_what_the_other_choice_of_frames_would_show(self, make_run, read_page):
        text = read_page(make_run(has_media=False, offsets=("0.020", "0.471", "0.000")).build()).text
        assert (
            "Frames are chosen by number, as the AVE release does; in 1 of 3 videos the choice by time would show a "
            "frame more than 0.1 s away, at most 0.471 s (video1)." in text
        )
        assert "furthest apart at most video1 0.471 s video0 0.02 s median of 3 videos 0.02 s" in text

    def test_each_clip_shows_its_own_offset(self, make_run, read_page):
        text = read_page(make_run(has_media=False, offsets=("0.020", "0.471", "0.000")).build()).text
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

    def test_of_before_the_sampling_offset_is_shown_without_one(self, make_run, read_page):
        run = make_run(has_media=False)
        path = run.root / "features/visual/ledger.csv"
        path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()))
        assert "is not in the ledger" in read_page(run.build()).text

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
