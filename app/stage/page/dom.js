// What the page shows around its canvases, made once.

// The page's own parts inside `root`: stages, transport, numbers, chart, status. Returns them by name.
function buildStages(root) {
  const linked = buildLinked();
  const chips = make("div", { class: "fl-chips", role: "group", "aria-label": "What differs between A and B" });
  const tell = make("button", { type: "button", class: "fl-tell", id: "tell", title: "Key C" }, "Tell both fields the class");
  const top = make("div", { class: "fl-above" }, chips, tell);
  const numbers = make("div", { class: "fl-numbers" });
  const chartTabs = make("div", { class: "fl-tabs", role: "tablist", "aria-label": "Charts" }), chart = make("div", { class: "fl-chart", role: "tabpanel", id: "chart" });
  const status = make("p", { class: "fl-status", id: "status" }), said = make("p", { class: "fl-unseen", "aria-live": "polite", id: "said" });
  const message = make("div", { class: "fl-message", role: "status", id: "message", hidden: "" });
  const below = make("div", { class: "fl-below" }, make("div", { class: "fl-measures" }, numbers), make("section", { class: "fl-charts", "aria-label": "Charts" }, chartTabs, chart));
  root.replaceChildren(top, linked.stages, linked.transport, message, below, status, said);
  return { ...linked, root, chips, tell, numbers, chartTabs, chart, status, said, message };
}

// One sentence to the reader, until the next or until it is closed.
function tell(page, words) {
  const { message } = page.dom;
  message.replaceChildren(words, make("button", { type: "button", "aria-label": "Close the message" }, "×"));
  message.lastChild.onclick = () => { message.hidden = true; };
  message.hidden = !words;
}

function showCaption(page, words) {
  document.getElementById("caption").textContent = words;
}

// A dialog with a heading and content; it closes by its button, Escape or a click beside it. Returns the dialog.
function openDialog(title, ...content) {
  const close = make("button", { type: "button", class: "fl-close", "aria-label": "Close" }, "×"), heading = make("h2", {}, title);
  const dialog = make("dialog", { class: "fl-dialog", "aria-label": title }, make("div", { class: "fl-dialog-head" }, heading, close), ...content);
  document.body.append(dialog);
  close.onclick = () => dialog.close();
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.onclose = () => dialog.remove();
  dialog.showModal();
  return dialog;
}
