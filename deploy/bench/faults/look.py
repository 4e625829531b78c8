"""One look at a host past the engine: what serves, what lies about, what the journal tells.

``SCRIPT`` runs on the host as root, with the agent's own folding of the journal and nothing else of
the engine's. ``wrong`` judges what it saw; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: prints one JSON object: ``first``, and after another recovery ``second`` with ``verdict``
SCRIPT = r"""
import glob, hashlib, json, os, pathlib, sqlite3, subprocess, sys
app, again = sys.argv[1], sys.argv[2] == "again"
sys.path.insert(0, "/opt/homeport/agent/current")
from homeport import wire
from homeport.core import journal as journals
from homeport.core import link as links
folder, run = pathlib.Path("/opt") / app, pathlib.Path("/opt/homeport/run") / app
LABEL = "homeport.app=" + app

def text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""

def containers():
    argv = ["docker", "ps", "-aq", "--filter", "label=" + LABEL]
    ids = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    if not ids:
        return {}
    shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True).stdout
    found = {}
    for one in json.loads(shown):
        labels = one["Config"]["Labels"]
        found[one["Name"].lstrip("/")] = {
            "id": one["Id"], "slot": labels.get("homeport.slot", ""),
            "service": labels.get("com.docker.compose.service", ""),
            "oneshot": "homeport.oneshot" in labels, "running": one["State"]["Running"],
            "started": one["State"]["StartedAt"],
            "policy": one["HostConfig"]["RestartPolicy"]["Name"],
        }
    return found

def strays():
    found = [*folder.glob("releases/.*"), *folder.glob("backups/.*"), *run.glob("*/.*.new")]
    found += [*folder.glob(".*.new"), *run.glob(".*"), *folder.glob("backups/*/.*")]
    return sorted(str(one) for one in found)

def meant(lines):
    found = {}
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if one.get("k") == "intent":
            found.setdefault(one["run"], []).append(one["step"].split()[0])
    return found

def look():
    lines = text(folder / "journal.jsonl")
    history, intents = journals.fold(lines.split("\n")), meant(lines.split("\n"))
    link = text(run / "live")
    kind, slot = links.read(app, link)
    current = folder / "current"
    return {
        "link": link, "kind": kind, "slot": slot,
        "current": os.path.basename(os.readlink(current)) if current.is_symlink() else "",
        "containers": containers(), "strays": strays(),
        "releases": sorted(one.name for one in folder.glob("releases/r*")),
        "needs": {
            one.parent.name: json.loads(one.read_text()).get("schema", "")
            for one in folder.glob("releases/r*/release.json")
        },
        "of": {
            one.parent.name: json.loads(one.read_text()).get("schema", "")
            for one in folder.glob("backups/*/manifest.json")
        },
        "slots": sorted(one.name for one in run.glob("r*")),
        "standby": sorted(one.parent.name for one in run.glob("r*/standby")),
        "page": (run / "maintenance").exists(),
        "sets": sorted(one.name for one in folder.glob("backups/2*")),
        "journal": hashlib.sha256(lines.encode()).hexdigest(),
        "committed": history.committed, "garbled": history.garbled,
        "unfinished": [one.id for one in history.unfinished],
        "served": list(history.served), "taken_back": list(history.taken_back),
        "runs": [
            {"id": one.id, "verb": one.verb, "release": one.release, "committed": one.committed,
             "intents": intents.get(one.id, []),
             "end": one.end and {key: one.end.get(key) for key in ("outcome", "code", "sentence")}}
            for one in history.runs[-5:]
        ],
    }

def recover():
    code = (
        "import sys; sys.path.insert(0, '/opt/homeport/agent/current')\n"
        "from homeport import wire\nfrom homeport.host import detach, verbs\n"
        "run = detach.new_run(); print(run)\n"
        "asked = wire.encode({'verb': 'recover', 'app': sys.argv[1], 'cause': {'who': 'again'}})\n"
        "sys.exit(verbs.carry_out(sys.argv[1], run, asked))"
    )
    argv = ["runuser", "-u", "homeport", "--", "python3", "-I", "-c", code, app]
    done = subprocess.run(argv, capture_output=True, text=True)
    name = done.stdout.strip()
    told = text(folder / "logs/runs" / (name + ".jsonl")).split("\n")[-1]
    verdict = json.loads(told) if told else {"outcome": done.stderr[-300:]}
    return {key: verdict.get(key) for key in ("outcome", "code", "sentence")}

def server(query):
    argv = ["docker", "exec", app + "-db-1", "psql", "-U", "foodbudget", "-d", "foodbudget", "-Atc"]
    done = subprocess.run([*argv, query], capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]

def data(kind):
    path = folder / "data" / (app + ".db")
    sound = ["PRAGMA integrity_check", "PRAGMA foreign_key_check"]
    columns = "SELECT name FROM pragma_table_info('purchases')"
    if kind == "postgres":
        ask, sound = server, []
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name='purchases'"
    else:
        opened = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        ask = lambda query: [[str(one) for one in row] for row in opened.execute(query)]
    return {
        "sound": [ask(one) for one in sound] or [[["ok"]], []],
        "half": ask("SELECT count(*) FROM purchases WHERE price = 0")[0][0],
        "schema": ask("SELECT version_num FROM alembic_version")[0][0],
        "points": "points" in [one[0] for one in ask(columns)],
    }

