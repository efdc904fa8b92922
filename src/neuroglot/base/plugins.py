"""What installed packages add from outside: architectures, corpora, scorers and detectors, by entry points.

The groups are ``neuroglot.sites``, ``neuroglot.corpora``, ``neuroglot.scorers`` and ``neuroglot.detectors``; nothing is
looked for or loaded before a name is asked for.
"""

import functools
import warnings
from collections.abc import Callable, Collection
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import Any

from .errors import NeuroglotError, in_a_line, quoted


@functools.cache
def _found(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by name; reading every package's metadata takes a moment, so only once."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=group), key=package):
        known = found.setdefault(point.name, [])
        if package(point) not in map(package, known):  # one package may be seen twice on the path
            known.append(point)
    return found


def package(point: EntryPoint) -> str:
    """Name and version of the package that gives an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package without a name"


def names(group: str, own: Collection[str] = ()) -> tuple[str, ...]:
    """The names that packages add to neuroglot's ``own``, in alphabetical order; nothing is loaded."""
    return tuple(sorted(set(_found(group)) - set(own)))


def find(group: str, name: str, own: Collection[str] = ()) -> EntryPoint | None:
    """The entry point of that name, not loaded; ``None`` where no package gives it or it is one of ``own``.

    Neuroglot's own names win, with a warning that names the package that was left aside.

    Raises:
        NeuroglotError: two packages give the name.
    """
    points = _found(group).get(name, [])
    if points and name in own:
        warnings.warn(
            f"{package(points[0])} gives {quoted(name)} in {group}, a name of neuroglot's own, which wins; "
            "rename the entry point.",
            stacklevel=3,
        )
        return None
    if len(points) > 1:
        raise NeuroglotError(
            f"{' and '.join(package(point) for point in points)} both give {quoted(name)} in {group}; "
            "uninstall one of them."
        )
    return points[0] if points else None


def load(point: EntryPoint) -> Any:
    """What an entry point stands for.

    Raises:
        NeuroglotError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # a package's import may fail in any way
        reason = in_a_line(error, 200) or type(error).__name__
        raise broken(point, f"cannot be loaded ({reason})") from error


def load_function(point: EntryPoint) -> Callable[..., Any]:
    """The function that an entry point stands for.

    Raises:
        NeuroglotError: it cannot be imported, or is no function.
    """
    function = load(point)
    if not callable(function):
        raise broken(point, f"is a {type(function).__name__}, not a function")
    return function  # type: ignore[no-any-return]


def call(point: EntryPoint, function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """What the function gives; its own errors are left as they are.

    Raises:
        NeuroglotError: it does not take these arguments or settings.
    """
    try:
        signature(function).bind(*arguments, **settings)
    except TypeError as error:
        raise broken(point, f"was called with what it does not take ({error})") from error
    return function(*arguments, **settings)


def broken(point: EntryPoint, what: str) -> NeuroglotError:
    """One sentence about an entry point that names it and its package."""
    return NeuroglotError(
        f"{point.name} = {point.value} in {point.group}, of {package(point)}, {what}; mend or uninstall the package."
    )
