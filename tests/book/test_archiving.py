"""A run in one file: what it says, who accepts it, the run and its pages from it, and files that are no archives."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest
import yaml

from neuroglot import NeuroglotError
from neuroglot.base.files import sha256_file, write_bytes
from neuroglot.base.tables import ARTIFACTS
from neuroglot.book import archiving, chapters, manifest, unpacking, verifying
from neuroglot.book.checking import FAILED
from neuroglot.cli import main

from .conftest import PARAMETERS, ROOT

pytestmark = pytest.mark.model

RUN = "tiny"
REAL = ("01-activations", "02-identification")


def _pretended(source, output, parameters, root):
    """In place of the chapters whose outputs are not looked at: they have run, and wrote something."""
    notebook = nbformat.read(source, as_version=4)
    times = {"start_time": "2026-01-02T03:04:05", "end_time": "2026-01-02T03:04:06"}
    notebook.metadata["papermill"] = {"parameters": dict(parameters), **times}
    write_bytes(output, nbformat.writes(notebook).encode())
    for name in next(chapter.writes for chapter in chapters.CHAPTERS if chapter.name == source.stem):
        write_bytes(root / parameters[name], name.encode())


@pytest.fixture(scope="module")
def ran(project):
    """A run of all chapters: the first two have run, and the counts of another run stand beside it."""
    for name in archiving.PROJECT:
        if not (project / name).exists():
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, project / name)
    real = [chapter for chapter in chapters.CHAPTERS if chapter.name in REAL]
    chapters.run_chapters(PARAMETERS, root=project, run=RUN, chapters=real)
    others = [chapter for chapter in chapters.CHAPTERS if chapter not in real]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapters, "_execute", _pretended)
        chapters.run_chapters(PARAMETERS, root=project, run=RUN, chapters=others[:1])
        for name in ("stats", "types", "layers"):
            file = project / "runs" / "beside" / ARTIFACTS[name]
            write_bytes(file, (project / "runs" / RUN / ARTIFACTS[name]).read_bytes())
        chapters.run_chapters(PARAMETERS, root=project, run=RUN, chapters=others, beside=["runs/beside"])
    return project


@pytest.fixture(scope="module")
def whole(ran):
    """Its archive, with pages."""
    return archiving.archive(RUN, ran / "whole.zip", root=ran, text_licence="CC-BY-4.0")


@pytest.fixture(scope="module")
def bare(ran):
    """And one without."""
    return archiving.archive(RUN, ran / "bare.zip", root=ran, text_licence="CC-BY-4.0", pages=False)


def said(file):
    with zipfile.ZipFile(file) as archive:
        return json.loads(archive.read("ro-crate-metadata.json"))


def entities(file):
    return {entity["@id"]: entity for entity in said(file)["@graph"]}


def changed(file, to, change):
    """The archive, written anew with other entries: ``change(entries)`` of bytes by name."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(entries)
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return to


# --- what is in it --------------------------------------------------------------------------------


def test_it_has_data_notebooks_pages_lock_and_metadata(ran, whole):
    with zipfile.ZipFile(whole) as archive:
        names = archive.namelist()
    assert names[0] == "ro-crate-metadata.json" and names[1:] == sorted(names[1:])
    files = {f"runs/{RUN}/{name}" for name in manifest.read(ran / "runs" / RUN)["files"]}
    assert files | {f"runs/{RUN}/manifest.json"} <= set(names)
    needed = {"pages/index.html", "pages/book/chapters/02-identification.html", "requirements/book.txt", "CITATION.cff"}
    assert needed | {"_toc.yml", "notebooks/02-identification.ipynb", "book/references.bib"} <= set(names)
    assert {f"runs/beside/{ARTIFACTS[name]}" for name in ("stats", "types", "layers")} <= set(names)
    assert not [
        name for name in names if name.endswith(".lock") or name.startswith(("book/vendor", "model/", "texts/"))
    ]


def test_every_script_style_and_font_of_the_pages_has_its_licence_on_the_page(whole):
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", (ROOT / "book/licences.md").read_text(), re.M)
    with zipfile.ZipFile(whole) as archive:
        names = [name.removeprefix("pages/") for name in archive.namelist() if name.startswith("pages/")]
    carried = [name for name in names if name.endswith((".js", ".css", ".woff", ".woff2", ".ttf", ".otf", ".eot"))]
    assert len(carried) > 30
    assert [name for name in carried if not any(fnmatch(name, row) for row in rows)] == []


