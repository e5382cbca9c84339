// Is it calibrated? Reliability diagrams and risk-coverage curves of the original and the best prompt, on test.

const calibrationChoice = { target: 0 };

function renderCalibration(view) {
  if (!view.targets.length) return [el("p", { class: "none" }, "Nothing has met the held-out rows yet.")];
  if (!view.targets.some((target) => target.diagrams.length)) {
    return [el("p", { class: "none" }, "There are no confidences to hold against the answers.")];
  }
  const host = el("div", { class: "rest" });
  const draw = () => host.replaceChildren(...calibrationParts(view.targets[calibrationChoice.target]));
  const pick = targetChoice(view, calibrationChoice, draw);
  draw();
  return [
    el(
      "p",
      { class: "note" },
      "A calibrated model that says 80 % is right 80 % of the time: its points lie on the diagonal. The error among its " +
        "surest answers falls to the left.",
    ),
    pick,
    host,
  ].flat();
}

const PARTS = { original: { symbol: "circle-open", dash: "dot" }, best: { symbol: "circle", dash: "solid" } };

function calibrationParts(target) {
  const { diagrams } = target;
  if (!diagrams.length) return [el("p", { class: "none" }, `${pairName(target)} has no confidences.`)];
  const errors = diagrams.map((one) => `${one.part} ${number(one.ece)}`).join(", ");
  const reliability = `Reliability: share of right answers by stated confidence; larger points stand for more rows. Expected calibration error: ${errors}.`;
  const half = (one) => (one.risk.find(([coverage]) => coverage >= 0.5) || one.risk.at(-1))[1];
  const risk = `Risk and coverage: error rate when only the surest share is answered. Among the surest half it is ${diagrams
    .map((one) => `${number(half(one))} (${one.part})`)
    .join(", ")}.`;
  const key = el(
    "ul",
    { class: "key" },
    el("li", { class: "of-original" }, "original"),
    el("li", { class: "of-best filled" }, "best"),
  );
  return [
    key,
    el(
      "div",
      { class: "pair" },
      plots.figure(reliability, () => reliabilityPlot(diagrams)),
      plots.figure(risk, () => riskPlot(diagrams)),
    ),
    ...diagrams.filter((one) => one.scaled).map((one) => el("p", { class: "note" }, scaledTold(one))),
    unfolding("The bins as a table", () => binTable(target)),
  ];
}

function scaledTold({ part, scaled }) {
  return (
    `Of the ${part} prompt: confidences scaled by a temperature of ${number(scaled.temperature, 2)}, fitted on ` +
    `${plural(scaled.fitted_on, "validation row")}, would have an error of ${number(scaled.scaled_ece)} instead of ${number(scaled.ece)}.`
  );
}

function binTable(target) {
  const columns = [{ title: "Confidence" }, { title: "Prompt" }, ...["Rows", "Mean confidence", "Accuracy", "Gap"].map((title) => ({ title, number: true }))];
  const rows = target.diagrams.flatMap((one) =>
    one.bins.map((bin) => [
      `${number(bin.low, 1)} to ${number(bin.high, 1)}`,
      one.part,
      count(bin.rows),
      number(bin.confidence),
      number(bin.accuracy),
      signed(bin.accuracy - bin.confidence),
    ]),
  );
  return table(`${pairName(target)}: bins of equal width`, columns, rows);
}

function square(x, y) {
  const shared = { range: [-0.03, 1.03], tickvals: [0, 0.25, 0.5, 0.75, 1], zeroline: false };
  return {
    height: 360,
    hovermode: "closest",
    xaxis: plots.axis({ ...shared, title: { text: x, font: { size: 12 } } }),
    yaxis: plots.axis({ ...shared, title: { text: y, font: { size: 12 }, standoff: 8 } }),
  };
}

function reliabilityPlot(diagrams) {
  const most = Math.max(...diagrams.flatMap((one) => one.bins.map((bin) => bin.rows)));
  const traces = diagrams.map((one) => ({
    x: one.bins.map((bin) => bin.confidence),
    y: one.bins.map((bin) => bin.accuracy),
    mode: "lines+markers",
    line: { color: theme.colour(one.part), width: 1.5, dash: PARTS[one.part].dash },
    marker: {
      symbol: PARTS[one.part].symbol,
      color: theme.colour(one.part),
      size: one.bins.map((bin) => 6 + 14 * Math.sqrt(bin.rows / most)),
      line: { width: 1.5, color: theme.colour(one.part) },
    },
    hovertext: one.bins.map((bin) => `${one.part}: ${plural(bin.rows, "row")}<br>confidence ${number(bin.confidence)}, right ${number(bin.accuracy)}`),
    hoverinfo: "text",
  }));
  const diagonal = { x: [0, 1], y: [0, 1], mode: "lines", line: { color: theme.colour("strong-line"), width: 1, dash: "dash" }, hoverinfo: "skip" };
  return { data: [diagonal, ...traces], layout: plots.layout(square("stated confidence", "share right")) };
}

function riskPlot(diagrams) {
  const traces = diagrams.map((one) => ({
    x: one.risk.map(([coverage]) => coverage),
    y: one.risk.map(([, risk]) => risk),
    mode: one.risk.length > 1 ? "lines" : "markers",
    line: { color: theme.colour(one.part), width: 2, dash: PARTS[one.part].dash },
    marker: { symbol: PARTS[one.part].symbol, color: theme.colour(one.part), size: 9, line: { width: 1.5, color: theme.colour(one.part) } },
    hovertext: one.risk.map(([coverage, risk]) => `${one.part}: the surest ${number(100 * coverage, 0)} %<br>error rate ${number(risk)}`),
    hoverinfo: "text",
  }));
  return { data: traces, layout: plots.layout(square("share answered, surest first", "error rate")) };
}
