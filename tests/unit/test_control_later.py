"""What Fabric loads and does not use is not loaded, and is there for whoever uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said(code: str) -> str:
    """What a Python of its own prints: modules are loaded once in a process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WHOLE = "'invoke.vendor.yaml.reader' in sys.modules"


def test_a_connection_loads_no_yaml() -> None:
    """Where Invoke would load it without us."""
    assert said(f"import sys, fabric; print({WHOLE})") == "True"
    first = "import sys; from homeport.control import ssh; import paramiko, fabric;"
    assert said(f"{first} fabric.Connection('a.example'); print({WHOLE})") == "False"


@pytest.mark.parametrize(
    "use",
    [
        "from invoke.util import yaml; print(yaml.safe_load('a: [1]'))",
        "from invoke.vendor import yaml; print(yaml.safe_load('a: [1]'))",
        "import invoke.vendor.yaml as yaml; print(yaml.safe_load('a: [1]'))",
        "from invoke.vendor.yaml import safe_load; print(safe_load('a: [1]'))",
    ],
)
def test_whoever_uses_it_has_it(use: str) -> None:
    """However it is asked for, before or after others."""
    first = "from homeport.control import ssh; import fabric;"
    assert said(f"{first} {use}") == "{'a': [1]}"
    assert said(f"{first} import invoke.util; invoke.util.yaml.dump([1]); {use}") == "{'a': [1]}"


def test_a_settings_file_is_still_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Fabric's own, where somebody has one."""
    file = tmp_path_factory.mktemp("home") / ".fabric.yaml"
    code = "import os; os.environ['HOME'] = %r; from homeport.control import ssh; import fabric;"
    code = code % str(file.parent) + " print(fabric.Config().timeouts)"
    file.write_text("timeouts: {connect: 7}\n")
    assert "7" in said(code)
