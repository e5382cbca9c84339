// How did the search go? Every candidate by step, the best so far, and what each step took.

const searchChoice = { scope: null };

function renderSearch(view) {
  if (!view.searches.length) return [el("p", { class: "none" }, "The search has not begun.")];
  const source = view.searches.findIndex((search) => search.stage === "source");
  const targets = view.searches.map((search, i) => [i, search]).filter(([, search]) => search.stage === "target");
  const scopes = targets.length ? targets.map(([i]) => i) : [source];
  if (!scopes.includes(searchChoice.scope)) searchChoice.scope = scopes[0];
  const host = el("div", { class: "rest" });
  const draw = () => host.replaceChildren(...searchParts(view, source, searchChoice.scope));
  draw();
  const pick =
    targets.length > 1
      ? el(
          "div",
          { class: "controls" },
          choice("Search", targets.map(([i, search]) => [i, searchName(search)]), searchChoice.scope, (value) => {
            searchChoice.scope = Number(value);
            draw();
          }),
        )
      : [];
  return [pick, host].flat();
}

function searchName(search) {
  return `${search.tasks.join(", ")} · ${search.models.join(", ")}`;
}

function searchParts(view, source, chosen) {
  const shown = [...new Set([source, chosen])].filter((i) => i >= 0).map((i) => legOf(view, i));
  let offset = 0;
  for (const leg of shown) {
    leg.offset = offset;
    offset += leg.last + 1;
  }
  return [
    plots.figure(searchWords(view, shown), (narrow) => searchPlot(view, shown, narrow), searchKey(shown)),
    ...shown.map((leg) => {
      const refused = Object.entries(leg.search.refused).map(([reason, n]) => `${count(n)} ${reason}`);
      const ended = leg.search.reason ? ` It ended so: ${leg.search.reason}.` : "";
      const early = leg.search.stopped ? `, ${count(leg.search.stopped)} of them not on every row` : "";
      const text = `${leg.search.scope}: ${plural(leg.search.visited, "prompt")} scored${early}${refused.length ? `, refused ${refused.join(", ")}` : ""}.${ended}`;
      return el("p", { class: "note" }, text);
    }),
    ...shown.filter((leg) => leg.search.notes.length).map((leg) =>
      unfolding(`Notes of the reference LLM: ${leg.search.scope}`, () => el("ul", { class: "notes" }, leg.search.notes.map((note) => el("li", { class: "text" }, note)))),
    ),
    unfolding("Step by step, as a table", () => stepTable(view, shown)),
  ];
}

// One search as the plot needs it.
function legOf(view, index) {
  const search = view.searches[index];
  const steps = view.steps.filter((step) => step.search === index);
  const points = { train: [], stopped: [], validation: [] };
  const { points: all } = view;
  all.search.forEach((owner, i) => {
    const kind = all.stopped[i] ? "stopped" : all.split[i];
    if (owner !== index || all.objective[i] === null || !points[kind]) return;
    points[kind].push({ step: all.step[i], prompt: all.prompt[i], objective: all.objective[i] });
  });
  const last = Math.max(0, ...steps.map((step) => step.step));
  let best = null;
  const climb = [];
  for (let step = 0; step <= last; step++) {
    for (const point of points.train) if (point.step === step && (best === null || point.objective > best)) best = point.objective;
    if (best !== null) climb.push([step, best]);
  }
  return { index, search, steps, points, last, climb, offset: 0 };
}

function searchKey(shown) {
  const raced = shown.some((leg) => leg.points.stopped.length);
  return el(
    "ul",
    { class: "key" },
    el("li", { class: "of-best" }, "candidate on train"),
    raced ? el("li", { class: "small filled" }, "left its race early (estimate)") : null,
    el("li", { class: "of-finalist diamond filled" }, "finalist on validation"),
    el("li", { class: "line" }, "best so far on train"),
  );
}

function searchWords(view, shown) {
  const said = shown
    .filter((leg) => leg.climb.length)
    .map((leg) => `${leg.search.stage} stage from ${number(leg.climb[0][1])} to ${number(leg.climb.at(-1)[1])} in ${plural(leg.last, "step")}`);
  const boundary = shown.length > 1 ? " Scores on either side of the stage boundary are on different tasks." : "";
  return `Objective of every candidate by step, and below the answers each step asked for. Best so far on train: ${said.join("; ")}.${boundary}`;
}

