"""What Homeport tells people to do next: where the app answers, and what to type after setup."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeport.control import changing, cli, setup
from homeport.control.context import Context, parse_host

BUILT = "services:\n  web:\n    build: .\n"
NAMED = "services:\n  web:\n    image: ghcr.io/me/app:main\n"
ENV = "    env_file: .env\n"


def context(folder: Path, toml: str, compose: str = BUILT, host: str = "") -> Context:
    """A command typed in a folder with these two files."""
    (folder / "compose.yaml").write_text(compose)
    path = folder / "homeport.toml"
    path.write_text(f'app = "blog"\ncompose = "compose.yaml"\n{toml}')
    words = ["deploy", "--settings", str(path), *(["--host", host] if host else [])]
    return Context(cli.parse(words))


@pytest.mark.parametrize(
    ("toml", "host", "address"),
    [
        ('[host]\naddress = "pi.local"\n[site]\nport = 5000', "", "http://pi.local:5000/"),
        ('[host]\naddress = "pi.local"', "", "http://pi.local/"),
        ('[host]\naddress = "pi.local"\n[site]\nport = 80', "", "http://pi.local/"),
        ('[host]\naddress = "pi.local"', "me@nuc.local", "http://nuc.local/"),
        ('[host]\naddress = "pi.local"\n[site]\nname = "blog.example"', "", "http://blog.example/"),
        ('[host]\naddress = "local"\n[site]\nport = 81', "", "http://localhost:81/"),
        ('[host]\naddress = "fd00::7"\n[site]\nport = 81', "", "http://[fd00::7]:81/"),
    ],
)
def test_a_deploy_says_where_the_app_answers(
    tmp_path: Path, toml: str, host: str, address: str
) -> None:
    """The address is one that a browser on this machine takes."""
    assert changing.address(context(tmp_path, toml, host=host)) == address


@pytest.mark.parametrize(
    ("compose", "target", "lines"),
    [
        (NAMED, "pi@pi.local", ["Next:  homeport deploy"]),
        (BUILT, "pi@pi.local", ["Next:  docker compose build, then homeport deploy --from-local"]),
        (
            NAMED + ENV,
            "pi@pi.local",
            [
                "Its settings go into /opt/blog/app.env there, for example with:",
                "  scp .env homeport@pi.local:/opt/blog/app.env",
                "Next:  homeport deploy",
            ],
        ),
        (
            NAMED + ENV,
            "pi@pi.local:2222",
            [
                "Its settings go into /opt/blog/app.env there, for example with:",
                "  scp -P 2222 .env homeport@pi.local:/opt/blog/app.env",
                "Next:  homeport deploy --host pi.local:2222",
            ],
        ),
        (
            NAMED + ENV + '    environment: {KEY: "${KEY:?}"}\n',
            "pi@nuc.local",
            [
                "Put these into /opt/blog/app.env there:",
                "  KEY=…",
                "for example with:  ssh -t pi@nuc.local sudo -u homeport nano /opt/blog/app.env",
                "Next:  homeport deploy --host nuc.local",
            ],
        ),
    ],
)
def test_setup_says_what_comes_next(
    tmp_path: Path, compose: str, target: str, lines: list[str]
) -> None:
    """The commands that setup ends with fit the compose file and the host."""
    typed = context(tmp_path, '[host]\naddress = "pi.local"', compose)
    said = setup.next_steps(typed, parse_host(target))
    assert said.splitlines()[2:] == lines


@pytest.mark.parametrize(
    ("target", "host"), [("pi@pi.local", "pi.local"), ("pi@pi.local:2222", "pi.local:2222")]
)
def test_setup_says_what_a_job_needs(target: str, host: str) -> None:
    """The variables hold the user of the agent, and a host that --host takes."""
    said = setup.for_github(parse_host(target), "ssh-ed25519 AAAA").splitlines()
    assert said[2:] == [
        f"  HOMEPORT_HOST = homeport@{host}",
        "  HOMEPORT_HOST_KEY = ssh-ed25519 AAAA",
    ]
    meant = parse_host(f"homeport@{host}")
    assert (meant.address, meant.port) == ("pi.local", 2222 if "2222" in target else 22)
