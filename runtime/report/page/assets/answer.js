// Did it work? The answer in words, original against best per target as a plot, all metrics as a table.

const answerChoice = { metric: "objective", target: 0 };

const VERDICTS = { better: "▲ better", worse: "▼ worse", unclear: "≈ unclear", kept: "= original kept" };

function verdictChip(verdict) {
  return el("span", { class: `chip ${verdict}` }, VERDICTS[verdict]);
}

function renderAnswer(view) {
  const parts = [el("p", { class: "lead", id: "words" }, view.words)];
  if (view.targets.length) {
    const rest = el("div", { class: "rest" });
    const names = metricNames(view.targets);
    if (!names.some(([name]) => name === answerChoice.metric)) answerChoice.metric = names[0][0];
    const draw = () => rest.replaceChildren(gainFigure(view));
    draw();
    parts.push(
      el(
        "div",
        { class: "controls" },
        choice("Metric", names, answerChoice.metric, (value) => {
          answerChoice.metric = value;
          draw();
        }),
      ),
      rest,
      targetCards(view),
      unfolding(`All metrics${view.targets.length > 1 ? ", target by target" : ""}`, () => metricTables(view)),
    );
  }
  return parts.flat();
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
      el("div", { class: "row" }, el("h3", {}, pairName(target)), verdictChip(target.verdict)),
      el("p", {}, target.words),
      own(target).length ? el("ul", {}, own(target).map((note) => el("li", {}, note))) : null,
    );
  const cards = () => el("div", { class: "cards" }, view.targets.map(card));
  return [
    many ? unfolding(`${view.targets.length} targets in words`, cards) : cards(),
    ...shared.map((note) => el("p", { class: "note" }, `Of every target: ${note}`)),
  ];
}

function metricOf(target, name) {
  return target.metrics.find((metric) => metric.name === name);
}

function gainFigure(view) {
  const shown = view.targets
    .map((target) => ({ target, metric: metricOf(target, answerChoice.metric) }))
    .filter((row) => row.metric);
  const { label, better } = shown[0].metric;
  const clearly = shown.filter(({ metric }) => clearGain(metric) === "better").length;
  const words =
    `${label}${better === "lower" ? " (lower is better)" : ""} on held-out rows, original and best prompt, and ` +
    `the gain with its 95 % interval. The gain is clear of zero for ${clearly} of ${plural(shown.length, "target")}.`;
  const key = el(
    "ul",
    { class: "key" },
    el("li", { class: "of-original" }, "original"),
    el("li", { class: "of-best filled" }, "best"),
  );
  return plots.figure(words, (narrow) => gainPlot(shown, narrow), key);
}

function clearGain(metric) {
  const gain = metric.gain;
  if (!gain || gain.low === null || gain.high === null) return "unclear";
  const [low, high] = gain.better === "lower" ? [-gain.high, -gain.low] : [gain.low, gain.high];
  return low > 0 ? "better" : high < 0 ? "worse" : "unclear";
}

