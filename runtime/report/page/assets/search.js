// How did the search go? The leader's estimate over calls, every candidate by the rows it answered, how many rose
// to each rung, and what one search offered another.

const searchChoice = { scope: null };

function renderSearch(view) {
  if (!view.searches.length) return [el("p", { class: "none" }, "The search has not begun.")];
  const first = Math.max(0, view.searches.findIndex((search) => search.stage === "target"));
  const chosen = () => (searchChoice.scope in view.searches ? searchChoice.scope : first);
  const host = el("div", { class: "rest" });
  const draw = () => host.replaceChildren(...searchParts(view, chosen()).flat());
  draw();
  const pick =
    view.searches.length > 1
      ? el(
          "div",
          { class: "controls" },
          choice("Search", view.searches.map((search, i) => [i, search.name]), chosen(), (value) => {
            searchChoice.scope = Number(value);
            draw();
          }),
        )
      : [];
  const shared = view.offers.length || view.likeness.length ? [offerTable(view), likenessTable(view)] : [];
  return [overallSearches(view), pick, host, shared].flat().filter(Boolean);
}

function callsOf(search) {
  return search.allotted === null ? count(search.calls) : `${count(search.calls)} of ${count(search.allotted)}`;
}

function overallSearches(view) {
  const columns = [
    { title: "Search" },
    ...["Candidates", "On all rows", "Calls", view.targets.length ? "Estimate when chosen" : "Best estimate"].map((title) => ({ title, number: true })),
    { title: "Its rows" },
    { title: "Stopped" },
  ];
  const rows = view.searches.map((search) => [
    search.name,
    count(search.candidates),
    count(search.finished),
    callsOf(search),
    number(search.objective),
    search.rungs.length ? `${count(search.rows)} of ${count(search.rungs.at(-1))}` : dash,
    search.reason || "running",
  ]);
  return table("Searches: candidates are compared on few rows first; only the best answer more", columns, rows, { class: "stacked" });
}

function ofSearch(columns, index) {
  const names = Object.keys(columns).filter((name) => name !== "search");
  return columns.search.flatMap((owner, i) => (owner === index ? [Object.fromEntries(names.map((name) => [name, columns[name][i]]))] : []));
}

function searchParts(view, index) {
  const search = view.searches[index];
  const estimates = ofSearch(view.estimates, index);
  const leaders = ofSearch(view.leaders, index);
  if (!estimates.length) return [el("p", { class: "none" }, "No candidate has been scored yet.")];
  const refused = Object.entries(search.refused).map(([reason, n]) => `${count(n)} ${reason}`);
  const said =
    `${search.name}: ${plural(search.candidates, "prompt")} scored, ${count(search.finished)} of them on all ${plural(search.rungs.at(-1) || 0, "search row")}` +
    `${refused.length ? `; candidates refused: ${refused.join(", ")}` : ""}.${search.reason ? ` Stopped: ${search.reason}.` : ""}`;
  return [
    leaders.length ? leaderFigure(view, search, leaders) : null,
    el("div", { class: "pair" }, estimateFigure(view, search, estimates), rungFigure(search)),
    el("p", { class: "note" }, said),
    search.notes.length
      ? unfolding("Notes of the reference LLM", () => el("ul", { class: "notes" }, search.notes.map((note) => el("li", { class: "text" }, note))))
      : null,
  ].filter(Boolean);
}

function leaderFigure(view, search, leaders) {
  const words =
    `Estimated objective of the best prompt so far over the calls of the search ${search.name}: ${number(leaders[0].objective)} at ` +
    `${plural(leaders[0].calls, "call")}, ${number(leaders.at(-1).objective)} at ${plural(leaders.at(-1).calls, "call")}. ` +
    "An estimate falls when a prompt that did well on few rows does less well on more.";
  const known = leaders.filter((one) => one.objective !== null);
  const last = Math.max(search.calls, known.length ? known.at(-1).calls : 0);
  const points = known.map((one) => ({
    x: one.calls,
    y: one.objective,
    text: `${number(one.objective)} from ${plural(one.rows, "row")}, at ${plural(one.calls, "call")}\n${excerpt(view.prompts[one.prompt].text, 300)}`,
  }));
  if (points.length) points.push({ ...points.at(-1), x: last });
  const make = (width) =>
    chart(width, 280, {
      x: { range: [0, last || 1], label: "calls of this search" },
      y: { range: rangeOf(known.map((one) => one.objective), { bounds: [0, 1] }), label: "objective (estimate)" },
      series: [{ points, line: true, steps: true, filled: true, size: 6, colour: "var(--best)" }],
    });
  const rows = () =>
    table(
      "The best prompt so far",
      [{ title: "Prompt" }, ...["Calls", "Rows", "Objective (estimate)"].map((title) => ({ title, number: true }))],
      leaders.map((one) => [promptName(view, one.prompt, 60), count(one.calls), count(one.rows), number(one.objective)]),
    );
  return plots.figure(words, make, { table: rows });
}

