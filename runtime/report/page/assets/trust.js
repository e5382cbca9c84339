// Can I trust it? Problems of the run, baselines, rows, and the basis of the numbers.

function renderTrust(view) {
  const parts = [];
  if (view.problems.length) {
    parts.push(el("h3", {}, "Problems"), problemList(view));
  }
  if (view.targets.length) parts.push(baselines(view));
  if (Object.keys(view.splits).length) parts.push(splits(view));
  parts.push(basis(view));
  for (const target of view.targets) {
    if (Object.keys(target.more).length) parts.push(unfolding(`More about ${pairName(target)}`, () => further(target.more)));
  }
  if (Object.keys(view.more).length) parts.push(unfolding("More in results.json", () => further(view.more)));
  return parts;
}

function problemList(view) {
  return el("ul", { class: "problems" }, view.problems.map((problem) => el("li", {}, problem)));
}

function baselines(view) {
  const columns = [
    { title: "Target" },
    ...["Majority class", "Guessing", "Original accuracy", "Best accuracy", "Estimate when chosen", "Objective on test", "Selection bias", "Failed calls"].map(
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
    number(target.estimate),
    value(target, "objective", "best"),
    signed(target.selection_bias),
    count(target.failed),
  ]);
  return table("Baselines that do not read the question, and optimism from selection (selection bias: the estimate that chose the best prompt, minus its objective on test)", columns, rows, { class: "stacked" });
}

function splits(view) {
  const columns = [{ title: "Task" }, ...["Train", "Validation", "Test"].map((title) => ({ title, number: true }))];
  const rows = Object.entries(view.splits).map(([task, sizes]) => [task, ...sizes.map(count)]);
  return table("Rows: candidates are compared on train and validation rows together; test rows are used once, at the end", columns, rows);
}

function basis(view) {
  const corrected = view.targets.length > 1 ? "; the corrected p (Holm) accounts for the number of targets" : "";
  const when = view.started ? ` Run on ${view.started.slice(0, 10)}.` : "";
  return el(
    "p",
    { class: "note" },
    `Seed ${view.seed === null ? dash : view.seed}.${when} Intervals are 95 % bootstrap intervals; those of gains are ` +
      `paired, on the same rows for both prompts. p is the chance of a difference at least as large if the prompts were equal${corrected}. ` +
      "Differences in time and length are not tested. A reply that cannot be read counts as wrong; a call that failed is excluded.",
  );
}

function further(more) {
  return Object.entries(more).map(([key, text]) =>
    el("div", {}, el("p", { class: "meta" }, key), el("pre", { class: "text", tabindex: "0", "aria-label": key }, text)),
  );
}
