import json
from dataclasses import asdict, replace

import pytest

from pipeline.core.errors import ShardError
from pipeline.media.container import REASONS
from pipeline.store.ledger import (
    LARGE_OFFSET_SECONDS,
    NUM_FURTHEST,
    OffsetSummary,
    describe,
    describe_in_full,
    sampling_offset_seconds,
    summarise_ledger,
)
from pipeline.store.shards import LedgerRow

OK = LedgerRow("ok", "ok", "ok", "1111", "4.00", "100 frames", "0.000")
ROWS = [
    LedgerRow("lost", "failed", "not_media", "", "", "no container", ""),
    replace(OK, video_id="fine", sampling_offset="0.020"),
    LedgerRow("cut", "partial", "truncated", "1100", "2.00", "50 of 100 frames", "0.471"),
    LedgerRow("gone", "failed", "missing", "", "", "no such file", ""),
    LedgerRow("scratched", "ok", "damaged", "1111", "4.00", "100 frames", "0.100"),
    replace(OK, video_id="same"),
]


class TestSummary:
    @pytest.fixture
    def summary(self):
        return summarise_ledger(ROWS, 4)

    def test_counts_videos_by_status(self, summary):
        assert summary.num_videos == 6
        assert summary.statuses == {"ok": 3, "partial": 1, "failed": 2}

    def test_counts_reasons_by_status_in_the_order_of_the_table_of_reasons(self, summary):
        assert list(summary.reasons) == ["ok", "missing", "not_media", "truncated", "damaged"]
        assert [reason for reason in REASONS if reason in summary.reasons] == list(summary.reasons)[1:]
        assert summary.reasons["ok"] == {"ok": 2, "partial": 0, "failed": 0}
        assert summary.reasons["damaged"] == {"ok": 1, "partial": 0, "failed": 0}
        assert summary.reasons["truncated"] == {"ok": 0, "partial": 1, "failed": 0}

    def test_a_failed_video_lacks_all_of_its_segments(self, summary):
        assert (summary.num_masked_segments, summary.num_segments) == (2 * 4 + 2, 6 * 4)
        assert summary.masked_share == pytest.approx(10 / 24)

    def test_segments_of_usable_videos_are_counted_by_themselves(self, summary):
        assert (summary.num_masked_usable_segments, summary.num_usable_segments) == (2, 4 * 4)
        assert summary.masked_usable_share == pytest.approx(2 / 16)

    def test_offsets_are_of_the_videos_where_they_are_known(self, summary):
        assert summary.offsets == OffsetSummary(
            num_videos=4,
            median_seconds=pytest.approx((0.02 + 0.1) / 2),
            max_seconds=0.471,
            num_large=1,  # 0.1 is not more than 0.1
            furthest=(("cut", 0.471), ("scratched", 0.1), ("fine", 0.02)),
        )
        assert LARGE_OFFSET_SECONDS == 0.1

    def test_of_an_empty_ledger_has_no_share_and_no_offset(self):
        summary = summarise_ledger([], 4)
        assert summary.num_videos == summary.num_segments == summary.num_masked_segments == 0
        assert summary.masked_share is summary.masked_usable_share is None
        assert summary.reasons == {}
        assert summary.offsets == OffsetSummary(0, None, None, 0, ())
        assert describe(summary) == describe_in_full(summary) == "no videos"

    def test_where_all_failed_only_the_share_of_usable_videos_is_undefined(self):
        summary = summarise_ledger([ROWS[0], replace(ROWS[0], valid="0000")], 4)
        assert summary.masked_share == 1
        assert summary.masked_usable_share is None
        assert describe(summary) == (
            "2 videos: 0 ok, 0 partial, 2 failed (not_media 2); 100.0 % of the segments masked"
        )

    def test_names_the_furthest_few_and_equal_ones_by_id(self):
        rows = [replace(OK, video_id=f"v{n}", sampling_offset="0.500") for n in reversed(range(NUM_FURTHEST + 3))]
        assert [name for name, _ in summarise_ledger(rows, 4).offsets.furthest] == [
            f"v{n}" for n in range(NUM_FURTHEST)
        ]

    def test_does_not_depend_on_the_order_of_the_rows(self, summary):
        assert summarise_ledger(ROWS[::-1], 4) == summary

    def test_a_reason_of_another_version_is_counted_last(self):
        rows = [replace(ROWS[2], reason=reason) for reason in ("zapped", "crashed", "abducted")]
        summary = summarise_ledger(rows, 4)
        assert list(summary.reasons) == ["crashed", "abducted", "zapped"]
        assert "- zapped, 1 partial: not known to this version" in describe_in_full(summary)

    def test_is_plain_json(self, summary):
        assert json.loads(json.dumps(asdict(summary), allow_nan=False))["offsets"]["furthest"][0] == ["cut", 0.471]


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"status": "fine"}, "ledger row of 'ok': expected the status ok, partial, failed, found 'fine'"),
            ({"valid": "111"}, r"expected a mask of 4 segments \(dataset.num_segments\), each 0 or 1, found '111'"),
            ({"valid": ""}, "expected a mask of 4 segments"),
            ({"valid": "11x1"}, "found '11x1'"),
            ({"sampling_offset": "far"}, "expected a sampling_offset of zero seconds or more, found 'far'"),
            ({"sampling_offset": "nan"}, "found 'nan'"),
            ({"sampling_offset": "inf"}, "found 'inf'"),
            ({"sampling_offset": "-1"}, "found '-1'"),
        ],
    )
    def test_a_row_that_cannot_be_counted_is_one_line(self, change, message):
        with pytest.raises(ShardError, match=message) as error:
            summarise_ledger([replace(OK, **change)], 4)
        assert "\n" not in str(error.value)

    def test_an_unknown_offset_is_none(self):
        assert sampling_offset_seconds(replace(OK, sampling_offset="")) is None
        assert sampling_offset_seconds(replace(OK, sampling_offset="2.760")) == 2.76


class TestText:
    def test_is_one_line(self):
        assert describe(summarise_ledger(ROWS, 4)) == (
            "6 videos: 3 ok, 1 partial, 2 failed (missing 1, not_media 1, truncated 1, damaged 1); "
            "41.7 % of the segments masked, 12.5 % in usable videos; "
            "frames by number and by time more than 0.1 s apart in 1 of 4 videos, at most 0.471 s (cut), median 0.06 s"
        )

    def test_says_nothing_of_offsets_where_none_is_known(self):
        rows = [replace(OK, sampling_offset="")]
        assert describe(summarise_ledger(rows, 4)) == (
            "1 video: 1 ok, 0 partial, 0 failed; 0.0 % of the segments masked"
        )

    def test_says_when_both_choices_are_the_same(self):
        assert describe(summarise_ledger([OK], 4)).endswith("; the same frames by number and by time in 1 video")

    def test_in_full_explains_each_reason(self):
        assert describe_in_full(summarise_ledger(ROWS, 4)).splitlines()[1:] == [
            "",
            f"- missing, 1 failed: {REASONS['missing']}",
            f"- not_media, 1 failed: {REASONS['not_media']}",
            f"- truncated, 1 partial: {REASONS['truncated']}",
            f"- damaged, 1 ok: {REASONS['damaged']}",
            "- furthest apart by number and by time: cut 0.471 s, scratched 0.1 s, fine 0.02 s",
        ]
