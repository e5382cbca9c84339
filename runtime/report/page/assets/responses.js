// What fails? Original and best side by side, confusion matrices, and every test response that the page carries.

const OUTCOMES = ["wrong", "unread", "failed", "right"];
const OUTCOME_TEXTS = { wrong: "✗ wrong", unread: "? unreadable", failed: "! call failed", right: "✓ right" };
const PAGE = window.innerWidth < 640 ? 6 : 10;

const responseChoice = { query: "", target: "", prompt: "", outcome: "failures", format: "", page: 0 };

const collator = new Intl.Collator("en", { numeric: true });

const CHANGES = ["fixed", "broken", "both wrong", "both right"];
const pairChoice = { target: 0, change: "fixed", page: 0 };

async function unpacked(block) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(block) : Uint8Array.from(atob(block), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// All blocks as one list of columns, and the rows that they speak of.
async function responsesOf(view, blocks) {
  const rows = [];
  const columns = { task: [], model: [], prompt: [], row: [], outcome: [], followed: [], rule: [], answer: [], confidence: [], text: [] };
  for (const block of await Promise.all(blocks.map(unpacked))) {
    rows.push(...block.rows);
    for (const name of ["row", "outcome", "followed", "confidence"]) for (const value of block[name]) columns[name].push(value);
    for (const name of ["task", "model", "prompt", "rule", "answer", "text"]) {
      for (const place of block[name]) columns[name].push(block.texts[place]);
    }
  }
  return { rows, columns, ...partsOf(view, rows, columns) };
}

// Which part each response has in its target (original, best or other), and how it changed from the original.
function partsOf(view, rows, columns) {
  const targets = new Map(view.targets.map((target) => [JSON.stringify([target.task, target.model]), target]));
  const part = [];
  const before = new Map();
  for (let i = 0; i < columns.row.length; i++) {
    const target = targets.get(JSON.stringify([columns.task[i], columns.model[i]]));
    const id = columns.prompt[i];
    part.push(!target ? "other" : view.prompts[target.best].id === id ? "best" : view.prompts[target.baseline].id === id ? "original" : "other");
    if (target && view.prompts[target.baseline].id === id) before.set(`${columns.model[i]}\n${columns.row[i]}`, columns.outcome[i] === 3);
  }
  const change = part.map((one, i) => {
    const was = before.get(`${columns.model[i]}\n${columns.row[i]}`);
    const right = columns.outcome[i] === 3;
    return one === "original" || was === undefined || was === right ? "" : right ? "fixed" : "broken";
  });
  return { part, change };
}

function renderResponses(view, blocks) {
  if (!blocks.length && view.responses.shown) return [el("p", { class: "none" }, "Unpacking the responses …")];
  if (!blocks.length) return [el("p", { class: "none" }, "Not tested yet, or the responses were not kept.")];
  const host = el("div", { class: "rest" }, el("p", { class: "none" }, "Unpacking the responses …"));
  const { total, shown } = view.responses;
  const left = total > shown ? ` The page carries ${count(shown)}, failures first; all are in responses.jsonl.` : "";
  const ready = responsesOf(view, blocks).then((all) => host.replaceChildren(...comparisonParts(view, all), el("h3", {}, "All responses"), ...responseBrowser(view, all)));
  plots.also(ready);
  return [el("p", { class: "note" }, `${plural(total, "response")} to held-out rows.${left}`), host];
}

// Places of the original's and the best prompt's responses to each row of a target.
function pairsOf(view, all, target) {
  const { columns } = all;
  const [original, best] = [target.baseline, target.best].map((place) => view.prompts[place].id);
  const found = new Map();
  for (let i = 0; i < columns.row.length; i++) {
    if (columns.task[i] !== target.task || columns.model[i] !== target.model) continue;
    const pair = found.get(columns.row[i]) || [null, null];
    if (columns.prompt[i] === original) pair[0] = i;
    if (columns.prompt[i] === best) pair[1] = i;
    found.set(columns.row[i], pair);
  }
  const failed = (i) => columns.outcome[i] === OUTCOMES.indexOf("failed");
  return [...found]
    .filter(([, [a, b]]) => a !== null && b !== null && !failed(a) && !failed(b))
    .map(([row, [a, b]]) => ({ row, a, b, change: changeBetween(columns.outcome[a] === 3, columns.outcome[b] === 3) }))
    .sort((one, other) => collator.compare(all.rows[one.row][1], all.rows[other.row][1]));
}

function changeBetween(before, after) {
  if (before) return after ? "both right" : "broken";
  return after ? "fixed" : "both wrong";
}

function comparisonParts(view, all) {
  const host = el("div", { class: "rest", id: "pairs" });
  const draw = () => {
    const target = view.targets[pairChoice.target];
    pairChoice.page = 0;
    host.replaceChildren(...pairParts(view, all, target));
  };
  const pick = targetChoice(view, pairChoice, draw);
  if (!view.targets.length) return [];
  draw();
  return [el("h3", {}, "Original and best side by side"), pick, host].flat();
}

function pairParts(view, all, target) {
  if (target.baseline === target.best) return [el("p", { class: "note" }, "The original was kept: there is nothing to compare."), ...confusionParts(all, pairsOf(view, all, target))];
  const pairs = pairsOf(view, all, target);
  if (!pairs.length) return [el("p", { class: "none" }, "The page carries no rows that both prompts answered.")];
  const counts = Object.fromEntries(CHANGES.map((name) => [name, pairs.filter((pair) => pair.change === name).length]));
  if (!counts[pairChoice.change]) pairChoice.change = CHANGES.find((name) => counts[name]) || "fixed";
  const listing = el("div", { class: "rest" });
  const draw = () => listing.replaceChildren(...pairListing(all, pairs, draw));
  draw();
  const partly = view.responses.shown < view.responses.total ? " (of the responses that the page carries)" : "";
  return [
    tileList([
      ["Fixed", count(counts.fixed)],
      ["Broken", count(counts.broken)],
      ["Both wrong", count(counts["both wrong"])],
      ["Both right", count(counts["both right"])],
    ]),
    el("p", { class: "note" }, `Rows that both prompts answered${partly}: fixed where the original was wrong and the best prompt is right, broken the other way round.`),
    ...confusionParts(all, pairs),
    el(
      "div",
      { class: "controls" },
      choice("Rows", CHANGES.map((name) => [name, `${name} (${count(counts[name])})`]), pairChoice.change, (value) => {
        pairChoice.change = value;
        pairChoice.page = 0;
        draw();
      }),
    ),
    listing,
  ];
}

function pairListing(all, pairs, draw) {
  const { rows, columns } = all;
  const found = pairs.filter((pair) => pair.change === pairChoice.change);
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  pairChoice.page = Math.min(pairChoice.page, pages - 1);
  const first = pairChoice.page * PAGE;
  const side = (i) =>
    el(
      "div",
      {},
      el("span", { class: `chip ${OUTCOMES[columns.outcome[i]]}` }, OUTCOME_TEXTS[OUTCOMES[columns.outcome[i]]]),
      el("span", { class: "meta" }, ` ${columns.answer[i] || "no answer read"}`),
      el("div", {}, foldable(responseText(columns, i))),
    );
  const shown = found.slice(first, first + PAGE).map(({ row, a, b }) => {
    const [, example, question, gold] = rows[row];
    return [example, foldable(question), gold, side(a), side(b)];
  });
  if (!shown.length) return [el("p", { class: "none" }, "No such row.")];
  const heads = ["Row", "Question", "Gold", "Original's response", "Best prompt's response"].map((title) => ({ title }));
  return [table(`Rows: ${pairChoice.change}`, heads, shown, { class: "responses stacked" }), pagerOf(pairChoice, pages, first, found.length, draw)];
}

// Where labels were scored by likelihood, the text is the likeliest token, which need not begin the likeliest label.
function responseText({ rule, text }, i) {
  if (rule[i] !== "likelihood") return text[i] || "(no text)";
  return text[i] ? `top token: ${text[i]}` : "(label likelihood, no text)";
}

function pagerOf(state, pages, first, total, draw) {
  const turn = (by) => () => {
    state.page += by;
    draw();
  };
  return el(
    "div",
    { class: "pager" },
    el("button", { type: "button", onclick: turn(-1), disabled: state.page === 0 }, "Previous"),
    el("span", {}, `${count(first + 1)} to ${count(Math.min(first + PAGE, total))} of ${count(total)}`),
    el("button", { type: "button", onclick: turn(1), disabled: state.page >= pages - 1 }, "Next"),
  );
}

// Gold against answer, for the original and the best prompt; only where answers come from a few labels.
function confusionParts(all, pairs) {
  const { rows, columns } = all;
  const golds = [...new Set(pairs.map(({ row }) => rows[row][3]))].sort();
  if (golds.length < 2 || golds.length > 12) return [];
  const matrix = (pick) => {
    const answers = pairs.map((pair) => [rows[pair.row][3], golds.includes(columns.answer[pick(pair)]) ? columns.answer[pick(pair)] : null]);
    return golds.map((gold) => [...golds, null].map((answer) => answers.filter(([one, other]) => one === gold && other === answer).length));
  };
  const heads = [...golds, "other or none"];
  const figureOf = (name, values) => {
    const most = Math.max(1, ...values.flat());
    const right = golds.reduce((sum, _, i) => sum + values[i][i], 0);
    const words = `Confusion matrix of the ${name}: rows are gold answers, columns the answers given; ${count(right)} of ${count(pairs.length)} on the diagonal.`;
    const make = (width) =>
      heatMap(width, {
        rows: golds,
        columns: heads,
        values,
        upright: heads.length > 5,
        format: count,
        text: (i, j) => `gold ${golds[i]}, answered ${heads[j]}: ${count(values[i][j])}`,
        colourOf: (value) => blues(value / most),
      });
    const numbers = () => table(`Confusion matrix of the ${name}`, [{ title: "Gold" }, ...heads.map((title) => ({ title, number: true }))], golds.map((gold, i) => [gold, ...values[i].map(count)]));
    return plots.figure(words, make, { table: numbers });
  };
  return [el("div", { class: "pair" }, figureOf("original", matrix((pair) => pair.a)), figureOf("best prompt", matrix((pair) => pair.b)))];
}

function responseBrowser(view, all) {
  const listing = el("div", { class: "rest", id: "listing" });
  const draw = () => listing.replaceChildren(...responseListing(view, all));
  const pick = (name) => (value) => {
    responseChoice[name] = value;
    responseChoice.page = 0;
    draw();
  };
  let typing = null;
  const query = el("input", {
    type: "search",
    value: responseChoice.query,
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(() => pick("query")(query.value), 150);
    },
  });
  const pairs = [...new Set(all.columns.task.map((task, i) => `${task} · ${all.columns.model[i]}`))].sort();
  const rules = [...new Set(all.columns.rule)].filter(Boolean).sort();
  const outcomes = [["", "all"], ["failures", "all failures"], ...OUTCOMES.map((name) => [name, OUTCOME_TEXTS[name]]), ["fixed", "fixed: original wrong, best right"], ["broken", "broken: original right, best wrong"]];
  const formats = [["", "any"], ["followed", "format followed"], ["lost", "format not followed"], ...rules.map((rule) => [`rule ${rule}`, `parsed by: ${rule}`])];
  draw();
  return [
    el(
      "div",
      { class: "controls" },
      el("label", {}, "Search in question, answer and response", query),
      choice("Outcome", outcomes, responseChoice.outcome, pick("outcome")),
      choice("Format", formats, responseChoice.format, pick("format")),
      choice("Prompt", [["", "all"], ["best", "best"], ["original", "original"], ["other", "source prompts"]], responseChoice.prompt, pick("prompt")),
      pairs.length > 1 ? choice("Target", [["", "all"], ...pairs.map((pair) => [pair, pair])], responseChoice.target, pick("target")) : null,
    ),
    listing,
  ];
}

