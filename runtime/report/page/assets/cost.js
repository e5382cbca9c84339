// What did it cost? Calls, tokens, money and time; by model and by role.

// What tokens cost, where a model that used some has a price.
function costOf(used) {
  return used.usd || !(used.prompt_tokens + used.completion_tokens) ? money(used.usd) : "no price";
}

// The few numbers that stand beside the conclusion.
function costTiles(view) {
  const { usage, progress } = view;
  if (usage) {
    return tileList([
      ["Calls", count(usage.calls + usage.replayed)],
      ...(usage.replayed ? [["Paid in this run", count(usage.calls)]] : []),
      ["Tokens", count(usage.prompt_tokens + usage.completion_tokens)],
      ["Cost", costOf(usage)],
      ["Time", duration(usage.seconds)],
    ]);
  }
  if (!progress) return null;
  const tiles = [
    ["Time so far", duration(progress.seconds)],
    ["Calls", count(progress.calls)],
    ["Calls per second", number(progress.rate, 1)],
    ["Time left", progress.left === null ? dash : `about ${duration(progress.left)}`],
    ["Retries", count(progress.retries)],
  ];
  for (const { name, spent, cap } of progress.spending) {
    if (cap !== null) tiles.push([`Budget: ${name === "usd" ? "USD" : name}`, name === "usd" ? `${money(spent)} of ${money(cap)}` : `${number(spent, name === "minutes" ? 1 : 0)} of ${count(cap)}`]);
  }
  const share = progress.share === null ? null : el("progress", { max: 1, value: progress.share, "aria-label": "Share of the run that is done" });
  const waits = [...progress.waits, ...progress.last_retries].map((said) => el("p", { class: "note" }, said));
  return el("div", { class: "rest" }, share, tileList(tiles), waits);
}

function renderCost(view) {
  const { usage } = view;
  if (!usage) return liveCost(view);
  const tiles = [
    ["Calls paid", count(usage.calls)],
    ["Replayed", count(usage.replayed)],
    ["Retries", count(usage.retries)],
    ["Failed", count(usage.failed)],
    ["Tokens", count(usage.prompt_tokens + usage.completion_tokens)],
    ["Cost", costOf(usage)],
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
      costOf(used),
      duration(used.seconds),
    ]);
  return [
    tileList(tiles),
    el("p", { class: "note" }, "This run only: a replayed call was paid for by an earlier one. Calls run at the same time, so the time in calls is more than the time that passed."),
    table("By model", [{ title: "Model" }, ...columns.slice(1)], rows(usage.by_model), { class: "stacked" }),
    table("By role", [{ title: "Role" }, ...columns.slice(1)], rows(usage.by_role), { class: "stacked" }),
  ];
}

function tileList(tiles) {
  return el("dl", { class: "tiles" }, tiles.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function liveCost(view) {
  const rows = Object.entries(view.answered).map(([model, [answered, failed]]) => [model, count(answered), count(failed)]);
  const columns = [{ title: "Model" }, { title: "Answers", number: true }, { title: "Failed calls", number: true }];
  return [costTiles(view), rows.length ? table("By target model", columns, rows) : null].filter(Boolean);
}
