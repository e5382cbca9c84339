// What fails? Every test response that the page carries: filtered, searched, a page of rows at a time.

const OUTCOMES = ["wrong", "unread", "failed", "right"];
const OUTCOME_TEXTS = { wrong: "✗ wrong", unread: "? unreadable", failed: "! call failed", right: "✓ right" };
const PAGE = window.innerWidth < 640 ? 10 : 25;

const responseChoice = { query: "", target: "", prompt: "", outcome: "amiss", format: "", page: 0 };

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
    return one === "original" || was === undefined || was === right ? "" : right ? "mended" : "broken";
  });
  return { part, change };
}

function renderResponses(view, blocks) {
  if (!blocks.length && view.responses.shown) return [el("p", { class: "none" }, "Unpacking the responses …")];
  if (!blocks.length) return [el("p", { class: "none" }, "Nothing has met the held-out rows yet, or their responses were not kept.")];
  const host = el("div", { class: "rest" }, el("p", { class: "none" }, "Unpacking the responses …"));
  const { total, shown } = view.responses;
  const left = total > shown ? ` The page carries ${count(shown)}, what went wrong first; all are in responses.jsonl.` : "";
  const ready = responsesOf(view, blocks).then((all) => host.replaceChildren(...responseBrowser(view, all)));
  plots.also(ready);
  return [el("p", { class: "note" }, `${plural(total, "response")} to held-out rows.${left}`), host];
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
  const outcomes = [["", "all"], ["amiss", "everything amiss"], ...OUTCOMES.map((name) => [name, OUTCOME_TEXTS[name]]), ["mended", "mended: original wrong, now right"], ["broken", "broken: original right, now not"]];
  const formats = [["", "any"], ["followed", "strict format kept"], ["lost", "strict format broken"], ...rules.map((rule) => [`rule ${rule}`, `read by: ${rule}`])];
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
    amiss: (i) => columns.outcome[i] !== 3 || !columns.followed[i],
    mended: (i) => change[i] === "mended",
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
  return found;
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
  const told = found.length ? `${count(first + 1)} to ${count(Math.min(first + PAGE, found.length))} of ${count(found.length)}` : "Nothing fits these filters.";
  const pager = el(
    "div",
    { class: "pager" },
    el("button", { type: "button", onclick: turn(-1), disabled: responseChoice.page === 0 }, "Previous"),
    el("span", { role: "status", id: "found" }, told),
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
  const reader = rule && rule !== "strict" && rule !== "none" ? `, read by ${rule}` : "";
  const format = outcome === "failed" ? dash : `${columns.followed[i] ? "kept" : "broken"}${reader}`;
  const named = part[i] === "other" ? "source prompt" : part[i];
  return [
    el("span", {}, `${task} ${example}`, el("br"), el("span", { class: "meta" }, `${columns.model[i]}, ${named}`)),
    foldable(question),
    foldable(columns.text[i] || (outcome === "failed" ? "" : "(read from token probabilities)")),
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
