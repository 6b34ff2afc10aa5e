"""Faults planted in the browser's twin: app/stage/."""

from tests.faults import Fault

PARITY = "tests/app/stage/test_parity.py::test_the_twin_agrees_with_python_over_random_scenes"
NUMBERS = "tests/app/stage/test_numbers.py"
FITTED = "tests/app/stage/test_parity.py::test_fitted_batch_ot_and_full_ot_agree_too"


def parity(file: str, old: str, new: str, batch: int = 0) -> Fault:
    return Fault(f"app/stage/{file}", old, new, f"{PARITY}[{batch}]")


FAULTS: tuple[Fault, ...] = (
    Fault(
        "app/stage/random.js",
        "for (let round = 0; round < 10; round++)",
        "for (let round = 0; round < 9; round++)",
        f"{NUMBERS}::test_philox_gives_the_known_answers_of_random123",
    ),
    Fault(
        "app/stage/random.js",
        "+ (left >>> 16) + (right >>> 16) + (carry >>> 16)",
        "+ (left >>> 16) + (right >>> 16)",
        f"{NUMBERS}::test_philox_gives_the_known_answers_of_random123",
    ),
    Fault("app/stage/random.js", "1.1102230246251565e-16", "1.1102230246251566e-15", f"{NUMBERS}::test_normal_numbers_are_pythons"),
    Fault(
        "app/stage/schedule.js",
        "Math.floor((i + 1) * share + 0.5)",
        "Math.floor((i + 1) * share)",
        f"{NUMBERS}::test_schedules_are_pythons",
    ),
    Fault(
        "app/stage/schedule.js",
        "(a.total === b.total && a.number < b.number)",
        "(a.total === b.total && a.number > b.number)",
        f"{NUMBERS}::test_schedules_are_pythons",
    ),
    Fault(
        "app/stage/learned.js",
        "Math.floor(across), nx - 2)",
        "Math.round(across), nx - 2)",
        f"{NUMBERS}::test_a_field_on_a_grid_is_pythons",
    ),
    Fault("app/stage/learned.js", "/ rate;", "* rate;", f"{NUMBERS}::test_a_field_on_a_grid_is_pythons"),
    Fault(
        "app/stage/view.js",
        "bytes.setUint8(COMPONENT_BYTES * k + 48, classes[k]);",
        "bytes.setUint8(COMPONENT_BYTES * k + 48, 0);",
        f"{NUMBERS}::test_a_packed_mixture_is_pythons",
    ),
    Fault(
        "app/stage/view.js",
        'put(view.b, view.a, "b-");',
        'put(view.b, defaults, "b-");',
        f"{NUMBERS}::test_the_browsers_address_is_read_back_as_the_same_view",
    ),
    Fault(
        "app/stage/solvers.js",
        "Math.floor(nfe / each) * each",
        "Math.ceil(nfe / each) * each",
        f"{NUMBERS}::test_budgets_snap_down_to_what_a_solver_can_use",
    ),
    parity("mixtures.js", "out[i + 1] = covariances[i + 1] / out[i];", "out[i + 1] = covariances[i + 1];"),
    parity("mixtures.js", "best = 0;\n    for (let c = 1", "best = 0;\n    for (let c = 2"),
    parity("paths.js", "Math.sqrt(-Math.expm1(-integral(t)))", "Math.sqrt(1 - Math.exp(-0.5 * integral(t)))"),
    parity("paths.js", "VE_SIGMA_MAX = 50", "VE_SIGMA_MAX = 49"),
    parity("paths.js", "1 - (1 - least) * t", "1 - t", 5),
    parity("priors.js", "i % 2 ? m : -m", "m"),
    parity("priors.js", "members[Math.floor(i / 3)] - 1", "members[Math.floor(i / 3)]"),
    parity("priors.js", "2 / (1 + 2 / 64)", "2"),
    parity("priors.js", "between = share * (1 - share)", "between = share"),
    parity("transport.js", "cost[node * K + k] - potentialA[node] - potentialB[k]", "cost[node * K + k]"),
    parity(
        "transport.js",
        "return sandwich(inverseOfMatrix(root), rootOfMatrix(sandwich(root, sigma)));",
        "return rootOfMatrix(sandwich(root, sigma));",
    ),
    parity("blocks.js", "return source.classes[Math.floor(at / K)] === c ? w / share[c] : 0;", "return w;"),
    parity("blocks.js", "2 * (pairs.cross[4 * p] + pairs.cross[4 * p + 3])", "(pairs.cross[4 * p] + pairs.cross[4 * p + 3])"),
    parity("field.js", "const NEGLIGIBLE_LOGIT = -40;", "const NEGLIGIBLE_LOGIT = -10;"),
    parity("field.js", "out[at + 4] = -ixy;", "out[at + 4] = ixy;"),
    parity("field.js", "path.sigmaDSigma(t));\n    if", "path.sigma(t));\n    if"),
    Fault("app/stage/field.js", "gxy += forward * cyx + back * cxy;", "gxy += forward * cxy + back * cyx;", FITTED),
    parity("field.js", "- (classes === null ? 0 : Math.log(classShare[classes[i]]))", ""),
    parity("world.js", "world.lastTime = bounded ? 1 : path.lastTime;", "world.lastTime = 1;"),
    Fault("app/stage/world.js", "x1[2 * i] = data[2 * order[i]];", "x1[2 * i] = data[2 * i];", FITTED),
    parity("grids.js", "EDM_RHO = 7", "EDM_RHO = 6"),
    parity("grids.js", "s / (GRID_SHIFT - (GRID_SHIFT - 1) * s)", "s / (1 + s)"),
    parity("solvers.js", "[-1, 2]]", "[1, 0]]"),
    parity("solvers.js", "weights: [1 / 4, 3 / 4]", "weights: [1 / 2, 1 / 2]"),
    parity("solvers.js", "(0.5 * h) / memory.h", "0.5"),
    parity("solvers.js", "path.alpha(later), path.sigma(later), out)", "path.alpha(t), path.sigma(later), out)"),
    parity(
        "reference.js",
        "middle = straight ? stageTime(t, 0.5, h) : timeOfAngle",
        "middle = straight || !straight ? stageTime(t, 0.5, later - t) : timeOfAngle",
    ),
    parity("reference.js", "const parts = [t, t.map", "const parts = [t.map"),
    parity("measures.js", "const weight = 0.5 * (", "const weight = 1 * ("),
    parity("measures.js", "(k < m ? t[k + 1] - t[k] : 0)", "(t[k] - (t[k - 1] ?? 0))"),
    parity("measures.js", "way.displacement < 0.05 *", "way.displacement < 5 *"),
    parity("measures.js", "median: 0.5 * (sorted[(n - 1) >> 1] + sorted[n >> 1])", "median: sorted[n >> 1]"),
)
