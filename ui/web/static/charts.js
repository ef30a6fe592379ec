// Charts: <tb-chart data-chart='{"title", "series": [{"src", "name", "label", "dots", "color"}], …}'> draws series by
// Plotly, which is loaded once, when a chart comes into sight. A refresh keeps zoom, hidden series and the pointer's
// place. <tb-chart-controls> holds what a person chooses for all charts.

import { clipped, clockOf, finite, paused, placeable, places, scaleOf, short, smoothed } from "./curves.js";
import { say } from "./live.js";
import { sourceOf } from "./sources.js";

const KEY = "tunebus-charts";
const AXES = ["step", "epoch", "tokens", "time"];
const DEFAULTS = { x: "step", smoothing: 0, log: false, clip: false, marks: true };
const FLAGS = ["log", "clip", "marks"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = { lost: "x", resumed: "triangle-right", checkpoint: "triangle-up", evaluation: "diamond" };
const HEIGHT = 240;
const BETWEEN_MARKS = 14; // pixels

/** An element with attributes and children; nothing is read as HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// What is chosen. The address says it first (#charts=…), so that a copied link shows the same.

const settings = { ...DEFAULTS, ...remembered(), ...addressed() };

function remembered() {
  try {
    return sound(JSON.parse(localStorage.getItem(KEY) ?? "{}"));
  } catch {
    return {};
  }
}

function addressed() {
  const found = new URLSearchParams(window.location.hash.slice(1)).get("charts");
  if (!found) return {};
  const [x, smoothing, ...flags] = found.split("~");
  return sound({ x, smoothing: Number(smoothing), ...Object.fromEntries(FLAGS.map((flag) => [flag, flags.includes(flag)])) });
}

function sound(given) {
  const kept = FLAGS.filter((flag) => typeof given[flag] === "boolean").map((flag) => [flag, given[flag]]);
  if (AXES.includes(given.x)) kept.push(["x", given.x]);
  if (given.smoothing >= 0 && given.smoothing < 1) kept.push(["smoothing", given.smoothing]);
  return Object.fromEntries(kept);
}

function choose(patch) {
  Object.assign(settings, patch);
  localStorage.setItem(KEY, JSON.stringify(settings));
  const usual = Object.keys(DEFAULTS).every((name) => settings[name] === DEFAULTS[name]);
  const said = [settings.x, settings.smoothing, ...FLAGS.filter((flag) => settings[flag])].join("~");
  history.replaceState(history.state, "", window.location.pathname + window.location.search + (usual ? "" : `#charts=${said}`));
  announce();
}

function announce() {
  document.dispatchEvent(new CustomEvent("tunebus:charts"));
}

function follow(found) {
  Object.assign(settings, found);
  announce();
}

window.addEventListener("hashchange", () => follow(addressed()));
window.addEventListener("storage", (event) => { if (event.key === KEY) follow(remembered()); });

let library = null;

function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", { src: document.querySelector("meta[name=tb-charts]").content });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => {
      library = null;
      script.remove();
      reject(new Error(say("failed")));
    });
    document.head.append(script);
  });
  return library;
}

class Chart extends HTMLElement {
  static observedAttributes = ["data-chart"];

  connectedCallback() {
    if (this.figure) return;
    this.inSight = false;
    this.off = new Set(); // labels of series that a person has hidden
    this.zoom = 0;
    this.furnish();
    this.again = () => this.draw();
    document.addEventListener("tunebus:charts", this.again);
    document.addEventListener("tunebus:theme", this.again);
    this.released = () => {
      this.held = false;
      if (this.late) this.draw();
    };
    window.addEventListener("pointerup", this.released);
    this.sight = new IntersectionObserver((entries) => this.look(entries.at(-1).isIntersecting), { rootMargin: "150px" });
    this.sight.observe(this.figure);
    this.width = new ResizeObserver(() => { if (this.drawn && this.inSight) window.Plotly.Plots.resize(this.plot); });
    this.width.observe(this.plot);
    this.given();
  }

  disconnectedCallback() {
    queueMicrotask(() => { if (!this.isConnected) this.leave(); }); // not when it only moves
  }

  attributeChangedCallback() {
    if (this.figure) this.given();
  }

  leave() {
    if (!this.figure) return;
    this.sight.disconnect();
    this.width.disconnect();
    document.removeEventListener("tunebus:charts", this.again);
    document.removeEventListener("tunebus:theme", this.again);
    window.removeEventListener("pointerup", this.released);
    for (const source of this.sources) source.leave(this);
    if (this.drawn) window.Plotly.purge(this.plot);
    this.drawn = false;
    this.figure.remove();
    this.figure = null;
  }

  furnish() {
    const tool = (key, press) => element("button", { type: "button", class: "tb-button tb-quiet", onclick: press }, say(key));
    this.heading = element("h3");
    this.reset = tool("chart.reset", () => this.whole());
    this.reset.hidden = true;
    this.picture = tool("chart.png", () => this.save());
    this.table = element("a", { class: "tb-button tb-quiet", download: true }, say("chart.csv"));
    this.legend = element("ul", { class: "tb-plot-legend" });
    this.plot = element("div", { class: "tb-plot-area", role: "img", hidden: true });
    this.words = element("p", { class: "tb-empty", role: "status" }, say("chart.loading"));
    const tools = element("div", { class: "tb-plot-tools" }, this.reset, this.picture, this.table);
    this.figure = element(
      "figure", { class: "tb-plot" },
      element("figcaption", {}, this.heading, tools), this.legend, this.plot, this.words,
    );
    this.plot.addEventListener("pointerdown", () => { this.held = true; });
    this.append(this.figure);
  }

  /** Takes what the page says of this chart, which may change while it is shown. */
  given() {
    const before = new Set(this.sources ?? []);
    this.wanted = JSON.parse(this.dataset.chart);
    this.sources = [...new Set(this.wanted.series.map(({ src }) => sourceOf(src)))];
    for (const source of before) if (!this.sources.includes(source)) source.leave(this);
    this.heading.textContent = this.wanted.title;
    if (!this.drawn) this.plot.setAttribute("aria-label", this.wanted.title);
    this.picture.setAttribute("aria-label", say("chart.png_of", this.wanted));
    this.table.setAttribute("aria-label", say("chart.csv_of", this.wanted));
    this.table.href = this.wanted.csv;
    this.table.hidden = !this.wanted.csv;
    this.figure.hidden = this.wanted.optional;
    this.join();
    this.draw();
  }

  /** Tells the sources which series are wanted; what the x axis needs too. */
  join() {
    const extra = this.wanted.by === "step" && ["epoch", "tokens"].includes(settings.x) ? [settings.x] : [];
    for (const source of this.sources) {
      const own = this.wanted.series.filter(({ src }) => src === source.address);
      source.join(this, [...own.map(({ name }) => name), ...extra]);
      if (!source.version) source.refresh();
    }
  }

  look(inSight) {
    this.inSight = inSight;
    if (!inSight) return;
    plotly().catch(() => {}); // while the points are on their way; who draws asks again and says what is wrong
    for (const source of this.sources) source.refresh();
    if (this.late) this.draw();
  }

  /** Draws as soon as it is in sight and nobody drags in it. */
  draw() {
    if (!this.figure) return;
    this.late = !this.inSight && !this.figure.hidden;
    if (this.late) return;
    this.late = this.held;
    if (this.late) return;
    this.join();
    const error = this.sources.map((source) => source.error).find(Boolean);
    const answered = this.sources.every((source) => source.answered);
    const lines = answered ? this.lines() : [];
    const any = lines.some((line) => line.y.some(finite) || line.odd.length);
    this.figure.hidden = this.wanted.optional && !any;
    this.words.textContent = any && !error ? "" : error ?? say(answered ? "chart.empty" : "chart.loading");
    this.words.hidden = any && !error;
    this.plot.hidden = !any;
    this.picture.disabled = !any;
    this.legend.hidden = lines.length < 2;
    if (any) this.paint(lines);
  }

  /** What is to be drawn: every series with a point, `{label, x, y, odd, dots, color}`. */
  lines() {
    const found = [];
    for (const { src, name, label, dots, color } of this.wanted.series) {
      const source = sourceOf(src);
      const pattern = new RegExp(`^${name.split("*").map(escaped).join("(.+)")}$`);
      for (const [key, series] of source.series) {
        const match = pattern.exec(key);
        if (!match || !series.values.length) continue;
        const place = name.includes("*") ? found.length : color;
        found.push({ name: key, source, series, dots, color: place, label: label.replace("{n}", match[1] ?? "") });
      }
    }
    this.axis = this.wanted.by === "time" ? "time" : settings.x;
    if (!found.every(({ source, series }) => placeable(this.axis, source, [series]))) this.axis = "step";
    const largest = Math.max(0, ...found.map(({ series }) => series.values.reduce((most, value) => (finite(value) ? Math.max(most, value) : most), 0)));
    const zoomed = !this.reset.hidden; // who looks at a part keeps its units: in others it would be another part
    if (!zoomed || !this.scale) this.scale = scaleOf(this.wanted.unit, largest);
    for (const line of found) {
      line.x = places(this.axis, line.source, line.series);
      line.y = line.series.values.map((value) => (finite(value) ? value / this.scale.size : null));
      line.odd = line.series.values.flatMap((value, at) => (finite(value) ? [] : [[at, value]]));
    }
    if (this.axis === "time") {
      const longest = Math.max(0, ...found.map(({ x }) => x.at(-1)));
      if (!zoomed || !this.clock) this.clock = clockOf(longest);
      for (const line of found) line.x = line.x.map((seconds) => seconds / this.clock.size);
    }
    return found;
  }

  async paint(lines) {
    const Plotly = await plotly();
    if (!this.figure || !this.inSight) {
      this.late = true;
      return;
    }
    this.list(lines);
    const shown = lines.filter(({ label }) => !this.off.has(label));
    const look = getComputedStyle(document.body);
    const color = (name) => look.getPropertyValue(`--tb-${name}`).trim();
    const traces = shown.flatMap((line) => this.traces(line, color(`curve-${line.color % 10}`), color("bad")));
    const marks = settings.marks ? this.marks(lines) : [];
    traces.push(...this.symbols(marks, color("soft"), color("bad")));
    const layout = this.layout(shown, marks, color, look.fontFamily);
    if (this.revision !== layout.uirevision) this.reset.hidden = true; // another axis shows all of it
    this.revision = layout.uirevision;
    this.plot.setAttribute("aria-label", this.summary(shown));
    const config = { displayModeBar: false, displaylogo: false, doubleClick: false, showTips: false };
    await Plotly.react(this.plot, traces, layout, config);
    if (!this.drawn) this.listen();
    this.drawn = true;
    if (this.pointer && this.plot.matches(":hover")) Plotly.Fx.hover(this.plot, this.pointer);
  }

  listen() {
    this.plot.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change || "yaxis.range[0]" in change) this.reset.hidden = false;
    });
    this.plot.on("plotly_doubleclick", () => this.whole());
    this.plot.on("plotly_hover", ({ event }) => { this.pointer = event; });
    this.plot.on("plotly_unhover", () => { this.pointer = null; });
  }

  traces(line, color, bad) {
    const { x, y, dots, label, odd } = line;
    const usual = { type: "scatter", uid: label, name: label, x, line: { color, width: 1.8 }, connectgaps: false };
    const dash = DASHES[line.color % DASHES.length];
    const unit = this.scale.name ? ` ${this.scale.name}` : "";
    const hovertemplate = `${label.replaceAll("%", "&#37;").replaceAll("<", "&lt;")}: %{y:,.5~g}${unit}<extra></extra>`;
    const made = [];
    if (dots || x.length === 1) {
      made.push({ ...usual, y, mode: "lines+markers", marker: { color, size: 6, symbol: dots ? "diamond" : "circle" }, line: { ...usual.line, dash: "dot", width: 1.2 }, hovertemplate });
    } else {
      const smooth = smoothed(x, y, settings.smoothing);
      const placed = (values) => {
        const [across, up] = this.wanted.by === "time" ? paused(x, values) : [x, values];
        return { x: across, y: up };
      };
      if (smooth !== y) made.push({ ...usual, uid: `${label} raw`, ...placed(y), mode: "lines", opacity: 0.3, hoverinfo: "skip", line: { color, width: 1 } });
      made.push({ ...usual, ...placed(smooth), mode: "lines", line: { ...usual.line, dash }, hovertemplate });
    }
    if (odd.length) {
      made.push({
        type: "scatter", mode: "markers", uid: `${label} odd`, name: label, x: odd.map(([at]) => x[at]), y: odd.map(([at]) => nearest(y, at)),
        text: odd.map(([, value]) => `${label.replaceAll("<", "&lt;")}: ${value}`), marker: { color: bad, size: 9, symbol: "x-thin", line: { color: bad, width: 2 } }, hovertemplate: "%{text}<extra></extra>",
      });
    }
    return made;
  }

  /** What happened, with its place on the x axis. Only where all lines are of one run. */
  marks(lines) {
    if (this.sources.length > 1) return [];
    const [source] = this.sources;
    const evaluations = source.series.get("eval_loss") ?? { steps: [] };
    const words = (step) => say("chart.evaluation", { step });
    const drawn = lines.some(({ name }) => name.startsWith("eval_")); // its points are marks enough
    const found = [
      ...source.marks,
      ...(drawn ? [] : evaluations.steps).map((step, at) => ({ kind: "evaluation", step, t: evaluations.times?.[at], words: words(step) })),
    ];
    const most = Math.max(...lines.map(({ x }) => x.at(-1) ?? 0));
    return found.flatMap((mark) => {
      if (this.axis === "time" && !finite(mark.t)) return [];
      const [place] = places(this.axis, source, { steps: [mark.step], times: [mark.t] });
      const x = this.axis === "time" ? place / this.clock.size : place;
      return x >= 0 && x <= most * 1.02 ? [{ ...mark, x }] : [];
    });
  }

  symbols(marks, soft, bad) {
    return Object.entries(SYMBOLS).flatMap(([kind, symbol]) => {
      const every = marks.filter((mark) => mark.kind === kind);
      if (!every.length) return [];
      const apart = Math.ceil((every.length * BETWEEN_MARKS) / Math.max(100, this.plot.clientWidth));
      const own = every.filter((_, at) => at % apart === 0 || kind === "lost" || kind === "resumed");
      const y = kind === "lost" || kind === "resumed" ? 0.97 : kind === "checkpoint" ? 0.02 : 0.06;
      return [{
        type: "scatter", mode: "markers", uid: kind, name: "", yaxis: "y2", x: own.map(({ x }) => x), y: own.map(() => y),
        text: own.map((mark) => mark.words), hovertemplate: "%{text}<extra></extra>",
        marker: { symbol, size: 6, color: kind === "lost" ? bad : soft },
      }];
    });
  }

  layout(shown, marks, color, family) {
    const log = settings.log && shown.some(({ y }) => y.some((value) => value > 0));
    const range = settings.clip ? clipped(shown.flatMap(({ y }) => y), log) : null;
    const seams = marks.filter(({ kind }) => kind === "resumed" || kind === "lost");
    const labelled = seams.filter(({ label }) => label).slice(0, 4);
    const most = Math.max(0, ...shown.map(({ y }) => y.reduce((most, value) => (finite(value) ? Math.max(most, value) : most), 0)));
    const axis = { gridcolor: color("line"), linecolor: color("line"), zeroline: false, tickfont: { size: 11 }, automargin: true };
    const words = this.axis === "time" ? say("chart.axis.time", { unit: this.clock.name }) : say(`chart.axis.${this.axis}`);
    return {
      height: HEIGHT,
      margin: { l: 48, r: 10, t: labelled.length ? 20 : 8, b: 38 },
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family, size: 11, color: color("soft") },
      showlegend: false,
      hovermode: "x unified",
      hoverlabel: { bgcolor: color("raised"), bordercolor: color("line"), font: { family, size: 12, color: color("text") } },
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      uirevision: `${this.axis} ${this.clock?.name} ${this.scale.name} ${log} ${settings.clip} ${this.zoom}`,
      xaxis: {
        ...axis, title: { text: words, standoff: 6, font: { size: 11 } }, exponentformat: "SI",
        unifiedhovertitle: { text: `${words}: %{x:${this.axis === "step" || this.axis === "tokens" ? ",.0f" : ".4~g"}}` },
      },
      yaxis: {
        ...axis, type: log ? "log" : "linear", exponentformat: most >= 1e4 ? "SI" : "e", ...(log ? { tickformat: "~g" } : {}), hoverformat: ".5g", ticksuffix: this.scale.name === "%" ? " %" : "",
        title: { text: ["", "%"].includes(this.scale.name) ? "" : this.scale.name, font: { size: 11 } },
        ...(range ? { range, autorange: false } : { autorange: true }),
      },
      yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
      shapes: seams.map(({ x }) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", layer: "below", line: { color: color("warn"), width: 1, dash: "dash" } })),
      annotations: labelled.map(({ x, label }) => ({ // above the plot, where no curve runs
        x, y: 1, yref: "paper", yanchor: "bottom", xanchor: x > 0.8 * Math.max(...shown.map((line) => line.x.at(-1) ?? 0)) ? "right" : "left", xshift: -2, text: label, showarrow: false, font: { size: 11, color: color("warn") },
      })),
    };
  }

  /** The legend: a button a series, which hides and shows it. */
  list(lines) {
    const wanted = lines.map(({ label, color, dots, y }) => [label, color, dots, short(y.findLast(finite))]);
    const key = JSON.stringify([wanted.map(([label]) => label)]);
    if (this.listed !== key) {
      this.listed = key;
      this.legend.replaceChildren(...wanted.map(([label, color, dots]) => {
        const sign = element("i", { class: dots ? "tb-sign tb-sign-dots" : "tb-sign", "data-curve": color % 10 });
        const value = element("span", { class: "tb-plot-last" });
        return element("li", {}, element("button", { type: "button", "data-label": label, onclick: () => this.toggle(label) }, sign, element("span", {}, label), value));
      }));
    }
    for (const [at, item] of [...this.legend.children].entries()) {
      const [label, , , last] = wanted[at];
      const button = item.firstChild;
      button.setAttribute("aria-pressed", String(!this.off.has(label)));
      button.lastChild.textContent = last === "undefined" ? "" : `${last} ${this.scale.name}`.trim();
    }
  }

  /** Shows all of it again after a zoom. */
  whole() {
    this.zoom += 1;
    this.reset.hidden = true;
    this.draw();
  }

  toggle(label) {
    if (!this.off.delete(label)) this.off.add(label);
    this.draw();
  }

  /** The chart in words, for those who do not see it. */
  summary(lines) {
    const parts = lines.map(({ label, x, y }) => {
      const known = y.flatMap((value, at) => (finite(value) ? [at] : []));
      if (!known.length) return say("chart.summary_none", { label });
      const [first, last] = [known[0], known.at(-1)];
      const values = known.map((at) => y[at]);
      const least = values.reduce((one, other) => Math.min(one, other));
      const most = values.reduce((one, other) => Math.max(one, other));
      return say("chart.summary", {
        label, from: short(x[first]), to: short(x[last]), first: short(y[first]), last: short(y[last]), least: short(least), most: short(most),
      });
    });
    return `${this.wanted.title}. ${parts.join(" ")}`;
  }

  async save() {
    const Plotly = await plotly();
    const look = getComputedStyle(document.body);
    const layout = { ...this.plot.layout, title: { text: this.wanted.title, font: { size: 15 } }, showlegend: true, paper_bgcolor: look.getPropertyValue("--tb-raised").trim() };
    const figure = { data: this.plot.data.map((trace) => ({ ...trace, showlegend: Boolean(trace.name) && !/ (raw|odd)$/.test(trace.uid) })), layout: { ...layout, margin: { ...layout.margin, t: 44 } } };
    const address = await Plotly.toImage(figure, { format: "png", width: 1100, height: 520, scale: 2 });
    element("a", { href: address, download: `${this.wanted.title}.png` }).click();
  }
}

