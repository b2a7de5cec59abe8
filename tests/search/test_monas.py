"""The controller and its training, where everything can be enumerated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from search_tables import SMALL, evaluated, small_problem

from ib_analysis.search.controller import Controller
from ib_analysis.search.evaluations import Evaluations, best
from ib_analysis.search.monas import Monas, shares
from ib_analysis.search.problem import Constraint, Objective, Problem
from ib_analysis.search.proposals import Proposal, local_proposals, log_probabilities
from ib_analysis.search.quality import exact_front
from ib_analysis.search.rewards import REWARDS
from ib_analysis.search.space import Choice, Space
from ib_analysis.search.table import TableEvaluator

PARAMETERS = {"mixed": 0.6, "limit_on_device": 0.5, "limit_on_accuracy": 0.5}
CONDITIONAL = Space((Choice("a", (1, 2, 3)), Choice("b", (1, 2), {"a": (1, 2)}), Choice("c", (1, 2, 3), {"b": (2,)})))


def moved(controller: Controller) -> Controller:
    """With readouts that are not zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.normal_(generator=generator)
    return controller


def test_probabilities_of_all_architectures_sum_to_one_in_every_context() -> None:
    controller = moved(Controller(CONDITIONAL, contexts=2, hidden=5))
    everything = list(CONDITIONAL.architectures())
    for context in (0, 1):
        log_probability, _ = controller([context] * len(everything), everything)
        assert float(log_probability.detach().exp().sum()) == pytest.approx(1, abs=1e-6)


def test_samples_come_with_their_probabilities() -> None:
    controller = moved(Controller(CONDITIONAL, hidden=3))
    everything = list(CONDITIONAL.architectures())
    with torch.no_grad():
        expected = controller([0] * len(everything), everything)[0].exp().numpy()
    drawn = controller.sample([0] * 4000, torch.Generator().manual_seed(0))
    counts = np.array([drawn.count(one) for one in everything])
    assert counts.sum() == 4000
    assert np.abs(counts / 4000 - expected).max() < 4 * np.sqrt(0.25 / 4000)


def test_of_three_objectives_the_reward_has_the_cost_that_is_named() -> None:
    """And a search that does not name it is refused, for the reward has two."""
    problem = small_problem()
    time = Objective("time", "minimize", 0.0, 40.0)
    three = Problem(SMALL, (*problem.objectives, time), problem.evaluator)
    found = [evaluated(three, one) for one in [(2, 0, 1, 0, 2), (0, 1, 0, 2, 0), (1, 1, 1, 1, 1)]]
    losses = np.stack([one.losses for one in found])
    for cost in (1, 2):
        expected = 0.7 * (1 - losses[:, 0]) - 0.3 * losses[:, cost]
        assert Monas(cost=cost).rewards(found, 0.7) == pytest.approx(expected)
    with pytest.raises(ValueError, match="of 3, say with cost which the second is"):
        Monas().train(Evaluations(three, 5), 0)
    evaluations = Evaluations(three, 5)
    Monas(cost=2, batch=2).train(evaluations, 0)
    assert len(evaluations.found) == 5
    with pytest.raises(ValueError, match="of 2, say with cost"):
        Monas(cost=2).train(Evaluations(problem, 5), 0)


def test_local_proposals_without_a_warm_start_begin_with_free_ones() -> None:
    evaluations = Evaluations(small_problem(), 6)
    Monas(local=1.0, batch=2).train(evaluations, 0)
    assert len(evaluations.found) == 6


def test_entropy_is_the_mean_of_minus_log_p() -> None:
    """H = E[sum of the softmaxes' entropies on the way], the chain rule, by enumeration."""
    controller = moved(Controller(CONDITIONAL, hidden=4))
    everything = list(CONDITIONAL.architectures())
    with torch.no_grad():
        log_probability, entropy = controller([0] * len(everything), everything)
    p = log_probability.exp()
    assert float((p * entropy).sum()) == pytest.approx(float(-(p * log_probability).sum()), abs=1e-5)


def additive_problem() -> Problem:
    """81 architectures whose layers add up, in error and in cost."""
    space = Space(tuple(Choice(f"layer_{k}", ("none", "small", "large")) for k in range(4)))
    table = {
        one: {
            "error": 40.0 - sum(w * (0, 2, 3)[k] for w, k in zip((4, 2, 1, 3), one, strict=True)),
            "cost": sum(w * (0, 1, 2.2)[k] for w, k in zip((1, 1.3, 1.1, 0.9), one, strict=True)),
        }
        for one in space.architectures()
    }
    most = max(metrics["cost"] for metrics in table.values())
    objectives = (Objective("error", "minimize", 10, 40), Objective("cost", "minimize", 0, most))
    return Problem(space, objectives, TableEvaluator(table))


