// Plots as SVG: lines, markers, bars and a heat map. Each says in words what it shows, and stands beside a table
// with the same numbers. Colours are CSS variables, so that a change of theme needs no drawing.

// Pixels on paper, for a plot that stands alone and for one of a pair.
const PAPER = 640;
const HALF_PAPER = 310;

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// A shape with a text that shows on hover.
function titled(node, text) {
  if (text) node.prepend(svg("title", {}, text));
  return node;
}

function label(text, x, y, extra = {}) {
  return svg("text", { x, y, ...extra }, text);
}

const plots = (() => {
  const drawn = new Set();
  const waiting = new Set();
  const others = [];
  let printing = false;

  // `make(width, narrow)` gives an SVG element. `table` makes the table of the same numbers.
  function figure(words, make, { key = null, table: numbers = null } = {}) {
    const host = el("div", { class: "plot", role: "img", "aria-label": words });
    waiting.add({ host, make });
    setTimeout(drawAll);
    const rows = numbers ? unfolding("The same numbers as a table", numbers) : null;
    return el("figure", {}, key, host, el("figcaption", {}, words), rows);
  }

  function draw(plot) {
    waiting.delete(plot);
    if (!plot.host.isConnected) return drawn.delete(plot);
    const paper = plot.host.closest(".pair") ? HALF_PAPER : PAPER;
    const width = Math.floor(printing ? paper : plot.host.clientWidth) || PAPER;
    plot.host.replaceChildren(plot.make(width, width < 560));
    drawn.add(plot);
  }

  // Everything, and whatever else is under way.
  async function drawAll() {
    [...waiting].forEach(draw);
    await Promise.all(others);
    [...waiting].forEach(draw);
  }

  const redraw = () => [...drawn].forEach(draw);

  let width = window.innerWidth;
  let pending = null;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(pending);
    pending = setTimeout(redraw, 120);
  });
  const print = (on) => () => {
    printing = on;
    [...waiting].forEach(draw);
    redraw();
  };
  window.addEventListener("beforeprint", print(true));
  window.addEventListener("afterprint", print(false));

  const pen = document.createElement("canvas").getContext("2d");
  function widest(texts, size = 12) {
    pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
    return Math.max(0, ...texts.map((text) => pen.measureText(text).width));
  }

  return { figure, widest, drawAll, also: (promise) => others.push(promise) };
})();

function canvas(width, height, ...children) {
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, children);
}

// About `most` round numbers from low to high.
function ticksOf(low, high, most = 5) {
  const span = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => span / one <= most) || 10 * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(10)));
  return found;
}

const short = (value) => (Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(4)))).replace("-", "−");

