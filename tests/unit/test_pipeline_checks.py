"""What the pipeline makes of its tools' answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pipeline import ci, coverage, gate, lint, secrets
from pipeline.errors import PipelineError

ZIZMOR = """warning[artipacked]: credential persistence through GitHub Actions artifacts
  --> .github/workflows/ci.yml:35:9
   |
35 |       - uses: actions/checkout@v1
1 finding: 0 informational
"""


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a.py:3:1: F401 'os' imported", [("a.py", 3, "F401 'os' imported")]),
        ("a.py:3: error: Bad  [misc]\na.py:4: note: why", [("a.py", 3, "error: Bad  [misc]")]),
        ("Dockerfile:4 DL3006 warning: Tag", [("Dockerfile", 4, "DL3006 warning: Tag")]),
        (
            "Dockerfile:4 DL3006 \x1b[1m\x1b[93mwarning\x1b[0m: Tag",
            [("Dockerfile", 4, "DL3006 warning: Tag")],
        ),
        ("x.sh:2:6: warning: Quote [SC2086]", [("x.sh", 2, "warning: Quote [SC2086]")]),
        ("would reformat a.py", [("a.py", 0, "black would write this otherwise: make format")]),
        (
            ZIZMOR,
            [(".github/workflows/ci.yml", 35, ZIZMOR.splitlines()[0])],
        ),
        ("All done!", []),
        ("", []),
    ],
)
def test_lint_finds_the_places(said: str, found: list[Any]) -> None:
    assert list(lint.problems(said)) == found


@pytest.mark.parametrize(
    ("codes", "strict", "verdict"),
    [((0, 0), True, 0), ((0, 1), False, 1), ((0, -1), False, 0), ((0, -1), True, 1)],
)
def test_lint_is_strict_about_a_missing_tool_in_ci(
    codes: tuple[int, ...], strict: bool, verdict: int
) -> None:
    """A tool that cannot be had is named on a laptop and fails in CI."""
    assert lint.verdict([lint.Found("x", code, "", ()) for code in codes], strict) == verdict


def test_lint_says_all_problems_in_one_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failing check does not hide the ones behind it, nor one that cannot run."""
    made = [
        lint.Check("one", ("sh", "-c", "echo a.py:1:1: E1 bad; exit 1")),
        lint.Check("two", (), "apt-get install two"),
        lint.Check("three", ("sh", "-c", "echo b.py:2: E2 bad >&2; exit 2")),
    ]
    found = [lint.run(check, tmp_path) for check in made]
    lint.report(found, True, print)
    said = capfd.readouterr().out
    assert "E1 bad" in said and "apt-get install two" in said and "E2 bad" in said
    assert [one.problems for one in found] == [
        (("a.py", 1, "E1 bad"),),
        (),
        (("b.py", 2, "E2 bad"),),
    ]


@pytest.mark.parametrize(
    ("have", "ours", "base", "says"),
    [
        ((90, 95), (85, 90), (85, 90), ""),
        ((90, 95), (85, 90), None, ""),
        ((84, 95), (85, 90), None, "total: 84.0 % is covered, the floor is 85 %"),
        ((90, 89), (85, 90), None, "core: 89.0 % is covered, the floor is 90 %"),
        ((90, 95), (85, 90), (88, 90), "the floor of total fell from 88 to 85 %"),
        ((86, 95), (88, 90), (85, 90), "total: 86.0 % is covered, the floor is 88 %"),
        ((70, 95), (60, 90), (60, 90), "total: 70.0 % is covered, the floor is 85 %"),
    ],
)
def test_coverage_never_falls(
    have: tuple[float, float],
    ours: tuple[float, float],
    base: tuple[float, float] | None,
    says: str,
) -> None:
    def named(pair: tuple[float, float]) -> dict[str, float]:
        return {"total": pair[0], "core": pair[1]}

    found = coverage.problems(named(have), named(ours), named(base) if base else None)
    assert found == ([says] if says else [])


def test_coverage_counts_lines_and_branches() -> None:
    def part(lines: int, met: int, branches: int, taken: int) -> dict[str, Any]:
        names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
        return {"summary": dict(zip(names, (lines, met, branches, taken)))}

    report = {"files": {"deploy/homeport/core/a.py": part(8, 8, 2, 1), "b.py": part(9, 0, 1, 0)}}
    assert coverage.measured(report) == {"total": 45.0, "core": 90.0}
    assert coverage.measured({"files": {}}) == {"total": 0.0, "core": 0.0}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"total": 1}', '{"total": "x", "core": 1}'])
def test_coverage_without_a_floor(text: str) -> None:
    with pytest.raises(PipelineError, match="floor cannot be read"):
        coverage.floors(text, "here")


@pytest.mark.parametrize(
    ("results", "may_skip", "bad"),
    [
        ({"a": "success"}, "", []),
        ({"a": "success", "b": "failure"}, "", ["b (failure)"]),
        ({"a": "cancelled"}, "a", ["a (cancelled)"]),
        ({"a": "skipped"}, "", ["a (skipped)"]),
        ({"a": "skipped"}, "a", []),
    ],
)
def test_the_gate(results: dict[str, str], may_skip: str, bad: list[str]) -> None:
    """A job that was skipped by a failure before it must not open the gate."""
    needs = {name: {"result": result} for name, result in results.items()}
    assert gate.failed(needs, frozenset(may_skip.split())) == bad


def test_a_gate_over_nothing_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "{}", "[]", "x"):
        monkeypatch.setenv("NEEDS", text)
        with pytest.raises(PipelineError, match="nothing to judge"):
            gate.main()


def test_a_leak_is_told_without_the_secret() -> None:
    one = {"Description": "A key", "RuleID": "private-key", "Commit": "a" * 40, "File": "x.py"}
    found = secrets.findings([{**one, "StartLine": 3, "Fingerprint": "p", "Secret": "hush"}])
    assert found == [("x.py", 3, "A key (private-key) in commit aaaaaaaaaaaa: p")]


WORKFLOW: dict[str, Any] = {
    "jobs": {
        "scan": {"needs": "build", "steps": [{"run": "make scan"}]},
        "test": {
            "strategy": {"matrix": {"python": ["3.11", "3.14"]}},
            "steps": [{"uses": "x"}, {"run": "make test-fast"}],
        },
        "build": {"steps": [{"run": "make image"}]},
    }
}


def test_ci_runs_the_workflows_own_lines_in_an_order_that_can_be() -> None:
    assert [(one.command, one.python) for one in ci.steps(WORKFLOW)] == [
        ("make test-fast", "3.11"),
        ("make test-fast", "3.14"),
        ("make image", ""),
        ("make scan", ""),
    ]


def test_ci_names_what_it_leaves_out() -> None:
    assert ci.command(ci.Step("success", "make gate"))[1].startswith("it judges")
    assert ci.command(ci.Step("t", "make test-fast", "9.9")) == ([], "python9.9 is not here")
    assert ci.command(ci.Step("b", "make image", "3.13")) == (["make", "image"], "")


def test_ci_in_a_circle() -> None:
    circle = {"jobs": {"a": {"needs": "b"}, "b": {"needs": ["a"]}}}
    with pytest.raises(PipelineError, match="circle"):
        ci.steps(circle)
