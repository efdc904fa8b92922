"""The project's own promises: pins in step, notebooks without outputs, nothing foreign."""

import ast
import importlib
import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import neuroglot
from neuroglot.book import chapters

ROOT = Path(__file__).parents[1]
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = TOML
EXTRAS = PROJECT["project"]["optional-dependencies"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def locked(name):
    """The entries of a file of locked versions, each a requirement with the hashes of its files."""
    return re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{name}.txt").read_text().strip())


def asked_for():
    """What ``make`` installs, as ranges."""
    asked = [
        *PROJECT["project"]["dependencies"],
        *(one for extra in EXTRAS if extra != "benchmark" for one in EXTRAS[extra]),
    ]
    return list(dict.fromkeys(asked))  # what two extras need stands once


def test_conda_has_the_same_ranges():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert pip == [*asked_for(), "--editable ."]
    assert f"python{PROJECT['project']['requires-python']}" in conda


@pytest.mark.parametrize("name", ["book", "torch", "cpu", "cuda", "node", "tools"])
def test_what_is_locked_has_hashes_and_no_address(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text and " @ " not in text and "--index" not in text and "--find-links" not in text
    pinned = re.compile(r"[a-z0-9-]+==[\w.+]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in locked(name) if not pinned.fullmatch(entry)] == []


def test_what_is_asked_for_is_locked_and_within_its_range():
    versions = {}
    for entry in [*locked("book"), *locked("torch")]:
        name, version = re.match(r"([a-z0-9-]+)==([\w.+]+)", entry).groups()
        versions.setdefault(name, []).append(version)
    assert {"hatchling", "editables", "pip"} <= set(versions) and all(
        re.match("torch==2", one) for one in locked("cpu")
    )
    for one in map(Requirement, [*asked_for(), *TOML["build-system"]["requires"]]):
        found = versions[canonicalize_name(one.name)]
        assert all(one.specifier.contains(version, prereleases=True) for version in found), f"{one} has {found}"
        assert {part.operator for part in one.specifier} <= {">=", "<", "=="}
    ranges = [one for one in map(Requirement, PROJECT["project"]["dependencies"]) if "==" in str(one.specifier)]
    assert ranges == [], "a library's dependencies are ranges"


def test_the_packaged_models_are_the_pinned_ones():
    from neuroglot.model.loading import PACKAGED

    (pin,) = EXTRAS["models"]
    gemma, smollm = PACKAGED["gemma3-270m"], PACKAGED["smollm2-135m"]
    assert pin == f"{gemma.package}=={gemma.version}"
    assert any(entry.startswith(f"{smollm.package}=={smollm.version} ") for entry in locked("book"))


def test_the_page_of_licences_is_of_what_is_locked():
    """What is locked without a row, or with another licence than the library itself says, is a page out of date."""
    done = importlib.util.spec_from_file_location("licences", ROOT / "requirements" / "licences.py")
    script = importlib.util.module_from_spec(done)
    done.loader.exec_module(script)
    page = (ROOT / "book" / "licences.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (\d[^|]*) \|", page, re.M))
    versions = {}
    for name in ("book", "torch", "cuda", "node"):
        for entry in locked(name):
            library, version = re.match(r"([a-z0-9-]+)==([\w.+]+)", entry).groups()
            versions.setdefault(library, set()).add(version)
    assert {name: set(said.split(", ")) for name, said in rows.items()} == versions
    assert page == script.page(), "run: make licences"
    with pytest.raises(SystemExit, match="no-such-library is not installed here; add its licence"):
        script.licence_of("no-such-library")


def test_nothing_is_installed_without_a_hash():
    """By make and by the image; what is tried on other versions than the locked ones is no part of the book."""
    tried = ("venv-lowest", "venv-newest", "[benchmark]", "--no-deps --no-build-isolation --editable .")
    for file in ("Makefile", "Containerfile"):
        lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
        installs = [line for line in lines if re.search(r"pip3? install|npm install|curl|wget", line)]
        for each in installs:
            assert "--require-hashes" in each or any(word in each for word in tried), each
    first = (ROOT / "Containerfile").read_text().split("FROM ", 1)[1].split()[0]
    assert first.endswith("-slim-bookworm")


def test_version_is_one():
    assert neuroglot.__version__ == PROJECT["project"]["version"]


def test_public_names_exist_and_are_documented():
    stub = ast.parse((ROOT / "src/neuroglot/__init__.pyi").read_text())
    listed = next(ast.literal_eval(line.value) for line in stub.body if isinstance(line, ast.Assign))
    imported = [alias.asname or alias.name for line in stub.body[:-1] for alias in line.names]
    assert sorted(listed) == sorted(imported) == sorted(neuroglot.__all__)
    for name in neuroglot.__all__:
        thing = getattr(neuroglot, name)
        assert name.isupper() or thing.__doc__, name
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = neuroglot.nothing


def test_importing_is_light():
    code = "import sys, neuroglot, neuroglot.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([chapters.sys.executable, "-c", code]).returncode == 0


def test_types_are_shipped_and_checked_strictly():
    settings = PROJECT["tool"]["mypy"]
    assert settings["strict"] is True and settings["files"] == ["src"]
    assert (ROOT / "src/neuroglot/py.typed").is_file()
    # What is not checked in full is other people's code, or said here.
    loose = {
        "neuroglot.book.charts.*": {"warn_return_any"},
        "neuroglot.book.playground": {"disallow_subclassing_any"},
        "trl.*": {"implicit_reexport"},
    }
    for override in settings["overrides"]:
        names = override["module"] if isinstance(override["module"], list) else [override["module"]]
        for name in names:
            assert set(override) - {"module"} == loose.get(name, {"ignore_missing_imports"}), name
    ignored = [
        line
        for path in (ROOT / "src").rglob("*.py")
        for line in path.read_text().splitlines()
        if "type: ignore" in line
    ]
    assert len(ignored) <= 15
    assert all(re.search(r"# type: ignore\[[a-z-]+\]", line) for line in ignored)


def test_every_chapter_is_in_the_book():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(entry["file"] for entry in toc["chapters"])]
    listed = sorted(Path(file).name for file in files if "/chapters/" in file and not file.endswith("/api"))
    assert listed == sorted(chapter.name for chapter in chapters.CHAPTERS) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_follow_the_house(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "a source notebook has no outputs"
    assert "parameters" in code[0].metadata.tags
    for line in code[0].source.splitlines():
        literal = r"\"[^\"]*\"|None|True|False|[\d.]+|\{([^{}]|\{[^{}]*\})*\}|\[(\"[^\"]*\"|[\d, ]*)\]"
        assert re.fullmatch(rf"#.*|\w+ = ({literal})  # .+", line), line
    assert notebook.cells[0].source.startswith("(") and notebook.cells[0].source.count("\n# ") == 1
    headings = [line for cell in notebook.cells for line in cell.source.splitlines() if line.startswith("## ")]
    # The front page begins with the findings.
    assert "## What was found, and what does not hold" in headings or path.stem == "index"


def test_what_notebooks_call_is_there():
    """Functions of the rooms, reached by name from the package as a reader would type them."""
    called = {
        name
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for name in re.findall(r"\b((?:ng|charts|findings|markup|reference)(?:\.[a-z_]+)+)\(", cell.source)
    }
    assert len(called) > 100
    for name in called:
        first, *parts = name.split(".")
        found = neuroglot if first == "ng" else importlib.import_module(f"neuroglot.book.{first}")
        for part in parts:
            found = getattr(found, part)


def test_no_path_of_a_machine_and_no_scripts_from_elsewhere():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.split():
        path = ROOT / name
        if path.suffix in (".png", ".svg") or name == "tests/test_project.py" or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(root|home|work|opt)/", text), name
        assert not re.search(r"cdn\.|unpkg|jsdelivr|cdnjs", text), name


def test_the_readme_leads_to_every_module():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "neuroglot"
    modules = [path for path in package.glob("*/*") if path.stem not in ("__init__", "__pycache__")]
    assert len(modules) > 50
    assert [str(path) for path in modules if f"]({path.relative_to(ROOT).as_posix()})" not in readme] == []
