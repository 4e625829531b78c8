"""``homeport data``: upkeep of the databases of what serves."""

from __future__ import annotations

from homeport.control.changing import carry_out
from homeport.control.context import Context


def run(context: Context) -> int:
    """Checks the live databases, or does what keeps them small and quick."""
    return carry_out(context, context.request(f"data-{context.options.action}"))
