"""The page with every public name of the package, for Sphinx to fill from the docstrings."""

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

#: From the ground up, in the order of reading.
ROOMS = ("base", "text", "model", "counts", "neurons", "effects", "alignment", "book")

_INTRODUCTION = """\
(api)=
# The package, name by name

What a user needs is at the top: `import neuroglot as ng`, then `ng.collect`, `ng.classify` and so on. The rest is in
eight rooms, each importing only from those before it; their modules are reached by name, as in
`from neuroglot.effects import steering`. All of this comes from the docstrings.

## At the top
"""


def public_face() -> dict[str, str]:
    """What ``import neuroglot`` offers beside the rooms: names, and the modules they live in."""
    stub = ast.parse(files("neuroglot").joinpath("__init__.pyi").read_text(encoding="utf-8"))
    homes = (line for line in stub.body if isinstance(line, ast.ImportFrom) and line.module)
    return {name.name: f"neuroglot.{line.module}" for line in homes for name in line.names}


def modules(room: str) -> Iterator[str]:
    """The dotted names of a room's modules, each before those within it; of one that hands on their names, itself."""
    place = Path(str(files("neuroglot"))) / room
    for path in sorted(place.rglob("*.py")):
        parts = path.relative_to(place.parents[1]).with_suffix("").parts
        init = path.with_name("__init__.py")
        own_face = path.stem != "__init__" and "\n__all__ = [" in init.read_text(encoding="utf-8")
        if not own_face and (path.parent != place or path.stem != "__init__"):
            yield ".".join(parts[:-1] if path.stem == "__init__" else parts)


def api_page() -> str:
    """The page, in MyST: the public face first, then room by room what is not at the top already."""
    face = public_face()
    parts = [_INTRODUCTION]
    for name in sorted(face, key=lambda name: (not name[0].islower(), name)):
        if not name.startswith("_"):
            kind = "data" if name.isupper() else "function" if name[0].islower() else "class"
            parts.append(_directive(f"auto{kind}", f"neuroglot.{name}"))
    for room in ROOMS:
        parts += [f"## Room `{room}`\n", _directive("automodule", f"neuroglot.{room}", "no-members:")]
        for module in modules(room):
            parts.append(f"### `{module.removeprefix('neuroglot.')}`\n")
            at_the_top = ", ".join(name for name, home in face.items() if home == module)
            parts.append(_directive("automodule", module, *([f"exclude-members: {at_the_top}"] if at_the_top else [])))
    return "\n".join(parts)


def tidied(html: str) -> str:
    """Sphinx's page with short names where it could not read a signature, and with dashes."""
    return re.sub(r"~(?:\w+\.)+(?=\w)", "", html).replace("</strong> -- ", "</strong> – ")


def _directive(directive: str, name: str, *options: str) -> str:
    lines = "".join(f"   :{option}\n" for option in options)
    return f"```{{eval-rst}}\n.. {directive}:: {name}\n{lines}```\n"
