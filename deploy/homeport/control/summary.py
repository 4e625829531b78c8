"""The summary of a job, in Markdown: what happened to the app, told to whoever opens the run."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from homeport.control import github
from homeport.control.figures import ago, size
from homeport.core import words
from homeport.errors import HomeportError, Problem, from_wire

_MARKS = re.compile(r"([\\`*_{}\[\]()#!|~$@:]|^[-+=])")
#: the escape sequences of a terminal, and whatever else is no text
_STEERING = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: no more of what a container said stands in a summary, in characters
LONGEST = 6000
WORDS = {
    "deployed": "Deployed",
    "already-live": "Nothing to do",
    "rolled-back": "Rolled back",
    "restored": "Data restored",
    "taken-back": "Taken back",
    "frozen": "Frozen, not deployed",
    "unfrozen": "Deploys are possible again",
    "edge-changed": "The edge was changed",
    "maintenance": "The maintenance page",
    "refused": "Refused",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def plain(text: str) -> str:
    """Foreign text as text: one line that no Markdown and no HTML is read from."""
    line = words.sentence(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", line)


def code(text: str) -> str:
    """Foreign text in a code block that nothing in it can end."""
    body = _STEERING.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))[-LONGEST:].strip("\n")
    ticks = max([2, *(len(run) for run in re.findall("`+", body))]) + 1
    return f"{'`' * ticks}text\n{body}\n{'`' * ticks}"


def of_verdict(
    verb: str,
    verdict: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    asked: Mapping[str, str],
    now: float,
) -> str:
    """The summary of a run.

    ``verdict`` is the run's last event, ``steps`` its steps with ``id`` and ``seconds``, ``asked``
    has who, why, url (of the app) and app; ``now`` is an instant.
    """
    figures = dict(verdict.get("figures") or {})
    outcome, error = str(verdict.get("outcome")), from_wire(verdict)
    mark = "✅" if not verdict.get("code") else "⏸️" if outcome == "frozen" else "❌"
    head = "Frozen" if verb == "freeze" else WORDS.get(outcome, outcome)
    sentence = plain(str(verdict.get("sentence") or error.meaning))
    if outcome == "frozen" and verdict.get("code"):
        # the freeze itself is told of once, below
        sentence = "A freeze stands, so nothing was changed"
        error = from_wire({**verdict, "problems": list(verdict.get("problems") or ())[1:]})
    parts = [f"### {mark} {plain(asked.get('app', ''))}: {head}", f"{sentence}."]
    frozen = figures.get("frozen")
    if frozen:
        parts.append(_frozen(frozen, now))
    parts.append(_facts(verb, verdict, figures, asked))
    parts += _problems(error)
    # seen in full, they tell of the failed one too; of a run that was over before, the host tells
    told = list(figures.get("steps") or ())
    parts.append(_timeline(steps if len(steps) >= len(told) else told, figures))
    if outcome != "frozen":
        parts.append(_way_back(figures))
    return "\n\n".join(part for part in parts if part)


def of_error(verb: str, error: HomeportError, app: str = "") -> str:
    """The summary of a command that the host never answered."""
    what = f"{plain(app)}: {plain(verb)}" if app else plain(verb)
    head = [f"### ❌ {what} did not begin", f"{plain(error.meaning)}."]
    return "\n\n".join([*head, *_problems(error)])


def _frozen(frozen: Mapping[str, Any], now: float) -> str:
    since = ago(frozen.get("at"), now)
    why = plain(str(frozen.get("why") or "no reason given"))
    page = _link("the run that froze it", str(frozen.get("url") or ""))
    return (
        f"> **Deploys are frozen** by {plain(str(frozen.get('who') or '?'))}, {since}: {why}"
        + (f" ({page})" if page else "")
        + ".\n> `homeport unfreeze` lifts that; `homeport deploy --unfreeze` does and deploys."
    )


def _link(text: str, url: str) -> str:
    safe = re.fullmatch(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+", url)
    return f"[{text}]({url})" if safe else ""


def _facts(
    verb: str, verdict: Mapping[str, Any], figures: Mapping[str, Any], asked: Mapping[str, str]
) -> str:
    live, before = dict(figures.get("serves") or {}), dict(figures.get("before") or {})
    rows = [("serves", f"`{_tick(live['id'])}`" if live.get("id") else "nothing yet")]
    tried = str(verdict.get("release") or "")
    if tried and tried != live.get("id"):
        rows.append((f"{verb} of", f"`{_tick(tried)}`"))
    if live.get("digest"):
        rows.append(("digest", f"`{_tick(live['digest'])}`"))
    if live.get("size"):
        rows.append(("image", f"{size(live['size'])} to pull{_change(live, before)}"))
    if before.get("id") and before.get("id") != live.get("id"):
        rows.append(("before", f"`{_tick(before['id'])}`"))
    rows += [(name, plain(asked[name])) for name in ("who", "why") if asked.get(name)]
    page = _link("this run", github.run_url())
    rows += [("run", page)] if page else []
    app = str(asked.get("url") or "")
    rows += [("open it", _link(plain(app), app) or plain(app))] if app else []
    held = figures.get("longest_hold_s") or figures.get("held_s")
    if held:
        rows.append(("requests", f"held for {float(held):.1f} s at most, then answered"))
    if figures.get("cut"):
        rows.append(("cut", f"{figures['cut']} requests were still in flight at the drain limit"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _tick(text: object) -> str:
    """What stands between two ticks: names of ours, and nothing else."""
    return re.sub(r"[^A-Za-z0-9._:/@-]", "", str(text))


def _change(live: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    if not before.get("size") or before.get("id") == live.get("id"):
        return ""
    more = int(live["size"]) - int(before["size"])
    if abs(more) < 50_000:
        return ", as much as before"
    return f", {abs(more) / 1e6:.1f} MB {'more' if more > 0 else 'less'} than before"


def _problems(error: HomeportError) -> list[str]:
    found = []
    for one in error.problems:
        where = f"{plain(one.where)}: " if one.where else ""
        found.append(f"**{where}{plain(one.what)}**")
        found += _why(one)
        if one.mend:
            found.append(f"To mend it: {plain(one.mend)}")
    return found


def _why(problem: Problem) -> list[str]:
    """A reason of one line as text; what a container said, as it said it."""
    if not problem.why:
        return []
    return [code(problem.why)] if "\n" in problem.why.strip() else [plain(problem.why)]


def _timeline(steps: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    rows = [
        f"| {plain(str(one.get('id')))}{_failed(one)} | {float(one['seconds']):.1f} |"
        for one in steps
        if isinstance(one.get("seconds"), (int, float))
    ]
    if not rows:
        return ""
    if isinstance(figures.get("total_s"), (int, float)):
        rows.append(f"| **in all** | **{figures['total_s']:.1f}** |")
    return "\n".join(["| step | seconds |", "|---|---:|", *rows])


def _failed(step: Mapping[str, Any]) -> str:
    return " ❌" if step.get("state") == "failed" else ""


def _way_back(figures: Mapping[str, Any]) -> str:
    back = dict(figures.get("previous") or {})
    if not back.get("id"):
        return ""
    page = _link("the rollback workflow", github.rollback_url())
    button = f"{page}, or " if page else ""
    return f"To go back to `{_tick(back['id'])}`: {button}`homeport rollback` on a laptop."
