// Where does it transfer? Scores of prompts by task and model, as a heat map and as a table.

const transferChoice = { split: null, metric: "objective", show: "score" };

const SPLITS = { test: "test (held out)", validation: "validation", train: "train" };

const METRIC_LABELS = {
  objective: "Objective",
  accuracy: "Accuracy",
  ifr: "Format followed (IFR)",
  ece: "Calibration error (ECE)",
  auroc: "AUROC",
  auprc_p: "AUPRC-P",
  auprc_n: "AUPRC-N",
};

function renderTransfer(view) {
  const cells = view.cells;
  if (!cells || !cells.prompt.length) return [el("p", { class: "none" }, "No prompt has been scored yet.")];
  const splits = Object.keys(SPLITS).filter((split) => cells.split.includes(split));
  if (!splits.includes(transferChoice.split)) transferChoice.split = splits[0];
  const host = el("div", { class: "rest" });
  const draw = () => host.replaceChildren(...matrixParts(view, matrixOf(view)));
  const pick = (name) => (value) => {
    transferChoice[name] = value;
    draw();
  };
  const metrics = Object.entries(METRIC_LABELS).filter(([name]) => cells.values[name].some((v) => v !== null));
  draw();
  return [
    el(
      "div",
      { class: "controls" },
      choice("Rows", splits.map((split) => [split, SPLITS[split]]), transferChoice.split, pick("split")),
      choice("Metric", metrics, transferChoice.metric, pick("metric")),
      choice("Show", [["score", "score"], ["gap", "gap to the best prompt"]], transferChoice.show, pick("show")),
    ),
    host,
  ];
}

// The chosen part of the cells as rows of prompts and columns of (task, model), best row first.
function matrixOf(view) {
  const { cells } = view;
  const columns = new Map();
  const rows = new Map();
  cells.prompt.forEach((prompt, i) => {
    const value = cells.values[transferChoice.metric][i];
    if (cells.split[i] !== transferChoice.split || value === null) return;
    const column = JSON.stringify([cells.task[i], cells.model[i]]);
    if (!columns.has(column)) columns.set(column, { task: cells.task[i], model: cells.model[i] });
    if (!rows.has(prompt)) rows.set(prompt, new Map());
    rows.get(prompt).set(column, value);
  });
  const ordered = [...columns].sort(([, a], [, b]) => a.task.localeCompare(b.task) || a.model.localeCompare(b.model));
  const lower = transferChoice.metric === "ece";
  const tops = new Map(ordered.map(([column, pair]) => [column, topOf(view, rows, column, pair, lower)]));
  const shown = (row, column) => {
    if (!row.has(column)) return null;
    if (transferChoice.show === "score") return row.get(column);
    const gap = tops.get(column) - row.get(column);
    return lower ? -gap : gap;
  };
  const standing = standings(ordered.map(([column]) => column), [...rows.values()]);
  const sorted = [...rows].sort(([, a], [, b]) => (lower ? 1 : -1) * (standing(a) - standing(b)));
  return {
    columns: ordered.map(([, pair]) => pair),
    prompts: sorted.map(([prompt]) => prompt),
    values: sorted.map(([, row]) => ordered.map(([column]) => shown(row, column))),
  };
}

// How far a row lies above the columns' means where it has values, so that hard columns count against nobody.
function standings(columns, rows) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = new Map(columns.map((column) => [column, mean(rows.filter((row) => row.has(column)).map((row) => row.get(column)))]));
  return (row) => mean([...row].map(([column, value]) => value - means.get(column)));
}

// On test the gap is to the prompt that was chosen for the target, elsewhere to the best of the column.
function topOf(view, rows, column, pair, lower) {
  if (transferChoice.split === "test") {
    const target = view.targets.find((one) => one.task === pair.task && one.model === pair.model);
    const value = target && rows.get(target.best) && rows.get(target.best).get(column);
    if (value !== undefined && value !== null && value !== false) return value;
  }
  const values = [...rows.values()].filter((row) => row.has(column)).map((row) => row.get(column));
  return lower ? Math.min(...values) : Math.max(...values);
}