function matching({ rows, columns, part, change }) {
  const { target, prompt, outcome, format } = responseChoice;
  const query = responseChoice.query.trim().toLowerCase();
  const rightly = {
    "": () => true,
    failures: (i) => columns.outcome[i] !== 3 || !columns.followed[i],
    fixed: (i) => change[i] === "fixed",
    broken: (i) => change[i] === "broken",
  };
  const fits = rightly[outcome] || ((i) => OUTCOMES[columns.outcome[i]] === outcome);
  const read = format.startsWith("rule ") ? format.slice(5) : null;
  const found = [];
  for (let i = 0; i < columns.row.length; i++) {
    if (!fits(i) || (prompt && part[i] !== prompt)) continue;
    if (target && `${columns.task[i]} · ${columns.model[i]}` !== target) continue;
    if (read !== null && columns.rule[i] !== read) continue;
    if ((format === "followed" && !columns.followed[i]) || (format === "lost" && columns.followed[i])) continue;
    if (query && !contains(query, columns.text[i], columns.answer[i], rows[columns.row[i]])) continue;
    found.push(i);
  }
  // By row, so that responses to one row stand together; ids with numbers in their order.
  const names = new Map([...new Set(columns.row)].map((row) => [row, rows[row].slice(0, 2).join(" ")]));
  const order = [...names].sort(([, a], [, b]) => collator.compare(a, b)).map(([row]) => row);
  const places = new Map(order.map((row, i) => [row, i]));
  return found.sort((a, b) => places.get(columns.row[a]) - places.get(columns.row[b]) || a - b);
}

