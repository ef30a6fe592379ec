// Where charts have their points from: one source an address, shared by all charts that draw series of it. After the
// first answer only what is new is asked for, when the studio says that something changed and a chart is in sight.

const POINTS = 1500;
const FIRST_POINTS = 1200; // leaves room for those that follow
const AGAIN = 5000;

const sources = new Map();

export function sourceOf(address) {
  if (!sources.has(address)) sources.set(address, new Source(address));
  return sources.get(address);
}

class Source {
  constructor(address) {
    this.address = address;
    this.charts = new Set();
    this.names = new Set();
    this.series = new Map();
    this.marks = [];
    this.marked = ""; // which marks these are
    this.begin = null;
    this.state = "";
    this.error = null;
    this.answered = false;
    this.forget();
  }

  /** The next answer will be a whole one. */
  forget() {
    this.version = "";
    this.next = null;
  }

  join(chart, names) {
    this.charts.add(chart);
    for (const name of names) {
      if (!this.names.has(name)) this.forget();
      this.names.add(name);
    }
  }

  leave(chart) {
    this.charts.delete(chart);
    if (!this.charts.size) sources.delete(this.address);
  }

  /** Asks for what is new, once for all charts, if one of them is in sight. */
  refresh() {
    if (![...this.charts].some((chart) => chart.inSight)) return;
    this.asking ??= this.ask().finally(() => {
      this.asking = null;
      if (!this.version && !this.error) this.refresh();
    });
  }

  async ask() {
    const asked = [...this.names].sort().join(",");
    const question = new URLSearchParams({ names: asked, points: FIRST_POINTS });
    if (this.version) question.set("version", this.version);
    const since = this.next;
    if (since !== null) question.set("since", since);
    if (this.marked) question.set("marked", this.marked);
    try {
      const answer = await fetch(`${this.address}&${question}`);
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error.message);
      if (found.gone) this.forget(); // by somebody else's hand: asked again when the studio changes
      const recovered = this.error !== null;
      this.error = found.gone ?? null;
      if (asked !== [...this.names].sort().join(",")) return; // a chart came meanwhile that wants more
      const news = found.series && this.take(found, since);
      if (!news && !recovered && !this.error) return;
    } catch (trouble) {
      this.error = trouble.message;
      setTimeout(() => this.refresh(), AGAIN);
    }
    for (const chart of this.charts) chart.draw();
  }

  /** Keeps what came; says whether there is anything to draw anew. */
  take(found, since) {
    const whole = since === null;
    const news = whole || found.marks || found.begin !== this.begin || Object.keys(found.series).length > 0;
    for (const name of whole ? [...this.series.keys()] : []) if (!found.series[name]) this.series.delete(name);
    for (const [name, fresh] of Object.entries(found.series)) {
      const known = this.series.get(name);
      this.series.set(name, whole || !known ? fresh : joined(known, fresh, since));
    }
    const ended = this.state !== "" && this.state !== found.state;
    Object.assign(this, {
      version: found.version, next: found.next, state: found.state, begin: found.begin, marked: found.marked, answered: true,
    });
    if (found.marks) this.marks = found.marks;
    const full = [...this.series.values()].some((one) => one.values.length > POINTS);
    if (!whole && (full || ended)) this.forget();
    return news;
  }
}

/** A series with what came in place of its points after `since`. */
function joined(known, fresh, since) {
  const by = known.steps ?? known.times;
  let end = by.length;
  while (end > 0 && by[end - 1] > since) end -= 1;
  const made = { ...known };
  for (const name of ["steps", "times", "values"]) {
    if (known[name]) made[name] = [...known[name].slice(0, end), ...(fresh[name] ?? [])];
  }
  return made;
}

document.addEventListener("tunebus:changed", () => { for (const source of sources.values()) source.refresh(); });
