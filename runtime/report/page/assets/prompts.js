// Which prompt do I take? Its text to copy, what changed from the original, and by which steps it came about.

const PLACES = { system: "in the system turn", before: "before the question", after: "after the question" };

function renderPrompts(view) {
  const parts = view.targets.length ? testedPrompts(view) : bestSoFar(view);
  const source = view.searches.find((search) => search.stage === "source" && search.best !== null);
  if (source) parts.push(sourcePrompt(view, source));
  const fronts = view.searches.filter((search) => search.front.length > 1);
  if (fronts.length) parts.push(unfolding("Other compromises", () => fronts.map((search) => frontTable(view, search))));
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
    const title = `${original ? "Keep the original for" : "For"} ${namesOf(targets, view.targets)}`;
    const verdicts = [...new Set(targets.map((target) => target.verdict))];
    const many = targets.length > FEW ? targets.map(pairName).join(", ") : null;
    return promptCard(view, prompt, title, verdicts.length === 1 ? verdictChip(verdicts[0]) : [], i < 2, many);
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
    .filter((search) => search.best !== null && search.stage === "target")
    .map((search, i) =>
      promptCard(view, search.best, `Best so far for ${search.tasks.join(", ")} · ${search.models.join(", ")}`, [
        el("span", { class: "meta" }, `${number(search.objective)} on train`),
      ], i < 2),
    );
}

function sourcePrompt(view, source) {
  const title = "For another task: the best source prompt";
  const standing = source.reason ? "Best on validation" : "Best so far on train";
  const note = `${standing} over ${source.tasks.join(", ")}; a start for tasks and models that are not listed here.`;
  return promptCard(view, source.best, title, [], false, note);
}

// The Pareto front of a search's finalists, on validation.
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
  return table(`${search.scope}: finalists that no other is better than in every respect, on validation`, columns, rows, { class: "stacked" });
}

function promptCard(view, place, title, beside, open, note) {
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
      el("span", { class: "meta" }, `Stands ${PLACES[prompt.position] || prompt.position}. Made by ${prompt.origin}; id ${prompt.id}.`),
      copyButton(prompt.text),
    ),
    changed ? unfolding("Change from the original", () => el("p", { class: "text" }, changeOf(lineage.change)), open) : null,
    lineage && lineage.steps.length > 1
      ? unfolding(`Ancestry: ${plural(lineage.steps.length - 1, "step")} from ${view.prompts[lineage.steps[0][0]].origin}`, () => ancestry(view, lineage))
      : null,
  );
}

function changeOf(pieces) {
  const names = { "=": "span", "-": "del", "+": "ins" };
  return pieces.map(([kind, text]) => el(names[kind], {}, text));
}

function ancestry(view, lineage) {
  // Scores of different searches are of different tasks: each is told with the one it comes from.
  const scores = new Map();
  view.points.prompt.forEach((place, i) => {
    if (view.points.split[i] !== "train" || scores.has(place)) return;
    scores.set(place, `, ${number(view.points.objective[i])} on train in ${view.searches[view.points.search[i]].scope}`);
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

function copyButton(text) {
  const button = el("button", { type: "button", class: "copy" }, "Copy prompt");
  button.addEventListener("click", async () => {
    const copied = (await copyByClipboard(text)) || copyBySelection(text);
    button.textContent = copied ? "Copied" : "Select the text and copy it";
    announce(button.textContent);
    setTimeout(() => (button.textContent = "Copy prompt"), 2000);
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
