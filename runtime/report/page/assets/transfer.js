// Where does it transfer? Scores of prompts by task and model, as a heat map and as a table.

const transferChoice = { split: null, metric: "objective", show: "score" };

const SPLITS = { test: "test (held out)", search: "search (estimates)" };

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
  const metrics = Object.keys(cells.values)
    .filter((name) => cells.values[name].some((v) => v !== null))
    .map((name) => [name, view.metrics[name].label]);
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
  const lower = view.metrics[transferChoice.metric].better === "lower";
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

// Distance of a row from the columns' means where it has values, so that hard columns count against no prompt.
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
  const name = view.metrics[transferChoice.metric].label;
  const what = gap ? `gap in ${name.toLowerCase()} to the best prompt of each column (0: as good)` : name;
  const known = matrix.values.flat().filter((value) => value !== null);
  const words =
    `${what} of ${plural(matrix.prompts.length, "prompt")} on ${plural(matrix.columns.length, "pair")} of task and model, ` +
    `${SPLITS[transferChoice.split]} rows: from ${number(Math.min(...known))} to ${number(Math.max(...known))}. Rows are ` +
    "prompts, the best on average on top; empty where a prompt was not tried.";
  return [plots.figure(words, (width) => matrixPlot(view, matrix, width), { table: () => matrixTable(view, matrix, what) })];
}

function promptName(view, place, length = 28) {
  const prompt = view.prompts[place];
  return `${excerpt(prompt.text, length)} (${prompt.origin === "original" ? "original" : prompt.id.slice(0, 4)})`;
}

function matrixPlot(view, matrix, width) {
  const gap = transferChoice.show === "gap";
  const { prompts, columns, values } = matrix;
  const known = values.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const extreme = Math.max(0.01, ...known.map(Math.abs));
  const alone = new Set(columns.map((pair) => pair.model)).size === 1;
  return heatMap(width, {
    rows: prompts.map((place) => promptName(view, place, width < 560 ? 14 : 30)),
    columns: columns.map((pair) => (alone ? pair.task : pairName(pair))),
    values,
    upright: columns.length > (width < 560 ? 2 : 5),
    format: (value) => number(value, 2),
    text: (i, j) => `${pairName(columns[j])}\n${number(values[i][j])}\n${excerpt(view.prompts[prompts[i]].text, 300)}`,
    colourOf: (value) => (gap ? diverging(value / extreme) : blues(high > low ? (value - low) / (high - low) : 0.5)),
  });
}

function matrixTable(view, matrix, caption) {
  const columns = [{ title: "Prompt" }, ...matrix.columns.map((pair) => ({ title: pairName(pair), number: true }))];
  const rows = matrix.prompts.map((place, i) => [promptName(view, place, 60), ...matrix.values[i].map((value) => number(value))]);
  return table(caption, columns, rows);
}