function gainPlot(shown, narrow) {
  const rows = shown.map((_, i) => shown.length - 1 - i);
  const error = (pick) => ({
    type: "data",
    symmetric: false,
    array: shown.map(({ metric }) => spread(pick(metric), 2)),
    arrayminus: shown.map(({ metric }) => spread(pick(metric), 1)),
    thickness: 1.5,
    width: 0,
  });
  const hover = (part, pick) =>
    shown.map(({ target, metric }) => {
      const [value, low, high] = pick(metric);
      return `<b>${plain(pairName(target))}</b><br>${part} ${number(value)}${low === null ? "" : ` (${interval(low, high)})`}`;
    });
  const side = (part, pick, symbol, offset) => ({
    x: shown.map(({ metric }) => pick(metric)[0]),
    y: rows.map((row) => row + offset),
    mode: "markers",
    error_x: { ...error(pick), color: theme.colour(part) },
    marker: { size: shown.length > 24 ? 7 : 10, symbol, color: theme.colour(part), line: { width: 2, color: theme.colour(part) } },
    hovertext: hover(part, pick),
    hoverinfo: "text",
  });
  const gain = (metric) => (metric.gain ? [metric.gain.difference, metric.gain.low, metric.gain.high] : [null, null, null]);
  const gains = {
    ...side("best", gain, "square", 0),
    xaxis: "x2",
    yaxis: "y2",
    hovertext: hover("gain", gain),
  };
  gains.error_x.color = gains.marker.color = gains.marker.line.color = theme.colour("ink");
  gains.marker.size = 8;
  const reach = Math.max(...shown.flatMap(({ metric }) => gain(metric).map((value) => Math.abs(value || 0))));
  const unmoved = reach < 0.005 ? { range: [-0.05, 0.05] } : {};
  const size = shown.length > 24 ? 11 : 13;
  const texts = shown.map(({ target }) => plain(pairName(target), narrow ? 18 : 26, 3));
  const names = { tickvals: rows, ticktext: texts, tickfont: { size } };
  const range = [-0.6, shown.length - 0.4];
  const height = (shown.length > 24 ? 17 : 40) * shown.length + 70;
  const title = (text, x, y) => ({ text, x, y, xref: "paper", yref: "paper", showarrow: false, xanchor: "left", yanchor: "bottom", font: { size: 12, color: theme.colour("muted") } });
  const gap = 32 / (2 * height - 56);
  const domains = narrow
    ? [[0, 1], [0.5 + gap, 1], [0, 1], [0, 0.5 - gap]]
    : [[0, 0.56], [0, 1], [0.62, 1], [0, 1]];
  return {
    data: [
      side("original", (metric) => metric.baseline, "circle-open", 0.1),
      side("best", (metric) => metric.best, "circle", -0.1),
      gains,
    ],
    layout: plots.layout({
      height: narrow ? 2 * height : height,
      margin: { l: plots.widest(texts, size) + 14, r: 12, t: 26, b: 30 },
      xaxis: plots.axis({ domain: domains[0] }),
      yaxis: plots.axis({ domain: domains[1], range, ...names, showgrid: false, zeroline: false }),
      xaxis2: plots.axis({ domain: domains[2], anchor: "y2", zerolinewidth: 1.5, tickformat: ".2~f", rangemode: "tozero", ...unmoved }),
      yaxis2: plots.axis({ domain: domains[3], anchor: "x2", range, ...names, showticklabels: narrow, showgrid: false, zeroline: false }),
      annotations: [title("score on test", domains[0][0], domains[1][1]), title("gain, best minus original", domains[2][0], domains[3][1])],
    }),
  };
}

function spread([value, low, high], side) {
  if (value === null || low === null || high === null) return 0;
  return Math.max(0, side === 1 ? value - low : high - value);
}

function metricTables(view) {
  const host = el("div", { class: "rest" });
  const draw = () => {
    const target = view.targets[answerChoice.target] || view.targets[0];
    host.replaceChildren(metricTable(target), explanations(target));
  };
  draw();
  return [targetChoice(view, answerChoice, draw), host];
}

function explanations(target) {
  const explained = target.metrics.filter((metric) => metric.explained);
  return unfolding("How the best prompt's numbers came about", () =>
    el("ul", { class: "notes" }, explained.map((metric) => el("li", {}, `${metric.label}: ${metric.explained}`))),
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

function metricTable(target) {
  const measured = ([value, low, high]) => (low === null ? number(value) : `${number(value)} (${interval(low, high)})`);
  const rows = target.metrics.map((metric) => {
    const gain = metric.gain;
    const verdict = clearGain(metric);
    return [
      metric.better === "lower" ? `${metric.label}, lower is better` : metric.label,
      measured(metric.baseline),
      measured(metric.best),
      { text: gain ? signed(gain.difference) : dash, class: verdict === "unclear" ? "" : verdict },
      gain ? interval(gain.low, gain.high, signed) || dash : dash,
      probability(gain && gain.p),
      probability(gain && gain.p_adjusted),
    ];
  });
  const columns = [
    { title: "Metric" },
    { title: "Original (95 %)", number: true },
    { title: "Best (95 %)", number: true },
    { title: "Difference", number: true },
    { title: "95 % interval", number: true },
    { title: "p", number: true },
    { title: "p, corrected", number: true },
  ];
  return table(`${pairName(target)}: ${plural(target.rows, "held-out row")}`, columns, rows, { class: "stacked" });
}
