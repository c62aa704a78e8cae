import re
from xml.etree import ElementTree

import numpy as np

from pipeline.report.media import waveform


def points_of(svg):
    (path,) = ElementTree.fromstring(svg).iter("path")
    return [tuple(map(float, point)) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d"))]


class TestWaveform:
    def test_runs_along_the_highest_samples_and_back_along_the_lowest(self):
        points = points_of(waveform(np.array([[-0.5, 0.25], [-0.25, 0.5], [0.0, 0.0]])))
        assert points == [(0, 25), (1, 0), (2, 50), (2, 50), (1, 75), (0, 100)]

    def test_of_silence_is_a_line_and_of_a_whisper_nearly_one(self):
        assert {y for _, y in points_of(waveform(np.zeros((4, 2))))} == {50}
        assert {y for _, y in points_of(waveform(np.full((4, 2), 0.0001)))} <= {49, 50}
