"""What a job tells GitHub arrives whole, and nothing in it is taken for a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline import github
from pipeline.errors import OutOfReach, PipelineError, told


def parsed(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT as the runner reads it: NAME<<MARK, lines, MARK."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, _, mark = line.partition("<<")
        value = []
        for inner in lines:
            if inner == mark:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found


@pytest.mark.parametrize("value", ["", "plain", "two\nlines", "x\nEOF\nother<<EOF\n1\nEOF", "a=b"])
def test_an_output_cannot_end_itself(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the value says, it is one output of that name and none besides."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    github.output("one", value)
    github.output("two", "2")
    assert parsed((tmp_path / "out").read_text()) == {"one": value, "two": "2"}


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a<<b", "a=b"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        github.output(name, "x")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("plain", "", 0), "::error::plain"),
        (("100 %\nnext", "", 0), "::error::100 %25%0Anext"),
        (("x", "a,b:c.py", 3), "::error file=a%2Cb%3Ac.py,line=3::x"),
        (("x", "a.py", 0), "::error file=a.py::x"),
        (("\r\n::stop-commands::x", "", 0), "::error::%0D%0A::stop-commands::x"),
    ],
)
def test_an_annotation_is_one_line(
    arguments: tuple[str, str, int],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    github.error(*arguments)
    assert capsys.readouterr().out == line + "\n"


def test_outside_github_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH"):
        monkeypatch.delenv(name, raising=False)
    github.error("x")
    github.notice("x")
    github.output("x", "y")
    github.summary("x")
    with github.group("x"):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_group_ends_where_its_work_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(KeyError), github.group("x"):
        raise KeyError
    assert capsys.readouterr().out == "::group::x\n::endgroup::\n"


@pytest.mark.parametrize(("kind", "noted"), [(PipelineError, ""), (OutOfReach, "what why")])
def test_a_failure_is_told_and_left_out_only_where_nothing_was_found_out(
    kind: type[PipelineError],
    noted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = tmp_path / "note"
    monkeypatch.setenv("HOMEPORT_LEFT_OUT", str(note))

    def work() -> int:
        raise kind("what", "why", "mend")

    assert told(work) == 1
    assert "hint: mend" in capsys.readouterr().err
    assert (note.read_text() if note.exists() else "") == noted
