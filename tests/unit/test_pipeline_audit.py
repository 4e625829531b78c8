"""The audit and the scan: what they make of an answer, and that no answer is never a good one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipeline import audit, scan, skopeo, tools
from pipeline.errors import PipelineError, told

ROOT = Path(__file__).parents[2]
HOLE = {"id": "PYSEC-1", "fix_versions": ["2.1"]}


@pytest.mark.parametrize(
    ("package", "holes", "skipped"),
    [
        ({"name": "a", "version": "2.0", "vulns": []}, [], []),
        ({"name": "a", "version": "2.0", "vulns": [HOLE]}, ["a 2.0: PYSEC-1 (mended in 2.1)"], []),
        (
            {"name": "a", "version": "2.0", "vulns": [{"id": "X", "fix_versions": []}]},
            ["a 2.0: X (mended in no release)"],
            [],
        ),
        ({"name": "a", "skip_reason": "not found"}, [], ["a: not found"]),
    ],
)
def test_audit(package: dict[str, Any], holes: list[str], skipped: list[str]) -> None:
    """A package that nothing was found out about is not a package without holes."""
    report = {"dependencies": [package]}
    assert (audit.holes(report), audit.skipped(report)) == (holes, skipped)


def test_audit_looks_at_every_lock_file() -> None:
    root = Path(__file__).parents[2]
    there = {
        str(path.relative_to(root))
        for folder in (root, root / "deploy")
        for path in folder.glob("*.txt")
        if "--hash=" in path.read_text()
    }
    assert there == set(audit.LOCKS)


LOCK = """# made by a tool
one==1.0 \\
    --hash=sha256:aa
Two_b[extra]==2.0 \\
    --hash=sha256:bb
other==3.0 ; sys_platform == 'win32' \\
    --hash=sha256:cc
"""


def report(*names: str, **more: Any) -> str:
    """What pip-audit prints for packages without holes; ``more`` goes into each of them."""
    packages = [{"name": name, "version": "1.0", "vulns": [], **more} for name in names]
    return json.dumps({"dependencies": packages, "fixes": []})


def test_audit_knows_whom_a_report_is_silent_about() -> None:
    """What is only for another system may be missing; names are compared as the index does."""
    assert audit.unseen(json.loads(report("one", "two.B")), LOCK) == []
    assert audit.unseen(json.loads(report("other")), LOCK) == ["one", "two-b"]


@pytest.fixture
def left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and the note in which `make ci` looks why a step was left out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAFETY_API_KEY", raising=False)
    monkeypatch.setenv("HOMEPORT_LEFT_OUT", str(tmp_path / "left-out"))
    return tmp_path / "left-out"


def played(folder: Path, name: str, prints: str, says: str, code: int) -> Path:
    """A program that prints, says on stderr, and ends as it is told."""
    program = folder / name
    lines = (f"printf %s {shlex.quote(prints)}", f"printf %s {shlex.quote(says)} >&2")
    program.write_text("#!/bin/sh\n" + "\n".join(lines) + f"\nexit {code}\n")
    program.chmod(0o755)
    return program


#: what pip-audit prints and says and how it ends → our exit code, whether it counts as looked at,
#: and a word of what people read
AUDITS: dict[str, tuple[str, str, int, int, bool, str]] = {
    "clean": (report("one", "two-b"), "", 0, 0, True, "0 known holes"),
    "a hole": (report("one", "two-b", vulns=[HOLE]), "", 1, 1, True, "one 1.0: PYSEC-1"),
    "no answer": (
        "",
        "Traceback\n  of its own\nConnectionError: no route",
        1,
        1,
        False,
        "no route",
    ),
    "nothing at all": ("", "", 0, 1, False, "pip-audit said nothing"),
    "a page of a proxy": ("<html>log in</html>", "", 0, 1, False, "was not audited"),
    "an empty report": (report(), "", 0, 1, False, "2 packages were passed over"),
    "one is missing": (report("one"), "", 0, 1, False, "the first: two-b"),
    "all passed over": (
        report("one", "two-b", skip_reason="not found"),
        "",
        0,
        1,
        False,
        "one: not",
    ),
}


@pytest.mark.parametrize("case", AUDITS)
def test_audit_is_green_only_where_every_package_was_looked_at(
    case: str,
    left_out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """pip-audit itself ends well where a mirror of the index answers and knows of no holes."""
    prints, says, ended, code, looked, word = AUDITS[case]
    Path("requirements.txt").write_text(LOCK)
    program = played(left_out.parent, "pip-audit", prints, says, ended)
    monkeypatch.setattr(tools, "beside", lambda name: str(program))
    monkeypatch.setattr(audit, "LOCKS", ("requirements.txt",))
    assert told(audit.main) == code
    said = capsys.readouterr().err
    assert word in said and "Traceback" not in said
    assert left_out.exists() is not looked


def test_audit_without_its_program(left_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool that is not there has not looked either."""
    Path("requirements.txt").write_text(LOCK)
    monkeypatch.setattr(tools, "beside", lambda name: "/nowhere/" + name)
    monkeypatch.setattr(audit, "LOCKS", ("requirements.txt",))
    assert told(audit.main) == 1 and "was not audited" in left_out.read_text()


