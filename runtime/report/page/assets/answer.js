// Did it work? The conclusion in words, one row a target, original against best as a plot, all metrics as a table.

const answerChoice = { metric: "objective", target: 0 };

const CONCLUSIONS = { better: "▲ better", worse: "▼ worse", unclear: "≈ not significant", kept: "= original kept" };

function conclusionChip(conclusion) {
  return el("span", { class: `chip ${conclusion}` }, CONCLUSIONS[conclusion]);
}

function renderAnswer(view) {
  const parts = [el("p", { class: "lead", id: "words" }, view.words)];
  if (view.status === "failed") parts.push(problemList(view));
  const cost = costTiles(view);
  if (view.targets.length) {
    const rest = el("div", { class: "rest" });
    const names = metricNames(view.targets);
    if (!names.some(([name]) => name === answerChoice.metric)) answerChoice.metric = names[0][0];
    const draw = () => rest.replaceChildren(gainFigure(view));
    draw();
    parts.push(
      overviewTable(view),
      definitions(view),
      cost || [],
      targetCards(view),
      el(
        "div",
        { class: "controls" },
        choice("Metric", names, answerChoice.metric, (value) => {
          answerChoice.metric = value;
          draw();
        }),
      ),
      rest,
      unfolding(`All metrics${view.targets.length > 1 ? " of each target" : ""}`, () => metricTables(view), { printed: true }),
    );
  }
  if (!view.targets.length && cost) parts.push(cost);
  return parts.flat();
}

// One row a target: accuracy and objective side by side, the gain with its interval, and what to do.
function overviewTable(view) {
  const columns = [
    { title: "Target" },
    { title: "Accuracy, original → best", number: true },
    { title: "Objective, original → best", number: true },
    { title: "Gain in objective (95 %)", number: true },
    { title: view.targets.length > 1 ? "p, corrected" : "p", number: true },
    { title: "Result" },
  ];
  const pair = (target, name) => {
    const metric = metricOf(target, name);
    return metric ? `${number(metric.baseline[0])} → ${number(metric.best[0])}` : dash;
  };
  const rows = view.targets.map((target) => {
    const metric = metricOf(target, "objective");
    const gain = metric && metric.gain;
    const p = gain && (view.targets.length > 1 ? gain.p_adjusted : gain.p);
    return [
      pairName(target),
      pair(target, "accuracy"),
      pair(target, "objective"),
      gain ? `${signed(gain.difference)} (${interval(gain.low, gain.high, signed) || dash})` : dash,
      probability(p),
      conclusionChip(target.conclusion),
    ];
  });
  const tested = [...new Set(view.targets.map((target) => target.rows))];
  const said = tested.length === 1 ? `on ${plural(tested[0], "held-out row")}${view.targets.length > 1 ? " each" : ""}` : "on held-out rows";
  const whole = () => table(`Original and best prompt ${said}`, columns, rows, { class: "stacked" });
  return rows.length > 20 ? unfolding(`${count(rows.length)} targets in a table`, whole) : whole();
}

function definitions(view) {
  const said = ["objective", "accuracy"].filter((name) => view.metrics[name]).map((name) => `${view.metrics[name].label}: ${view.metrics[name].formula}.`);
  return el("p", { class: "note" }, said.join(" "));
}

function metricNames(targets) {
  const names = new Map();
  for (const target of targets) for (const metric of target.metrics) names.set(metric.name, metric.label);
  return [...names];
}

