"""What restic is told and says, as tables of its own literal words, from 0.14 and from 0.19."""

from __future__ import annotations

import pytest
from homeport.core import restic
from homeport.core.restic import Copy

KINDS = {
    "/mnt/usb/food": ("local", "/mnt/usb/food", False),
    "sftp:me@nas:/backups/food": ("sftp", "sftp:me@nas:/backups/food", False),
    "sftp://me@nas:2222//backups": ("sftp", "sftp://nas:2222//backups", False),
    "rest:https://nas:8000/food": ("other", "rest:https://nas:8000/food", False),
    "rest:https://me:secret@nas:8000/": ("other", "rest:https://nas:8000/", True),
    "s3:https://s3.example.org/bucket": ("other", "s3:https://s3.example.org/bucket", False),
    "b2:bucket:food": ("other", "b2:bucket:food", False),
}


@pytest.mark.parametrize("repository", KINDS)
def test_repositories(repository: str) -> None:
    """How it is reached, how it is shown, and whether a password stands in it."""
    kind, shown, secret = KINDS[repository]
    assert restic.kind(repository) == kind
    assert restic.shown(repository) == shown
    assert restic.has_secret(repository) is secret


KEYS = """\
# what opens the repository
RESTIC_PASSWORD="two words"
export AWS_ACCESS_KEY_ID=key
AWS_SECRET_ACCESS_KEY='s3cret'
LD_PRELOAD=/tmp/evil.so
PATH=/tmp
RESTIC_REPOSITORY=/elsewhere
RESTIC_CACHE_DIR=/elsewhere
RESTIC_REST_USERNAME=me
RESTIC_REST_PASSWORD=p@ss/word:é
"""
PLAIN = {
    "RESTIC_PASSWORD": "two words",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
}
OPENED = {
    "/mnt/usb": "/mnt/usb",
    "sftp://nas/x": "sftp://nas/x",
    "rest:http://nas:8000/food": "rest:http://me:p%40ss%2Fword%3A%C3%A9@nas:8000/food",
    "rest:http://other@nas/": "rest:http://me:p%40ss%2Fword%3A%C3%A9@nas/",
}


@pytest.mark.parametrize("repository", OPENED)
def test_what_opens_a_repository(repository: str) -> None:
    """Only what restic knows reaches it; a REST server's login goes into the address."""
    found = restic.environment(KEYS, repository)
    assert found == {**PLAIN, "RESTIC_REPOSITORY": OPENED[repository]}


PASSWORDS = {
    "": False,
    "# RESTIC_PASSWORD=x": False,
    "RESTIC_PASSWORD=": False,
    "RESTIC_PASSWORD=x": True,
    "RESTIC_PASSWORD_FILE=/root/key": True,
    "AWS_SECRET_ACCESS_KEY=x": False,
}


@pytest.mark.parametrize("text", PASSWORDS)
def test_whether_there_is_a_password(text: str) -> None:
    """A name without a value opens nothing."""
    assert restic.opens(text) is PASSWORDS[text]


SSH = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
WAYS = {
    "/mnt/usb": ("", ""),
    "sftp:me@nas:/backups": (f"{SSH} me@nas -s sftp", "sudo -u homeport ssh me@nas"),
    "sftp://me@nas:2222//backups": (
        f"{SSH} -p 2222 me@nas -s sftp",
        "sudo -u homeport ssh -p 2222 me@nas",
    ),
    "sftp://me@[fd00::1]:22/x": (
        f"{SSH} -p 22 me@[fd00::1] -s sftp",
        "sudo -u homeport ssh -p 22 me@[fd00::1]",
    ),
    # nothing that ssh or a shell would read more into
    "sftp:-oProxyCommand=x:/": ("", ""),
    "sftp:me@nas -o x:/": ("", ""),
    "sftp://-oProxyCommand=x/": ("", ""),
}


@pytest.mark.parametrize("repository", WAYS)
def test_the_way_to_a_server_of_files(repository: str) -> None:
    """An ssh that asks nobody and does not wait for ever."""
    command, typed = WAYS[repository]
    assert restic.options(repository) == (("-o", f"sftp.command={command}") if command else ())
    if typed:
        assert restic.login(repository) == typed


VERSIONS = {
    "restic 0.14.0 compiled with go1.19.8 on linux/amd64": (0, 14, 0),
    "restic 0.12 compiled with go1.17 on linux/arm": (0, 12, 0),
    "bash: restic: command not found": (),
}


@pytest.mark.parametrize("text", VERSIONS)
def test_versions(text: str) -> None:
    """What compares with the oldest that will do."""
    assert restic.version(text) == VERSIONS[text]


