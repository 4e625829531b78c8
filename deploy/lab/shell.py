"""Running the outside programs of the lab: bounded in time, failing with their last words."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import LabError

Done = subprocess.CompletedProcess[bytes]


def last_lines(output: bytes, count: int = 10) -> str:
    """The last non-empty lines of a program's output, as text."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def command(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    check: bool = True,
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    mend: str = "run the command by hand to see what it says",
) -> Done:
    """Run a program and keep what it prints.

    Args:
        argv: the program and its arguments.
        stdin: what it reads.
        check: whether an exit code other than 0 is an error.
        timeout: seconds after which it is killed.
        env: its whole environment; ours where None.
        mend: the advice to give where it fails.

    Returns:
        Exit code, stdout and stderr.

    Raises:
        LabError: the program is missing, took too long, or failed while `check` is set.
    """
    what = f"`{' '.join(argv[:6])}{' …' if len(argv) > 6 else ''}` failed"
    try:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, timeout=timeout, env=env, check=False
        )
    except FileNotFoundError as absent:
        raise LabError(what, f"{argv[0]} is not installed", f"install {argv[0]}") from absent
    except subprocess.TimeoutExpired as late:
        raise LabError(what, f"no end after {timeout:.0f} s", mend) from late
    if check and done.returncode != 0:
        said = last_lines(done.stderr) or last_lines(done.stdout) or "it said nothing"
        raise LabError(what, f"exit code {done.returncode}: {said}", mend)
    return done


def docker(*argv: str, stdin: bytes = b"", check: bool = True, timeout: float = 60.0) -> Done:
    """Run the docker client with these arguments; see `command`."""
    return command(
        ["docker", *argv],
        stdin=stdin,
        check=check,
        timeout=timeout,
        mend="`docker info` says whether the engine answers",
    )
