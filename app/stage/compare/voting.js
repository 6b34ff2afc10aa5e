// Names hidden, panels shuffled, until a class has voted.

function hideNames(page) {
  const { order } = page;
  page.hidden = true;
  for (let i = order.length - 1; i > 0; i--) {
    const j = crypto.getRandomValues(new Uint32Array(1))[0] % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  page.votes = order.map(() => 0);
  page.wish = JSON.parse(JSON.stringify(page.results.wish)); // what is shown, not what was about to be chosen
  tell(page, "");
  showAll(page);
}

function voteHead(page, k, place) {
  const count = make("output", {}, votesInWords(page.votes[k])), vote = make("button", { type: "button", class: "fl-plain fl-vote", "aria-label": `Vote for ${place}` }, "Vote");
  vote.onclick = () => { page.votes[k] += 1; count.textContent = votesInWords(page.votes[k]); };
  return make("div", { class: "fl-panel-head" }, make("div", { class: "fl-panel-row" }, make("strong", { class: "fl-place" }, String(place)), vote, count));
}

// What failed names panels and models: during a vote it is told when the names are.
function tellFailure(page, words) {
  page.untold = page.hidden ? words : "";
  tell(page, page.hidden ? "Not all could be sampled; why is told with the names." : words);
}

function votesInWords(votes) {
  return votes === 1 ? "1 vote" : `${votes} votes`;
}

function revealNames(page) {
  page.hidden = false;
  const all = page.votes.reduce((sum, votes) => sum + votes, 0), said = page.order.map((k, i) => `${i + 1} was ${page.results.wish.panels[k].model.split("/")[1]} (${votesInWords(page.votes[k])})`).join("; ");
  showAll(page);
  tell(page, [all ? `${said}.` : `Nobody voted. ${said}.`, page.untold].filter(Boolean).join(" "));
  page.untold = "";
}