function matrixParts(view, matrix) {
  if (!matrix.prompts.length) return [el("p", { class: "none" }, "No prompt has this score here.")];
  const gap = transferChoice.show === "gap";
  const label = METRIC_LABELS[transferChoice.metric];
  const what = gap ? `gap in ${label.toLowerCase()} to the best prompt of each column (0: as good)` : label;
  const known = matrix.values.flat().filter((value) => value !== null);
  const words =
    `${what} of ${plural(matrix.prompts.length, "prompt")} on ${plural(matrix.columns.length, "pair")} of task and model, ` +
    `${SPLITS[transferChoice.split]} rows: from ${number(Math.min(...known))} to ${number(Math.max(...known))}. Rows are ` +
    "prompts, the best on average on top; empty where a prompt was not tried. Short ids tell prompts apart.";
  return [
    plots.figure(words, (narrow) => heatMap(view, matrix, narrow)),
    unfolding("The same as a table", () => matrixTable(view, matrix, what)),
  ];
}

function promptName(view, place, length = 28) {
  const prompt = view.prompts[place];
  return `${excerpt(prompt.text, length)} (${prompt.origin === "original" ? "original" : prompt.id.slice(0, 4)})`;
}

function heatMap(view, matrix, narrow) {
  const gap = transferChoice.show === "gap";
  const { prompts, columns, values } = matrix;
  const roomy = columns.length * prompts.length <= 240 && (!narrow || columns.length <= 4);
  const size = prompts.length > 30 ? 10 : 12;
  const names = prompts.map((place) => plain(promptName(view, place, narrow ? 11 : 28)));
  const heads = columnHeads(columns, narrow ? 6 : 12);
  const upright = heads.texts.length > (narrow ? 3 : 8);
  const room = upright ? plots.widest(heads.texts, 12) : 34;
  const hover = prompts.map((place, i) =>
    columns.map((pair, j) =>
      values[i][j] === null
        ? "not tried"
        : `<b>${plain(pairName(pair))}</b><br>${number(values[i][j])}<br>${plain(view.prompts[place].text)}`,
    ),
  );
  const extreme = Math.max(0.01, ...values.flat().map((value) => Math.abs(value || 0)));
  const dark = document.documentElement.dataset.theme === "dark";
  const middle = dark ? "#24282f" : "#f5f5f2";
  const scale = gap
    ? { colorscale: [[0, "#0072b2"], [0.5, middle], [1, "#d55e00"]], zmin: -extreme, zmax: extreme }
    : { colorscale: "Cividis" };
  return {
    most: 380 + 110 * columns.length,
    data: [
      {
        type: "heatmap",
        z: values,
        x: columns.map((_, j) => j),
        y: prompts.map((_, i) => i),
        ...scale,
        xgap: columns.length > 24 ? 0.5 : 2,
        ygap: prompts.length > 30 ? 0.5 : 2,
        hoverongaps: false,
        hovertext: hover,
        hoverinfo: "text",
        texttemplate: roomy ? "%{text}" : undefined,
        text: values.map((row) => row.map((value) => (value === null ? "" : number(value, 2)))),
        colorbar: { thickness: 10, outlinewidth: 0, len: 1, tickfont: { color: theme.colour("muted") } },
        showscale: !narrow,
      },
    ],
    layout: plots.layout({
      height: (prompts.length > 30 ? 18 : 34) * prompts.length + room + 30,
      margin: { l: plots.widest(names, size) + 14, r: 12, t: room + 14, b: 12 },
      xaxis: plots.axis({
        tickvals: heads.places,
        ticktext: heads.texts,
        tickangle: upright ? -90 : 0,
        tickfont: { size: 12 },
        showgrid: false,
        zeroline: false,
        side: "top",
      }),
      yaxis: plots.axis({
        tickvals: prompts.map((_, i) => i),
        ticktext: names,
        tickfont: { size },
        autorange: "reversed",
        showgrid: false,
        zeroline: false,
      }),
    }),
  };
}

// Every column's task and model; where there are too many to be read, each task over the middle of its columns.
function columnHeads(columns, most) {
  if (columns.length <= most) {
    const texts = columns.map((pair) => [plain(pair.task, 16, 2), plain(pair.model, 16, 2)].join("<br>"));
    return { places: columns.map((_, j) => j), texts };
  }
  const tasks = [...new Set(columns.map((pair) => pair.task))];
  const middle = (task) => {
    const places = columns.flatMap((pair, j) => (pair.task === task ? [j] : []));
    return (places[0] + places.at(-1)) / 2;
  };
  return { places: tasks.map(middle), texts: tasks.map((task) => plain(task, 16, 2)) };
}

function matrixTable(view, matrix, caption) {
  const columns = [{ title: "Prompt" }, ...matrix.columns.map((pair) => ({ title: pairName(pair), number: true }))];
  const rows = matrix.prompts.map((place, i) => [promptName(view, place, 60), ...matrix.values[i].map((value) => number(value))]);
  return table(caption, columns, rows);
}
