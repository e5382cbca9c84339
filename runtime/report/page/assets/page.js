// Puts the page together, and keeps a live one up to date.

const SECTIONS = [
  ["answer", renderAnswer, (view) => [view.words, view.targets, view.progress, view.usage]],
  ["prompts", renderPrompts, (view) => [view.targets, view.lineages, view.searches]],
  ["transfer", renderTransfer, (view) => [view.cells, view.targets.length]],
  ["search", renderSearch, (view) => [view.estimates, view.leaders, view.searches, view.offers]],
  ["calibration", renderCalibration, (view) => view.targets],
  ["responses", renderResponses, (view, blocks) => [view.responses, blocks.length]],
  ["cost", renderCost, (view) => [view.usage, view.answered, view.progress]],
  ["trust", renderTrust, (view) => [view.problems, view.splits, view.targets, view.searches, view.more]],
];

const STATUSES = { running: "running", complete: "complete", budget: "ended by its budget", interrupted: "interrupted", failed: "failed" };

const live = document.documentElement.dataset.live === "true";
const drawnFrom = new Map();

function render(view, blocks) {
  document.getElementById("name").textContent = view.name;
  document.getElementById("facts").textContent = facts(view);
  for (const [id, make, basis] of SECTIONS) {
    // A section that nothing new concerns keeps its state: what is open, chosen, focused.
    const from = live ? JSON.stringify(basis(view, blocks)) : "";
    if (live && drawnFrom.get(id) === from) continue;
    drawnFrom.set(id, from);
    show(id, make(view, blocks));
  }
}

function show(id, parts) {
  document.querySelector(`#${id} > .body`).replaceChildren(...parts);
}

function facts(view) {
  const parts = [STATUSES[view.status] || view.status];
  if (view.targets.length) parts.push(plural(view.targets.length, "target"));
  if (view.strategy !== null) parts.push(`strategy ${view.strategy}`);
  if (view.seed !== null) parts.push(`seed ${view.seed}`);
  if (view.seconds !== null) parts.push(duration(view.seconds));
  if (view.started) parts.push(new Date(view.started).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }));
  return parts.join("  ·  ");
}

function progress(view) {
  const now = view.progress;
  if (!now) return "Running.";
  const search = now.searches.findLast((one) => !one.ended);
  const calls = search && (search.allotted === null ? `${count(search.spent)} ${search.unit}` : `${count(search.spent)} of ${count(search.allotted)} ${search.unit}`);
  const at = search ? `${search.name}: ${plural(search.candidates, "candidate")} scored, ${calls}` : now.searches.length ? "final test" : "preparing";
  const left = now.left === null ? "" : `, about ${duration(now.left)} left`;
  return `Running. ${at}; ${number(now.rate, 1)} calls per second${left}.`;
}

function follow() {
  const status = document.getElementById("status");
  const news = new EventSource("events");
  news.addEventListener("view", (event) => {
    const { view, blocks } = JSON.parse(event.data);
    render(view, blocks);
    status.textContent = view.status === "running" ? progress(view) : "The run has ended.";
  });
  news.addEventListener("end", () => {
    news.close();
    status.textContent = "The run has ended; this page stays as it is. The report is in the output folder.";
  });
  news.addEventListener("error", () => {
    status.textContent = news.readyState === EventSource.CLOSED ? "The connection is closed." : "The connection is lost; trying again.";
  });
}

function markPlace() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -75% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
}

const { dataset } = document.documentElement;

// The answer can be read before the responses further down the file are there.
const first = JSON.parse(document.getElementById("view").textContent);
render(first, []);
markPlace();
dataset.ready = "true";
document.addEventListener("DOMContentLoaded", async () => {
  const blocks = [...document.querySelectorAll("script.block")].map((block) => block.textContent);
  if (blocks.length) show("responses", renderResponses(first, blocks));
  if (live) follow();
  await plots.drawAll();
  dataset.drawn = "true";
});
