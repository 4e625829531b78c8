"""The import rules between the parts of the tree, read from the source, and proven to catch."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "deploy" / "homeport"
VOCABULARY = tuple(f"homeport.{one}" for one in ("backups", "errors", "model", "planned", "wire"))
#: what is neither I/O nor a clock nor chance; anything else is refused to the core
PURE = frozenset(
    "__future__ ast base64 calendar collections copy dataclasses enum functools hashlib html"
    " ipaddress itertools json math operator re shlex string textwrap types typing".split()
)
APP = ("app_factory", "config", "foodbudget")
SSH = ("fabric", "paramiko", "invoke")
#: builtins that reach the world without an import
WORLDLY = frozenset(("open", "input", "print", "exec", "eval", "__import__", "breakpoint"))


def imports(text: str, module: str, package: bool = False) -> set[str]:
    """Every module that a source imports, wherever in it, by full dotted name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".") + ([""] if package else [])
                base = ".".join([*parts[: -node.level], *([base] if base else [])])
            # `from homeport import wire` imports homeport.wire; a name of a module stays its module
            found.update(f"{base}.{one.name}" for one in node.names)
    return found


def inside(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of these modules or below one."""
    return any(name == one or name.startswith(one + ".") for one in packages)


def broken(text: str, module: str, package: bool = False) -> list[str]:
    """The import rules of the design that a module of that name breaks, each in a sentence."""
    found = []
    for name in sorted(imports(text, module, package)):
        top = name.split(".")[0]
        if inside(module, "homeport.core") or module in VOCABULARY:
            own = inside(name, "homeport.core", *VOCABULARY)
            if not own and top not in PURE:
                found.append(f"{module} is pure and imports {name}")
            if module in VOCABULARY and inside(name, "homeport.core"):
                found.append(f"{module} is the vocabulary and imports {name}")
        if inside(module, "homeport.host"):
            own = inside(
                name, "homeport.host", "homeport.core", "homeport.__version__", *VOCABULARY
            )
            if not own and top not in sys.stdlib_module_names:
                found.append(f"{module} runs on a bare host and imports {name}")
        # what they have in common goes into the image along with them
        shared = inside(name, "homeport.inside.tables")
        if inside(module, "homeport.inside") and top not in sys.stdlib_module_names and not shared:
            found.append(f"{module} runs by itself in an app's image and imports {name}")
        if inside(module, "homeport.control") and inside(name, "homeport.host"):
            found.append(f"{module} is the controller and imports {name}")
        if top in SSH and module != "homeport.control.ssh":
            found.append(f"{module} is not control.ssh and imports {name}")
        if inside(module, "homeport") and top in APP:
            found.append(f"{module} is the engine and imports {name}")
        if inside(module, *APP) and top in ("homeport", "lab", "deploy"):
            found.append(f"{module} is the app and imports {name}")
    if inside(module, "homeport.core"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Name) and node.id in WORLDLY:
                found.append(f"{module} is pure and uses {node.id}")
    return found


def sources() -> dict[str, Path]:
    """Every module of the engine and the app, by its dotted name."""
    found = {}
    for base, folder in ((ROOT / "deploy", ENGINE), (ROOT, ROOT / "foodbudget")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    for name in APP[:2]:
        if (ROOT / f"{name}.py").exists():
            found[name] = ROOT / f"{name}.py"
    return found


SOURCES = sources()


def test_the_modules_were_found() -> None:
    """A rule over nothing would hold for ever."""
    for name in ("homeport.core.plan", "homeport.host.agent", "homeport.wire"):
        assert name in SOURCES
    assert len(SOURCES) > 30


@pytest.mark.parametrize("module", SOURCES)
def test_import_rules(module: str) -> None:
    """Core is pure, the host bare, the controller apart, and engine and app are strangers."""
    path = SOURCES[module]
    assert broken(path.read_text(), module, path.name == "__init__.py") == []


@pytest.mark.parametrize("module", [one for one in SOURCES if inside(one, "homeport.inside")])
def test_what_runs_in_images_is_read_by_old_pythons(module: str) -> None:
    """An app's image may have Python 3.9, whatever the host has."""
    ast.parse(SOURCES[module].read_text(), feature_version=(3, 9))


#: a planted text, the module it stands in, and what must be said of it (or nothing)
PLANTED = [
    *(
        (f"import {one}", "homeport.core.x", f"homeport.core.x is pure and imports {one}")
        for one in (
            "os asyncio http.client io logging pathlib random secrets select shutil signal socket"
            " sqlite3 ssl subprocess sys tempfile threading time urllib.request uuid datetime"
        ).split()
    ),
    (
        "from pathlib import Path",
        "homeport.core.x",
        "homeport.core.x is pure and imports pathlib.Path",
    ),
    ("def f():\n    import os", "homeport.core.x", "homeport.core.x is pure and imports os"),
    ("open('x')", "homeport.core.x", "homeport.core.x is pure and uses open"),
    (
        "from homeport.host import engine",
        "homeport.core.x",
        "homeport.core.x is pure and imports homeport.host.engine",
    ),
    (
        "from ..host import engine",
        "homeport.core.x",
        "homeport.core.x is pure and imports homeport.host.engine",
    ),
    ("import socket", "homeport.wire", "homeport.wire is pure and imports socket"),
    (
        "from homeport.core import plan",
        "homeport.model",
        "homeport.model is the vocabulary and imports homeport.core.plan",
    ),
    (
        "import json\nfrom homeport.core import link\nfrom homeport.model import X",
        "homeport.core.x",
        "",
    ),
    ("import yaml", "homeport.host.x", "homeport.host.x runs on a bare host and imports yaml"),
    (
        "from homeport.control import cli",
        "homeport.host.x",
        "homeport.host.x runs on a bare host and imports homeport.control.cli",
    ),
    ("import socket\nfrom homeport.core import plan", "homeport.host.x", ""),
    (
        "from homeport.core import plan",
        "homeport.inside.x",
        "homeport.inside.x runs by itself in an app's image and imports homeport.core.plan",
    ),
    ("import sqlite3, tarfile", "homeport.inside.x", ""),
    ("from homeport.inside.tables import check", "homeport.inside.x", ""),
    (
        "from homeport.inside.snapshot import walk",
        "homeport.inside.x",
        "homeport.inside.x runs by itself in an app's image and imports"
        " homeport.inside.snapshot.walk",
    ),
    (
        "from homeport.host.engine import Engine",
        "homeport.control.x",
        "homeport.control.x is the controller and imports homeport.host.engine.Engine",
    ),
    (
        "import homeport.host.engine as e",
        "homeport.control.x",
        "homeport.control.x is the controller and imports homeport.host.engine",
    ),
    (
        "from ..host import engine",
        "homeport.control.x",
        "homeport.control.x is the controller and imports homeport.host.engine",
    ),
    (
        "import paramiko",
        "homeport.control.cli",
        "homeport.control.cli is not control.ssh and imports paramiko",
    ),
    (
        "from fabric import Connection",
        "homeport.control",
        "homeport.control is not control.ssh and imports fabric.Connection",
    ),
    ("import fabric, paramiko", "homeport.control.ssh", ""),
    (
        "import foodbudget",
        "homeport.control.x",
        "homeport.control.x is the engine and imports foodbudget",
    ),
    (
        "from homeport import model",
        "foodbudget.x",
        "foodbudget.x is the app and imports homeport.model",
    ),
    ("import homeport", "app_factory", "app_factory is the app and imports homeport"),
    ("import flask\nfrom config import X", "foodbudget.x", ""),
]


@pytest.mark.parametrize("text,module,said", PLANTED)
def test_each_rule_catches(text: str, module: str, said: str) -> None:
    """A planted breach is named, and what is allowed is not."""
    assert broken(text, module) == ([said] if said else [])


def test_a_package_imports_from_itself() -> None:
    """``from .x`` means another module in a package's own file than in one of its modules."""
    assert imports("from . import x", "homeport.core", package=True) == {"homeport.core.x"}
    assert imports("from . import x", "homeport.core.y") == {"homeport.core.x"}
    assert imports("from .. import x", "homeport.core.y") == {"homeport.x"}
