"""What an archive says of itself, as RO-Crate 1.3: the run's model and text, each chapter as an action, each file."""

import contextlib
import json
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from ..base.artifacts import header_of
from ..base.errors import NeuroglotError
from ..base.files import read_json, read_whole, sha256_file
from ..base.tables import ARTIFACTS
from ..base.versions import __version__
from .chapters import executed
from .licences import OWN, Licence, of_model
from .pages import model_name

#: The metadata's name in an archive.
METADATA = "ro-crate-metadata.json"

# Of a run without a chapter that says when it was run.
_NO_DATE = "1970-01-01T00:00:00+00:00"

# Files of a run that hold text of its corpora.
_OF_TEXT = ("asked", "solved", "counted", "held_out", "responses", "contexts", "more_solved", "deactivated", "steered")

_FORMATS = {
    ".safetensors": "application/octet-stream",
    ".jsonl": "application/jsonl",
    ".ipynb": "application/x-ipynb+json",
}
_FORMATS |= {
    ".md": "text/markdown",
    ".toml": "application/toml",
    ".cff": "application/yaml",
    ".yml": "application/yaml",
}


@dataclass(frozen=True)
class Contents:
    """What is archived.

    Attributes:
        root: the project.
        folder: of the run.
        said: its manifest.
        entries: the file of each path in the archive, but for the pages.
        texts: of each text its licence.
        pages: whether they are there, in ``pages/``.
    """

    root: Path
    folder: Path
    said: Mapping[str, Any]
    entries: Mapping[str, Path]
    texts: Mapping[str, Licence]
    pages: bool = True


def metadata(contents: Contents) -> dict[str, Any]:
    """The content of :data:`METADATA`: the same for the same run, to the letter."""
    return _Crate(contents).written()