function estimateFigure(view, search, estimates) {
  const most = search.rungs.at(-1) || 0;
  const known = estimates.filter((one) => one.objective !== null);
  const values = known.map((one) => one.objective);
  const words = `Every candidate by the search rows it answered (of ${count(most)}): ${plural(known.length, "estimate")} from ${number(Math.min(...values))} to ${number(Math.max(...values))}. Those on fewer rows are less certain.`;
  const mark = (fits, look) => ({
    points: known.filter(fits).map((one) => ({
      x: one.rows,
      y: one.objective,
      text: `${number(one.objective)} from ${plural(one.rows, "row")}, ${view.prompts[one.prompt].origin}\n${excerpt(view.prompts[one.prompt].text, 300)}`,
    })),
    ...look,
  });
  const make = (width) =>
    chart(width, 300, {
      x: { range: rangeOf([0, most], { least: 1 }), ticks: search.rungs.filter((rung, i, all) => width > 420 || i === all.length - 1 || i % 2 === 0), label: "search rows answered" },
      y: { range: rangeOf(values, { bounds: [-0.02, 1.02] }), label: "objective (estimate)" },
      series: [
        mark((one) => one.rows < most && one.prompt !== search.leader, { size: 6, colour: "var(--strong-line)" }),
        mark((one) => one.rows >= most && one.prompt !== search.leader, { size: 8, filled: true, colour: "var(--finished)" }),
        mark((one) => one.prompt === search.leader, { size: 9, shape: "diamond", filled: true, colour: "var(--best)" }),
      ],
    });
  const key = el(
    "ul",
    { class: "key" },
    el("li", { class: "small" }, "some rows"),
    el("li", { class: "of-finished filled" }, "all rows"),
    el("li", { class: "of-best diamond filled" }, search.reason ? "chosen" : "best so far"),
  );
  const sorted = [...estimates].sort((a, b) => b.rows - a.rows || (b.objective || 0) - (a.objective || 0));
  const rows = () =>
    table(
      "Candidates",
      [{ title: "Prompt" }, { title: "Origin" }, { title: "Rows", number: true }, { title: "Objective", number: true }, { title: "" }],
      sorted.slice(0, 200).map((one) => [
        promptName(view, one.prompt, 60),
        view.prompts[one.prompt].origin,
        `${count(one.rows)} of ${count(most)}`,
        number(one.objective),
        one.rows < most ? "estimate" : "all rows",
      ]),
    );
  return plots.figure(words, make, { key, table: rows });
}

function rungFigure(search) {
  const words = `Candidates that answered at least so many search rows: ${search.rungs.map((rung, i) => `${count(search.risen[i])} at ${count(rung)}`).join(", ")}.`;
  const make = (width) =>
    chart(width, 300, {
      x: { range: [-0.6, search.rungs.length - 0.4], ticks: search.rungs.map((_, i) => i), format: (i) => count(search.rungs[i]), label: "search rows (rungs)" },
      y: { range: [0, Math.max(1, ...search.risen) * 1.05], label: "candidates" },
      series: [
        {
          points: search.risen.map((n, i) => ({ x: i, y: n, text: `${plural(n, "candidate")} with at least ${plural(search.rungs[i], "row")}` })),
          bars: Math.min(48, (width - 90) / Math.max(1, search.rungs.length) / 1.8),
          colour: "var(--best)",
        },
      ],
    });
  const rows = () => table("Candidates by rung", [{ title: "Rows" }, { title: "Candidates", number: true }], search.rungs.map((rung, i) => [count(rung), count(search.risen[i])]));
  return plots.figure(words, make, { table: rows });
}

function offerTable(view) {
  if (!view.offers.length) return null;
  const columns = [{ title: "Prompt" }, { title: "From" }, { title: "Tried in" }, { title: "Rows", number: true }, { title: "Estimate", number: true }, { title: "" }];
  const shown = view.offers.slice(0, 60);
  const rows = shown.map((offer) => [
    promptName(view, offer.prompt, 50),
    offer.sources.join(", "),
    offer.search,
    count(offer.rows),
    number(offer.objective),
    offer.chosen ? "chosen" : offer.objective === null ? "not tried" : "",
  ]);
  const chosen = view.offers.filter((offer) => offer.chosen).length;
  const cut = view.offers.length > shown.length ? `; the first ${shown.length} are shown` : "";
  return el(
    "div",
    { class: "rest" },
    el("h3", {}, "Prompts offered from one search to another"),
    table(`${plural(view.offers.length, "offer")}, ${chosen} chosen in the end${cut}`, columns, rows, { class: "stacked" }),
  );
}

function likenessTable(view) {
  if (!view.likeness.length) return null;
  const names = new Map(view.searches.map((search) => [search.scope, search.name]));
  const name = (scope) => names.get(scope) || scope;
  const rows = view.likeness.map((one) => [one.scopes.map(name).join(" and "), count(one.prompts), one.correlation === null ? "too few prompts" : number(one.correlation, 2)]);
  return table(
    "Likeness: rank correlation of the prompts that two searches both scored (1: what is good in one is good in the other)",
    [{ title: "Searches" }, { title: "Prompts in both", number: true }, { title: "Correlation", number: true }],
    rows,
  );
}