function targetCards(view) {
  const many = view.targets.length > 6;
  const shared = view.targets.length > 1 ? view.targets[0].notes.filter((note) => view.targets.every((t) => t.notes.includes(note))) : [];
  const own = (target) => target.notes.filter((note) => !shared.includes(note));
  const card = (target) =>
    el(
      "article",
      { class: "card" },
      el("div", { class: "row" }, el("h3", {}, pairName(target)), conclusionChip(target.conclusion)),
      el("p", {}, target.words),
      el("p", {}, el("strong", {}, target.advice)),
      own(target).length ? el("ul", {}, own(target).map((note) => el("li", {}, note))) : null,
    );
  const cards = () => el("div", { class: "cards" }, view.targets.map(card));
  return [
    many ? unfolding(`${view.targets.length} targets in words`, cards) : cards(),
    ...shared.map((note) => el("p", { class: "note" }, `Every target: ${note}`)),
  ];
}

function metricOf(target, name) {
  return target.metrics.find((metric) => metric.name === name);
}

function gainFigure(view) {
  const shown = view.targets
    .map((target) => ({ target, metric: metricOf(target, answerChoice.metric) }))
    .filter((row) => row.metric);
  const { label: name, better, tested } = shown[0].metric;
  const clear = shown.filter(({ metric }) => significance(metric) === "better").length;
  const said = tested ? ` The gain is significant for ${clear} of ${plural(shown.length, "target")}.` : "";
  const words =
    `${name}${better === "lower" ? " (lower is better)" : ""} on held-out rows, original and best prompt, and ` +
    `the difference (best minus original) with its 95 % interval.${said}`;
  const key = el(
    "ul",
    { class: "key" },
    el("li", { class: "of-original" }, "original"),
    el("li", { class: "of-best filled" }, "best"),
  );
  return plots.figure(words, (width, narrow) => gainPlot(shown, width, narrow), { key, table: () => gainTable(shown, name) });
}

function significance(metric) {
  const gain = metric.gain;
  if (!gain || !metric.tested || gain.low === null || gain.high === null) return "unclear";
  const [low, high] = gain.better === "lower" ? [-gain.high, -gain.low] : [gain.low, gain.high];
  return low > 0 ? "better" : high < 0 ? "worse" : "unclear";
}

const gainOf = (metric) => (metric.gain ? [metric.gain.difference, metric.gain.low, metric.gain.high] : [null, null, null]);

function gainTable(shown, name) {
  const columns = [{ title: "Target" }, ...["Original", "Best", "Difference", "95 % interval"].map((title) => ({ title, number: true }))];
  const rows = shown.map(({ target, metric }) => {
    const [difference, low, high] = gainOf(metric);
    return [pairName(target), number(metric.baseline[0]), number(metric.best[0]), signed(difference), interval(low, high, signed) || dash];
  });
  return table(`${name} on held-out rows`, columns, rows);
}

// Scores on the left and gains on the right; one below the other where there is little room.
function gainPlot(shown, width, narrow) {
  const size = shown.length > 24 ? 11 : 13;
  const names = shown.map(({ target }) => pairName(target));
  const left = Math.min(narrow ? width * 0.4 : width * 0.3, plots.widest(names, size) + 12);
  const step = shown.length > 24 ? 17 : 36;
  const block = step * shown.length + 54;
  const panels = narrow
    ? [{ from: left, to: width - 14, top: 24, names: true }, { from: left, to: width - 14, top: 24 + block, names: true }]
    : [{ from: left, to: left + (width - left) * 0.58, top: 24, names: true }, { from: left + (width - left) * 0.66, to: width - 14, top: 24 }];
  const scores = rangeOf(shown.flatMap(({ metric }) => [...metric.baseline, ...metric.best]));
  const gains = rangeOf(shown.flatMap(({ metric }) => gainOf(metric)), { zero: true, least: 0.1 });
  const text = (part, target, [value, low, high]) => `${pairName(target)}\n${part} ${number(value)}${low === null ? "" : ` (${interval(low, high)})`}`;
  const side = (part, pick, at, y, filled) =>
    shown.map(({ target, metric }, i) => {
      const [value, low, high] = pick(metric);
      if (value === null) return null;
      const [row, colour] = [y(i), `var(--${part})`];
      const bar = low === null || high === null ? null : whisker(at(low), at(high), row, colour);
      return [bar, marker("circle", at(value), row, size > 11 ? 10 : 7, colour, filled, text(part, target, [value, low, high]))];
    });
  const drawn = panels.map((panel, which) => {
    const at = scale(which ? gains : scores, [panel.from, panel.to]);
    const bottom = panel.top + step * shown.length;
    const y = (i) => panel.top + step * (i + 0.5);
    const ticks = ticksOf(...(which ? gains : scores), 4);
    return [
      label(which ? "difference" : "score on test", panel.from, panel.top - 9, { class: "title" }),
      ticks.map((tick) => [
        svg("line", { x1: at(tick), x2: at(tick), y1: panel.top, y2: bottom, class: which && tick === 0 ? "axis" : "grid" }),
        label(short(tick), at(tick), bottom + 16, { "text-anchor": "middle" }),
      ]),
      panel.names ? names.map((name, i) => label(fitted(name, left - 10, size), left - 8, y(i) + 4, { "text-anchor": "end", style: `font-size: ${size}px` })) : null,
      which
        ? side("ink", gainOf, at, y, true)
        : [side("original", (metric) => metric.baseline, at, (i) => y(i) - 4, false), side("best", (metric) => metric.best, at, (i) => y(i) + 4, true)],
    ];
  });
  return canvas(width, (narrow ? 2 : 1) * block + 4, drawn);
}

