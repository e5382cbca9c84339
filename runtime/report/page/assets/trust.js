// Can I trust it? Baselines, rows, searches, and problems of the run.

function renderTrust(view) {
  const parts = [];
  if (view.problems.length) {
    parts.push(el("h3", {}, "Problems"), el("ul", { class: "problems" }, view.problems.map((problem) => el("li", {}, problem))));
  }
  if (view.targets.length) parts.push(baselines(view));
  if (Object.keys(view.splits).length) parts.push(splits(view));
  if (view.searches.length) parts.push(endings(view));
  parts.push(basis(view));
  for (const target of view.targets) {
    if (Object.keys(target.more).length) parts.push(unfolding(`More about ${pairName(target)}`, () => further(target.more)));
  }
  if (Object.keys(view.more).length) parts.push(unfolding("More in results.json", () => further(view.more)));
  return parts;
}

function baselines(view) {
  const columns = [
    { title: "Target" },
    ...["Majority class", "Guessing", "Original accuracy", "Best accuracy", "Objective on search rows", "Objective on test", "Selection bias", "Failed calls"].map(
      (title) => ({ title, number: true }),
    ),
  ];
  const value = (target, name, part) => {
    const metric = metricOf(target, name);
    return number(metric ? metric[part][0] : null);
  };
  const rows = view.targets.map((target) => [
    pairName(target),
    number(target.majority),
    number(target.random),
    value(target, "accuracy", "baseline"),
    value(target, "accuracy", "best"),
    number(target.search),
    value(target, "objective", "best"),
    signed(target.selection_bias),
    count(target.failed),
  ]);
  return table("Baselines that do not read the question, and optimism from selection (search rows minus test)", columns, rows);
}

function splits(view) {
  const columns = [{ title: "Task" }, ...["Train", "Validation", "Test"].map((title) => ({ title, number: true }))];
  const rows = Object.entries(view.splits).map(([task, sizes]) => [task, ...sizes.map(count)]);
  return table("Rows: candidates are compared on train and validation rows together; test rows are used once, at the end", columns, rows);
}

function endings(view) {
  const columns = [
    { title: "Search" },
    { title: "Prompts scored", number: true },
    { title: "on all rows", number: true },
    { title: "Calls", number: true },
    { title: "Refused" },
    { title: "Stopped" },
  ];
  const rows = view.searches.map((search) => [
    search.name,
    count(search.candidates),
    count(search.finished),
    callsOf(search),
    Object.entries(search.refused).map(([reason, n]) => `${count(n)} ${reason}`).join(", ") || dash,
    search.reason || "not yet",
  ]);
  return table("Searches", columns, rows, { class: "stacked" });
}

function basis(view) {
  const when = view.started ? ` Run on ${view.started.slice(0, 10)}.` : "";
  return el(
    "p",
    { class: "note" },
    `Seed ${view.seed === null ? dash : view.seed}.${when} Intervals are 95 % bootstrap intervals; those of gains are ` +
      "paired, on the same rows for both prompts. p is the chance of a difference at least as large if the prompts were equal; the corrected p (Holm) allows " +
      "for all targets of the run. Differences in time and length are not tested. A reply that cannot be read counts as wrong; a call that failed is excluded.",
  );
}

function further(more) {
  return Object.entries(more).map(([key, text]) =>
    el("div", {}, el("p", { class: "meta" }, key), el("pre", { class: "text", tabindex: "0", "aria-label": key }, text)),
  );
}
