"""A plan as it is brought about on a rig, and its points. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: moments of a step at which a run is told to die
WHEN = ("before", "middle", "after")


@dataclass(frozen=True)
class Way:
    """One plan as it is brought about.

    Attributes:
        name: what ``--only`` and the figures call it.
        plans: verb → steps, in their order, of each plan that the run carries out.
        host: the kind of host it is played on: ``sqlite`` or ``postgres``.
        words: what is typed. ``{next}``, ``{later}``, ``{ill}`` … are images of the rig's,
            ``{other}`` is a release that served and does not now, ``{set}`` the newest set.
        mode: ``[deploy] handover``.
        ready: what the rig does before each run, by the name of its method.
        settings: what homeport.toml says otherwise, by the rig's names.
        tries: the steps that are this way's points, where all before them are another way's
            already: the run does the same up to there.
        errors: the authors whose failed requests are expected meanwhile.
        writes: whether people write meanwhile; not where data goes back.
        code: the exit code of an undisturbed run.
        first: points of a run before this one: it dies there, and its recovery is what is played.
    """

    name: str
    plans: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    host: str = "sqlite"
    mode: str = "single-writer"
    ready: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    tries: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    writes: bool = True
    code: int = 0
    first: tuple[str, str, str] | None = None

    @property
    def steps(self) -> tuple[tuple[str, str, str], ...]:
        """Plan, step and operation of each step, in their order."""
        found = []
        for plan, text in self.plans:
            for one in text.split():
                name, _, do = one.partition(":")
                found.append((plan, name, do or name))
        return tuple(found)

    @property
    def points(self) -> tuple[tuple[str, str, str], ...]:
        """Plan, step and moment of every point that is this way's to try."""
        known = dict.fromkeys((plan, step) for plan, step, _ in self.steps)
        mine = [one for one in known if not self.tries or "/".join(one) in self.tries]
        return tuple((*one, when) for one in mine for when in WHEN)