LISTED = """\
[{"time":"2026-01-02T03:04:05.123456789Z","tree":"4a","paths":["/x"],"hostname":"pi","username":"h",
"tags":["app=food","set=20260102T030000-bbbb"],"id":"bb01","short_id":"bb"},
{"time":"2026-01-03T05:04:05.5+02:00","paths":["/x"],"hostname":"new","tags":
["app=food","set=20260102T030000-bbbb"],"id":"bb02","short_id":"bb"},
{"time":"2026-01-01T00:00:00Z","paths":["/x"],"hostname":"pi","tags":
["set=20260101T030000-aaaa","app=food"],"id":"aa01","short_id":"aa"},
{"time":"2026-01-09T00:00:00Z","paths":["/x"],"hostname":"pi","tags":
["app=other","set=20260109T030000-cccc"],"id":"cc01","short_id":"cc"},
{"time":"2026-01-09T00:00:00Z","paths":["/x"],"hostname":"pi","tags":
["app=food","set=../../../etc"],"id":"ee01","short_id":"ee"},
{"time":"2026-01-09T00:00:00Z","paths":["/home"],"hostname":"pi","id":"dd01","short_id":"dd"}]
"""
FIRST = Copy("aa01", "20260101T030000-aaaa", 1767225600.0, "pi")
SECOND = Copy("bb02", "20260102T030000-bbbb", 1767409445.5, "new")
PICKED = {
    "": SECOND,
    "latest": SECOND,
    "20260101T030000-aaaa": FIRST,
    "20260101": FIRST,
    "2026": None,
    "20260109T030000-cccc": None,
}


def test_the_apps_sets_are_found_among_other_snapshots() -> None:
    """By its tags; a set that was sent twice is there once, and the newest is the last."""
    assert restic.copies(LISTED, "food") == (FIRST, SECOND)
    assert restic.copies("null", "food") == () == restic.copies("[]", "food")
    with pytest.raises(ValueError):
        restic.copies("Fatal: no", "food")


@pytest.mark.parametrize("wanted", PICKED)
def test_a_set_is_picked(wanted: str) -> None:
    """The newest, or the one that is named; never another app's."""
    assert restic.pick(restic.copies(LISTED, "food"), wanted) == PICKED[wanted]
    assert restic.pick((), wanted) is None


ASK = "Is there a repository at the following location?\n"
FAULTS = {
    # restic 0.19 says it by its exit code, whatever its words
    "10": (10, "", "absent"),
    "11": (11, "", "locked"),
    "12": (12, "", "wrong-key"),
    # restic 0.14 ends with 1 for all
    "wrong password": (1, "Fatal: wrong password or no key found\n", "wrong-key"),
    "no folder": (
        1,
        "Fatal: unable to open config file: stat /r/config: no such file or directory\n" + ASK,
        "absent",
    ),
    "no REST repository": (
        1,
        "Fatal: unable to open config file: <config/> does not exist\n" + ASK,
        "absent",
    ),
    "a server that is off": (
        1,
        'Fatal: unable to open config file: client.Head: Head "http://h/config": dial tcp'
        " 127.0.0.1:1: connect: connection refused\n" + ASK,
        "unreachable",
    ),
    "ssh": (
        1,
        "subprocess ssh: ssh: connect to host 127.0.0.1 port 22: Connection refused\n"
        "Fatal: unable to open repository at sftp:n@h:/x: unable to start the sftp session\n",
        "unreachable",
    ),
    "a key that ssh does not know": (
        1,
        "subprocess ssh: Host key verification failed.\n",
        "unreachable",
    ),
    "a lock": (
        1,
        "unable to create lock in backend: repository is already locked by PID 7 on pi\n",
        "locked",
    ),
    "a folder of somebody else": (
        1,
        "Fatal: unable to open config file: stat /r/config: permission denied\n" + ASK,
        "unreachable",
    ),
    "a login that is refused": (
        1,
        "Fatal: unable to open config file: unexpected HTTP response (401): 401 Unauthorized\n",
        "unreachable",
    ),
    "digits of an id that look like one": (1, "pack 5e7c401 does not exist\n", "other"),
    "anything else": (1, "Fatal: there were 2 errors\n", "other"),
    "part of it was not read": (3, "", "other"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_went_wrong(name: str) -> None:
    """By exit code where restic has one for it, else by its words."""
    code, text, found = FAULTS[name]
    assert restic.fault(code, text) == found


COMPLAINTS = {
    ASK + "/r\nFatal: no such thing\n": "Fatal: no such thing",
    '{"message_type":"error","error":{"message":"read x: input/output error"},'
    '"during":"archival","item":"/x"}\n': "/x: read x: input/output error",
    '{"message_type":"exit_error","code":12,"message":"Fatal: wrong password"}\n': (
        "Fatal: wrong password"
    ),
    "word\nit is so\nit is so\n\n": "it is so",
}


@pytest.mark.parametrize("text", COMPLAINTS)
def test_complaints(text: str) -> None:
    """The lines that tell, each once, without what only repeats the address."""
    assert restic.complaint(text) == COMPLAINTS[text]
