// The numbers under the stages: three that matter and the prior's own, what they mean on hover, the rest folded; and the sentence for screen readers.

const DEFINITIONS = {
  error: "Solver error (global truncation error): from the solver's end to the exact end of the same particle, root mean square; the reference is off by at most ",
  whole: "Solver and model together: from the end of the solver on the learned field to the exact end of the same particle, root mean square; the reference is off by at most ",
  wrong: "Particles whose end lies in another class than their exact end.",
  bending: "Bending (straightness): how far velocity departs from constant along the exact flow; 0 is straight. Compares couplings, not priors.",
  alone: "Prior alone: distance (W2) of the prior's own sample, no step taken, to fresh data; at the floor it cannot be told from them.",
  coupling: "Mean squared distance within the coupling's pairs. Cheap is not accurate.",
  flow: "Mean squared distance that the exact flow moves a particle.",
  w2: "Distance (W2) of the solver's ends to fresh data; below the floor, differences mean nothing.",
  efficiency: "Mean displacement over mean length of the way, 1 is straight; not shown where particles hardly move.",
  estimate: "Batch OT has no closed form; its field is fitted to 200,000 sampled pairs. Median distance of end points between two such fits, and the share that is further apart than a tenth of the target's spread.",
  acceleration: "Mean of |du/dt|^2 along the exact flow: what Euler's error follows.",
};

// Shows the present measures of both sides.
function showMeasures(page) {
  const { a, b } = page.session.sides, shown = page.session.shownMeasures(), { numbers } = page.dom;
  if (!shown) return;
  const ma = shown.a, mb = shown.b;
  const classes = Math.min(a.world.target.classCount, b.world.target.classCount);
  const floor = Math.max(ma.globalError.referenceError, mb.globalError.referenceError), proofA = page.python.a, proofB = page.python.b;
  const share = (v) => `${shortNumber(100 * v)} %`, ratio = ma.globalError.rmse > 1e-9 ? shortNumber(mb.globalError.rmse / ma.globalError.rmse) : "–";
  const card = (name, hover, left, right, extra) => make(
    "div", { class: "fl-card", title: hover }, make("h3", {}, explained(page, name, hover)),
    make("dl", {}, make("dt", {}, "A"), make("dd", { "data-number": `${name} A` }, left), make("dt", {}, "B"), make("dd", { "data-number": `${name} B` }, right), ...extra),
  );
  const more = [make("dt", {}, "B/A"), make("dd", {}, ratio)];
  const cards = [
    card(a.world.grid || b.world.grid ? "Error of all" : "Solver error", a.world.grid || b.world.grid ? DEFINITIONS.whole : DEFINITIONS.error + readable(floor), readable(ma.globalError.rmse), readable(mb.globalError.rmse), more),
    card("Wrong class", DEFINITIONS.wrong, classes > 1 ? share(ma.wrongClass) : "–", classes > 1 ? share(mb.wrongClass) : "–", []),
    card("Bending", DEFINITIONS.bending, readable(ma.straightness), readable(mb.straightness), []),
    page.number === "cost"
      ? card("Cost of pairs", DEFINITIONS.coupling, readable(ma.transportCost.coupling), readable(mb.transportCost.coupling), [])
      : card("Prior alone", DEFINITIONS.alone, proofA ? readable(proofA.prior_alone.value) : "…", proofB ? readable(proofB.prior_alone.value) : "…", [
        make("dt", {}, "floor"), make("dd", {}, proofA ? readable(proofA.prior_alone.floor) : "…"),
      ]),
  ];
  const opened = numbers.querySelector("details")?.open || false;
  numbers.replaceChildren(make("div", { class: "fl-cards" }, ...cards), moreNumbers(page, ma, mb, opened));
  showStatus(page, ma, mb);
  labelStages(page, ma, mb);
  if (!page.session.dragging) page.dom.said.textContent = `NFE ${page.dom.nfeWords.textContent.slice(4)}. Solver error A ${readable(ma.globalError.rmse)}, B ${readable(mb.globalError.rmse)}.`;
  showChart(page);
}

// A name that says what it means on hover, and when it is pressed: fingers and keys do not hover.
function explained(page, name, hover) {
  const button = make("button", { type: "button", class: "fl-explained", title: hover }, name);
  button.onclick = () => tell(page, `${name}: ${hover.replace(/^.*?: /, "")}`);
  return button;
}

