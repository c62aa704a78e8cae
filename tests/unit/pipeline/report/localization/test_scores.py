import json
from dataclasses import replace

from pipeline.store.shards import load_ledger, save_ledger


class TestMistakes:
    def test_are_counted_by_kind_on_both_splits(self, page):
        assert "Test : 2 of 12 segments wrong, 16.7 %" in page.text
        assert "Validation : 1 of 8 segments wrong, 12.5 %" in page.text
        assert "boundary off by one 2 100 % 1 100 % An event that begins" in page.text
        assert "missed event 0 0 % 0 0 % Any other" in page.text

    def test_those_that_lack_a_modality_are_counted_too(self, make_run, read_page):
        run = make_run(has_media=False)
        path = run.root / "features/audio/ledger.csv"
        rows = load_ledger(path)
        rows[2] = replace(rows[2], status="partial", reason="short", valid="1100")
        save_ledger(path, rows)
        text = read_page(run.build()).text
        assert "Of the wrong segments of test, 1 lacks a modality" in text
        assert "Of the wrong segments of validation" not in text

    def test_without_any_there_is_no_bar(self, make_run, read_page):
        text = make_run(has_media=False, num_test_clips=1, num_val_clips=1).build()
        assert "0 of 4 segments wrong" in read_page(text).text
        assert 'class="stack kinds"' not in text


class TestReliability:
    def test_shows_the_error_over_the_segments_with_both_modalities(self, page):
        # Of 12 segments one is masked; 4 of 0.9 hold an event, 2 of 7 of 0.1 do.
        error = (4 * (1 - 0.9) + abs(2 - 7 * 0.1)) / 11
        assert f"Expected calibration error {error:.3f} over 11 segments" in page.text
        assert "0.9 to 1: 4 segments, said 0.90, an event in 1.00 of them" in page.text
        assert "0.2 to 0.3: 0 segments" in page.text

    def test_under_weak_supervision_says_what_relevance_is_not(self, make_run, page, read_page):
        words = "this is no probability that was trained to be one"
        assert words not in page.text
        assert words in read_page(make_run(has_media=False, supervision="weak").build()).text


class TestManyCategories:
    def test_confusion_is_a_map_with_a_title_per_square(self, make_run):
        categories = tuple(f"category {n}" for n in range(60))
        text = make_run(categories, num_test_clips=5, has_media=False).build()
        assert 'class="confusion-map"' in text
        assert "category 1 → background: 1 segments, 50% of the row" in text
        assert 'class="heat' not in text

    def test_confusion_of_few_is_a_table_with_shares(self, page):
        assert "bell 3 75 % 0 1 25 % 4" in page.text


def test_a_score_that_is_not_defined_is_a_dash(make_run, read_page):
    run = make_run(has_media=False)
    path = run.root / "evaluate" / "metrics.json"
    undefined = (
        "segment_accuracy_low",
        "category_accuracy",
        "test_selected_segment_accuracy",
        "test_selected_epoch",
    )
    path.write_text(json.dumps(json.loads(path.read_text()) | dict.fromkeys(undefined)))
    text = read_page(run.build()).text
    assert "95 % interval – to 95.0 %" in text
    assert "Category accuracy –" in text
