from collections.abc import Callable

import pytest

from pipeline.core.errors import ParamsError
from pipeline.params.overriding import override


def test_a_value_is_replaced_and_nothing_else(make_params: Callable) -> None:
    params = make_params()
    changed = override(params, {"train.cpsp.full.tau": 0.08, "train.cpsp.full.milestones": [3]}, subject="row x")
    assert (changed.train.cpsp.full.tau, changed.train.cpsp.full.milestones) == (0.08, [3])
    assert params == make_params(), "the params that were given have changed"
    assert (
        override(changed, {"train.cpsp.full.tau": 0.099, "train.cpsp.full.milestones": [20, 30]}, subject="") == params
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "train.cpsp.full.tua",
            0.08,
            r"^row x has 1 faulty key: train\.cpsp\.full\.tua: expected no such key, found 0\.08",
        ),
        ("train.cpsp.ful.tau", 0.08, r"train\.cpsp\.ful: expected no such key"),
        ("trian.seed", 1, r"trian: expected no such key"),
        ("train.cpsp.full.tau", 1.5, r"train\.cpsp\.full\.tau: expected less than or equal to 1, found 1\.5"),
        ("train.cpsp.full.tau", "0.08", r"train\.cpsp\.full\.tau: .*number.*, found '0\.08'"),
        ("train.cpsp.full.vpsa.num_negatives", 16, "fewer than a batch has clips"),
        ("train.cpsp.full", {"tau": 0.08}, r"row x, train\.cpsp\.full: expected the key of one value, found a section"),
        ("train.seed.first", 1, r"row x, train\.seed\.first: .*found a key below a value"),
    ],
)
def test_a_faulty_key_is_refused_in_one_line(make_params: Callable, key: str, value: object, message: str) -> None:
    with pytest.raises(ParamsError, match=message) as error:
        override(make_params(), {key: value}, subject="row x")
    assert "\n" not in str(error.value)


def test_all_faulty_keys_are_named_at_once(make_params: Callable) -> None:
    with pytest.raises(ParamsError, match=r"has 2 faulty keys: .*tau.*margin"):
        override(make_params(), {"train.cpsp.full.tau": -1, "train.cpsp.full.vpsa.margin": -1}, subject="row x")