// The range of some values with some air around them; `least` is the smallest span.
function rangeOf(values, { least = 0.05, zero = false, bounds = null } = {}) {
  const known = values.filter((value) => value !== null && value !== undefined);
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  if (zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
  const air = Math.max(least - (high - low), (high - low) * 0.08) / 2;
  [low, high] = [low - (zero && low === 0 ? 0 : air), high + (zero && high === 0 ? 0 : air)];
  return bounds ? [Math.max(bounds[0], low), Math.min(bounds[1], high)] : [low, high];
}

function scale([low, high], [from, to]) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

function marker(shape, x, y, size, colour, filled, text) {
  const style = `fill: ${filled ? colour : "var(--surface)"}; stroke: ${colour}; stroke-width: 1.5`;
  const node =
    shape === "diamond" || shape === "square"
      ? svg("rect", {
          x: x - size / 2,
          y: y - size / 2,
          width: size,
          height: size,
          transform: shape === "diamond" ? `rotate(45 ${x} ${y})` : null,
          class: "point",
          style,
        })
      : svg("circle", { cx: x, cy: y, r: size / 2, class: "point", style });
  return titled(node, text);
}

function whisker(x0, x1, y, colour) {
  return svg("line", { x1: x0, x2: x1, y1: y, y2: y, style: `stroke: ${colour}; stroke-width: 1.5` });
}

// series: {points: [{x, y, text, size?}], line?, steps?, dash?, markers?, bars?, shape?, colour, filled?}; `x` and `y`
// of the options are {range, ticks?, label, format?}.
function chart(width, height, { x, y, series }) {
  const ticks = { x: x.ticks || ticksOf(...x.range, width < 420 ? 4 : 7), y: y.ticks || ticksOf(...y.range) };
  const format = { x: x.format || short, y: y.format || short };
  const left = plots.widest(ticks.y.map(format.y)) + 30;
  const box = { left, right: width - 14, top: 12, bottom: height - 42 };
  const [at, up] = [scale(x.range, [box.left, box.right]), scale(y.range, [box.bottom, box.top])];
  return canvas(
    width,
    height,
    ticks.y.map((tick) => [
      svg("line", { x1: box.left, x2: box.right, y1: up(tick), y2: up(tick), class: "grid" }),
      label(format.y(tick), box.left - 7, up(tick) + 4, { "text-anchor": "end" }),
    ]),
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }),
    ticks.x.map((tick) => label(format.x(tick), at(tick), box.bottom + 17, { "text-anchor": "middle" })),
    label(x.label, (box.left + box.right) / 2, height - 6, { "text-anchor": "middle", class: "title" }),
    label(y.label, 12, (box.top + box.bottom) / 2, {
      "text-anchor": "middle",
      class: "title",
      transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})`,
    }),
    series.map((one) => drawSeries(one, at, up, box)),
  );
}

function drawSeries(one, at, up, box) {
  const { points, colour } = one;
  const parts = [];
  if (one.bars) {
    const size = one.bars;
    parts.push(
      points.map((point) =>
        titled(
          svg("rect", {
            x: at(point.x) - size / 2,
            y: up(point.y),
            width: size,
            height: Math.max(0, box.bottom - up(point.y)),
            class: "point",
            style: `fill: ${colour}`,
          }),
          point.text,
        ),
      ),
    );
    return parts;
  }
  if (one.line && points.length > 1) {
    const path = points.map((point, i) => {
      const [px, py] = [at(point.x).toFixed(1), up(point.y).toFixed(1)];
      if (!i) return `M${px} ${py}`;
      return one.steps ? `H${px}V${py}` : `L${px} ${py}`;
    });
    const dash = one.dash ? "; stroke-dasharray: 5 4" : "";
    parts.push(svg("path", { d: path.join(""), class: "line", style: `fill: none; stroke: ${colour}; stroke-width: 2${dash}` }));
  }
  if (one.markers !== false) {
    parts.push(
      points.map((point) =>
        marker(one.shape, at(point.x), up(point.y), point.size || one.size || 8, colour, one.filled, point.text),
      ),
    );
  }
  return parts;
}

// rows and columns: [texts]; values[i][j] in [low, high] or null; `text(i, j)` shows on hover; `colourOf(value)`.
function heatMap(width, { rows, columns, values, format, text, colourOf, upright }) {
  const size = rows.length > 30 ? 10 : 12;
  const left = Math.min(width * 0.5, plots.widest(rows, size) + 12);
  const top = upright ? plots.widest(columns) + 14 : 26;
  const cell = { w: Math.min(110, (width - left - 4) / columns.length), h: rows.length > 30 ? 17 : 30 };
  const height = top + cell.h * rows.length + 6;
  const roomy = cell.w >= 34 && cell.h >= 17;
  const every = upright ? Math.ceil(14 / cell.w) : 1;
  return canvas(
    width,
    height,
    columns.map((column, j) => {
      if (j % every) return null;
      const x = left + cell.w * (j + 0.5);
      return upright
        ? label(column, x + 4, top - 8, { transform: `rotate(-90 ${x + 4} ${top - 8})` })
        : label(fitted(column, cell.w - 6, 12), x, top - 9, { "text-anchor": "middle" });
    }),
    rows.map((row, i) => [
      label(fitted(row, left - 12, size), left - 8, top + cell.h * (i + 0.5) + 4, {
        "text-anchor": "end",
        style: `font-size: ${size}px`,
      }),
      columns.map((_, j) => {
        const value = values[i][j];
        if (value === null || value === undefined) return null;
        const [fill, ink] = colourOf(value);
        const [x, y] = [left + cell.w * j, top + cell.h * i];
        const rect = svg("rect", { x: x + 1, y: y + 1, width: Math.max(1, cell.w - 2), height: cell.h - 2, class: "point", style: `fill: ${fill}` });
        const shown = roomy ? label(format(value), x + cell.w / 2, y + cell.h / 2 + 4, { "text-anchor": "middle", style: `fill: ${ink}` }) : null;
        return titled(svg("g", {}, rect, shown), text(i, j));
      }),
    ]),
  );
}

// The text, cut so that it fits so many pixels.
function fitted(text, pixels, size) {
  if (plots.widest([text], size) <= pixels) return text;
  let kept = text;
  while (kept.length > 1 && plots.widest([`${kept}…`], size) > pixels) kept = kept.slice(0, -1);
  return `${kept}…`;
}

// From pale to deep blue, by the share in [0, 1]; the second colour is for text on it.
function blues(share) {
  const mix = (a, b) => Math.round(a + (b - a) * share);
  const fill = `rgb(${mix(236, 0)} ${mix(243, 82)} ${mix(248, 140)})`;
  return [fill, share > 0.5 ? "#fff" : "#1c1e23"];
}

// From blue over white to orange, by a value in [-1, 1].
function diverging(value) {
  const [r, g, b] = value < 0 ? [0, 114, 178] : [213, 94, 0];
  const share = Math.min(1, Math.abs(value));
  const mix = (from, to) => Math.round(from + (to - from) * share);
  return [`rgb(${mix(245, r)} ${mix(245, g)} ${mix(242, b)})`, share > 0.65 ? "#fff" : "#1c1e23"];
}
