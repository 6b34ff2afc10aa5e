// The elements that two linked stages consist of: canvases, Play, Time, and evaluations.

// An element with attributes and children (elements or text).
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Both stages with Play, Time and a stepper of evaluations under them: { a, b: { canvas, figure }, stages, transport, play, time, timeWords, fewer, more, nfeWords }.
function buildLinked() {
  const stage = (name) => {
    const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": `Stage ${name}`, id: `stage-${name.toLowerCase()}` });
    return { canvas, figure: make("figure", { class: "fl-stage" }, canvas) };
  };
  const a = stage("A"), b = stage("B");
  const play = make("button", { type: "button", class: "fl-play", id: "play" }, "Play");
  const time = make("input", { type: "range", min: "0", max: "1", step: "0.001", value: "1", "aria-label": "Time", class: "fl-time", id: "time" });
  const timeWords = make("output", { class: "fl-time-words", for: "time" }, "t = 1.00");
  const fewer = make("button", { type: "button", "aria-label": "Step evaluations down" }, "−"), more = make("button", { type: "button", "aria-label": "Step evaluations up" }, "+"), nfeWords = make("output", {}, "");
  const stages = make("div", { class: "fl-stages" }, a.figure, b.figure);
  const transport = make("div", { class: "fl-transport" }, play, time, timeWords, make("div", { class: "fl-nfe", role: "group", "aria-label": "Evaluations" }, fewer, nfeWords, more));
  return { a, b, stages, transport, play, time, timeWords, fewer, more, nfeWords };
}
