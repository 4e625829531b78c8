"""The JSON API below `/api/v1`, a module a noun. Programs show a token; a browser's session opens
nothing here, so that no page elsewhere can have a browser ask in somebody's name."""

from __future__ import annotations

from foodbudget.api import budgets, months, purchases
from foodbudget.api.door import blueprint

__all__ = ["blueprint", "budgets", "months", "purchases"]