// The folded table: everything else that is measured.
function moreNumbers(page, ma, mb, open) {
  const cell = (left, right, hover, name) => make("tr", { title: hover }, make("th", { scope: "row" }, explained(page, name, hover)), make("td", {}, left), make("td", {}, right));
  // Python's numbers are those of the exact field: of a learned one this distance is not known here.
  const distance = (name) => (page.session.sides[name].world.grid ? "–" : page.python[name] ? `${readable(page.python[name].w2.value)} (floor ${readable(page.python[name].w2.floor)})` : "…");
  const rows = [
    cell(readable(ma.globalError.median), readable(mb.globalError.median), "Median over particles of the solver error.", "Solver error, median"),
    cell(readable(ma.globalError.max), readable(mb.globalError.max), "The worst particle.", "Solver error, largest"),
    cell(readable(ma.transportCost.coupling), readable(mb.transportCost.coupling), DEFINITIONS.coupling, "Transport cost, pairs"),
    cell(readable(ma.transportCost.flow), readable(mb.transportCost.flow), DEFINITIONS.flow, "Transport cost, flow"),
    cell(readable(ma.pathEfficiency), readable(mb.pathEfficiency), DEFINITIONS.efficiency, "Path efficiency"),
    cell(readable(ma.acceleration), readable(mb.acceleration), DEFINITIONS.acceleration, "Acceleration"),
    cell(distance("a"), distance("b"), DEFINITIONS.w2, "W2 to fresh data"),
  ];
  const estimates = ["a", "b"].map((name) => page.session.sides[name].given.fitted?.estimate);
  if (estimates.some(Boolean)) {
    const words = (found) => (found ? `${readable(found.end_median)} (${shortNumber(100 * found.end_share_off)} % off)` : "–");
    rows.push(cell(words(estimates[0]), words(estimates[1]), DEFINITIONS.estimate, "Estimate: fit's own error"));
  }
  const table = make("table", {}, make("thead", {}, make("tr", {}, make("th", {}), make("th", { scope: "col" }, "A"), make("th", { scope: "col" }, "B"))), make("tbody", {}, ...rows));
  const details = make("details", { class: "fl-more" }, make("summary", {}, "All numbers"), table);
  details.open = open;
  return details;
}

// n, seed, counted evaluations, the reference's own error, and whether Python agrees.
function showStatus(page, ma, mb) {
  const { a, b } = page.session.sides, nfe = a.run.nfe === b.run.nfe ? `${a.run.nfe}` : `${a.run.nfe} and ${b.run.nfe}`;
  const counted = `n = ${Math.min(ma.n, mb.n).toLocaleString("en")}${ma.n < a.scene.count ? ` of ${a.scene.count.toLocaleString("en")} while you drag` : ""}, seed ${a.scene.seed}, ${nfe} evaluations counted`;
  const drawn = Math.min(a.run.n, b.run.n), fewer = drawn < a.scene.count ? `, ${drawn.toLocaleString("en")} drawn` : "";
  const proof = ["a", "b"].map((name) => page.python[name]);
  let agreed = "";
  if (proof.every(Boolean) && a.complete && b.complete && !a.world.grid && !b.world.grid) {
    const off = Math.max(...["a", "b"].map((name) => Math.abs(page.python[name].global_error.rmse - page.session.sides[name].measured.globalError.rmse)));
    agreed = `; Python's float64 numbers differ by ${shortNumber(off) === "0" ? "less than 1e-9" : shortNumber(off)}`;
  }
  page.dom.nfeWords.textContent = `NFE ${nfe}`;
  const estimates = ["a", "b"].map((name) => estimateWords(page, name)).filter(Boolean).map((words) => `; ${words}`).join("");
  page.dom.status.textContent = `${counted}${fewer}; reference off by at most ${readable(Math.max(ma.globalError.referenceError, mb.globalError.referenceError))}${estimates}${agreed}`;
}

// How far off a side's field is for being fitted to pairs, or for being put on a grid (known when its training has been measured); "" where it is exact.
function estimateWords(page, name) {
  const { world, given } = page.session.sides[name], side = name.toUpperCase();
  if (world.grid) {
    const grid = reportShown(page, name)?.shares.grid;
    return grid === undefined ? "" : `${side}'s grid moves ends by ${readable(grid)} (median)`;
  }
  return world.fitted && given.fitted ? `${side}'s field is fitted, ends off by ${readable(given.fitted.estimate.end_median)} (median)` : "";
}

// What differs between A and B, as chips.
function showDifferences(page) {
  nameTell(page);
  const { a, b } = page.session.view, names = differences(a, b).filter((name) => name !== "mixture" || a.target !== "custom");
  const { words } = page.setup, shown = (name, value) => (typeof value === "number" ? shortFixed(value) : words[name]?.[value] ?? String(value));
  page.dom.chips.replaceChildren(
    ...(names.length ? names.map((name) => make("span", { class: "fl-chip" }, make("b", {}, name.replaceAll("_", " ")), ` A ${shown(name, a[name])} · B ${shown(name, b[name])}`)) : [make("span", { class: "fl-chip" }, "A and B are the same scene")]),
  );
}

const VERIFY_AFTER = 1000; // ms at rest: whoever only pauses between two moves needs no check, and a small machine's cores for the next

// Python's float64 numbers of both scenes, a moment after rest; an answer to an older question is dropped.
function verifySoon(page) {
  const { session } = page, asked = (page.verifying = (page.verifying || 0) + 1);
  page.python = { a: null, b: null };
  clearTimeout(page.verifyTimer);
  page.verifyTimer = setTimeout(async () => {
    for (const name of ["a", "b"]) {
      try {
        const answer = await askServer("verify", { scene: session.view[name], request: asked });
        if (page.verifying !== asked) return;
        page.python[name] = answer;
      } catch (error) {
        if (page.verifying === asked) page.dom.status.textContent += `; Python's check of ${name.toUpperCase()} failed: ${error.message}`;
        return;
      }
    }
    showMeasures(page);
  }, VERIFY_AFTER);
}
