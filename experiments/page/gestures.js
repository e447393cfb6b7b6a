// What the reader does to a chart with pointer, wheel, fingers and keys; and the choice of panels.

function listen(chart) {
  const { plot } = chart;
  const fingers = new Map();
  let drag = null;
  let scrolled = 0;
  let pinch = 0;
  const spot = (event) => {
    const box = plot.getBoundingClientRect();
    return [inside(event.clientX - box.left, MARGIN.left, chart.frame.right),
      inside(event.clientY - box.top, MARGIN.top, chart.frame.bottom)];
  };
  // A page that is being scrolled goes on scrolling where a chart passes under the pointer.
  addEventListener("scroll", () => { scrolled = performance.now(); }, { passive: true });
  plot.addEventListener("wheel", (event) => {
    const outwards = event.deltaY > 0;
    if (performance.now() - scrolled < 300 || (outwards && chart.zoom === null)) return;
    event.preventDefault();
    zoomBy(chart, 2 ** (Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY) / 240, 0.6)), ...spot(event));
    chart.read(spot(event)[0]);
  }, { passive: false });
  plot.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, spot(event));
    if (event.pointerType === "mouse" && event.button === 0) {
      drag = spot(event);
      plot.setPointerCapture(event.pointerId);
    }
    pinch = fingers.size === 2 ? apart(fingers) : 0;
    chart.read(spot(event)[0]);
  });
  plot.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, spot(event));
    if (pinch && fingers.size === 2) {
      const [[ax, ay], [bx, by]] = fingers.values();
      zoomBy(chart, pinch / apart(fingers), (ax + bx) / 2, (ay + by) / 2);
      pinch = apart(fingers);
    } else if (drag) {
      outline(chart, drag, spot(event));
    } else {
      chart.read(spot(event)[0]);
    }
  });
  const up = (event) => {
    fingers.delete(event.pointerId);
    if (drag && event.type === "pointerup") zoomInto(chart, drag, spot(event));
    drag = null;
    pinch = 0;
    chart.box.setAttribute("visibility", "hidden");
  };
  plot.addEventListener("pointerup", up);
  plot.addEventListener("pointercancel", up);
  plot.addEventListener("pointerleave", (event) => {
    if (!drag && event.pointerType === "mouse") chart.read(null);
  });
  plot.addEventListener("dblclick", () => chart.zoomTo(null));
  plot.addEventListener("blur", () => chart.read(null));
  plot.addEventListener("keydown", (event) => pressed(chart, event));
}

const inside = (value, low, high) => Math.max(low, Math.min(high, value));

function apart(fingers) {
  const [[ax, ay], [bx, by]] = fingers.values();
  return Math.max(Math.hypot(ax - bx, ay - by), 10);
}

// The part of each axis that a drag from one corner to another means; a flat one means one axis.
function meant(chart, [ax, ay], [bx, by]) {
  const { right, bottom } = chart.frame;
  const wide = Math.abs(ax - bx) > 12;
  const tall = Math.abs(ay - by) > 12;
  return {
    some: wide || tall,
    xs: wide ? [Math.min(ax, bx), Math.max(ax, bx)] : [MARGIN.left, right],
    ys: tall ? [Math.min(ay, by), Math.max(ay, by)] : [MARGIN.top, bottom],
  };
}

function outline(chart, from, to) {
  const { some, xs, ys } = meant(chart, from, to);
  const box = { x: xs[0], y: ys[0], width: xs[1] - xs[0], height: ys[1] - ys[0] };
  fill(chart.box, { ...box, visibility: some ? "visible" : "hidden" }, []);
}

function zoomInto(chart, from, to) {
  const { some, xs, ys } = meant(chart, from, to);
  if (!some) return;
  const { x0, x1, y0, y1, right, bottom } = chart.frame;
  const x = (p) => x0 + ((p - MARGIN.left) / (right - MARGIN.left)) * (x1 - x0);
  const y = (p) => y0 + ((bottom - p) / (bottom - MARGIN.top)) * (y1 - y0);
  chart.zoomTo({ x: xs.map(x), y: [y(ys[1]), y(ys[0])] });
}

