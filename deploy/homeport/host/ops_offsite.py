"""Sets carried off the box, let go there, and brought back for a try."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, Mapping

from homeport.core import envfile, restic
from homeport.errors import HomeportError, HostFault, Problem, Unverified
from homeport.host import kept, offsite, offsite_memory, proc, verifying
from homeport.host.context import Context
from homeport.host.paths import sync, write

Args = Mapping[str, Any]


def send(ctx: Context, args: Args) -> str:
    """Carry a verified set to the repository, unless it is there; by itself the newest."""
    repository = str(args["repository"])
    name = str(args.get("set") or "") or kept.newest(ctx.paths)
    checked = kept.verified(ctx.paths, name) if name else None
    if checked is None or not checked.ok:
        what = f"there is no verified set {name}".rstrip()
        mend = "homeport backup now"
        raise HostFault(Problem(what, restic.shown(repository), "only those are sent", mend))
    vault = offsite.vault(ctx, repository)
    begun = {"begun": round(time.time(), 3), "begun_set": name}
    offsite_memory.remember(ctx.paths, vault.shown, **begun, failed="")
    try:
        with kept.pinned(ctx.paths, name) as there:
            if not there:
                what = f"the set {name} was let go before it was sent"
                raise HostFault(Problem(what, vault.shown, "", "homeport backup now"))
            return _sent(ctx, vault, name)
    except HomeportError as error:
        why = "; ".join(ctx.masked(one.what) for one in error.problems)
        offsite_memory.remember(ctx.paths, vault.shown, begun_set="", failed=why)
        raise


def _sent(ctx: Context, vault: offsite.Vault, name: str) -> str:
    """Carry the set there unless it is there, and remember that."""
    mark = vault.open(make=True)
    known = {"id": mark, "set": name, "begun_set": "", "failed": ""}
    there = restic.pick(vault.copies(), name)
    if there is not None:
        offsite_memory.remember(ctx.paths, vault.shown, **known, at=there.at)
        return f"{name} is there already"
    sent = vault.send(name, ctx.paths.backups / name, _progress(ctx, "offsite", vault.shown))
    about = {"size": sent.size, "added": sent.added, "seconds": sent.seconds}
    offsite_memory.remember(ctx.paths, vault.shown, **known, at=round(time.time(), 3), **about)
    ctx.figures["offsite"] = {"set": name, "snapshot": sent.snapshot, **about}
    return f"{name}: {_mb(sent.added)} of {_mb(sent.size)} were new there"


def prune(ctx: Context, args: Args) -> str:
    """Let this app's old sets go in the repository."""
    vault = offsite.vault(ctx, str(args["repository"]))
    vault.open()
    before = len(vault.copies())
    vault.prune(int(args["daily"]), int(args["weekly"]), int(args["monthly"]))
    left = len(vault.copies())
    return f"{before - left} sets let go, {left} kept" if left < before else f"{left} sets kept"


def drill(ctx: Context, args: Args) -> str:
    """Bring the newest set back from the repository, and check it like one of the host's."""
    vault = offsite.vault(ctx, str(args["repository"]))
    mark = vault.open()
    copy = restic.pick(vault.copies(), "latest")
    if copy is None:
        raise HostFault(Problem("there is no set to try", vault.shown, "", "homeport backup"))
    scratch = ctx.paths.backups / ".drill.new"
    begun = time.monotonic()
    about = {"id": mark, "drilled": round(time.time(), 3), "drilled_set": copy.set}
    try:
        vault.check()
        folder = vault.fetch(copy, scratch, _progress(ctx, "drill", vault.shown))
        size = sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
        found = verifying.verify(ctx, copy.set, folder)
        if not found.ok:
            mend = "homeport backup now makes another and sends it"
            raise Unverified(*(Problem(one, copy.set, "", mend) for one in found.problems))
    except HomeportError as error:
        why = "; ".join(ctx.masked(one.what) for one in error.problems)
        offsite_memory.remember(ctx.paths, vault.shown, **about, why=why)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    offsite_memory.remember(ctx.paths, vault.shown, **about, why="")
    seconds = round(time.monotonic() - begun, 1)
    ctx.figures["drill"] = {"set": copy.set, "size": size, "seconds": seconds}
    return f"{copy.set} came back, {_mb(size)}, and is well"


def fetch(ctx: Context, args: Args) -> str:
    """Bring a set here, and with it what opens the repository and the app's settings."""
    repository, begun = str(args["repository"]), time.monotonic()
    vault = offsite.vault(ctx, repository, ctx.request.opens)
    mark = vault.open()
    copies = vault.copies()
    copy = restic.pick(copies, str(args["set"]))
    if copy is None:
        why = "; ".join(one.set for one in copies[-5:]) or "it has no set of this app"
        what = f"there is no set {args['set']} of {ctx.paths.app}"
        mend = f"homeport restore latest --from {vault.shown}"
        raise HostFault(Problem(what, vault.shown, why, mend))
    final = ctx.paths.backups / copy.set
    beside = final.with_name(".fetch.new")
    if not final.exists():
        found = vault.fetch(copy, beside, _progress(ctx, "fetch", vault.shown))
        os.replace(found, final)
        sync(final.parent)
        shutil.rmtree(beside, ignore_errors=True)
    _keys(ctx, ctx.request.opens)
    _settings(ctx, final / "app.env")
    ctx.learn_secrets()
    # the host goes on where the one before it ended: this set is there already
    offsite_memory.remember(ctx.paths, vault.shown, id=mark, set=copy.set, at=copy.at)
    size = sum(one.stat().st_size for one in final.iterdir())
    seconds = round(time.monotonic() - begun, 1)
    ctx.figures["fetched"] = {"set": copy.set, "bytes": size, "seconds": seconds, "of": copy.host}
    return f"{copy.set} of {copy.host}, {_mb(size)}"


def _keys(ctx: Context, opens: str) -> None:
    """Keep what opened the repository: the host goes on saving there."""
    path = ctx.paths.restic_env
    before = proc.text(path, strip=False)
    if not opens or before == opens:
        return
    if before.strip():
        write(path.with_name("restic.env.before"), before, 0o600)
        ctx.notice(f"{path} is new; what was there is in restic.env.before")
    write(path, opens, 0o600)


def _settings(ctx: Context, saved: Path) -> None:
    """Put the app's settings in place, unless somebody has written others on this host."""
    path, text = ctx.paths.settings_env, proc.text(saved, strip=False)
    here = proc.text(path, strip=False)
    names = envfile.differing(text, here)
    if not text or not names:
        return
    if envfile.entries(here):
        said = f"{path} stays as it is on this host; the set's ({saved}) differs in"
        ctx.notice(f"{said} {', '.join(names)}")
        return
    write(path, text, 0o600)


def _progress(ctx: Context, step: str, text: str) -> offsite.Progress:
    return lambda done, total: ctx.progress(step, text, done, total)


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