def test_the_real_audit_with_no_way_out_is_red(tmp_path: Path) -> None:
    """pip-audit as it is, where nothing answers: the verb fails and says what was not looked at."""
    nowhere = "http://127.0.0.1:9"
    env = {
        **{name: text for name, text in os.environ.items() if name.lower() != "no_proxy"},
        **{name: nowhere for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")},
        "XDG_CACHE_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT / "deploy"),
    }
    argv = [sys.executable, "-m", "pipeline.audit"]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "requirements.txt was not audited" in done.stderr and "known holes" not in done.stderr
    assert "Traceback" not in done.stderr


def test_holes_of_an_image_come_worst_first() -> None:
    packages = [
        {
            "package": {"name": name, "version": "1"},
            "groups": [{"ids": [f"CVE-{name}"], "max_severity": score}],
        }
        for name, score in (("low", "2.0"), ("bad", "9.8"), ("unrated", ""))
    ]
    found = scan.holes({"results": [{"packages": packages}]})
    assert [text for _, text in found] == [
        "bad 1: CVE-bad (9.8)",
        "low 1: CVE-low (2.0)",
        "unrated 1: CVE-unrated (0.0)",
    ]
    assert scan.holes({"results": []}) == []


def test_a_scan_that_saw_nothing_is_none() -> None:
    """An archive that the scanner could not read looks just like one without holes."""

    def report(*kinds: str) -> dict[str, Any]:
        return {"results": [{"packages": [{"package": {"ecosystem": kind}} for kind in kinds]}]}

    assert scan.seen(report("PyPI", "PyPI", "Debian:13")) == {"PyPI": 2, "Debian": 1}
    for nothing in (report(), report("PyPI"), report("Debian:13"), {"results": []}, {}):
        with pytest.raises(PipelineError, match="not scanned"):
            scan.seen(nothing)


def scanned(*packages: tuple[str, str, str]) -> str:
    """What osv-scanner prints: each package's name, ecosystem, and its worst hole's CVSS."""
    found = [
        {
            "package": {"name": name, "version": "1", "ecosystem": kind},
            "groups": [{"ids": ["CVE-1"], "max_severity": score}] if score else [],
        }
        for name, kind, score in packages
    ]
    return json.dumps({"results": [{"packages": found}]})


WHOLE = (("flask", "PyPI", ""), ("libc6", "Debian:13", "5.1"))
#: what osv-scanner prints and says and how it ends → as above
SCANS: dict[str, tuple[str, str, int, int, bool, str]] = {
    "a lesser hole": (scanned(*WHOLE), "", 1, 0, True, "1 known holes in 2 packages"),
    "a severe hole": (scanned(*WHOLE, ("x", "PyPI", "9.8")), "", 1, 1, True, "x 1: CVE-1 (9.8)"),
    "no answer": ("", "walks\nno route\nexit status 127", 1, 1, False, "because: no route\n"),
    "nothing at all": ("", "", 0, 1, False, "osv-scanner said nothing"),
    "it saw no image": ('{"results": []}', "", 0, 1, True, "was not scanned"),
    "it saw half of it": (scanned(WHOLE[0]), "", 0, 1, True, "was not scanned"),
}


@pytest.mark.parametrize("case", SCANS)
def test_scan_is_green_only_where_the_image_was_looked_at(
    case: str,
    left_out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No answer of the database is no clean bill, whatever the scanner's own exit code is."""
    prints, says, ended, code, looked, word = SCANS[case]
    scan.IMAGE.parent.mkdir(parents=True)
    scan.IMAGE.write_bytes(b"an image")
    program = played(left_out.parent, "osv-scanner", prints, says, ended)
    monkeypatch.setattr(tools, "go", lambda module: (str(program),))
    monkeypatch.setattr(skopeo, "ensure", lambda talk: None)
    monkeypatch.setattr(skopeo, "copy", lambda *words: None)
    assert told(scan.main) == code
    said = capsys.readouterr().err
    assert word in said and "Traceback" not in said
    assert left_out.exists() is not looked


def test_scan_without_go_or_an_image(left_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a reason to be green; only the first may be left out on a laptop."""
    assert told(scan.main) == 1 and not left_out.exists()
    monkeypatch.setattr(tools, "go", lambda module: ())
    with pytest.raises(PipelineError, match="not scanned"):
        scan.ask(Path("x"))
