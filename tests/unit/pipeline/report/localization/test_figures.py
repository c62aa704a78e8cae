from xml.etree import ElementTree

import numpy as np

from pipeline.report.localization.figures import confusion_map


def test_confusion_map_draws_only_pairs_that_occur():
    squares = [
        part
        for part in ElementTree.fromstring(confusion_map(np.array([[3, 1], [0, 0]]), ["a", "b"])).iter("rect")
        if part.get("class") != "frame"
    ]
    assert [part.get("class") for part in squares] == ["right", "wrong"]
    assert [float(part.get("fill-opacity")) for part in squares] == [0.75, 0.25]
    assert squares[1].find("title").text == "a → b: 1 segments, 25% of the row"
