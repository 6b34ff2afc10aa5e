"""The controls of the Explore page: Gradio's own sliders and radios, named as in toy.scene, whose moves go to the stage in the browser and to no server."""

from collections.abc import Callable
from typing import Any

import gradio as gr

# What a radio shows for each value; values are the ones of the command line and of links.
WORDS: dict[str, dict[str, str]] = {
    "target": {
        "ring-strips": "Ring of strips",
        "eight-gaussians": "Eight Gaussians",
        "vertical-strips": "Vertical strips",
        "two-modes": "Two modes",
        "bimodal": "Bimodal classes",
        "interleaved": "Interleaved",
        "rare-class": "Rare class",
        "moons": "Moons",
        "spiral": "Spiral",
        "pinwheel": "Pinwheel",
        "checkerboard": "Checkerboard",
        "squares": "Squares",
        "smiley": "Smiley",
        "digits": "Digits",
        "letters": "Letters",
        "custom": "Your own",
    },
    "sees": {"position": "position only", "class": "position and class"},
    "prior": {
        "gaussian": "N(0, I)",
        "conditional": "one Gaussian per class",
        "conditional-mixture": "several per class",
        "ring": "ring",
        "mirrored": "mirrored target",
    },
    "prior_covariance": {"none": "identity", "isotropic": "isotropic", "diagonal": "diagonal", "full": "full", "pooled": "pooled"},
    "coupling": {
        "independent": "independent",
        "component-ot": "component OT",
        "batch-ot": "batch OT",
        "class-batch-ot": "batch OT per class",
        "full-ot": "full OT",
    },
    "path": {"cond-ot": "CondOT (straight)", "cosine": "Cosine", "polynomial": "Polynomial", "vp": "VP (diffusion)", "ve": "VE"},
    "solver": {
        "euler": "Euler",
        "midpoint": "Midpoint",
        "heun": "Heun",
        "ralston": "Ralston",
        "kutta3": "Kutta 3",
        "rk4": "RK4",
        "rk4-38": "RK4 3/8",
        "ab2": "Adams-Bashforth 2",
        "ddim": "DDIM",
    },
    "grid": {"uniform": "uniform", "cosine": "cosine", "edm": "EDM", "shifted": "shifted", "snr": "signal to noise"},
    "playback": {"solver": "the solver's states", "exact": "the exact flow"},
    "show": {
        "density": "density",
        "field": "field",
        "contours": "regions",
        "pairs": "pairs",
        "traces": "traces",
        "particles": "particles",
        "ghosts": "ghosts",
        "probe": "probe",
        "rings": "A's ends on B",
    },
}


def choice(name: str, label: str, info: str | None = None) -> gr.Radio:
    """A radio for a named control."""
    return gr.Radio(
        [(words, value) for value, words in WORDS[name].items()], label=label, info=info, elem_id=f"control-{name}", interactive=True
    )


def number(name: str, label: str, least: float, most: float, step: float, info: str | None = None) -> gr.Slider:
    """A slider for a named control."""
    return gr.Slider(least, most, step=step, label=label, info=info, elem_id=f"control-{name}", interactive=True, buttons=[])


def main_controls() -> dict[str, Any]:
    """What is always in sight, in the order of attention."""
    return {
        "target": choice("target", "Target"),
        "sees": choice("sees", "Field sees"),
        "side": gr.Radio(["A", "B", "both"], label="Change", value="B", elem_id="control-side", interactive=True),
        "prior": choice("prior", "Prior"),
        "scale": number("scale", "Prior scale", 0.05, 3, 0.01),
        "solver": choice("solver", "Solver"),
        "nfe": number("nfe", "NFE", 1, 64, 1),
    }


def more_controls() -> dict[str, Any]:
    """What is folded away: the rest of a scene, and what is drawn."""
    return {
        "prior_mean": number("prior_mean", "Prior mean", 0, 1, 0.01, "0: the origin, 1: the class mean"),
        "prior_covariance": choice("prior_covariance", "Prior covariance"),
        "prior_components": number("prior_components", "Gaussians per class", 1, 8, 1),
        "coupling": choice("coupling", "Coupling"),
        "batch_size": number("batch_size", "OT batch", 1, 512, 1, "pairs in a batch; the fit takes some seconds"),
        "path": choice("path", "Path"),
        "sigma_min": number("sigma_min", "Sigma min", 0, 0.5, 0.01, "what CondOT leaves around the data"),
        "degree": number("degree", "Degree", 1, 6, 0.1, "of the polynomial path"),
        "grid": choice("grid", "Time grid"),
        "separation": number("separation", "Separation", 0.1, 3, 0.05, "how far apart the target's modes are"),
        "letters": gr.Textbox("FLOW", label="Letters", max_length=8, elem_id="control-letters", interactive=True),
        "count": number("count", "Particles", 100, 20_000, 100),
        "seed": gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**32 - 1, elem_id="control-seed", interactive=True),
        "playback": choice("playback", "Playback shows"),
        "show": gr.CheckboxGroup(
            [(words, value) for value, words in WORDS["show"].items()], label="Show", elem_id="control-show", interactive=True
        ),
    }


def wire(controls: dict[str, Any], stage: gr.HTML) -> None:
    """Moves of a control go to the stage; the stage sets controls through its own event `wish`. Neither sends a request."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    for name, control in controls.items():
        listen: Callable = control.input if not isinstance(control, gr.Textbox) else control.submit
        listen(None, [control], None, js=f"(value) => {{ window.explore?.control({name!r}, value); }}", **quiet)
        if isinstance(control, gr.Slider):
            control.release(None, [control], None, js="() => { window.explore?.released(); }", **quiet)
    stage.wish(None, None, list(controls.values()), js="() => window.explore.controlValues()", **quiet)  # type: ignore[attr-defined]  # its js_on_load names the event
