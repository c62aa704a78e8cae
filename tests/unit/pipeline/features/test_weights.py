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

from pipeline.backbones.registry import BACKBONES
from pipeline.backbones.sources import PCA_LAYOUTS, Source
from pipeline.core.errors import WeightsError
from pipeline.core.files import repository_root
from pipeline.features.weights import fetch, load_into, load_weights, read_keras, read_numpy, read_torch

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

    def test_of_numpy_is_read_where_it_is_allowed(self, path):
        path = path.with_suffix(".npz")
        np.savez(path, pca_means=np.arange(3))
        loaded = load_weights("mine.npz", {}, sha256=None, seed=0, layouts=PCA_LAYOUTS)
        assert (loaded.layout, loaded.sha256) == ("numpy", hashlib.sha256(path.read_bytes()).hexdigest())
        assert loaded.content["pca_means"].tolist() == [0, 1, 2]
        with pytest.raises(WeightsError, match=r"weights 'mine\.npz': expected random, "):
            load_weights("mine.npz", {}, sha256=None, seed=0)

    def test_that_is_missing_is_named(self):
        with pytest.raises(WeightsError, match=r"none\.pth: expected a weights file, found no file"):
            load_weights("none.pth", {}, sha256=None, seed=0)


def test_a_hash_in_the_params_also_binds_a_published_file(serve):
    published = {"mine": source(serve())}
    with pytest.raises(WeightsError, match="expected sha256 deadbeef"):
        load_weights("mine", published, sha256="deadbeef", seed=0)


def test_random_weights_are_named_by_their_seed_and_hold_nothing():
    loaded = load_weights("random", BACKBONES["vgg19"].sources, sha256=None, seed=5)
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

    @pytest.mark.parametrize("written_by", ["NumPy 1", "NumPy 2", "NumPy 2 in a zip"])
    def test_takes_arrays_of_floats_for_tensors(self, written_by, tmp_path):
        """Such a file are torchvggish's PCA parameters, from before torch 1.6 and its zips, and before NumPy 2."""
        path = tmp_path / "arrays.pth"
        arrays = {"pca_eigen_vectors": np.eye(3, dtype=np.float32), "pca_means": np.arange(3.0)}
        torch.save(arrays, path, _use_new_zipfile_serialization="zip" in written_by)
        if written_by == "NumPy 1":
            assert b"cnumpy._core.multiarray\n" in path.read_bytes()
            path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
        state = read_torch(path)
        assert {key: value.tolist() for key, value in state.items()} == {key: a.tolist() for key, a in arrays.items()}

    @pytest.mark.parametrize("array", [np.array(["text"]), np.array([{}]), np.array([1])])
    def test_takes_no_other_arrays(self, array, tmp_path):
        path = tmp_path / "arrays.pth"
        torch.save({"array": array}, path)
        with pytest.raises(
            WeightsError, match=r"arrays\.pth: expected a state dict of tensors, found other Python obj"
        ):
            read_torch(path)

    def test_reads_safetensors(self, tmp_path):
        path = tmp_path / "fine.safetensors"
        save_file({"weight": torch.arange(3.0)}, path)
        torch.testing.assert_close(read_torch(path), {"weight": torch.arange(3.0)})


class TestReadNumpy:
    def test_reads_numbers_of_any_kind(self, tmp_path):
        path = tmp_path / "pca.npz"
        arrays = {"a": np.ones((2, 1), np.float32), "b": np.arange(3, dtype=">f8"), "c": np.arange(2)}
        np.savez(path, **arrays)
        state = read_numpy(path)
        assert {key: tensor.tolist() for key, tensor in state.items()} == {k: a.tolist() for k, a in arrays.items()}
        assert {tensor.dtype for tensor in state.values()} == {torch.float64}

    def test_never_runs_what_a_hostile_file_holds(self, tmp_path):
        trace = tmp_path / "it_ran"
        hostile = Hostile(f"touch {trace}")
        whole, part = tmp_path / "pickle.npz", tmp_path / "array.npz"
        whole.write_bytes(pickle.dumps(hostile))
        np.savez(part, pca_means=np.array([hostile]))
        for path in (whole, part):
            with pytest.raises(WeightsError, match=r"\.npz: expected arrays of numbers in an \.npz file, found"):
                read_numpy(path)
        assert not trace.exists()

    @pytest.mark.parametrize("kind", ["nothing", "text", "zip", "npy", "pth", "words", "complex"])
    def test_refuses_another_file_in_one_line(self, kind, tmp_path):
        path = tmp_path / "pca.npz"
        path.write_bytes({"nothing": b"", "text": b"hello", "zip": b"PK\x03\x04junk"}.get(kind, b""))
        if kind == "npy":
            with path.open("wb") as file:
                np.save(file, np.zeros(3))
        elif kind == "pth":
            torch.save({"weight": torch.ones(1)}, path)
        elif kind in ("words", "complex"):
            np.savez(path, a=np.array(["1"] if kind == "words" else [1j]))
        with pytest.raises(WeightsError, match="found a damaged or foreign file, or other Python objects") as caught:
            read_numpy(path)
        assert "\n" not in str(caught.value)


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

    def test_does_without_a_count_of_batches_which_older_files_lack(self):
        network = nn.BatchNorm2d(2)
        state = {name: torch.full((2,), 3.0) for name in ("weight", "bias", "running_mean", "running_var")}
        load_into(nn.Sequential(network), {f"0.{name}": tensor for name, tensor in state.items()})
        assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in state.items())

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
