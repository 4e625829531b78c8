"""Every tool of `make lint` that a virtual environment has finds what it is there for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline import lint, tools

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/cd.yml"
DEPENDABOT = ".github/dependabot.yml"
ACTION = ".github/actions/deploy/action.yml"

Breach = tuple[str, str, str, str]
#: check → file, a text in it, what stands there instead, a word of what is said
BREACHES: dict[str, Breach] = {
    "black": ("config.py", "import os\n", "import  os\n", "black would write this"),
    "flake8": ("config.py", "import os\n", "import os\nimport sys\n", "F401"),
    "mypy": ("deploy/homeport/model.py", "port: int = 22", 'port: int = "22"', "Incompatible"),
    "hadolint": ("Dockerfile", "USER 10001:10001", "RUN sudo true", "DL3004"),
    "zizmor": (
        WORKFLOW,
        "- run: make choose",
        '- run: echo "${{ github.head_ref }}"',
        "template-injection",
    ),
    "workflow schema": (WORKFLOW, "runs-on: ubuntu-24.04", "runs-at: ubuntu-24.04", "runs-at"),
    "action schema": (ACTION, "using: composite", "using: composition", "composition"),
    "dependabot schema": (DEPENDABOT, "interval: weekly", "interval: sometimes", "sometimes"),
}


#: the code that is looked at once more here: each tool needs something to be content with
SOME = ("*.py", "foodbudget/*.py", "deploy/homeport/*.py", "deploy/*/__init__.py")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is checked, with a part of the code: `make lint` itself looks at all of it."""
    top = tmp_path_factory.mktemp("lint")
    names = [name for name in tools.tracked(ROOT) if not name.endswith(".py")]
    names += [str(path.relative_to(ROOT)) for pattern in SOME for path in ROOT.glob(pattern)]
    for name in (*names, "tests/conftest.py", "migrations/env.py"):
        if (ROOT / name).is_file():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, top / name)
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    return top


@pytest.fixture
def breach(tree: Path) -> Callable[[Breach], None]:
    """Puts a mistake into the copy, for one test."""
    changed: list[tuple[Path, str]] = []

    def put(case: Breach) -> None:
        path, text = tree / case[0], (tree / case[0]).read_text()
        assert case[1] in text, f"{case[0]} has no {case[1]!r}"
        changed.append((path, text))
        path.write_text(text.replace(case[1], case[2], 1))

    yield put  # type: ignore[misc]
    for path, text in changed:
        path.write_text(text)


def check(tree: Path, name: str) -> lint.Found:
    """What one check of the table says of the copy."""
    found = {one.name: one for one in lint.checks(tree, tools.tracked(tree))}
    return lint.run(found[name], tree)


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found(tree: Path, breach: Callable[[Breach], None], name: str) -> None:
    """Clean before, not clean after, for the reason that was planted."""
    before = check(tree, name)
    assert before.code == 0, before.text
    breach(BREACHES[name])
    after = check(tree, name)
    assert after.code > 0
    assert BREACHES[name][3] in after.text + str(after.problems)


#: the same for what no virtual environment can hold; where one is not here, its check says so
FROM_ELSEWHERE: dict[str, Breach] = {
    "actionlint": (WORKFLOW, "needs: [choose, production]", "needs: [choose, nobody]", "nobody"),
    "shellcheck": (".ci/run", "exec make test", 'cd $HOME\nexec make test "$UNSET', "SC1"),
    "compose config docker-compose.yml": ("docker-compose.yml", "services:", "servces:", "servces"),
}


@pytest.mark.parametrize("name", FROM_ELSEWHERE)
def test_a_breach_is_found_where_the_tool_is(
    tree: Path, breach: Callable[[Breach], None], name: str
) -> None:
    """As above; a tool that is missing is told as left out, which is an error in CI."""
    before = check(tree, name)
    if before.code == -1:
        assert "not here" in before.text
        return
    assert before.code == 0, before.text
    breach(FROM_ELSEWHERE[name])
    after = check(tree, name)
    assert after.code > 0 and FROM_ELSEWHERE[name][3] in after.text
