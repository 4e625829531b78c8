"""What takes the place of the host's store, a run's hands, and its threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.model import hands
from bench.model.machine import Violation
from homeport.core.facts import Facts
from homeport.host import context, stop, store
from homeport.model import Release


class ModelStore(store.Store):
    """The host's store; of releases only that they are there is kept."""

    stage: Any

    def releases(self) -> tuple[Release, ...]:
        """Every release, by number."""
        known = self.stage.machine.releases
        return tuple(known[name] for name in sorted(known))

    def drop_release(self, name: str) -> None:
        """Forget a release."""
        if self.stage.machine.releases.pop(name, None):
            self.stage.effect(f"forget {name}")


class ModelContext(context.Context):
    """A run's hands on the model."""

    stage: Any

    def __post_init__(self) -> None:
        self.store = ModelStore(self.paths)
        self.edge = hands.Edge(self.stage)  # type: ignore[assignment]
        self.tell = self._heard
        self._raw = self.stage.heard
        self.stop = stop.Stop(stop.path(self.paths, self.run))

    def _heard(self, event: Mapping[str, Any]) -> None:
        self._raw(self.run, event)

    def facts(self) -> Facts:
        """A fresh look."""
        seen: Facts = self.stage.machine.facts()
        return seen

    def count(self, moment: str) -> None:
        """The edge has counted nothing."""

    def masked(self, text: str) -> str:
        """There are no secrets."""
        return text


class Serial:
    """One thing after the other: threads of the host's only save time."""

    def __init__(self, count: int) -> None:
        pass

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def map(self, act: Any, *many: Any, **how: Any) -> Any:
        """As the built-in map, at once."""
        return iter([act(*each) for each in zip(*many)])


def put(module: Any, name: str, stand_in: Any) -> None:
    """Set a name of a module; there must be one."""
    if not hasattr(module, name):
        raise Violation(f"{module.__name__} has no {name} any more: mend the model")
    setattr(module, name, stand_in)
