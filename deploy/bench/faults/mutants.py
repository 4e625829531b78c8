"""The protocol broken on purpose, as changes of the source: each must be caught.

The same change is loaded by the model (``python -m bench.model``) and put into an agent's folder
on a lab host, so that both are tried on the very same mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: a text, and what takes its place
Change = tuple[str, str]


@dataclass(frozen=True)
class Mutant:
    """One mistake. ``file`` is below the package ``homeport``; each text is there exactly once.

    ``shows`` is the model's scenario in which it is looked for.
    """

    name: str
    file: str
    changes: tuple[Change, ...]
    shows: str = "overlap deploy after 0"

    def apply(self, package: Path) -> None:
        """Make the mistake in the folder of a package ``homeport``.

        Raises LookupError where a text is not there, or more than once: the code has moved on, and
        the mutant must follow it.
        """
        path = package / self.file
        source = path.read_text()
        for old, new in self.changes:
            count = source.count(old)
            if count != 1:
                raise LookupError(f"{self.name}: {self.file} has {old!r} {count} times, not once")
            source = source.replace(old, new)
        compile(source, str(path), "exec")
        path.write_text(source)


_INTENT = '        ctx.store.append(*outcome, ctx.record("intent", step=step.id, do=step.do))\n'
_HOLD = '            hold(facts, "exclusive: nobody writes until the new release is ready"),\n'

MUTANTS = (
    Mutant(
        "commit before journal",
        "host/execute.py",
        (
            (_INTENT, ""),
            (
                '        outcome = [ctx.record("done", **done)]\n',
                '        intent = ctx.record("intent", step=step.id, do=step.do)\n'
                '        outcome = [*outcome, intent, ctx.record("done", **done)]\n',
            ),
            ("        outcome = []\n", ""),
        ),
    ),
    Mutant(
        "done before its effect",
        "host/execute.py",
        (
            (
                '        ctx.tell({"e": "step", "id": step.id, "state": "begin"',
                '        early = {"committed": str(step.args["release"])} if step.commit else {}\n'
                '        ctx.store.append(ctx.record("done", step=step.id, seconds=0.0, **early))\n'
                '        ctx.tell({"e": "step", "id": step.id, "state": "begin"',
            ),
            ('        outcome = [ctx.record("done", **done)]\n', ""),
        ),
    ),
    Mutant(
        "lock not tied to its holder",
        "host/lock.py",
        (
            (
                "                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                "                break\n"
                "            except BlockingIOError:\n",
                "                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY\n"
                '                os.close(os.open(f"{self._path}.held", flags))\n'
                "                break\n"
                "            except FileExistsError:\n",
            ),
            (
                "            os.close(self._handle)\n            self._handle = -1\n",
                "            os.close(self._handle)\n            self._handle = -1\n"
                '            self._path.with_name("lock.held").unlink(missing_ok=True)\n',
            ),
        ),
    ),
    Mutant(
        "recovery without the lock",
        "host/run.py",
        (
            (
                "        lock.take(about, max(GRACE, ctx.request.wait), _waiting(ctx, lock))\n",
                '        if ctx.request.verb != "recover":\n'
                "            lock.take(about, max(GRACE, ctx.request.wait), _waiting(ctx, lock))\n",
            ),
        ),
    ),
    Mutant(
        "restart policy set too early",
        "core/steps.py",
        (
            (
                '            Step("lift", "standby-off", "the old writer is gone", standby),\n',
                '            Step("lift", "standby-off", "the old writer is gone", standby),\n'
                '            settle(new, "", "")[0],\n',
            ),
        ),
        "single-writer deploy after 1",
    ),
    Mutant(
        "link replaced in place",
        "host/paths.py",
        (
            (
                '    temp = path.with_name(f".{path.name}.new")\n    handle',
                "    temp = path\n    handle",
            ),
            ("    os.replace(temp, path)\n", ""),
        ),
    ),
    Mutant(
        "link not synced",
        "host/paths.py",
        (("        os.fsync(handle)\n    except", "    except"),),
    ),
    Mutant(
        "recovery not idempotent",
        "core/recovery.py",
        (("    if facts.current != live.id:\n", "    if live is not None:\n"),),
    ),
    Mutant(
        "SIGTERM before the drain",
        "core/steps.py",
        (
            (
                '        Step("drain", "drain", cause, {"address": old.link, "within": drain}),\n'
                '        Step("retire", "stop", cause, {"slot": old.slot, **bound}),\n',
                '        Step("retire", "stop", cause, {"slot": old.slot, **bound}),\n'
                '        Step("drain", "drain", cause, {"address": old.link, "within": drain}),\n',
            ),
        ),
        "overlap deploy after 1",
    ),
    Mutant(
        "no hold before the old one ends",
        "core/steps.py",
        ((_HOLD, ""),),
        "exclusive deploy after 1",
    ),
    Mutant(
        "guardian that does not wait",
        "host/detach.py",
        (
            (
                "        code = _forked(app, run, request)\n        return 0 if code == 0 else",
                "        _child(app, run, request)\n        code = 1\n        return",
            ),
        ),
    ),
)


def named(name: str) -> Mutant:
    """The mutant of that name; raises LookupError."""
    for one in MUTANTS:
        if one.name == name:
            return one
    raise LookupError(f"there is no mutant {name!r}")
