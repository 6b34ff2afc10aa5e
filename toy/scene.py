"""Scene: everything that one stage depends on. View: two scenes, the time and what is shown. Both are validated, versioned, and travel in a query string.

The names and the choices here are the ones of the command line, of links and of the page's controls.
"""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from lab.checks import unknown
from lab.paths import PATHS
from lab.solvers import ADAPTIVE, FIXED_STEP
from toy.demands import CUSTOM, MOST_FITTED, idle, unmet
from toy.mixtures import Mixture
from toy.packing import pack, unpack
from toy.targets import NAMES

VERSION = 1


class Choice(NamedTuple):
    """A control with named values."""

    values: tuple[str, ...]
    about: str


class Range(NamedTuple):
    """A control with numbers from `least` to `most`, both included; `off` is a value outside them that is allowed too."""

    least: float
    most: float
    about: str
    off: float | None = None


CONTROLS: dict[str, Choice | Range] = {
    "target": Choice((*NAMES, CUSTOM), "the law of the data"),
    "separation": Range(0.1, 5, "times as far apart as usual are the target's modes"),
    "sees": Choice(("position", "class"), "whether the field knows each particle's class"),
    "prior": Choice(("gaussian", "conditional", "conditional-mixture", "ring", "mirrored"), "the law of x_0"),
    "prior_components": Range(1, 8, "components per class of a conditional-mixture prior (at most as many as the class has)"),
    "prior_mean": Range(0, 1, "where a conditional prior's mean lies: 0 the origin, 1 the class mean"),
    "prior_covariance": Choice(
        ("none", "isotropic", "diagonal", "full", "pooled"), "what a conditional prior takes of the class covariance"
    ),
    "scale": Range(0.02, 5, "factor on the prior's standard deviations"),
    "fit_count": Range(32, MOST_FITTED, "samples that a conditional prior's moments come from (0: exact moments)", off=0),
    "coupling": Choice(("independent", "component-ot", "batch-ot", "class-batch-ot", "full-ot"), "how x_0 and x_1 are paired in training"),
    "batch_size": Range(1, 4096, "pairs in a batch of batch-ot, or of class-batch-ot, which pairs within the classes of each batch"),
    "path": Choice(tuple(PATHS), "alpha and sigma"),
    "sigma_min": Range(0, 0.5, "spread that the cond-ot path leaves around the data"),
    "degree": Range(1, 6, "power of the polynomial path"),
    "solver": Choice((*FIXED_STEP, *ADAPTIVE), "how the flow is integrated"),
    "grid": Choice(("uniform", "cosine", "edm", "shifted", "snr"), "where a fixed-step solver's times lie"),
    "nfe": Range(1, 4096, "function evaluations of a fixed-step solver"),
    "tolerance": Range(1e-12, 0.1, "absolute and relative tolerance of an adaptive solver"),
    "count": Range(2, 20_000, "particles"),
    "seed": Range(0, 2**32 - 1, "seed of the particles"),
}
WHOLE = frozenset({"prior_components", "fit_count", "batch_size", "nfe", "count", "seed"})


@dataclass(frozen=True)
class Scene:
    """What one stage shows: target, prior, coupling, path and solver of the analytic world, and the particles that are sent through it.

    Ranges and choices are in `CONTROLS`. A target of one's own is `target="custom"` with its `mixture`. `letters` matters to the target `letters` only.
    Raises ValueError naming the field, its value and what it may be; `from_query` clamps instead, and reports.
    """

    target: str = "ring-strips"
    mixture: Mixture | None = None
    letters: str = "FLOW"
    separation: float = 1.0
    sees: str = "position"
    prior: str = "gaussian"
    prior_components: int = 2
    prior_mean: float = 1.0
    prior_covariance: str = "full"
    scale: float = 1.0
    fit_count: int = 0
    coupling: str = "independent"
    batch_size: int = 64
    path: str = "cond-ot"
    sigma_min: float = 0.0
    degree: float = 2.0
    solver: str = "euler"
    grid: str = "uniform"
    nfe: int = 4
    tolerance: float = 1e-5
    count: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, control in CONTROLS.items():
            _check(name, getattr(self, name), control)
        if (found := unmet(vars(self), _USUAL)) is not None:
            raise ValueError(found.why)

    def idle(self) -> list[str]:
        """One sentence for each setting that was changed and, beside the others, changes nothing."""
        return idle(vars(self), _USUAL)

    def to_query(self) -> str:
        """The scene as a query string: its version and every field that differs from the default. `from_query` gives the same scene back."""
        return urlencode({"v": VERSION, **_differences(self, Scene())})

    @staticmethod
    def from_query(query: str) -> tuple["Scene", list[str]]:
        """The scene of a query string, and one sentence for each value that was clamped or ignored; never fails on bad values."""
        given, notes = _parse(query)
        return _overlay(Scene(), given, notes), notes


