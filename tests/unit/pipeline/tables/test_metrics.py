"""The names of scores are those of evaluation, which the tables read files of and no code."""

import numpy as np

from pipeline.metrics.parsing import clip_scores
from pipeline.tables.metrics import EXPLANATIONS, LEADING, METRICS
from pipeline.training.localization.dataset import LocalizationDataset
from pipeline.training.parsing.dataset import ParsingDataset


def test_scores_of_parsing_are_the_ten_that_evaluation_gives_each_clip() -> None:
    events = np.zeros((1, 2, 3, 10), bool)
    assert list(METRICS["parsing"]) == list(clip_scores(events, events))


def test_rows_are_compared_by_the_score_that_epochs_are_selected_by() -> None:
    datasets = (LocalizationDataset, ParsingDataset)
    assert dict(LEADING) == {dataset.task: dataset.score_name for dataset in datasets}
    assert all(LEADING[task] in metrics for task, metrics in METRICS.items())
    assert set(EXPLANATIONS) == set(METRICS)


def test_the_leading_score_of_parsing_has_a_name_in_words() -> None:
    assert METRICS["parsing"][LEADING["parsing"]].in_words == "Type@AV per segment"
