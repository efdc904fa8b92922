import importlib
import inspect
import re

import neuroglot
from neuroglot.book.api import ROOMS, api_page, modules, public_face, tidied
from neuroglot.neurons.methods import METHODS


def test_every_public_name_is_on_the_page():
    page = api_page()
    said = set(re.findall(r"^\.\. auto(?:class|function|data):: neuroglot\.(\w+)$", page, re.M))
    assert said == set(neuroglot.__all__) - set(ROOMS) - {"__version__"}
    assert {home.split(".")[1] for home in public_face().values()} <= set(ROOMS)
    listed = re.findall(r"^\.\. automodule:: (neuroglot\.\S+)$", page, re.M)
    assert len(listed) == len(set(listed)) > 60 and all(importlib.import_module(name).__doc__ for name in listed)
    for name, home in public_face().items():
        if not name.startswith("_"):
            excluded = page.partition(f".. automodule:: {home}\n")[2].partition("```")[0]
            assert name in excluded, f"{name} is on the page twice"


def test_every_method_to_detect_by_is_on_the_page():
    assert ".. automodule:: neuroglot.neurons.methods\n" in api_page()
    for function in METHODS.values():
        assert not function.__name__.startswith("_") and inspect.getdoc(function), function
        assert function.__module__ == "neuroglot.neurons.methods", "it would not be among the module's own"


def test_every_module_is_on_the_page_or_handed_on_by_one_that_is():
    listed = {name for room in ROOMS for name in modules(room)}
    for path in (importlib.import_module(f"neuroglot.{room}").__path__[0] for room in ROOMS):
        assert any(name.startswith(f"neuroglot.{path.rsplit('/', 1)[1]}.") for name in listed)
    assert {"neuroglot.text.problems", "neuroglot.book.charts", "neuroglot.book.findings.words"} <= listed
    assert "neuroglot.book.charts.activity" not in listed


def test_what_is_on_the_page_has_a_docstring():
    bare = []
    for module in map(importlib.import_module, (name for room in ROOMS for name in modules(room))):
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
            if own and (inspect.isfunction(thing) or inspect.isclass(thing)) and not inspect.getdoc(thing):
                bare.append(f"{module.__name__}.{name}")
    assert bare == []


def test_sphinx_s_page_is_tidied():
    said = tidied('<em>~numpy.ndarray</em> <strong>n</strong> -- of "a~b" <em>Mapping[str, ~pandas.core.Frame]</em>')
    assert said == '<em>ndarray</em> <strong>n</strong> – of "a~b" <em>Mapping[str, Frame]</em>'