def test_the_same_run_gives_the_same_bytes(ran, bare, tmp_path):
    for path in (ran / "runs" / RUN).rglob("*"):
        os.utime(path)
    again = archiving.archive(RUN, tmp_path / "again.zip", root=ran, text_licence="CC-BY-4.0", pages=False)
    assert again.read_bytes() == bare.read_bytes()
    assert not list(ran.glob(".archive*"))


def test_its_metadata_say_what_was_run_on_what(ran, whole):
    found, text = entities(whole), (ran / "runs" / RUN / ARTIFACTS["counted"]).read_bytes()
    root, cited = found["./"], yaml.safe_load((ROOT / "CITATION.cff").read_text())
    licences = {each["@id"] for each in root["license"]}
    # The chapter on alignment trains on the packaged problems.
    assert licences == {f"https://spdx.org/licenses/{name}" for name in ("MIT", "CC-BY-4.0", "CC0-1.0")}
    assert found["#model"]["name"] == "model" and found["#model"]["identifier"].startswith("sha256:")
    assert found["#model"]["license"] == {"@id": "#licence-not-known"}
    texts = {found[f"#text-{n}"]["name"]: found[f"#text-{n}"]["license"]["@id"].split("/")[-1] for n in (1, 2)}
    assert texts == {"text:texts": "CC-BY-4.0", "problems": "CC0-1.0"}
    file = found[f"runs/{RUN}/{ARTIFACTS['counted']}"]
    assert file["contentSize"] == str(len(text)) and len(file["license"]) == 2
    assert file["sha256"] == sha256_file(ran / "runs" / RUN / ARTIFACTS["counted"])
    action = found["#run-02-identification"]
    assert {"@id": "notebooks/02-identification.ipynb"} in action["instrument"]
    assert {"@id": f"runs/{RUN}/{ARTIFACTS['stats']}"} in action["object"]
    assert {"@id": f"runs/{RUN}/{ARTIFACTS['types']}"} in action["result"]
    assert found["#02-identification/top_rate"]["value"] == "0.2"
    assert action["endTime"] <= root["datePublished"]
    assert {each["@id"] for each in root["mentions"]} == {f"#run-{chapter.name}" for chapter in chapters.CHAPTERS}
    libraries = {each["@id"].rpartition("-")[0] for each in found["#neuroglot"]["softwareRequirements"]}
    assert {"#torch", "#transformers", "#numpy"} <= libraries
    # As CITATION.cff has it.
    assert (found["#neuroglot"]["name"], found["#neuroglot"]["version"]) == (cited["title"], cited["version"])
    assert found["#neuroglot"]["license"] == {"@id": f"https://spdx.org/licenses/{cited['license']}"}
    assert [found[each["@id"]]["name"] for each in root["author"]] == [who["name"] for who in cited["authors"]]
    (paper,) = (found[each["@id"]] for each in root["citation"])
    assert paper["@id"] == "https://arxiv.org/abs/2505.21505" and len(paper["author"]) == 8


def test_it_keeps_the_rules_of_ro_crate(whole):
    """Those that its specification says MUST of: one file of metadata about one root, and each thing that is named."""
    content, found = said(whole), entities(whole)
    assert content["@context"] == "https://w3id.org/ro/crate/1.3/context"
    assert len(found) == len(content["@graph"]), "no two entities have one id"
    descriptor = found["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork" and descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.3"}
    assert found["./"]["@type"] == "Dataset"
    assert all(found["./"].get(name) for name in ("name", "description", "datePublished", "license"))
    parts = {each["@id"] for each in found["./"]["hasPart"]}
    with zipfile.ZipFile(whole) as archive:
        names = {name for name in archive.namelist() if not name.startswith("pages/")} - {"ro-crate-metadata.json"}
    assert parts == names | {"pages/"}, "every file is one of its parts"
    for entity in found.values():
        kinds = entity["@type"] if isinstance(entity["@type"], list) else [entity["@type"]]
        assert ("File" in kinds) == (entity["@id"] in names), entity["@id"]
        for name, value in entity.items():
            for each in value if isinstance(value, list) else [value]:
                assert isinstance(each, str | dict), (entity["@id"], name)
                if isinstance(each, dict):  # flat: what is elsewhere in the metadata, or in the world
                    assert set(each) == {"@id"} and (each["@id"] in found or each["@id"].startswith("http")), each


#: The validator needs the context, which rocrate brings along; put into the validator's cache, it asks no network.
_WARM = """
import io, sys
from pathlib import Path
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse
cache, context = sys.argv[1:]

class Brought(HTTPAdapter):
    def send(self, request, **_):
        said = {"Content-Type": "application/ld+json"}
        body = io.BytesIO(Path(context).read_bytes())
        answer = HTTPResponse(body, said, 200, preload_content=False, request_url=request.url)
        return self.build_response(request, answer)

session = CachedSession(cache, backend="sqlite", expire_after=-1)
session.mount("https://", Brought())
for accept in ("application/ld+json, application/json", "*/*"):
    session.get("https://w3id.org/ro/crate/1.3/context", headers={"Accept": accept})
"""


def test_a_validator_accepts_it(bare, tmp_path):
    """That of RO-Crate, from ``make validator``: it needs other versions than the book and has its own environment."""
    import rocrate

    program = os.environ.get("NEUROGLOT_VALIDATOR") or str(ROOT / ".venv-tools/bin/rocrate-validator")
    if not Path(program).exists():
        pytest.skip("there is no rocrate-validator; make validator installs it and runs this")
    context = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    cache = tmp_path / "cache"
    subprocess.run([Path(program).with_name("python"), "-c", _WARM, cache, context], check=True)

    def validated(file, *more):
        command = [program, "-y", "--disable-color", "validate", "--offline", "--cache-path", cache, "--no-paging"]
        command += ["--no-auto-profile", "--profile-identifier", "ro-crate-1.3"]
        return subprocess.run([*command, *more, file], capture_output=True, text=True)

    done = validated(bare)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]

    def without_licence(entries):
        content = json.loads(entries["ro-crate-metadata.json"])
        del next(entity for entity in content["@graph"] if entity["@id"] == "./")["license"]
        entries["ro-crate-metadata.json"] = json.dumps(content).encode()

    assert validated(changed(bare, tmp_path / "wrong.zip", without_licence)).returncode == 1