function searchPlot(view, shown, narrow) {
  const hover = (leg, part) => (point) =>
    `<b>${number(point.objective)}</b> ${part === "stopped" ? "estimated on train" : `on ${part}`}, step ${point.step}<br>${plain(view.prompts[point.prompt].origin)}<br>${plain(view.prompts[point.prompt].text)}`;
  const data = [];
  for (const leg of shown) {
    const mark = (part, colour, symbol, size = 8) => ({
      x: leg.points[part].map((point) => leg.offset + point.step + (part === "validation" ? 0.18 : 0)),
      y: leg.points[part].map((point) => point.objective),
      mode: "markers",
      marker: { symbol, size, color: theme.colour(colour), line: { width: 1.5, color: theme.colour(colour) }, opacity: 0.85 },
      hovertext: leg.points[part].map(hover(leg, part)),
      hoverinfo: "text",
    });
    data.push(
      {
        x: leg.climb.map(([step]) => leg.offset + step),
        y: leg.climb.map(([, best]) => best),
        mode: "lines",
        line: { shape: "hv", width: 2, color: theme.colour("muted") },
        hoverinfo: "skip",
      },
      mark("stopped", "strong-line", "circle", 4),
      mark("train", "best", "circle-open"),
      mark("validation", "finalist", "diamond"),
      {
        type: "bar",
        x: leg.steps.map((step) => leg.offset + step.step),
        y: leg.steps.map((step) => step.answers),
        xaxis: "x",
        yaxis: "y2",
        width: 0.55,
        marker: { color: theme.colour("strong-line") },
        hovertext: leg.steps.map((step) => plain(stepTold(step))),
        hoverinfo: "text",
      },
    );
  }
  const ticks = shown.flatMap((leg) => Array.from({ length: leg.last + 1 }, (_, step) => [leg.offset + step, String(step)]));
  const every = Math.ceil(ticks.length / (narrow ? 12 : 30));
  const kept = ticks.filter((_, i) => i % every === 0);
  const end = shown.at(-1).offset + shown.at(-1).last;
  const label = (leg) => ({
    text: plain(`${leg.search.stage} stage`),
    x: leg.offset - 0.4,
    xref: "x",
    y: 1,
    yref: "paper",
    xanchor: "left",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 12, color: theme.colour("muted") },
  });
  return {
    data,
    layout: plots.layout({
      height: narrow ? 360 : 420,
      hovermode: "closest",
      bargap: 0.4,
      xaxis: plots.axis({
        anchor: "y2",
        range: [-0.6, end + 0.6],
        tickvals: kept.map(([at]) => at),
        ticktext: kept.map(([, text]) => text),
        title: { text: "step (0: the prompts given)", font: { size: 12 } },
        showgrid: false,
        zeroline: false,
      }),
      yaxis: plots.axis({ domain: [0.32, 1], title: { text: "objective", font: { size: 12 }, standoff: 8 }, zeroline: false }),
      yaxis2: plots.axis({ domain: [0, 0.2], title: { text: "answers", font: { size: 12 }, standoff: 8 }, nticks: 3, rangemode: "tozero" }),
      annotations: shown.map(label),
      shapes: shown.slice(1).map((leg) => ({
        type: "line",
        x0: leg.offset - 0.5,
        x1: leg.offset - 0.5,
        y0: 0,
        y1: 1,
        yref: "paper",
        line: { color: theme.colour("strong-line"), width: 1, dash: "dot" },
      })),
    }),
  };
}

function stepTold(step) {
  const until = step.calls === null ? "" : `\nthe whole run until then: ${count(step.calls)} calls, ${count(step.tokens)} tokens, ${money(step.usd)}`;
  return `step ${step.step}: ${plural(step.answers, "answer")}, ${plural(step.candidates, "candidate")}${until}`;
}

function stepTable(view, shown) {
  const columns = [
    { title: "Step" },
    ...["Candidates", "Refused", "Answers", "Best on train", "Calls until then", "Tokens until then", "Cost until then"].map(
      (title) => ({ title, number: true }),
    ),
  ];
  const rows = shown.flatMap((leg) =>
    leg.steps.map((step) => [
      `${leg.search.stage} ${step.step}`,
      count(step.candidates),
      count(step.refused),
      count(step.answers),
      number(step.objective),
      count(step.calls),
      count(step.tokens),
      money(step.usd),
    ]),
  );
  return table("Calls, tokens and cost are of the whole run, all searches together, replayed calls counted as when they were paid.", columns, rows);
}