died = text(folder / "plug.died")
seen = [json.loads(one) for one in text(folder / "plug.seen").split("\n") if one]
for name in ("plug.died", "plug.seen"):
    (folder / name).unlink(missing_ok=True)
told = {"died": json.loads(died) if died else None, "seen": seen,
        "armed": (folder / "plug.json").exists(), "first": look()}
if again:
    told["verdict"] = recover()
    told["second"] = look()
if told["first"]["kind"] == "release":
    told["data"] = data(sys.argv[3])
print(json.dumps(told))
"""
#: what must be the same before and after a recovery that has nothing to do
SAME = ("link", "current", "containers", "releases", "slots", "standby", "page", "sets", "journal")


def wrong(
    seen: Mapping[str, Any], serves: tuple[str, ...], page: bool = False, ahead: bool = False
) -> list[str]:
    """Every rule that what was seen breaks, each in a sentence.

    Args:
        seen: what the script printed.
        serves: the releases one of which must serve; "" among them where nothing may as well.
        page: whether the maintenance page belongs there.
        ahead: whether the schema may be the next one already, as a compatible migration leaves it.
    """
    first: Mapping[str, Any] = seen["first"]
    found = list(_serving(first, serves))
    if first["unfinished"]:
        found.append(f"runs without an end: {', '.join(first['unfinished'])}")
    if first["garbled"]:
        found.append(f"{first['garbled']} lines of the journal cannot be read")
    if first["page"] != page:
        found.append("the maintenance page is " + ("up" if first["page"] else "gone"))
    found += _left(first)
    if "second" in seen:
        found += _again(seen)
    return found + _data(seen.get("data"), first["needs"].get(first["current"], ""), ahead)


def _serving(first: Mapping[str, Any], serves: tuple[str, ...]) -> list[str]:
    """Exactly one release runs: the one the link names, which is the one that is to serve."""
    running = {
        name: one
        for name, one in first["containers"].items()
        if one["running"] and one["slot"] and not one["oneshot"]
    }
    if "" in serves and first["kind"] != "release":
        return [f"{name} runs and nothing serves" for name in sorted(running)]
    found = []
    slots = {one.split("-")[0]: one for one in serves if one}
    if first["kind"] != "release" or first["slot"] not in slots:
        return [f"the link says {first['link']!r}, and {' or '.join(serves)} is to serve"]
    slot, name = first["slot"], slots[first["slot"]]
    if first["committed"] != name or first["current"] != name:
        found.append(f"{name} is linked, {first['committed']} told, {first['current']} current")
    services = {one["service"] for one in first["containers"].values() if one["slot"] == slot}
    up = {one["service"] for one in running.values() if one["slot"] == slot}
    if services != up or not up:
        found.append(f"of {name} run {sorted(up)}, and it has {sorted(services)}")
    found += [f"{name} runs too" for name, one in running.items() if one["slot"] != slot]
    for container, one in first["containers"].items():
        wanted = "unless-stopped" if one["slot"] == slot else "no"
        if one["slot"] and not one["oneshot"] and one["policy"] != wanted:
            found.append(f"{container} has the restart policy {one['policy']}")
    if slot in first["standby"]:
        found.append(f"{name} serves and is in standby")
    return found


def _left(first: Mapping[str, Any]) -> list[str]:
    """What lies about that nobody is told of."""
    known = {one.split("-")[0] for one in first["releases"]}
    found = [f"{name} is left" for name, one in first["containers"].items() if one["oneshot"]]
    found += [
        f"{name} belongs to no release"
        for name, one in first["containers"].items()
        if one["slot"] and one["slot"] not in known
    ]
    found += [f"the folder of {one} belongs to no release" for one in set(first["slots"]) - known]
    return sorted(found + [f"{path} is left" for path in first["strays"]])


def _again(seen: Mapping[str, Any]) -> list[str]:
    """A second recovery changes nothing, and says so."""
    first, second = seen["first"], seen["second"]
    found = [f"a second recovery changes {key}" for key in SAME if first[key] != second[key]]
    if seen["verdict"]["outcome"] != "nothing-to-do":
        found.append(f"a second recovery says: {seen['verdict']}")
    return found


def _data(data: Mapping[str, Any] | None, needs: str, ahead: bool) -> list[str]:
    """Whether the database is whole, with no half of a migration in it, and fits what serves."""
    if data is None:
        return []
    found = []
    if data["sound"] != [[["ok"]], []]:
        found.append(f"the database is damaged: {data['sound']}")
    if data["half"] != "0" or data["points"] != (data["schema"] == "0003"):
        found.append(f"half of a migration is left: {data}")
    if needs and needs != data["schema"] and not (ahead and needs < data["schema"]):
        found.append(f"the schema is {data['schema']}, and what serves was made for {needs}")
    return found