# --- what is refused ------------------------------------------------------------------------------


def test_text_of_an_unknown_licence_is_only_archived_after_saying_so(ran, tmp_path, monkeypatch, capsys):
    with pytest.raises(NeuroglotError, match=r"the text 'text:texts' may be passed on is not known here"):
        archiving.archive(RUN, tmp_path / "x.zip", root=ran, pages=False)
    monkeypatch.chdir(ran)
    assert main(["archive", RUN, "--no-pages", "--out", str(tmp_path / "x.zip"), "--text-licence", "unknown"]) == 0
    assert "wrote" in capsys.readouterr().out
    assert {"@id": "#licence-not-known"} in entities(tmp_path / "x.zip")["./"]["license"]
    # What is there already is kept, unless it is asked for.
    again = ["archive", RUN, "--no-pages", "--out", str(tmp_path / "x.zip"), "--text-licence", "CC0-1.0"]
    assert main(again) == 2 and "holds something else" in capsys.readouterr().err
    assert main([*again, "--overwrite"]) == 0
    assert {"@id": "https://spdx.org/licenses/CC0-1.0"} in entities(tmp_path / "x.zip")["./"]["license"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (f"runs/{RUN}/types.safetensors", "'types.safetensors' was changed"),
        ("runs/beside/layers.json", "runs/beside/layers.json is not what a chapter read"),
    ],
)
def test_a_run_that_was_changed_is_not_archived(ran, tmp_path, file, message):
    before = (ran / file).read_bytes()
    try:
        (ran / file).write_bytes(before + b"x")
        with pytest.raises(NeuroglotError, match=message):
            archiving.archive(RUN, tmp_path / "x.zip", root=ran, text_licence="MIT", pages=False)
    finally:
        (ran / file).write_bytes(before)
    assert not list(tmp_path.iterdir())


# --- and out again --------------------------------------------------------------------------------


def test_another_machine_builds_the_pages_without_the_model(whole, tmp_path, monkeypatch):
    """From an empty folder, the archive and the package."""
    monkeypatch.setattr("neuroglot.model.loading.load_model", None)
    page = unpacking.unpack(whole, tmp_path / "new")
    assert page == tmp_path / "new/_build/html/index.html"
    assert not [found for found in verifying.verify(RUN, root=tmp_path / "new") if found.verdict == FAILED]
    html = {path.relative_to(page.parent).as_posix(): path.read_bytes() for path in page.parent.rglob("*.html")}
    with zipfile.ZipFile(whole) as archive:
        names = [name for name in archive.namelist() if name.startswith("pages/") and name.endswith(".html")]
        packed = {name.removeprefix("pages/"): archive.read(name) for name in names}
    assert len(packed) > 20 and html == packed, "the very pages"
    assert b"<dt>run</dt><dd>beside</dd>" in packed["book/chapters/11-models.html"]
    assert str(tmp_path).encode() not in b"".join(html.values())


