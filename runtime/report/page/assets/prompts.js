// Which prompt do I use? Its text to copy, the message as sent, the change from the original, its ancestry.

const PLACEMENT = { system: "as the system message", before: "before the question", after: "after the question" };

function renderPrompts(view) {
  const parts = view.targets.length ? testedPrompts(view) : bestSoFar(view);
  const source = view.searches.find((search) => search.stage === "source" && search.leader !== null);
  if (source) parts.push(sourcePrompt(view, source));
  const fronts = view.searches.filter((search) => search.front.length > 1);
  if (fronts.length) parts.push(unfolding("Trade-offs", () => fronts.map((search) => frontTable(view, search))));
  return parts.length ? parts : [el("p", { class: "none" }, "No prompt has been scored yet.")];
}

function testedPrompts(view) {
  const byPrompt = new Map();
  for (const target of view.targets) {
    const found = byPrompt.get(target.best) || [];
    found.push(target);
    byPrompt.set(target.best, found);
  }
  const cards = [...byPrompt].map(([prompt, targets], i) => {
    const original = targets.every((target) => target.baseline === prompt);
    const title = `${original ? "Keep the original for" : "Best prompt for"} ${namesOf(targets, view.targets)}`;
    const found = [...new Set(targets.map((target) => target.conclusion))];
    const advice = [...new Set(targets.map((target) => target.advice))];
    const many = targets.length > FEW ? ` ${targets.map(pairName).join(", ")}.` : "";
    const note = advice.length === 1 ? `${original ? "" : advice[0]}${many}` : many.trim();
    return promptCard(view, prompt, title, found.length === 1 ? conclusionChip(found[0]) : [], i < 2, note, targets[0]);
  });
  if (cards.length <= 4) return cards;
  return [...cards.slice(0, 3), unfolding(`${cards.length - 3} more prompts`, () => el("div", { class: "rest" }, cards.slice(3)))];
}

const FEW = 6;

function namesOf(targets, all) {
  if (targets.length <= FEW) return targets.map(pairName).join(", ");
  return targets.length === all.length ? `all ${all.length} targets` : `${targets.length} of ${all.length} targets`;
}

function bestSoFar(view) {
  return view.searches
    .filter((search) => search.leader !== null && search.stage === "target")
    .map((search, i) =>
      promptCard(view, search.leader, `Best so far for ${search.name}`, el("span", { class: "meta" }, estimateOf(search)), i < 2),
    );
}

// An estimate, with the rows that it rests on.
function estimateOf({ objective, rows, rungs }) {
  const most = rungs.at(-1);
  const partly = rows < most ? `estimate from ${count(rows)} of ${plural(most, "search row")}` : `on ${plural(most, "search row")}`;
  return `${number(objective)}, ${partly}`;
}

function sourcePrompt(view, source) {
  const title = "For another task: the best source prompt";
  const note =
    `${source.reason ? "Chosen" : "Best so far"} over ${source.tasks.join(", ")} (${estimateOf(source)}); a start for tasks and models that are not listed here.`;
  return promptCard(view, source.leader, title, [], false, note);
}

// The Pareto front of a search's fully scored prompts.
function frontTable(view, search) {
  const columns = [
    { title: "Prompt" },
    ...["Objective", "Accuracy", "Format followed", "1 − ECE", "Output tokens", "Characters"].map((title) => ({ title, number: true })),
  ];
  const rows = search.front.map(({ prompt, merits, objective }) => [
    promptName(view, prompt, 80),
    number(objective),
    number(merits.accuracy),
    number(merits.ifr),
    number(merits.calibration),
    number(merits.output_tokens, 1),
    count(merits.length),
  ]);
  return table(`${search.name}: fully scored prompts that no other beats in every respect, on the search rows`, columns, rows, { class: "stacked" });
}

function promptCard(view, place, title, beside, open, note, target) {
  const prompt = view.prompts[place];
  const lineage = view.lineages.find((one) => one.prompt === place);
  const changed = lineage && lineage.original !== null && lineage.original !== place;
  return el(
    "article",
    { class: "card" },
    el("div", { class: "row" }, el("h3", {}, title), beside),
    note ? el("p", { class: "note" }, note) : null,
    el("pre", { class: "text", tabindex: "0", "aria-label": `Text of prompt ${prompt.id}` }, prompt.text),
    el(
      "div",
      { class: "row" },
      el("span", { class: "meta" }, `Placement: ${PLACEMENT[prompt.position] || prompt.position}. Origin: ${prompt.origin}. Id ${prompt.id}.`),
      copyButton(prompt.text, "Copy prompt"),
    ),
    target && target.sent.length ? unfolding("Messages as sent, with a test row", () => sentMessages(target), { printed: true }) : null,
    changed ? unfolding("Change from the original", () => el("p", { class: "text" }, changeOf(lineage.change)), { open }) : null,
    lineage && lineage.steps.length > 1
      ? unfolding(`Ancestry: ${plural(lineage.steps.length - 1, "step")} from ${view.prompts[lineage.steps[0][0]].origin}`, () => ancestry(view, lineage))
      : null,
  );
}

// The chat that a model got for one test row.
function sentMessages({ task, model, sent }) {
  const text = JSON.stringify(sent, null, 2);
  return [
    el("p", { class: "note" }, `What ${model} got for the first test row of ${task}.`),
    ...sent.map(({ role, content }) => el("div", {}, el("p", { class: "meta" }, role), el("pre", { class: "text", tabindex: "0", "aria-label": `${role} message` }, content))),
    copyButton(text, "Copy as chat JSON"),
  ];
}

function changeOf(pieces) {
  const names = { "=": "span", "-": "del", "+": "ins" };
  return pieces.map(([kind, text]) => el(names[kind], {}, text));
}

function ancestry(view, lineage) {
  // Estimates of different searches are on different tasks: each names its search.
  const scores = new Map();
  const { search, prompt, objective, rows } = view.estimates;
  prompt.forEach((place, i) => {
    if (!scores.has(place)) scores.set(place, `, ${estimateOf({ objective: objective[i], rows: rows[i], rungs: view.searches[search[i]].rungs })} (${view.searches[search[i]].name})`);
  });
  return el(
    "ol",
    { class: "ancestry" },
    lineage.steps.map(([place, pieces]) => {
      const prompt = view.prompts[place];
      return el(
        "li",
        {},
        el("p", { class: "meta" }, `${prompt.origin}${scores.get(place) || ""}`),
        el("p", { class: "text" }, pieces.length ? changeOf(pieces) : prompt.text),
      );
    }),
  );
}

function copyButton(text, name) {
  const button = el("button", { type: "button", class: "copy" }, name);
  button.addEventListener("click", async () => {
    const copied = (await copyByClipboard(text)) || copyBySelection(text);
    button.textContent = copied ? "Copied" : "Select the text and copy it";
    announce(button.textContent);
    setTimeout(() => (button.textContent = name), 2000);
  });
  return button;
}

async function copyByClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function copyBySelection(text) {
  const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