function metricTables(view) {
  const host = el("div", { class: "rest" });
  const draw = () => {
    const target = view.targets[answerChoice.target] || view.targets[0];
    host.replaceChildren(metricTable(target, view.targets.length > 1), explanations(view, target));
  };
  draw();
  return [targetChoice(view, answerChoice, draw), host];
}

function explanations(view, target) {
  return unfolding("Definitions, and how the best prompt's numbers were computed", () =>
    el(
      "ul",
      { class: "notes" },
      target.metrics.map((metric) => {
        const known = view.metrics[metric.name];
        const said = [known && known.formula, metric.explained].filter(Boolean).join("; ");
        return said ? el("li", {}, `${metric.label}: ${said}`) : null;
      }),
    ),
  );
}

// A choice among targets, or nothing where there is one.
function targetChoice(view, state, change) {
  if (state.target >= view.targets.length) state.target = 0;
  if (view.targets.length < 2) return [];
  return el(
    "div",
    { class: "controls" },
    choice("Target", view.targets.map((target, i) => [i, pairName(target)]), state.target, (value) => {
      state.target = Number(value);
      change();
    }),
  );
}

function probability(p) {
  if (p === null || p === undefined) return dash;
  return p < 0.001 ? "< 0.001" : number(p);
}

function metricTable(target, several) {
  const measured = ([value, low, high]) => (low === null ? number(value) : `${number(value)} (${interval(low, high)})`);
  const rows = target.metrics.map((metric) => {
    const gain = metric.gain;
    const found = significance(metric);
    return [
      metric.better === "lower" ? `${metric.label} ↓` : metric.label,
      measured(metric.baseline),
      measured(metric.best),
      { text: gain ? signed(gain.difference) : dash, class: found === "unclear" ? "" : found },
      gain ? interval(gain.low, gain.high, signed) || dash : dash,
      metric.tested ? probability(gain && gain.p) : "not tested",
      ...(several ? [metric.tested ? probability(gain && gain.p_adjusted) : dash] : []),
    ];
  });
  const columns = [
    { title: "Metric" },
    { title: "Original (95 %)", number: true },
    { title: "Best (95 %)", number: true },
    { title: "Difference", number: true },
    { title: "95 % interval", number: true },
    { title: "p", number: true },
    ...(several ? [{ title: "p, corrected", number: true }] : []),
  ];
  return table(`${pairName(target)}: ${plural(target.rows, "held-out row")}; ↓ lower is better`, columns, rows, { class: "stacked" });
}