_USUAL = {f.name: f.default for f in fields(Scene)}
SHOWN = ("density", "field", "contours", "pairs", "traces", "particles", "ghosts", "probe", "rings")


@dataclass(frozen=True)
class View:
    """A whole picture: scenes A and B, the time on the clock, what is drawn, what the playback shows, and the layout.

    time in [0, 1]; show: names from `SHOWN`; playback: solver (its real states) or exact; layout: page or lecture;
    (probe_x, probe_y): where the probe stands.
    """

    a: Scene = field(default_factory=Scene)
    b: Scene = field(default_factory=lambda: Scene(prior="conditional"))
    time: float = 1.0
    show: tuple[str, ...] = ("contours", "traces", "particles", "ghosts")
    playback: str = "solver"
    layout: str = "page"
    probe_x: float = 0.0
    probe_y: float = 0.0

    def __post_init__(self) -> None:
        for name, control in VIEW_CONTROLS.items():
            _check(name, getattr(self, name), control)
        for name in self.show:
            if name not in SHOWN:
                raise ValueError(unknown("show", name, SHOWN))
        object.__setattr__(self, "show", tuple(name for name in SHOWN if name in self.show))

    def to_query(self) -> str:
        """A's differences from the default scene under their own names, B's differences from A with the prefix b-, and the view's own fields."""
        own: dict[str, str] = {}
        for name in VIEW_CONTROLS:
            if getattr(self, name) != getattr(_OPENING, name):
                own[name.replace("_", "-")] = str(getattr(self, name))
        if self.show != _OPENING.show:
            own["show"] = ",".join(self.show)
        b = {f"b-{name}": text for name, text in _differences(self.b, self.a).items()}
        return urlencode({"v": VERSION, **_differences(self.a, Scene()), **b, **own})

    @staticmethod
    def from_query(query: str) -> tuple["View", list[str]]:
        """The view of a query string, and one sentence for each value that was clamped or ignored. Without a version and anything of a scene it shows the opening scenes."""
        given, notes = _parse(query)
        versioned = any(name == "v" for name, _ in parse_qsl(query.lstrip("?"), keep_blank_values=True))
        addressed = {name.replace("_", "-"): name for name in VIEW_CONTROLS}
        opening = not versioned and not given.keys() - {*addressed, "show"}
        b_given = {name.removeprefix("b-"): given.pop(name) for name in list(given) if name.startswith("b-")}
        own: dict[str, Any] = {}
        for key, name in addressed.items():
            if key in given:
                own[name] = _coerce(name, given.pop(key), VIEW_CONTROLS[name], getattr(_OPENING, name), notes)
        if "show" in given:
            names = [n for n in given.pop("show").split(",") if n]
            notes += [f"{unknown('show', n, SHOWN)}; ignored" for n in names if n not in SHOWN]
            own["show"] = tuple(n for n in names if n in SHOWN)
        if opening:
            return View(**own), notes
        of_b: list[str] = []
        a = _overlay(Scene(), given, notes)
        b = _overlay(a, b_given, of_b)
        return View(a=a, b=b, **own), notes + [f"in B, {note}" for note in of_b]


