"""One way to read every format of annotations."""

from pathlib import Path

from pipeline.annotations.ave import read_ave
from pipeline.annotations.csv_table import read_csv_table
from pipeline.annotations.rules import Annotations
from pipeline.errors import AnnotationError, explain
from pipeline.params import DatasetParams

READERS = {"synthetic": read_ave, "ave": read_ave, "csv": read_csv_table}


def read_clips(params: DatasetParams, raw: Path) -> Annotations:
    """Read the annotations in `raw` as ``dataset.format`` says.

    Raises
    ------
    AnnotationError
        If the folder or a file is missing, or a file contradicts its format.
    """
    if not raw.is_dir():
        raise AnnotationError(
            explain(
                raw,
                expected=f"the files of data set {params.name}",
                found="no folder",
                remedy=f"put there what data/{params.name}/README.md lists",
            )
        )
    return READERS[params.format](params, raw)
