// Is it calibrated? Reliability diagrams and risk-coverage curves of the original and the best prompt, on test.

const calibrationChoice = { target: 0 };

function renderCalibration(view) {
  if (!view.targets.length) return [el("p", { class: "none" }, "Not tested yet.")];
  if (!view.targets.some((target) => target.diagrams.length)) {
    return [el("p", { class: "none" }, "The responses carry no confidences to compare with the answers.")];
  }
  const host = el("div", { class: "rest" });
  const draw = () => host.replaceChildren(...calibrationParts(view.targets[calibrationChoice.target]));
  const pick = targetChoice(view, calibrationChoice, draw);
  draw();
  return [
    el(
      "p",
      { class: "note" },
      "A calibrated model that says 80 % is right 80 % of the time: its points lie on the diagonal. A useful confidence has " +
        "a lower error rate among its most confident answers.",
    ),
    pick,
    host,
  ].flat();
}

function calibrationParts(target) {
  const { diagrams } = target;
  if (!diagrams.length) return [el("p", { class: "none" }, `${pairName(target)} has no confidences.`)];
  const errors = diagrams.map((one) => `${one.part} ${number(one.ece)}`).join(", ");
  const reliability = `Reliability: accuracy by stated confidence; larger points stand for more rows. Expected calibration error: ${errors}.`;
  const half = (one) => (one.risk.find(([coverage]) => coverage >= 0.5) || one.risk.at(-1))[1];
  const risk = `Risk and coverage: error rate when only the most confident share is answered. Among the most confident half it is ${diagrams
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
      plots.figure(reliability, (width) => reliabilityPlot(diagrams, width), { table: () => binTable(target) }),
      plots.figure(risk, (width) => riskPlot(diagrams, width), { table: () => riskTable(target) }),
    ),
    ...diagrams.filter((one) => one.scaled).map((one) => el("p", { class: "note" }, scalingWords(one))),
  ];
}

function scalingWords({ part, scaled }) {
  return (
    `The ${part} prompt: confidences scaled by a temperature of ${number(scaled.temperature, 2)}, fitted on ` +
    `${plural(scaled.fitted_on, "search row")}, would have an error of ${number(scaled.scaled_ece)} instead of ${number(scaled.ece)}.`
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

function riskTable(target) {
  const columns = [{ title: "Share answered" }, { title: "Prompt" }, { title: "Error rate", number: true }];
  const rows = target.diagrams.flatMap((one) => one.risk.map(([coverage, risk]) => [number(coverage, 2), one.part, number(risk)]));
  return table(`${pairName(target)}: most confident first`, columns, rows);
}

const UNIT = { range: [-0.03, 1.03], ticks: [0, 0.25, 0.5, 0.75, 1] };

function reliabilityPlot(diagrams, width) {
  const most = Math.max(...diagrams.flatMap((one) => one.bins.map((bin) => bin.rows)));
  const diagonal = { points: [{ x: 0, y: 0 }, { x: 1, y: 1 }], line: true, dash: true, markers: false, colour: "var(--strong-line)" };
  const series = diagrams.map((one) => ({
    points: one.bins.map((bin) => ({
      x: bin.confidence,
      y: bin.accuracy,
      size: 6 + 14 * Math.sqrt(bin.rows / most),
      text: `${one.part}: ${plural(bin.rows, "row")}\nconfidence ${number(bin.confidence)}, accuracy ${number(bin.accuracy)}`,
    })),
    line: true,
    dash: one.part === "original",
    filled: one.part === "best",
    colour: `var(--${one.part})`,
  }));
  return chart(width, 340, { x: { ...UNIT, label: "stated confidence" }, y: { ...UNIT, label: "accuracy" }, series: [diagonal, ...series] });
}

function riskPlot(diagrams, width) {
  const series = diagrams.map((one) => ({
    points: one.risk.map(([x, y]) => ({ x, y, text: `${one.part}: the most confident ${number(100 * x, 0)} %\nerror rate ${number(y)}` })),
    line: true,
    dash: one.part === "original",
    filled: one.part === "best",
    size: 5,
    colour: `var(--${one.part})`,
  }));
  return chart(width, 340, { x: { ...UNIT, label: "share answered, most confident first" }, y: { ...UNIT, label: "error rate" }, series });
}