def test_a_run_is_unpacked_into_a_project_that_is_there(bare, project, tmp_path, monkeypatch, capsys):
    own = tmp_path / "own"
    shutil.copytree(project, own, ignore=shutil.ignore_patterns("runs", "model", "*.zip"))
    before = (own / "_config.yml").read_text() + "# mine\n"
    (own / "_config.yml").write_text(before)
    monkeypatch.chdir(own)
    assert main(["unpack", str(bare), "--no-build"]) == 0
    assert (own / "_config.yml").read_text() == before, "the project's own settings, and no other's"
    assert main(["verify", RUN]) == 0
    assert (own / "runs/beside/layers.json").is_file()
    capsys.readouterr()
    assert main(["unpack", str(bare), "--no-build"]) == 2 and "is there already" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("x")
    with pytest.raises(NeuroglotError, match="neither a project of neuroglot nor empty"):
        unpacking.unpack(bare, tmp_path / "full")


def _notebook(change):
    """Change chapter 02 as executed, and write the manifest as one who changed it would."""

    def whole(entries):
        name = f"runs/{RUN}/chapters/02-identification.ipynb"
        notebook = json.loads(entries[name])
        change(notebook)
        entries[name] = json.dumps(notebook).encode()
        _remade(entries)

    return whole


def _remade(entries, **more):
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / RUN
        for name, content in entries.items():
            if name.startswith(f"runs/{RUN}/"):
                write_bytes(Path(scratch) / name.removeprefix("runs/"), content)
        there = manifest.read(folder)
        (folder / manifest.MANIFEST).unlink()
        manifest.write(folder, there["preset"], {**there["chapters"], **more})
        entries[f"runs/{RUN}/manifest.json"] = (folder / manifest.MANIFEST).read_bytes()


def _forced(notebook):
    notebook["metadata"]["mystnb"] = {"execution_mode": "force"}


def _other_words(notebook):
    notebook["cells"][0]["source"] = ["```{include} /etc/hostname\n```"]


def _hidden_words(notebook):
    cell = {
        "cell_type": "markdown",
        "id": "x",
        "metadata": {"tags": ["injected-parameters"]},
        "source": ":::{raw} html",
    }
    notebook["cells"].insert(1, cell)


def _outside(entries):
    reads = {"inputs": {"runs/../_config.yml": "0" * 64}, "outputs": {}, "parameters": {}, "versions": {}}
    _remade(entries, **{"02-identification": reads})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.update({f"runs/{RUN}/effects.json": b"other"}), "was changed"),
        (lambda entries: entries.pop(f"runs/{RUN}/effects.json"), "which its manifest names, is not in it"),
        (lambda entries: entries.pop(f"runs/{RUN}/manifest.json"), "it has 0 manifests of a run"),
        (lambda entries: entries.update({"../x": b""}), "is no path within it"),
        (lambda entries: entries.update({"/x": b""}), "is no path within it"),
        (lambda entries: entries.update({"runs/other/manifest.json": b""}), "it has 2 manifests of a run"),
        (_outside, "is not in it"),
        (_notebook(_forced), "its chapter 02-identification is not the one of this version"),
        (_notebook(_other_words), "its chapter 02-identification is not the one of this version"),
        (_notebook(_hidden_words), "its chapter 02-identification is not the one of this version"),
    ],
)
def test_what_is_no_archive_is_refused_and_leaves_nothing(bare, tmp_path, change, message):
    file = changed(bare, tmp_path / "wrong.zip", change)
    with pytest.raises(NeuroglotError, match=message):
        unpacking.unpack(file, tmp_path / "new", build=False)
    assert not (tmp_path / "new").exists() and not (tmp_path / "x").exists()


def test_links_and_entries_that_are_more_than_they_say_are_refused(bare, tmp_path):
    file = tmp_path / "link.zip"
    shutil.copyfile(bare, file)
    link = zipfile.ZipInfo("runs/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(NeuroglotError, match="'runs/link' is no plain file"):
        unpacking.unpack(file, tmp_path / "new", build=False)
    (tmp_path / "text.zip").write_text("no zip file")
    with pytest.raises(NeuroglotError, match="it is no zip file"):
        unpacking.unpack(tmp_path / "text.zip", tmp_path / "new", build=False)
    cut = tmp_path / "cut.zip"
    content = bytearray(bare.read_bytes())
    with zipfile.ZipFile(bare) as archive:
        begin = archive.getinfo(f"runs/{RUN}/{ARTIFACTS['stats']}").header_offset + 200
    content[begin : begin + 100] = bytes(100)
    cut.write_bytes(content)
    with pytest.raises(NeuroglotError, match=r"cannot be read|was changed"):
        unpacking.unpack(cut, tmp_path / "new", build=False)
    assert not (tmp_path / "new").exists()