function contains(query, text, answer, [, , question, gold]) {
  return [text, answer, question, gold].some((one) => one.toLowerCase().includes(query));
}

function responseListing(view, all) {
  const found = matching(all);
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  responseChoice.page = Math.min(responseChoice.page, pages - 1);
  const first = responseChoice.page * PAGE;
  const turn = (by) => () => {
    responseChoice.page += by;
    document.getElementById("listing").replaceChildren(...responseListing(view, all));
    document.getElementById("responses").scrollIntoView();
  };
  const range = found.length ? `${count(first + 1)} to ${count(Math.min(first + PAGE, found.length))} of ${count(found.length)}` : "Nothing fits these filters.";
  const pager = el(
    "div",
    { class: "pager" },
    el("button", { type: "button", onclick: turn(-1), disabled: responseChoice.page === 0 }, "Previous"),
    el("span", { role: "status", id: "found" }, range),
    el("button", { type: "button", onclick: turn(1), disabled: responseChoice.page >= pages - 1 }, "Next"),
  );
  if (!found.length) return [pager];
  const columns = ["Row", "Question", "Response", "Gold", "Answer", "Outcome", "Format", "Confidence"].map((title) => ({ title }));
  columns[7].number = true;
  const rows = found.slice(first, first + PAGE).map((i) => responseRow(view, all, i));
  return [table("Responses to held-out rows", columns, rows, { class: "responses stacked" }), pager];
}

