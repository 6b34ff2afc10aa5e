"""About how long an evaluation takes on this machine, from a few timed calls: said before it begins."""

import time
from collections.abc import Callable

import torch

from lab.command_line import duration
from trainers.evaluation.conditions import Conditions
from trainers.evaluation.options import Options, Plan
from trainers.evaluation.subject import Subject
from trainers.features import Features
from trainers.sampling import start

PIECE, CALLS = 8, 4  # samples that are timed, and how often
# Calls of the field for each sample, as networks of the emoji and COCO recipes need; others may need several times as many.
ADAPTIVE_CALLS, FLOW_CALLS, LIKELIHOOD_CALLS = 150, 250, 50
GRADIENTS = 5  # a call with two probes' backward passes, in calls


def forecast(subject: Subject, plan: Plan, options: Options, conditions: Conditions, features: Features) -> str:
    """One line: what is measured, and the seconds that each kind of work takes. Adaptive solvers choose their evaluations, so theirs is a guess."""
    numbers = torch.arange(min(PIECE, plan.count))
    told = conditions.of(numbers).condition
    x = start(subject, numbers, told, plan.seed).to(subject.device)
    condition = None if told is None else told.to(subject.device)
    with torch.no_grad():
        call = _seconds(lambda: subject.velocity(x, torch.full((len(x),), 0.5, device=x.device), condition)) / len(x)
    pixels = subject.decode(x.cpu())
    decode, see = (_seconds(work) / len(x) for work in (lambda: subject.decode(x.cpu()), lambda: features(pixels)))
    rows = len(plan.budgets) + options.adaptive + ("prior" in plan.measures)
    work = {f"{plan.count} samples of {rows} rows": plan.count * (call * sum(plan.budgets) + rows * (decode + see))}
    if options.adaptive:
        work["dopri5 (a guess)"] = plan.count * call * ADAPTIVE_CALLS * plan.per_call
    if "round-trip" in plan.measures and subject.recipe.autoencoder.kind != "none":
        encode = _seconds(lambda: subject.encode(pixels)) / len(x)
        work["round trip"] = plan.count * (encode + decode + see)
    if {"solver-error", "flow"} & set(plan.measures):
        work["exact ends and flow (a guess)"] = plan.flow_count * call * FLOW_CALLS * plan.per_call
    if "likelihood" in plan.measures:
        work["likelihood (a guess)"] = options.likelihood_count * call * LIKELIHOOD_CALLS * GRADIENTS
    return f"about {duration(sum(work.values()))} here: " + ", ".join(f"{what} {duration(seconds)}" for what, seconds in work.items())


def _seconds(work: Callable[[], object]) -> float:
    """The least of a few calls: the first is slower, and others may be disturbed."""
    found = []
    for _ in range(CALLS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
