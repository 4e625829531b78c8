"""What another package loads at its start and hardly ever uses: loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

#: Invoke, below Fabric, reads settings in YAML, which hardly anybody has: a tenth of every start
YAML = "invoke.vendor.yaml"


def put_off(name: str = YAML) -> None:
    """Let a stand-in have the place of a module until somebody asks for what is in it.

    PEP 562: a module's own ``__getattr__`` is asked for names that it has not.
    """
    if name in sys.modules:
        return
    stand_in = ModuleType(name)

    def load(asked: str) -> Any:
        if asked.startswith("__"):
            raise AttributeError(asked)
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(importlib.import_module(name), asked)

    stand_in.__dict__["__getattr__"] = load
    sys.modules[name] = stand_in
