// Elements, numbers and tables of the page. Whatever comes from the run enters as text nodes only, never as markup.

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

const dash = "–";
const grouped = new Intl.NumberFormat("en");

function number(value, digits = 3) {
  if (value === null || value === undefined) return dash;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

function signed(value, digits = 3) {
  return value > 0 && Number(value.toFixed(digits)) !== 0 ? `+${number(value, digits)}` : number(value, digits);
}

function count(value) {
  return value === null || value === undefined ? dash : grouped.format(value);
}

function money(value) {
  if (value === null || value === undefined) return dash;
  return `$${value.toFixed(value !== 0 && value < 1 ? 4 : 2)}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return dash;
  const whole = Math.round(seconds);
  const two = (part) => String(part).padStart(2, "0");
  if (whole < 100) return `${whole} s`;
  if (whole < 6000) return `${Math.floor(whole / 60)}:${two(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)} h`;
}

function interval(low, high, format = number) {
  return low === null || low === undefined ? "" : `${format(low)} to ${format(high)}`;
}

function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

function excerpt(text, length = 40) {
  const line = text.split(/\s+/).join(" ").trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

// columns: [{title, number?}]; rows: lists of texts, nodes or {text, class}. The first cell heads its row.
function table(caption, columns, rows, attributes = {}) {
  const cell = (value, column, heads) => {
    const plain = value !== null && typeof value === "object" && !(value instanceof Node);
    const classes = [columns[column].number ? "number" : "", plain ? value.class || "" : ""].join(" ").trim();
    return el(
      heads ? "th" : "td",
      { scope: heads ? "row" : null, class: classes || null, "data-label": columns[column].title },
      plain ? value.text : value,
    );
  };
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      attributes,
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el("tr", {}, columns.map((c) => el("th", { scope: "col", class: c.number ? "number" : null }, c.title))),
      ),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value, i) => cell(value, i, i === 0))))),
    ),
  );
}

// options: [[value, text]]; the value comes back as a text.
function choice(label, options, chosen, change) {
  const select = el(
    "select",
    { onchange: () => change(select.value) },
    options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)),
  );
  return el("label", {}, label, select);
}

// The content is made when it is first opened.
// Printed ones are opened on paper, others left out there.
function unfolding(summary, make, { open = false, printed = false } = {}) {
  const node = el("details", { "data-printed": printed }, el("summary", {}, summary));
  let made = false;
  const fill = () => {
    if (made) return;
    made = true;
    node.append(...[make()].flat());
  };
  node.addEventListener("toggle", () => node.open && fill());
  if (open) {
    fill();
    node.open = true;
  }
  return node;
}

function announce(text) {
  document.getElementById("announcer").textContent = text;
}

function pairName(target) {
  return `${target.task} · ${target.model}`;
}