class _Crate:
    """A crate that is being described."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.crate = ROCrate(version="1.3")
        self.times = {name: _times(contents.folder, name) for name in contents.said["chapters"]}

    def written(self) -> dict[str, Any]:
        """All of it."""
        files, run = self.contents.entries, self.contents.folder.name
        cited = _cited(self.contents.root)
        authors = [self._add(f"#author-{n}", kind, **who) for n, (kind, who) in enumerate(_people(cited), 1)]
        texts = [self._licence(licence) for licence in self.contents.texts.values()]
        model, text = self._model(), self._texts()
        for path in sorted(files):
            self._file(path, texts)
        if self.contents.pages:
            said = {"name": "The book's pages", "description": "To be read in a browser, from pages/index.html."}
            self.crate.add_dataset(dest_path="pages", properties=said | {"license": self._licence(OWN)})
        software = self._software(cited, authors)
        actions = [self._action(name, own, software) for name, own in self.contents.said["chapters"].items()]
        root = self.crate.root_dataset
        root["name"] = f"neuroglot run {run}"
        preset = f" with the {preset} preset" if (preset := self.contents.said.get("preset")) else ""
        root["description"] = (
            f"A run of the neuroglot book{preset}: counts, neuron types, effects, the executed notebooks, and what "
            "builds their pages."
        )
        root["datePublished"] = max((end for _, end in self.times.values() if end), default=_NO_DATE)
        root["license"] = list(dict.fromkeys([self._licence(OWN), *texts]))
        root["author"] = authors
        root["about"] = [model, *text]
        root["citation"] = [
            self._paper(paper, n) for n, paper in enumerate(cited.get("references") or (), 1) if _address(paper)
        ]
        root["mentions"] = actions
        made: dict[str, Any] = self.crate.metadata.generate()
        made["@graph"].sort(key=lambda entity: (entity["@id"] != METADATA, entity["@id"] != "./", entity["@id"]))
        return made

    def _add(self, entity: str, kind: str, /, **properties: Any) -> Any:
        there = {name: value for name, value in properties.items() if value not in (None, "", [])}
        return self.crate.add(ContextEntity(self.crate, entity, properties={"@type": kind, **there}))

    def _licence(self, licence: Licence) -> Any:
        identifier = licence.address or f"#licence-{licence.name.replace(' ', '-')}"
        return self.crate.get(identifier) or self._add(identifier, "CreativeWork", name=licence.name, description=_WHAT)

    # --- what was run, and by what ------------------------------------------------------------------

    def _model(self) -> Any:
        """The model, which is not in the archive."""
        made = _provenance(self.contents)
        given = [own["parameters"].get("model") for own in self.contents.said["chapters"].values()]
        name = str(made.get("model") or next(filter(None, given), "not known"))
        return self._add(
            "#model",
            "CreativeWork",
            name=model_name(name),
            description="The language model that was studied; its weights are not part of this archive.",
            version=str(made.get("revision") or ""),
            identifier=f"sha256:{made['weights_sha256']}" if made.get("weights_sha256") else None,
            license=self._licence(of_model(name)),
        )

    def _texts(self) -> list[Any]:
        return [
            self._add(f"#text-{n}", "CreativeWork", name=name, license=self._licence(licence))
            for n, (name, licence) in enumerate(self.contents.texts.items(), 1)
        ]

    def _software(self, cited: Mapping[str, Any], authors: list[Any]) -> Any:
        """The package, and the libraries that the chapters were run by."""
        found: dict[str, set[str]] = {}
        for own in self.contents.said["chapters"].values():
            for name, version in own.get("versions", {}).items():
                found.setdefault(name, set()).add(str(version))
        libraries = [
            self._add(f"#{name}-{version}", "SoftwareApplication", name=name, version=version, url=_PAGE.format(name))
            for name in sorted(found)
            for version in sorted(found[name])
        ]
        # An application must have an address, which a project without a public home lacks.
        address = cited.get("repository-code") or cited.get("url")
        return self._add(
            "#neuroglot",
            "SoftwareApplication" if address else "CreativeWork",
            url=address,
            name=cited.get("title") or "neuroglot",
            version=str(cited.get("version") or __version__),
            license=self._licence(OWN),
            author=authors,
            softwareRequirements=libraries,
        )

    def _paper(self, paper: Mapping[str, Any], number: int) -> Any:
        authors = [
            self._add(f"#paper-{number}-author-{n}", kind, **who) for n, (kind, who) in enumerate(_people(paper), 1)
        ]
        return self._add(
            _address(paper) or f"#paper-{number}",
            "ScholarlyArticle",
            name=paper.get("title"),
            datePublished=str(paper.get("year") or ""),
            identifier=paper.get("notes"),
            author=authors,
        )

    def _action(self, chapter: str, own: Mapping[str, Any], software: Any) -> Any:
        """A chapter as it was run: by which notebook, on which files and values, and what it wrote."""
        given = [
            self._add(f"#{chapter}/{name}", "PropertyValue", name=name, value=json.dumps(value, sort_keys=True))
            for name, value in sorted(own["parameters"].items())
        ]
        begun, ended = self.times[chapter]
        source = self.crate.get(f"notebooks/{chapter}.ipynb")
        return self._add(
            f"#run-{chapter}",
            "CreateAction",
            name=f"Chapter {chapter}",
            description=f"Papermill ran the notebook {chapter} with these values.",
            instrument=[*filter(None, [source]), software],
            object=[*self._there(own["inputs"]), *given],
            result=self._there(own["outputs"]),
            startTime=begun,
            endTime=ended,
            actionStatus={"@id": "http://schema.org/CompletedActionStatus"},
        )

    def _there(self, paths: Iterable[str]) -> list[Any]:
        found = (self.crate.get(quote(path)) for path in sorted(paths))
        return [each for each in found if each is not None]

    # --- files ---------------------------------------------------------------------------------------

    def _file(self, path: str, texts: list[Any]) -> None:
        source, place = self.contents.entries[path], PurePosixPath(path)
        said: dict[str, Any] = {"name": path, "contentSize": str(source.stat().st_size), "sha256": sha256_file(source)}
        kind = _FORMATS.get(place.suffix) or mimetypes.guess_type(place.name, strict=True)[0]
        said["encodingFormat"] = kind or "application/octet-stream"
        if place.name in {ARTIFACTS[name] for name in _OF_TEXT} and place.parts[0] == "runs":
            said["license"] = list(dict.fromkeys(texts))
        elif place.parts[0] != "runs":
            said["license"] = self._licence(OWN)
        kinds = ["File", "SoftwareSourceCode"] if place.parts[0] == "notebooks" else "File"
        self.crate.add_file(dest_path=path, properties={"@type": kinds} | said)


# A page about a library.
_PAGE = "https://pypi.org/project/{}/"

_WHAT = "A licence of something in this archive, or of what it was made from."


def _provenance(contents: Contents) -> dict[str, Any]:
    """Of the counts, as far as they can be read."""
    with contextlib.suppress(NeuroglotError):
        made = header_of(contents.folder / ARTIFACTS["stats"]).get("provenance")
        return made if isinstance(made, dict) else {}
    return {}


def _times(folder: Path, chapter: str) -> tuple[str | None, str | None]:
    """When a chapter began and ended, as papermill noted it in the executed notebook."""
    said = read_json(executed(folder, chapter))["metadata"].get("papermill", {})
    return said.get("start_time"), said.get("end_time")


def _cited(root: Path) -> dict[str, Any]:
    """What ``CITATION.cff`` says; nothing where there is none."""
    path = root / "CITATION.cff"
    said = yaml.safe_load(read_whole(path)) if path.is_file() else {}
    return said if isinstance(said, dict) else {}


def _address(paper: Mapping[str, Any]) -> str | None:
    """Where something cited can be found, which RO-Crate asks of what it cites."""
    if doi := paper.get("doi"):
        return f"https://doi.org/{doi}"
    preprint = re.search(r"arXiv:(\S+)", str(paper.get("notes") or ""))
    return f"https://arxiv.org/abs/{preprint[1]}" if preprint else paper.get("url")


def _people(said: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The authors of something cited, each with its type: persons by both names, others by one."""
    for one in said.get("authors") or [{"name": "The neuroglot contributors"}]:
        if "family-names" in one:
            names = {"familyName": one["family-names"], "givenName": one.get("given-names")}
            yield "Person", {"name": f"{one.get('given-names', '')} {one['family-names']}".strip(), **names}
        else:
            yield "Organization", {"name": one.get("name")}
