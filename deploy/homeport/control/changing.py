"""The verbs that change the host, or follow what changes it: one request, one verdict."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Callable, Mapping

from homeport.control import credentials, github, images, job, present, reference, stopping
from homeport.control.context import LOCAL, Context, print_json
from homeport.control.session import Session
from homeport.control.readers import Wrong, duration
from homeport.errors import ComposeError, Internal, UsageError
from homeport.model import Request


def deploy(context: Context) -> int:
    """Makes an image live, and says where."""
    code = carry_out(context, deploy_request(context, "deploy"))
    if code == 0 and not context.options.shared and not github.active():
        print(f"  open it:  {address(context)}", file=sys.stderr)
    return code


def address(context: Context) -> str:
    """Where people reach the app from here: the site's name, or the host and the site's port."""
    site, host = context.settings.site, context.host.address
    if site.tls != "off":
        return f"https://{site.name}{f':{site.port}' if site.port else ''}/"
    if site.name:
        return f"http://{site.name}/"
    place = "localhost" if host == LOCAL else f"[{host}]" if ":" in host else host
    return f"http://{place}/" if site.port in (None, 80) else f"http://{place}:{site.port}/"


def deploy_request(context: Context, verb: str) -> Request:
    """What ``deploy`` asks, and what ``plan`` asks about."""
    options = context.options
    request = context.request(
        verb,
        compose=context.compose_text,
        force=options.force,
        shared=options.shared,
        monitor=monitor(context),
        unfreeze=getattr(options, "unfreeze", False),
        check_compatible=_check_compatible(context),
    )
    context.host  # a missing host is said before a registry is asked
    if options.shared:
        return request
    name = options.image or images.of_compose(
        context.compose_path, context.settings, local=options.from_local
    )
    if options.from_local:
        request = replace(request, image=images.from_local(name, context.settings.app))
    else:
        image, auth = images.from_registry(name)
        request = replace(request, image=image, auth=auth)
    return keyed(request) if verb == "deploy" else request


def _check_compatible(context: Context) -> bool:
    """Whether that is asked; raises UsageError where homeport.toml does not say that it holds."""
    if not getattr(context.options, "check_compatible", False):
        return False
    rules = context.settings.migrate
    if rules is not None and rules.compatible:
        return True
    what = "nothing says that the release before works on the new schema"
    mend = "compatible = true in [migrate] of homeport.toml, or without --check-compatible"
    raise UsageError.of(what, "--check-compatible", mend=mend)


def keyed(request: Request) -> Request:
    """The request with the key that a retried job's would have too; none outside of a job."""
    image = request.image.pinned if request.image else ""
    flags: tuple[object, ...] = (request.force, request.freeze, request.unfreeze, request.monitor)
    flags += (request.set, request.unverified) if request.set else ()
    key = github.request_key(request.verb, request.app, image, request.release, *flags)
    return replace(request, key=key)


def monitor(context: Context, option: str = "--monitor") -> float | None:
    """The seconds of a watch; raises UsageError for anything that is no duration."""
    return seconds(context, "monitor", option)


def seconds(context: Context, name: str, option: str = "") -> float | None:
    """The seconds of an option, None without it; raises UsageError for what is no duration."""
    text = getattr(context.options, name, None)
    try:
        return None if text is None else duration(text)
    except Wrong as wrong:
        raise UsageError.of(wrong.what, option or f"--{name}", mend=wrong.mend) from None


def todays_login(context: Context) -> str:
    """This machine's login for the registry of the compose file's image; "" where there is none.

    A release whose image is gone from the host is pulled again with it. The host uses it for that
    registry alone.
    """
    try:
        name = images.named(context.compose_text, context.settings.web.service)
        login = credentials.find(reference.parse(name.lower()).login) if name else None
    except (ComposeError, ValueError):
        return ""  # going back must not depend on today's compose file
    return login.registry_auth() if login else ""


def freeze(context: Context) -> int:
    """Refuses deploys from now on."""
    return carry_out(context, context.request("freeze"))


def unfreeze(context: Context) -> int:
    """Lets deploys through again."""
    return carry_out(context, context.request("unfreeze"))


def attach(context: Context) -> int:
    """Follows a run that goes on, or tells how it ended."""
    return carry_out(context, context.request("attach", release=context.options.run or ""))


def cancel(context: Context) -> int:
    """Stops a run before its commit, or learns that it is too late for that."""
    return carry_out(context, context.request("cancel", release=context.options.run or ""))


def recover(context: Context) -> int:
    """Finishes or takes back what was interrupted."""
    return carry_out(context, context.request("recover"))


def remove(context: Context) -> int:
    """Takes the app's containers, images and routes away; what is in its folder stays."""
    app, host = context.settings.app, context.host.address
    asked = f"Stop {app} on {host} and take its containers away? Its data and app.env stay."
    if not context.ask(asked):
        print("Nothing was done.", file=sys.stderr)
        return 0
    return carry_out(context, replace(context.request("remove"), yes=True))


def carry_out(context: Context, request: Request) -> int:
    """Sends the request, shows what happens, and gives the exit code of the verdict."""
    request = replace(request, wait=seconds(context, "wait") or 0.0)
    session = Session(request, context.open_line)
    view = present.for_terminal(verbose=context.verbose)
    steps: dict[str, Mapping[str, Any]] = {}
    last: Mapping[str, Any] = {}
    signals = stopping.Stopping(session, request.verb in stopping.FOLLOWS)
    try:
        with signals:
            for event in session:
                if event["e"] == "run":
                    signals.began()
                if event["e"] == "step":
                    steps[str(event.get("id"))] = event
                if event["e"] == "verdict":
                    last = event
                else:
                    view.show(event)
    except KeyboardInterrupt:
        view.close()
        stopping.tell_left(session.run, signals.asked)
        return 130
    finally:
        view.close()
    if not last:
        raise Internal.of("the run ended without a verdict", mend="homeport attach")
    last = stopping.verdict(last, request.verb, signals.asked)
    job.show_verdict(last, context.verbose)
    if context.json:
        print_json(
            {
                **{key: last[key] for key in last if key != "e"},
                "steps": [
                    {"id": name, "state": step.get("state"), "seconds": step.get("seconds")}
                    for name, step in steps.items()
                ],
            }
        )
    if github.active():
        cause = request.cause
        asked = {"app": request.app, "who": cause.who, "why": cause.why, "url": address(context)}
        rows = [{"id": name, **step} for name, step in steps.items()]
        return job.tell(request.verb, last, rows, asked)
    return int(last.get("code", Internal.code))


VERBS: Mapping[str, Callable[[Context], int]] = {
    "deploy": deploy,
    "attach": attach,
    "cancel": cancel,
    "recover": recover,
    "remove": remove,
    "freeze": freeze,
    "unfreeze": unfreeze,
}
