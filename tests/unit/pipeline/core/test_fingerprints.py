"""What names a result: equal inputs and equal code give equal names, and nothing that counts is left out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.backbones.registry import BACKBONES
from pipeline.core import fingerprints
from pipeline.core.fingerprints import HARMLESS, fingerprint, import_closure, source_fingerprint
from pipeline.extraction.stage import MODULES as EXTRACTION
from pipeline.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[4]
ENTRIES = {
    "visual": ("pipeline.features.visual.extractor", *BACKBONES["vgg19"].modules),
    "audio": ("pipeline.features.audio.extractor",),
    "extraction": EXTRACTION,
    "released": ("pipeline.released.stage",),
    "training": ("pipeline.training.loop", *METHODS["cpsp"].modules("full")),
    "tables": ("pipeline.tables.running", *METHODS["cpsp"].modules("full")),
}
"""The modules that each kind of result is named by."""

LOADED = """
import json, sys
from importlib import import_module
from types import ModuleType


class Harmless(ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


class Finder:
    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(each + ".") for each in HARMLESS):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Harmless(spec.name)

    def exec_module(self, module):
        pass


HARMLESS = json.loads(sys.argv[1])
sys.meta_path.insert(0, Finder())
for name in json.loads(sys.argv[2]):
    import_module(name)
own = [name for name, module in sys.modules.items() if name.split(".")[0] in ("pipeline", "models", "stages")]
print(json.dumps([name for name in own if not isinstance(sys.modules[name], Harmless)]))
"""
"""Imports modules for real, with an empty one in the place of each that is harmless; prints which are loaded."""


def loaded_modules(entry: tuple[str, ...]) -> set[str]:
    command = [sys.executable, "-c", LOADED, json.dumps(list(HARMLESS)), json.dumps(entry)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(finished.stdout))


def test_a_fingerprint_does_not_depend_on_the_order_of_keys_but_on_everything_else():
    assert fingerprint({"a": 1, "b": [2.0, None]}) == fingerprint({"b": [2.0, None], "a": 1})
    values = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": None}, {"b": 1}, [1], "a", 1]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert len(fingerprint(0)) == 16


class TestSourceFingerprint:
    CODE = (
        '"""About."""\n\nclass A:\n    """What."""\n\n    def f(self, x):\n        """Why."""\n        return x + 1\n'
    )

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path, monkeypatch):
        monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
        self.path = tmp_path / "module.py"
        self.path.write_text(self.CODE)
        self.before = source_fingerprint("module")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("About.", "Another text."),
            ('    """What."""\n\n', ""),
            ("Why.", "Because."),
            ("return x + 1", "return (x\n            + 1)  # one more"),
            ("\n\n", "\n# a comment\n\n\n"),
            ("return x + 1\n", 'return x + 1\n\n\n"""Of the class above."""\n'),
        ],
    )
    def test_ignores_comments_docstrings_and_layout(self, old, new):
        assert old in self.CODE
        self.path.write_text(self.CODE.replace(old, new))
        assert source_fingerprint("module") == self.before

    @pytest.mark.parametrize(
        ("old", "new"), [("x + 1", "x + 2"), ("def f", "def g"), ("return x + 1", "x + 1\n        return 'Why.'")]
    )
    def test_notices_code(self, old, new):
        assert old in self.CODE
        self.path.write_text(self.CODE.replace(old, new))
        assert source_fingerprint("module") != self.before

    def test_notices_which_module_it_is_and_not_the_order_they_are_named_in(self):
        self.path.with_name("other.py").write_text(self.CODE)
        assert source_fingerprint("other") != self.before
        assert source_fingerprint("other", "module") == source_fingerprint("module", "other")

    @pytest.mark.parametrize(
        "importing",
        [
            "import package.inner",
            "from package import inner",
            "from package.inner import value",
            "def late():\n    from package.inner import value",
            "import middle",
        ],
    )
    def test_follows_imports_wherever_and_however_they_stand(self, importing, tmp_path):
        (tmp_path / "package").mkdir()
        (tmp_path / "package/__init__.py").write_text("")
        (tmp_path / "package/inner.py").write_text("value = 1")
        (tmp_path / "middle.py").write_text("import package.inner")
        self.path.write_text(importing)
        before = source_fingerprint("module")
        (tmp_path / "package/inner.py").write_text("value = 2")
        assert source_fingerprint("module") != before

    def test_a_module_that_is_not_there_is_named(self):
        with pytest.raises(ModuleNotFoundError, match="missing: expected a module below"):
            source_fingerprint("module", "missing")


def test_little_is_harmless_and_none_of_it_decodes_computes_or_stores():
    assert set(HARMLESS) == {
        "pipeline.backbones.registry",
        "pipeline.core.devices",
        "pipeline.core.errors",
        "pipeline.core.files",
        "pipeline.core.fingerprints",
        "pipeline.core.processes",
        "pipeline.core.version",
        "pipeline.methods.registry",
        "pipeline.params",
    }


@pytest.mark.slow
@pytest.mark.parametrize("result", ENTRIES)
def test_a_result_is_named_by_every_module_that_computing_it_loads(result):
    closure = set(import_closure(*ENTRIES[result], leave_out=tuple(HARMLESS)))
    loaded = loaded_modules(ENTRIES[result])
    assert loaded <= closure
    assert len(loaded) > 10


@pytest.fixture(scope="module")
def copy_of_code(tmp_path_factory):
    root = tmp_path_factory.mktemp("code")
    for package in ("pipeline", "models"):
        for path in (ROOT / package).rglob("*.py"):
            target = root / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return root


@pytest.fixture
def copied(copy_of_code, monkeypatch):
    """Return the root of a copy of the code, which stands for it in a test, and is mended afterwards."""
    monkeypatch.setattr(fingerprints, "ROOT", copy_of_code)
    yield copy_of_code
    for path in copy_of_code.rglob("*.py"):
        original = (ROOT / path.relative_to(copy_of_code)).read_bytes()
        if path.read_bytes() != original:
            path.write_bytes(original)


@pytest.mark.parametrize("result", ENTRIES)
def test_a_change_of_any_module_that_counts_gives_another_name(result, copied):
    names = {source_fingerprint(*ENTRIES[result])}
    closure = import_closure(*ENTRIES[result], leave_out=tuple(HARMLESS))
    for path in closure.values():
        with path.open("a") as file:
            file.write("\nCHANGED = True\n")
        names.add(source_fingerprint(*ENTRIES[result]))
    assert len(names) == len(closure) + 1


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("pipeline/media/container.py", {"visual", "audio", "extraction", "released"}),
        ("pipeline/features/visual/frames.py", {"visual"}),
        ("pipeline/features/audio/log_mel.py", {"audio"}),
        ("pipeline/features/contract.py", {"visual", "audio", "extraction"}),
        ("pipeline/extraction/batching.py", {"extraction"}),
        ("pipeline/extraction/ray_engine.py", set()),
        ("models/backbones/vgg19.py", {"visual"}),
        ("models/backbones/resnet.py", set()),
        ("models/localization/psp.py", {"training", "tables"}),
        ("models/localization/cmran.py", set()),
        ("pipeline/methods/registry.py", set()),
        ("pipeline/params/schema.py", set()),
    ],
)
def test_a_change_gives_other_names_to_what_it_can_change_and_to_nothing_else(changed, affected, copied):
    before = {result: source_fingerprint(*entry) for result, entry in ENTRIES.items()}
    with (copied / changed).open("a") as file:
        file.write("\nCHANGED = True\n")
    assert {result for result, entry in ENTRIES.items() if source_fingerprint(*entry) != before[result]} == affected