// Zoom about a point in pixels; a factor above 1 shows more. Never beyond all there is.
function zoomBy(chart, factor, px, py) {
  const { x0, x1, y0, y1, full, right, bottom } = chart.frame;
  const around = (low, high, share, [least, most]) => {
    const centre = low + share * (high - low);
    const span = Math.max((high - low) * factor, (most - least) * 1e-4);
    const start = centre - share * span;
    return [Math.max(start, least), Math.min(start + span, most)];
  };
  const x = around(x0, x1, (px - MARGIN.left) / (right - MARGIN.left), full.x);
  const y = around(y0, y1, (bottom - py) / (bottom - MARGIN.top), full.y);
  const everything = [[x, full.x], [y, full.y]].every(([part, all]) =>
    part[1] - part[0] > 0.999 * (all[1] - all[0]));
  chart.zoomTo(everything ? null : { x, y });
}

function shift(chart, dx, dy) {
  if (!chart.zoom) return;
  const moved = ([low, high], share, [least, most]) => {
    const by = inside(share * (high - low), least - low, most - high);
    return [low + by, high + by];
  };
  const { full } = chart.frame;
  chart.zoomTo({ x: moved(chart.zoom.x, dx, full.x), y: moved(chart.zoom.y, dy, full.y) });
}

function pressed(chart, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { right, bottom } = chart.frame;
  const here = chart.at ?? (MARGIN.left + right) / 2;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const arrow = arrows[event.key];
  if (arrow && event.shiftKey) shift(chart, arrow[0] / 10, arrow[1] / 10);
  else if (arrow && arrow[0]) chart.read(inside(here + arrow[0] * (right - MARGIN.left) / 60, MARGIN.left, right), true);
  else if (event.key === "+" || event.key === "=") zoomBy(chart, 0.7, here, (MARGIN.top + bottom) / 2);
  else if (event.key === "-") zoomBy(chart, 1.4, here, (MARGIN.top + bottom) / 2);
  else if (event.key === "Escape" || event.key === "0") chart.zoomTo(null);
  else return;
  event.preventDefault();
}

// The list of a chart's panels: arrow keys walk through it; where they are many, it is searched.
class Picker {
  constructor(chart) {
    this.chart = chart;
    this.options = chart.data.panels.map((panel, i) => html("div", {
      role: "option", id: `${chart.id}-${i}`, class: "label",
      onclick: () => { chart.choose(panel); this.list.focus(); },
    }, panel.name));
    this.list = html("div", {
      role: "listbox", tabindex: "0", "aria-label": "Problem", onkeydown: (event) => this.walk(event),
    }, ...this.options);
    this.count = html("span", { class: "count", "aria-live": "polite" });
    const search = html("input", {
      type: "search", placeholder: `Search ${this.options.length} problems`, "aria-label": "Search problems",
      oninput: (event) => this.search(event.target.value), onkeydown: (event) => this.walk(event),
    });
    this.root = html("div", { class: "picker" }, ...(this.options.length > 10 ? [search] : []), this.list, this.count);
  }

  search(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = this.options.filter((option) => {
      option.hidden = !words.every((word) => option.textContent.toLowerCase().includes(word));
      return !option.hidden;
    });
    this.count.textContent = hits.length ? "" : "No problem has this name.";
  }

  walk(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || (event.target !== this.list && Math.abs(step) !== 1)) return;
    event.preventDefault();
    const open = this.options.filter((option) => !option.hidden);
    if (!open.length) return;
    const now = open.indexOf(this.options[this.chart.data.panels.indexOf(this.chart.panel)]);
    const next = open[inside(now + step, 0, open.length - 1)];
    this.chart.choose(this.chart.data.panels[this.options.indexOf(next)]);
  }

  mark() {
    this.options.forEach((option, i) => {
      const chosen = this.chart.data.panels[i] === this.chart.panel;
      option.setAttribute("aria-selected", chosen);
      if (!chosen) return;
      this.list.setAttribute("aria-activedescendant", option.id);
      const top = option.offsetTop - this.list.offsetTop; // not scrollIntoView: the page stays
      if (top < this.list.scrollTop) this.list.scrollTop = top;
      const below = top + option.offsetHeight - this.list.clientHeight;
      if (below > this.list.scrollTop) this.list.scrollTop = below;
    });
  }
}
