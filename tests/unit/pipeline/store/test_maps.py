from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.store.maps import load_maps, save_maps


def test_maps_come_back_by_split_and_name_in_the_same_bytes_each_time(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    maps = {
        "test": {"attention": generator.random((3, 10, 49)).astype(np.float16)},
        "val": {
            "attention": generator.random((2, 10, 49)).astype(np.float16),
            "visual_similarity": generator.random((2, 10, 10)).astype(np.float16).swapaxes(1, 2),
        },
    }
    for name in ("one", "two"):
        save_maps(tmp_path / name, maps)
    loaded = load_maps(tmp_path / "one")
    assert {split: set(found) for split, found in loaded.items()} == {split: set(m) for split, m in maps.items()}
    assert all(np.array_equal(loaded[split][name], maps[split][name]) for split in maps for name in maps[split])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_missing_or_damaged_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"maps\.safetensors: expected .* found no file; run `dvc repro evaluate`"):
        load_maps(tmp_path / "maps.safetensors")
    (tmp_path / "maps.safetensors").write_bytes(b"nothing")
    with pytest.raises(PipelineError, match=r"expected the maps that the evaluate stage wrote, found .*header"):
        load_maps(tmp_path / "maps.safetensors")
