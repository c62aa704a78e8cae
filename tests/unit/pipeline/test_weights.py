"""Weights by name, hash and file: what is fetched, what is refused, and that nothing is ever executed."""

import functools
import hashlib
import http.server
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import WeightsError
from pipeline.files import repository_root
from pipeline.weights import (
    VGG19_SOURCES,
    VGGISH_SOURCES,
    Source,
    fetch,
    load_into,
    load_weights,
    read_keras,
    read_torch,
    weights_layout,
)

CONTENT = b"weights" * 1000


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class TruncatingHandler(QuietHandler):
    """Announces more than it sends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) * 2))
        self.end_headers()
        self.wfile.write(CONTENT)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return a function that serves CONTENT on this machine and returns its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(CONTENT)
    servers = []

    def start(handler: type[QuietHandler] = QuietHandler) -> str:
        address = ("127.0.0.1", 0)
        server = http.server.ThreadingHTTPServer(address, functools.partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/weights.pth"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def source(url: str, *, content: bytes = CONTENT, algorithm: str = "sha256", digits: int = 64) -> Source:
    digest = hashlib.new(algorithm, content).hexdigest()[:digits]
    return Source("weights.pth", url, f"{algorithm}:{digest}", "torch", "none")


def weights_folder() -> Path:
    return repository_root() / "data" / "weights"


class TestFetch:
    @pytest.mark.parametrize(("algorithm", "digits"), [("sha256", 64), ("sha256", 8), ("md5", 32)])
    def test_keeps_a_file_of_the_right_hash(self, algorithm, digits, serve):
        path = fetch(source(serve(), algorithm=algorithm, digits=digits))
        assert path == weights_folder() / "weights.pth"
        assert path.read_bytes() == CONTENT
        assert [file.name for file in weights_folder().iterdir()] == ["weights.pth"]

    def test_fetches_once(self, serve):
        url = serve()
        fetch(source(url))
        assert fetch(replace(source(url), url="http://127.0.0.1:9/none")).read_bytes() == CONTENT

    def test_never_keeps_a_file_of_another_hash(self, serve):
        url = serve()
        with pytest.raises(WeightsError, match=rf"^{re.escape(url)}: expected sha256 \w{{64}}, found \w{{64}}; do not"):
            fetch(source(url, content=b"other"))
        assert list(weights_folder().iterdir()) == []

    def test_refuses_a_local_copy_of_another_hash(self, serve):
        weights_folder().mkdir(parents=True)
        (weights_folder() / "weights.pth").write_bytes(b"changed")
        with pytest.raises(WeightsError, match=r"weights\.pth: expected sha256 .* delete it and fetch it again"):
            fetch(source(serve()))

    def test_never_keeps_a_file_whose_transfer_broke_off(self, serve):
        complete = CONTENT * 2
        with pytest.raises(WeightsError):
            fetch(source(serve(TruncatingHandler), content=complete))
        assert list(weights_folder().iterdir()) == []

    @pytest.mark.parametrize("path", ["http://127.0.0.1:9/none", "http://no-such-host.invalid/x", "file:///no/such"])
    def test_says_what_to_do_without_a_network_in_one_line(self, path):
        with pytest.raises(WeightsError, match=r"^data/weights/weights\.pth: expected a download from ") as caught:
            fetch(source(path))
        assert "copy it to that place" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_says_so_when_the_server_has_no_such_file(self, serve):
        with pytest.raises(WeightsError, match="found HTTP Error 404: File not found; fetch it on a machine"):
            fetch(source(serve().replace("weights.pth", "none.pth")))


@pytest.mark.parametrize("entry", [*VGG19_SOURCES.items(), *VGGISH_SOURCES.items()], ids=lambda entry: entry[0])
def test_published_files_are_named_with_address_hash_and_licence(entry):
    name, source = entry
    assert name != "random"
    assert "." not in name  # else it would also be a file name
    assert source.url.startswith("https://")
    assert source.url.endswith(f"/{source.file}")
    algorithm, digest = source.digest.split(":")
    assert re.fullmatch(r"[0-9a-f]{8,}", digest)
    assert len(digest) <= hashlib.new(algorithm).digest_size * 2
    assert algorithm == "sha256" or len(digest) == 32
    assert source.layout == weights_layout(source.file, {})
    assert source.licence


class TestWeightsLayout:
    def test_of_names_and_files(self):
        layouts = {name: weights_layout(name, VGG19_SOURCES) for name in ("random", "keras", "torchvision")}
        assert layouts == {"random": "random", "keras": "keras", "torchvision": "torch"}
        assert weights_layout("a/b.h5", {}) == "keras"
        assert {weights_layout(f"b.{suffix}", {}) for suffix in ("pth", "pt", "safetensors")} == {"torch"}

    @pytest.mark.parametrize("name", ["resnet", "weights.npz", "weights.pkl", "keras.H5 "])
    def test_of_anything_else_is_refused(self, name):
        with pytest.raises(WeightsError, match="expected random, keras, torchvision, or a file ending in"):
            weights_layout(name, VGG19_SOURCES)


class TestLocalFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "repository" / "mine.pth"
        path.parent.mkdir()
        torch.save({"weight": torch.ones(2)}, path)
        return path

    def test_is_read_and_its_hash_returned(self, path):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        for name in (str(path), "mine.pth"):  # relative to the repository
            loaded = load_weights(name, {}, sha256=None, seed=0)
            assert (loaded.layout, loaded.sha256) == ("torch", sha256)
            torch.testing.assert_close(loaded.content, {"weight": torch.ones(2)})

    def test_of_the_hash_in_the_params_is_accepted_by_its_first_digits(self, path):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert load_weights(str(path), {}, sha256=sha256[:8], seed=0).sha256 == sha256

    def test_of_another_hash_is_refused(self, path):
        with pytest.raises(WeightsError, match=r"mine\.pth: expected sha256 deadbeef, found \w+; do not use this file"):
            load_weights(str(path), {}, sha256="deadbeef", seed=0)

    def test_that_is_missing_is_named(self):
        with pytest.raises(WeightsError, match=r"none\.pth: expected a weights file, found no file"):
            load_weights("none.pth", {}, sha256=None, seed=0)


def test_a_hash_in_the_params_also_binds_a_published_file(serve):
    published = {"mine": source(serve())}
    with pytest.raises(WeightsError, match="expected sha256 deadbeef"):
        load_weights("mine", published, sha256="deadbeef", seed=0)


def test_random_weights_are_named_by_their_seed_and_hold_nothing():
    loaded = load_weights("random", VGG19_SOURCES, sha256=None, seed=5)
    assert (loaded.content, loaded.layout, loaded.sha256) == ({}, "random", "random:5")


class Hostile:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self._command,)


class TestReadTorch:
    @pytest.mark.parametrize("way", ["torch.save", "pickle", "pickle in a new dict"])
    @pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
    def test_never_runs_what_a_hostile_file_holds(self, way, suffix, tmp_path):
        path, trace = tmp_path / f"hostile.{suffix}", tmp_path / "it_ran"
        hostile = Hostile(f"touch {trace}")
        if way == "torch.save":
            torch.save({"weight": torch.ones(1), "more": hostile}, path)
        else:
            path.write_bytes(pickle.dumps({"weight": hostile} if "dict" in way else hostile, protocol=2))
        with pytest.raises(WeightsError, match=rf"hostile\.{suffix}: expected a state dict of tensors") as caught:
            read_torch(path)
        assert not trace.exists()
        assert "weights_only" not in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04junk", bytes(1000)])
    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_refuses_a_damaged_file_in_one_line(self, content, suffix, tmp_path):
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"damaged\.\w+: expected a state dict of tensors, found .*$") as caught:
            read_torch(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("content", [[torch.ones(1)], {"state_dict": {"weight": torch.ones(1)}}, {"epoch": 3}])
    def test_refuses_what_is_no_state_dict(self, content, tmp_path):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path)
        with pytest.raises(WeightsError, match=r"save `model\.state_dict\(\)` alone"):
            read_torch(path)

    def test_reads_safetensors(self, tmp_path):
        path = tmp_path / "fine.safetensors"
        save_file({"weight": torch.arange(3.0)}, path)
        torch.testing.assert_close(read_torch(path), {"weight": torch.arange(3.0)})


class TestReadKeras:
    KERNEL = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
    BIAS = np.array([1, 2], np.float64)

    @pytest.mark.parametrize(
        ("kernel", "bias"),
        [
            ("conv/conv/kernel:0", "conv/conv/bias:0"),
            ("conv/conv_W_1:0", "conv/conv_b_1:0"),
            ("model_weights/conv/conv/kernel:0", "model_weights/conv/conv/bias:0"),
            ("model_weights/conv/vars/0", "model_weights/conv/vars/1"),
        ],
    )
    def test_finds_kernel_and_bias_at_any_depth(self, kernel, bias, tmp_path):
        path = tmp_path / "weights.h5"
        with h5py.File(path, "w") as file:
            file[kernel], file[bias] = self.KERNEL, self.BIAS
            file.create_group("pool")
        layers = read_keras(path)
        assert list(layers) == ["conv"]
        np.testing.assert_array_equal(layers["conv"][0], self.KERNEL)
        np.testing.assert_array_equal(layers["conv"][1], self.BIAS)
        assert {array.dtype for array in layers["conv"]} == {np.dtype(np.float32)}

    def test_leaves_out_what_is_no_convolution(self, tmp_path):
        path = tmp_path / "weights.h5"
        with h5py.File(path, "w") as file:
            file["dense/kernel:0"], file["dense/bias:0"] = np.zeros((2, 2)), np.zeros(2)
            file["loose"] = np.zeros((1, 1, 1, 1))
        assert read_keras(path) == {}

    def test_refuses_what_is_no_hdf5(self, tmp_path):
        path = tmp_path / "weights.h5"
        path.write_bytes(b"hello")
        with pytest.raises(WeightsError, match=r"weights\.h5: expected a Keras weights file, found no readable HDF5"):
            read_keras(path)


class TestLoadInto:
    def test_copies_every_parameter(self):
        network, state = nn.Linear(2, 1), {"weight": torch.full((1, 2), 3.0), "bias": torch.full((1,), 4.0)}
        load_into(network, state)
        torch.testing.assert_close(dict(network.state_dict()), state)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"weight": None}, r"parameter weight of Linear: expected \(1, 2\), found none"),
            ({"extra": torch.ones(3)}, r"parameter extra of Linear: expected no such parameter, found \(3,\)"),
            ({"weight": torch.ones(2, 1)}, r"parameter weight of Linear: expected \(1, 2\), found \(2, 1\)"),
        ],
    )
    def test_names_the_first_difference_and_changes_nothing(self, changes, message):
        network = nn.Linear(2, 1)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        state = {**{key: value + 1 for key, value in before.items()}, **changes}
        with pytest.raises(WeightsError, match=message):
            load_into(network, {key: value for key, value in state.items() if value is not None})
        torch.testing.assert_close(dict(network.state_dict()), before)
