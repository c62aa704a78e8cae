from pipeline.report.wording import percent


def test_percent_rounds_and_shows_none_as_a_dash():
    assert percent(0.04) == "0.0\u202f%"
    assert percent(99.96, 0) == "100\u202f%"
    assert percent(None) == "–"
