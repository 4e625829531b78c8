"""What a run lets go of a database server's leftovers, and where there is none to ask."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from builders import release
from homeport.errors import HomeportError, HostFault, Problem
from homeport.host import ops_kept, postgres, postgres_find
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request

PROBLEM = Problem("DATABASE_URL names the host db.example.org, which is no service", "", "", "")


@pytest.mark.parametrize(
    ("error", "ends"), [(postgres.Elsewhere(PROBLEM), False), (HostFault(PROBLEM), True)]
)
def test_a_server_elsewhere_keeps_no_backup_from_its_end(
    monkeypatch: pytest.MonkeyPatch, error: HomeportError, ends: bool
) -> None:
    """Nothing was replaced on it; a server of the app's own that does not answer is told."""

    def server(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(postgres_find, "server", server)
    ctx = Context(
        Paths("shop", Path("/opt")), Engine("no.sock"), Request("backup", "shop"), "", print
    )
    ctx.fresh = release(1)
    args = {"release": ctx.fresh.id, "days": 7}
    if ends:
        with pytest.raises(HostFault):
            ops_kept.prune_replaced(ctx, args)
    else:
        assert ops_kept.prune_replaced(ctx, args) == ""