VIEW_CONTROLS: dict[str, Choice | Range] = {
    "time": Range(0, 1, "the time on the clock"),
    "playback": Choice(("solver", "exact"), "whether the particles show the solver's states or the exact flow"),
    "layout": Choice(("page", "lecture"), "the ordinary page, or large and light for a projector"),
    "probe_x": Range(-100, 100, "where the probe stands, across"),
    "probe_y": Range(-100, 100, "and up"),
}


def _check(name: str, value: Any, control: Choice | Range) -> None:
    if isinstance(control, Choice):
        if value not in control.values:
            raise ValueError(unknown(name, value, control.values))
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or (name in WHOLE and value != int(value)):
        raise ValueError(f"{name}={value!r} must be a {'whole ' if name in WHOLE else ''}number ({control.about})")
    if not (control.least <= value <= control.most or value == control.off):  # NaN fails this too
        or_off = "" if control.off is None else f", or {control.off}"
        raise ValueError(f"{name}={value} must lie in {control.least} to {control.most}{or_off} ({control.about})")


def _differences(scene: Scene, base: Scene) -> dict[str, str]:
    found = {}
    for f in fields(Scene):
        value = getattr(scene, f.name)
        if f.name == "mixture":
            if value is not None and value != base.mixture:
                found["mixture"] = pack(value)
        elif value != getattr(base, f.name):
            found[f.name.replace("_", "-")] = repr(value) if isinstance(value, float) else str(value)
    return found


def _parse(query: str) -> tuple[dict[str, str], list[str]]:
    pairs = [(name.replace("_", "-"), text) for name, text in parse_qsl(query.lstrip("?"), keep_blank_values=True)]
    given = dict(pairs)
    notes = [f"{name} is given more than once; the last is used" for name in given if sum(name == other for other, _ in pairs) > 1]
    version = given.pop("v", str(VERSION))
    if version != str(VERSION):
        notes.append(f"v={version} is not a version that this lab knows ({VERSION}); what it does not know is ignored")
    return given, notes


def _overlay(base: Scene, given: dict[str, str], notes: list[str]) -> Scene:
    """`base` with the given texts laid over it; whatever cannot be used is clamped or dropped, and noted."""
    values: dict[str, Any] = {}
    for key, text in given.items():
        name = key.replace("-", "_")
        if name == "mixture":
            try:
                values["mixture"] = unpack(text)
            except ValueError as error:
                notes.append(f"mixture: {error}; ignored")
        elif name == "letters":
            values["letters"] = text
        elif name in CONTROLS:
            values[name] = _coerce(name, text, CONTROLS[name], getattr(base, name), notes)
        else:
            notes.append(f"{key} is not a name that a scene knows; ignored")
    settings = vars(base) | values
    if settings["target"] != CUSTOM:
        settings["mixture"] = None
        if "mixture" in values:
            notes.append(f"mixture belongs to target=custom, not to target={settings['target']}; ignored")
    while (found := unmet(settings, _USUAL)) is not None:
        settings[found.name] = found.cure
        notes.append(f"{found.why}; {found.name}={found.cure} is used")
    return Scene(**settings)


def _coerce(name: str, text: str, control: Choice | Range, default: Any, notes: list[str]) -> Any:
    """The value that a text stands for, clamped into the control's range; the default, with a note, where it stands for nothing."""
    if isinstance(control, Choice):
        if text in control.values:
            return text
        notes.append(f"{unknown(name, text, control.values)}; {default} is used")
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number != number:
        notes.append(f"{name}={text!r} is not a number; {default} is used")
        return default
    if number == control.off:
        clamped = number
    else:
        clamped = min(max(number, control.least), control.most)
    if name in WHOLE:
        clamped = int(clamped)
    if clamped != number:
        notes.append(
            f"{name}={text} must lie in {control.least} to {control.most}{' and be whole' if name in WHOLE else ''}; {clamped} is used"
        )
    return clamped


_OPENING = View()