@pytest.mark.parametrize("reward", REWARDS)
def test_the_rewards_argmax_is_what_controllers_come_to_like(reward: str) -> None:
    """Their likeliest architectures, when only repeats are left to them.

    The rewards with limits have local optima in which a policy gradient may end, so that the best of two seeds counts
    (by chance: once in 40 times), and the other must be among the best four of 81.
    """
    problem = additive_problem()
    everything = [evaluated(problem, one) for one in problem.space.architectures()]
    method = Monas(
        reward, (PARAMETERS[reward],), batch=16, entropy_bonus=0.1 if reward == "limit_on_accuracy" else 0.05
    )
    rewards = method.rewards(everything, PARAMETERS[reward])
    best = everything[int(rewards.argmax())]
    assert np.sort(rewards)[-2] < rewards.max()
    accuracy, cost = shares([best])
    if reward == "limit_on_device":
        assert cost[0] <= PARAMETERS[reward]
    if reward == "limit_on_accuracy":
        assert accuracy[0] >= PARAMETERS[reward]
    liked = [
        method.train(Evaluations(problem, 81, patience=800 if reward == "mixed" else 1500), seed).sample([0])[0]
        for seed in (0, 1)
    ]
    assert best.architecture in liked
    assert all(
        method.rewards([evaluated(problem, one)], PARAMETERS[reward])[0] >= np.sort(rewards)[-4] for one in liked
    )


def constant_problem() -> Problem:
    table = TableEvaluator({one: {"error": 1.0, "cost": 1.0} for one in SMALL.architectures()})
    return Problem(SMALL, (Objective("error", "minimize", 0, 2), Objective("cost", "minimize", 0, 2)), table)


@pytest.mark.parametrize(("constant", "uniform"), [(True, True), (False, False)])
def test_with_a_constant_reward_it_stays_uniform(constant: bool, uniform: bool) -> None:
    """And with another it does not, so that the first says something."""
    problem = constant_problem() if constant else small_problem()
    method = Monas("mixed", (0.9,), batch=16, learning_rate=0.02, entropy_bonus=0.0)
    controller = method.train(Evaluations(problem, 150, patience=200), 0)
    ways = list(SMALL.architectures())[::7]
    off = max(float((p - 1 / 3).abs().max()) for p in controller.probabilities([0] * len(ways), ways))
    assert (off < 1e-5) == uniform, off


def test_repeats_are_said_and_cost_nothing() -> None:
    evaluations = Evaluations(small_problem(), 60)
    Monas(batch=8, learning_rate=0.03).train(evaluations, 0)
    assert len(evaluations.found) == 60
    assert evaluations.repeats > 0
    fewer = Evaluations(small_problem(), 60)
    Monas(batch=8, learning_rate=0.03, redraws=5).train(fewer, 0)
    assert fewer.repeats < evaluations.repeats


LOCAL = Monas("mixed", (0.2, 0.8), batch=5, redraws=2, warm_start=15, imitation_steps=3, imitated=3, local=1.0)


def test_local_proposals_are_unseen_neighbours_of_the_front() -> None:
    """From the warm start on, all of them, and none twice."""
    evaluations = Evaluations(small_problem(), 60)
    LOCAL.train(evaluations, 0)
    found = evaluations.found
    assert evaluations.repeats <= 2
    begin = next(count for count in range(15, 21) if (count - 15 + evaluations.repeats) % 5 == 0)
    for start in range(begin, 60, 5):
        members = [one.architecture for one in best(found[:start])]
        for one in found[start : start + 5]:
            assert any(one.architecture in SMALL.neighbours(member) for member in members)


def test_local_proposals_end_where_there_are_no_neighbours() -> None:
    """Where all but one architecture have been evaluated."""
    problem = small_problem()
    evaluations = Evaluations(problem, 243)
    everything = list(SMALL.architectures())
    for one in everything[:-1]:
        evaluations.evaluate(one)
    near = [one for one in evaluations.found if everything[-1] in SMALL.neighbours(one.architecture)]
    far = [one for one in evaluations.found if everything[-1] not in SMALL.neighbours(one.architecture)]
    for members, expected in ((near, [everything[-1]]), (far, [])):
        contexts, generator = [0] * len(members), torch.Generator().manual_seed(0)
        found = local_proposals(Controller(SMALL), evaluations, members, contexts, 4, generator)
        assert [one.architecture for one in found] == expected


