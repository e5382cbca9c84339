// Plots: those in view are drawn first, the others one after the other; all again when theme or width changes.
// Each says in words what it shows, for those who cannot see it and where plotly is missing.

// Pixels on paper, for a plot that stands alone and for one of a pair.
const PAPER = 640;
const HALF_PAPER = 310;

const plots = (() => {
  const drawn = new Set();
  const waiting = new Set();
  const others = [];
  let begun = false;
  let printing = false;

  const narrow = () => window.innerWidth < 640;

  function axis(extra) {
    return {
      gridcolor: theme.colour("line"),
      linecolor: theme.colour("strong-line"),
      zerolinecolor: theme.colour("strong-line"),
      tickcolor: theme.colour("line"),
      fixedrange: true,
      // The margins are measured; looking for labels that stick out costs plotly half of its time.
      ticklabeloverflow: "allow",
      ...extra,
    };
  }

  function layout(extra) {
    return {
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: theme.colour("ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 66, r: 12, t: 26, b: 44 },
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

  // Pixels that the widest of these tick texts takes: telling plotly spares it drawing everything twice.
  const pen = document.createElement("canvas").getContext("2d");
  function widest(texts, size) {
    pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
    return Math.max(0, ...texts.flatMap((text) => text.split("<br>")).map((line) => pen.measureText(line).width));
  }

  // `make` gives {data, layout, most?} for the theme and width of the moment; `most` is the most pixels it needs.
  function figure(words, make, key) {
    const host = el("div", { class: "plot", role: "img", "aria-label": words });
    waiting.add({ host, make });
    if (begun) setTimeout(drawAll);
    return el("figure", {}, key || null, host, el("figcaption", {}, words));
  }

  function draw(plot) {
    waiting.delete(plot);
    if (typeof Plotly === "undefined") {
      plot.host.replaceChildren(el("p", { class: "none" }, "Plots need plotly: pip install plotly, then tprompt report."));
      return;
    }
    if (!plot.host.isConnected) {
      if (drawn.delete(plot)) Plotly.purge(plot.host);
      return;
    }
    const made = plot.make(narrow());
    const paper = plot.host.closest(".pair") ? HALF_PAPER : PAPER;
    const width = Math.min(printing ? paper : plot.host.clientWidth, made.most || Infinity);
    Plotly.react(plot.host, made.data, { ...made.layout, width }, { displayModeBar: false });
    drawn.add(plot);
  }

  const breath = () => new Promise((next) => setTimeout(next));

  async function drawInView() {
    begun = true;
    for (const plot of [...waiting]) {
      if (plot.host.getBoundingClientRect().top > window.innerHeight) continue;
      draw(plot);
      await breath();
    }
  }

  // Everything, and whatever else was said to be under way.
  async function drawAll() {
    while (waiting.size) {
      draw(waiting.values().next().value);
      await breath();
    }
    await Promise.all(others);
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
    [...waiting].forEach(draw);
    redraw();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });
  theme.listen(redraw);

  return { figure, axis, layout, widest, drawInView, drawAll, also: (promise) => others.push(promise) };
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
