"""No step and no operation goes without a fault: the list of plans against the code's own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.faults import plans
from bench.faults.plans import ELSEWHERE, WAYS
from homeport.host.ops import OPS

CORE = Path(__file__).parents[2] / "deploy" / "homeport" / "core"
#: the only function whose caller names the step, and a plan that is left to others whole
PASSED = {"steps.start": "its callers' ids are in the list", "taking_over.plan": "as `fetch`"}
REACHED = {(step, do) for way in WAYS for _, step, do in way.steps}
#: what the list leaves to others
LEFT = {
    ("site", "site-back"): "a deploy with another site that fails: tests/contract/test_host_edge",
    ("edge", "edge-start"): "the edge dies: the other faults",
}


def made(text: str, module: str) -> set[tuple[str, str, str]]:
    """Where a source makes a step: function, id and operation; ``?`` where a caller says."""
    tree = ast.parse(text)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def word(node: ast.expr) -> str:
        if isinstance(node, ast.JoinedStr):
            node = node.values[0]
        if isinstance(node, ast.Name):
            return str(constants.get(node.id, "?"))
        return str(node.value).split()[0] if isinstance(node, ast.Constant) else "?"

    return {
        (f"{module}.{function.name}", word(node.args[0]), word(node.args[1]))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Step"
    }


def every() -> set[tuple[str, str, str]]:
    """What all of the core makes."""
    return {one for path in CORE.glob("*.py") for one in made(path.read_text(), path.stem)}


def unreached(steps: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """The steps that no way of the list comes to."""
    return {
        one
        for one in steps
        if one[1:] not in REACHED | set(LEFT) and one[0] not in PASSED and one[2] not in ELSEWHERE
    }


def test_no_step_of_a_plan_is_left_out() -> None:
    """Whoever writes a step has to say which plan of the list comes to it."""
    assert len(every()) > 40
    assert unreached(every()) == set()


@pytest.mark.parametrize(
    "text",
    [
        'def deploy():\n    return Step("sweep", "sweep", "it is dusty")',
        'def deploy(slot):\n    return [Step(f"sweep {slot}", "stop", "it is dusty")]',
        'def deploy():\n    if True:\n        x.append(Step("drain", "mark", "another meaning"))',
    ],
)
def test_a_new_step_is_found(text: str) -> None:
    """Wherever in a function it is made."""
    assert unreached(made(text, "plan"))


def test_no_operation_is_left_out() -> None:
    """Whoever adds one to the host has to say which plan of the list comes to it."""
    reached = {do for _, do in REACHED | set(LEFT)} | set(ELSEWHERE)
    assert set(OPS) == reached


def test_what_is_left_out_is_not_reached_all_the_same() -> None:
    """The list of exceptions does not outlive its reasons."""
    assert not REACHED & set(LEFT)
    assert not {do for _, do in REACHED} & set(ELSEWHERE)


def test_names_are_names() -> None:
    """Each is one, and stands for a way."""
    names = [one.name for one in WAYS]
    assert len(set(names)) == len(names)
    assert plans.way("restore").words[0] == "restore"
    with pytest.raises(KeyError):
        plans.way("something else")


def test_every_step_is_tried_at_three_moments() -> None:
    """And the plans that another way tries are left to that."""
    way = plans.way("taken back")
    steps = [step for plan, step, _ in way.steps if plan == "take-back"]
    assert len(way.points) == 3 * len(steps)
    assert {point[0] for point in way.points} == {"take-back"}
    assert ("take-back", "handover", "middle") in way.points