function responseRow(view, { rows, columns, part, change }, i) {
  const [task, example, question, gold] = rows[columns.row[i]];
  const outcome = OUTCOMES[columns.outcome[i]];
  const rule = columns.rule[i];
  const reader = rule && rule !== "strict" && rule !== "none" ? `, parsed by ${rule}` : "";
  const format = outcome === "failed" ? dash : `${columns.followed[i] ? "followed" : "not followed"}${reader}`;
  const named = part[i] === "other" ? "source prompt" : part[i];
  return [
    el("span", {}, `${task} ${example}`, el("br"), el("span", { class: "meta" }, `${columns.model[i]}, ${named}`)),
    foldable(question),
    foldable(columns.text[i] || (outcome === "failed" ? "" : "(label likelihood, no text)")),
    gold,
    columns.answer[i] || dash,
    el("span", {}, el("span", { class: `chip ${outcome}` }, OUTCOME_TEXTS[outcome]), change[i] ? el("span", { class: "meta" }, ` ${change[i]}`) : null),
    format,
    columns.confidence[i] === null ? dash : number(columns.confidence[i], 2),
  ];
}

function foldable(text) {
  if (text.length <= 160 && text.split("\n").length <= 3) return el("span", { class: "text" }, text);
  return el("details", {}, el("summary", {}, el("span", { class: "text clamp" }, text)));
}