const escaped = (words) => words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The number nearest to a place that holds none. */
function nearest(y, at) {
  for (let away = 1; away < y.length; away += 1) {
    if (finite(y[at - away])) return y[at - away];
    if (finite(y[at + away])) return y[at + away];
  }
  return 0;
}

class Controls extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    const options = AXES.map((axis) => element("option", { value: axis }, say(`chart.by.${axis}`)));
    this.axis = element("select", { onchange: () => choose({ x: this.axis.value }) }, ...options);
    this.slider = element("input", { type: "range", min: 0, max: 0.99, step: 0.01, oninput: () => choose({ smoothing: Number(this.slider.value) }) });
    this.weight = element("output");
    this.flags = FLAGS.map((flag) => element("input", { type: "checkbox", name: flag, onchange: ({ target }) => choose({ [flag]: target.checked }) }));
    const parts = [
      element("label", {}, element("span", {}, say("chart.smoothing")), this.slider, this.weight),
      ...this.flags.map((box) => element("label", { title: say(`chart.${box.name}_help`) }, box, element("span", {}, say(`chart.${box.name}`)))),
    ];
    if (this.dataset.by === "step") parts.unshift(element("label", {}, element("span", {}, say("chart.x")), this.axis));
    this.append(element("div", { class: "tb-chart-controls", role: "group", "aria-label": say("chart.controls") }, ...parts));
    this.show = () => {
      this.axis.value = settings.x;
      this.slider.value = settings.smoothing;
      this.weight.textContent = settings.smoothing.toFixed(2);
      for (const box of this.flags) box.checked = settings[box.name];
    };
    document.addEventListener("tunebus:charts", this.show);
    this.show();
  }

  disconnectedCallback() {
    queueMicrotask(() => { if (!this.isConnected) document.removeEventListener("tunebus:charts", this.show); });
  }
}

new MutationObserver(() => document.dispatchEvent(new CustomEvent("tunebus:charts")))
  .observe(document.body, { attributes: true, attributeFilter: ["class"] });
customElements.define("tb-chart", Chart);
customElements.define("tb-chart-controls", Controls);
