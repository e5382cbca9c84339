// Plots: drawn one after the other so that the page shows at once, and again when theme or width changes.
// Each says in words what it shows, for those who cannot see it and where plotly is missing.

const PAPER = 640;

const plots = (() => {
  const drawn = new Set();
  const waiting = [];
  const idle = [];
  let working = false;
  let printing = false;

  const narrow = () => window.innerWidth < 640;

  function axis(extra) {
    return {
      gridcolor: theme.colour("line"),
      linecolor: theme.colour("strong-line"),
      zerolinecolor: theme.colour("strong-line"),
      tickcolor: theme.colour("line"),
      automargin: true,
      fixedrange: true,
      ...extra,
    };
  }

  function layout(extra) {
    return {
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: theme.colour("ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 10, r: 10, t: 26, b: 10 },
      showlegend: false,
      dragmode: false,
      hoverlabel: {
        align: "left",
        bgcolor: theme.colour("surface"),
        bordercolor: theme.colour("strong-line"),
        font: { color: theme.colour("ink"), size: 12 },
      },
      ...extra,
    };
  }

  // `make` gives {data, layout} for the theme and width of the moment.
  function figure(words, make, key) {
    const host = el("div", { class: "plot", role: "img", "aria-label": words });
    const node = el("figure", {}, key || null, host, el("figcaption", {}, words));
    if (typeof Plotly === "undefined") host.replaceChildren(el("p", { class: "none" }, "Plots need plotly: pip install plotly, then tprompt report."));
    else enqueue({ host, make });
    return node;
  }

  function enqueue(plot) {
    waiting.push(plot);
    if (!working) {
      working = true;
      setTimeout(work);
    }
  }

  function work() {
    const plot = waiting.shift();
    if (plot === undefined) {
      working = false;
      idle.splice(0).forEach((done) => done());
      return;
    }
    draw(plot);
    setTimeout(work);
  }

  function draw(plot) {
    if (!plot.host.isConnected) {
      if (drawn.delete(plot)) Plotly.purge(plot.host);
      return;
    }
    const made = plot.make(narrow());
    const width = Math.min(printing ? PAPER : plot.host.clientWidth, made.most || Infinity);
    Plotly.react(plot.host, made.data, { ...made.layout, width }, { displayModeBar: false });
    drawn.add(plot);
  }

  function redraw() {
    [...drawn].forEach(draw);
  }

  let width = window.innerWidth;
  let pending = null;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(pending);
    pending = setTimeout(redraw, 120);
  });
  // What still waits must be on the paper too.
  window.addEventListener("beforeprint", () => {
    printing = true;
    waiting.splice(0).forEach(draw);
    redraw();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });
  theme.listen(redraw);

  // Resolves when nothing waits to be drawn, nor anything else that was said to be under way.
  const others = [];
  async function whenDrawn() {
    await Promise.all(others);
    if (working) await new Promise((done) => idle.push(done));
  }

  return { figure, axis, layout, whenDrawn, also: (promise) => others.push(promise) };
})();

// Text as plotly may show it: it reads a few tags, so what comes from the run is escaped; long lines are folded.
function plain(text, width = 60, lines = 8) {
  const folded = [];
  for (const line of text.split("\n")) {
    let rest = line;
    while (rest.length > width) {
      const space = rest.lastIndexOf(" ", width);
      folded.push(rest.slice(0, space > 20 ? space : width));
      rest = rest.slice(space > 20 ? space + 1 : width);
    }
    folded.push(rest);
  }
  const kept = folded.length > lines ? [...folded.slice(0, lines), "…"] : folded;
  return kept.map((line) => line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")).join("<br>");
}