def test_probabilities_of_local_proposals_are_those_of_their_neighbourhoods() -> None:
    """Drawn as often as p(one) / sum of p over the neighbourhood says, and known by that."""
    controller = moved(Controller(CONDITIONAL, hidden=4))
    rows = {one: {"error": 1.0 + sum(one), "cost": 10.0 - sum(one)} for one in CONDITIONAL.architectures()}
    objectives = (Objective("error", "minimize", 0, 20), Objective("cost", "minimize", 0, 20))
    evaluations = Evaluations(Problem(CONDITIONAL, objectives, TableEvaluator(rows)), 20)
    start = (0, 0, -1)
    evaluations.evaluate(start)
    near = CONDITIONAL.neighbours(start)
    with torch.no_grad():
        expected = controller([0] * len(near), near)[0].exp()
        expected = expected / expected.sum()
    generator = torch.Generator().manual_seed(0)
    drawn = [local_proposals(controller, evaluations, evaluations.found, [0], 1, generator)[0] for _ in range(1500)]
    counts = torch.tensor([sum(one.architecture == other for one in drawn) for other in near]) / 1500
    assert float((counts - expected).abs().max()) < 4 * (0.25 / 1500) ** 0.5
    with torch.no_grad():
        log_p, _ = log_probabilities(controller, [Proposal(one, 0, tuple(near)) for one in near])
        whole, _ = log_probabilities(controller, [Proposal(one, 0) for one in near])
        assert torch.allclose(log_p.exp(), expected, atol=1e-6)
        assert torch.allclose(whole, controller([0] * len(near), near)[0], atol=1e-6)


def test_limits_that_nothing_keeps() -> None:
    """It finds what comes nearest to them, one of 243."""
    given = small_problem()
    problem = Problem(SMALL, given.objectives, given.evaluator, (Constraint("time", "at most", 1),))
    least = exact_front(problem).violation
    assert least > 0
    evaluations = Evaluations(problem, 80)
    LOCAL.train(evaluations, 0)
    assert len(evaluations.found) == 80  # though the nearest's neighbourhood is soon used up
    assert {one.violation for one in evaluations.front} == {least}


def test_parameters_spread_from_their_mean() -> None:
    method = Monas(parameters=(0.1, 0.4, 0.7), annealing=0.5)
    assert method.parameters_after(0.0) == (0.4, 0.4, 0.4)
    assert method.parameters_after(0.5) == method.parameters_after(1.0) == (0.1, 0.4, 0.7)
    assert Monas(parameters=(0.1, 0.7)).parameters_after(0.0) == (0.1, 0.7)


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    """As `Evaluations` promises of every method: the same in the end as one that was never stopped."""
    whole = Evaluations(small_problem(), 40)
    LOCAL.train(whole, 3)
    LOCAL.train(Evaluations(small_problem(), 23, tmp_path / "journal.jsonl"), 3)
    on = Evaluations(small_problem(), 40, tmp_path / "journal.jsonl")
    LOCAL.train(on, 3)
    assert [one.architecture for one in on.found] == [one.architecture for one in whole.found]


def test_one_controller_for_several_weights() -> None:
    """With imitation each weight has its own liking: a dearer one for a larger weight of accuracy."""
    evaluations = Evaluations(small_problem(), 60, patience=150)
    controller = Monas("mixed", (0.1, 0.9), imitation_steps=4, redraws=3).train(evaluations, 0)
    cheap, dear = (evaluated(small_problem(), one) for one in controller.sample([0, 1]))
    assert cheap.metrics["cost"] < dear.metrics["cost"]
    assert cheap.metrics["error"] > dear.metrics["error"]


def test_a_broken_constraint_never_pays() -> None:
    given = small_problem()
    problem = Problem(SMALL, given.objectives, given.evaluator, (Constraint("time", "at most", 10),))
    found = [evaluated(problem, one) for one in SMALL.architectures()]
    rewards = Monas().rewards(found, 0.9)
    violations = np.array([one.violation for one in found])
    assert rewards[violations > 0].max() < rewards[violations == 0].min()
    order = np.argsort(violations[violations > 0])  # and of those that break it the nearest is worth most
    assert (np.diff(rewards[violations > 0][order]) <= 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward": "speed"}, "no reward 'speed'; choose from mixed"),
        ({"parameters": ()}, "shares between 0 and 1"),
        ({"parameters": (1.5,)}, "shares between 0 and 1"),
        ({"baseline_decay": 1.0}, "baseline_decay"),
        ({"imitation_steps": -1}, "at least 0"),
        ({"imitated": 0}, "at least 1"),
        ({"local": 1.5}, "local and annealing are shares"),
    ],
)
def test_bad_settings(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monas(**settings)
