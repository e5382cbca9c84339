// What did it cost? Calls, tokens, money and time; by model and by role.

function renderCost(view) {
  const { usage } = view;
  if (!usage) return liveCost(view);
  const tiles = [
    ["Calls paid", count(usage.calls)],
    ["Replayed", count(usage.replayed)],
    ["Retries", count(usage.retries)],
    ["Failed", count(usage.failed)],
    ["Tokens", count(usage.prompt_tokens + usage.completion_tokens)],
    ["Cost", money(usage.usd)],
    ["Time", duration(usage.seconds)],
  ];
  const columns = [
    { title: "" },
    ...["Calls", "Replayed", "Retries", "Failed", "Prompt tokens", "Completion tokens", "Cost", "Time in calls"].map((title) => ({ title, number: true })),
  ];
  const rows = (parts) =>
    Object.entries(parts).map(([name, used]) => [
      name,
      ...[used.calls, used.replayed, used.retries, used.failed, used.prompt_tokens, used.completion_tokens].map(count),
      money(used.usd),
      duration(used.seconds),
    ]);
  return [
    tileList(tiles),
    el("p", { class: "note" }, "Of the last invocation: a replayed call was paid for in an earlier one. Calls run at once, so the time in calls is more than the time that passed."),
    table("By model", [{ title: "Model" }, ...columns.slice(1)], rows(usage.by_model)),
    table("By role", [{ title: "Role" }, ...columns.slice(1)], rows(usage.by_role)),
  ];
}

function tileList(tiles) {
  return el("dl", { class: "tiles" }, tiles.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function liveCost(view) {
  const last = view.steps.filter((step) => step.calls !== null).sort((a, b) => a.calls - b.calls).at(-1);
  const tiles = [["Time so far", duration(view.seconds)]];
  if (last) tiles.push(["Calls", count(last.calls)], ["Tokens", count(last.tokens)], ["Cost", money(last.usd)]);
  const rows = Object.entries(view.answered).map(([model, [answered, failed]]) => [model, count(answered), count(failed)]);
  const columns = [{ title: "Model" }, { title: "Answers", number: true }, { title: "Failed calls", number: true }];
  return [tileList(tiles), last ? el("p", { class: "note" }, "Calls, tokens and cost as of the end of the last step.") : null, rows.length ? table("By target model", columns, rows) : null].filter(Boolean);
}
