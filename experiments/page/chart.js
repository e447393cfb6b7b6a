// One chart: its choice of panel and view, its axes and lines, and what the reader does to it.

const MARGIN = { left: 68, right: 26, top: 12, bottom: 44 };
let charts = 0;

class Chart {
  constructor(host, data, page) {
    Object.assign(this, { host, data, page, panel: data.panels[0], view: 0, zoom: null, at: null });
    this.id = `chart-${charts++}`;
    this.build();
    new ResizeObserver(() => this.draw()).observe(this.stage);
    this.choose(this.panel, true);
  }

  build() {
    this.views = html("div", { class: "switch", role: "group", "aria-label": "Axis" });
    this.scales = html("div", { class: "switch", role: "group", "aria-label": "Scales" });
    this.reset = html("button", { type: "button", class: "reset", onclick: () => this.zoomTo(null) }, "Reset zoom");
    this.about = html("p", { class: "about" });
    this.remark = html("p", { class: "remark" });
    this.plot = svg("svg", { tabindex: "0", role: "application", class: "plot" });
    this.tip = html("div", { class: "tip", hidden: true });
    this.spoken = html("div", { class: "spoken", "aria-live": "polite" });
    this.stage = html("div", { class: "stage" }, this.plot, this.tip);
    this.legend = html("div", { class: "legend", role: "group", "aria-label": "Methods" });
    this.picker = this.data.panels.length > 1 ? new Picker(this) : null;
    const help = "Zoom by wheel or by dragging a box; double click resets. Keys: arrows, + and −, "
      + "shift and arrows, Esc.";
    this.host.append(
      ...(this.picker ? [this.picker.root] : []),
      html("div", { class: "middle" },
        html("div", { class: "bar" }, this.views, this.scales, this.reset),
        this.about, this.stage, this.remark, html("p", { class: "help" }, help), this.spoken),
      this.legend,
    );
    this.host.classList.toggle("many", this.picker !== null);
    listen(this);
  }

  get shown() {
    return this.panel.views[Math.min(this.view, this.panel.views.length - 1)];
  }

  // Show another panel; the first time, or when it has other views, also other buttons.
  choose(panel, quiet = false) {
    this.panel = panel;
    this.about.textContent = panel.about;
    this.about.hidden = !panel.about;
    if (this.picker) this.picker.mark();
    this.look(Math.min(this.view, panel.views.length - 1));
    if (!quiet) this.page.select(panel.name, this);
  }

  look(view) {
    this.view = view;
    this.log ??= { x: this.shown.logX, y: this.shown.logY };
    this.buttons();
    this.list();
    this.zoomTo(null);
  }

  buttons() {
    this.views.hidden = this.panel.views.length < 2;
    this.views.replaceChildren(...this.panel.views.map((view, i) =>
      toggle(view.name, i === this.view, () => {
        this.look(i);
        this.views.children[i].focus();
      })));
    this.scales.replaceChildren(...["x", "y"].map((axis) =>
      toggle(`log ${axis}`, this.log[axis], (event) => {
        this.log[axis] = !this.log[axis];
        event.currentTarget.setAttribute("aria-pressed", this.log[axis]);
        this.zoomTo(null);
      })));
  }

  // The legend is ordered as the lines end, the best first.
  list() {
    const sign = this.shown.rising ? -1 : 1;
    const rows = this.shown.lines.map(([method, grid, middle]) => {
      const last = middle.findLastIndex((v) => v !== null);
      return { method, value: last === middle.length - 1 ? middle[last] ?? null : null };
    });
    rows.sort((a, b) => (a.value === null) - (b.value === null) || sign * (a.value - b.value));
    const all = html("button", { type: "button", class: "all", onclick: () => this.page.showAll() }, "Show all");
    this.legend.replaceChildren(
      html("div", { class: "legend-head" }, html("span", {}, "At the end"), all),
      ...rows.map(({ method, value }) => html("button", {
        type: "button", class: "entry", "data-method": method,
        title: "Click to hide or show; shift-click for this one alone",
        onclick: (event) => this.page.toggle(method, event.shiftKey),
        onmouseenter: () => this.stress(method),
        onmouseleave: () => this.stress(null),
      }, ...swatch(this.page.methods, method), html("span", { class: "value" }, short(value, 3)))),
    );
    this.mark();
  }

  mark() {
    for (const entry of this.legend.querySelectorAll(".entry")) {
      entry.setAttribute("aria-pressed", !this.page.hidden.has(Number(entry.dataset.method)));
    }
    this.legend.querySelector(".all").hidden = this.page.hidden.size === 0;
  }

  stress(method) {
    for (const group of this.plot.querySelectorAll("[data-method]")) {
      group.classList.toggle("faint", method !== null && Number(group.dataset.method) !== method);
    }
  }

  refresh() {
    this.mark();
    this.draw();
  }

  zoomTo(zoom) {
    this.zoom = zoom;
    this.draw();
  }

  // Visible lines with their grids, and the scales and ends that hold all of them.
  layout() {
    const view = this.shown;
    const lines = view.lines
      .filter(([method]) => !this.page.hidden.has(method))
      .map(([method, grid, middle, low, high]) => ({ method, xs: view.grids[grid], middle, low, high }));
    const numbers = (arrays) => arrays.flat().filter((v) => v !== null && v !== undefined);
    const xs = numbers(lines.map((line) => line.xs));
    const ys = view.within ?? numbers(lines.flatMap((line) => [line.middle, line.low ?? [], line.high ?? []]));
    const positive = xs.filter((v) => v > 0); // before anything was spent there is nothing to see
    const [x] = scaleFor(this.log.x ? positive : xs, this.log.x);
    const [y, remark] = scaleFor(ys, this.log.y);
    const full = { x: ends(x, this.log.x ? positive : xs, 0.01), y: ends(y, ys, view.within ? 0.02 : 0.04) };
    if (view.mark !== null && !view.within) full.y = stretched(full.y, y.to(view.mark));
    return { lines, x, y, full, remark };
  }

  draw() {
    const width = this.stage.clientWidth;
    if (!width) return;
    const height = Math.round(Math.max(280, Math.min(440, width * 0.62)));
    const layout = this.layout();
    const { x: [x0, x1], y: [y0, y1] } = this.zoom ?? layout.full;
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const px = (v) => MARGIN.left + ((layout.x.to(v) - x0) / (x1 - x0)) * (right - MARGIN.left);
    const py = (v) => bottom - ((layout.y.to(v) - y0) / (y1 - y0)) * (bottom - MARGIN.top);
    this.frame = { ...layout, width, height, right, bottom, px, py, x0, x1, y0, y1 };
    this.cursor = svg("g", { class: "cursor" });
    this.box = svg("rect", { class: "box", visibility: "hidden" });
    this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.plot.setAttribute("height", height);
    this.plot.setAttribute("aria-label",
      `${this.data.title}, ${this.panel.name}: ${this.shown.y} against ${this.shown.x}`);
    this.plot.replaceChildren(
      svg("clipPath", { id: this.id }, svg("rect", {
        x: MARGIN.left, y: MARGIN.top, width: right - MARGIN.left, height: bottom - MARGIN.top })),
      ...this.axes(), svg("g", { "clip-path": `url(#${this.id})` }, ...this.lines()), this.cursor, this.box);
    this.remark.textContent = layout.lines.length ? layout.remark : "All methods are hidden.";
    this.remark.hidden = !this.remark.textContent;
    this.reset.hidden = this.zoom === null;
    this.read(null);
  }

  axes() {
    const { x, y, x0, x1, y0, y1, right, bottom, px, py, width } = this.frame;
    const parts = [];
    const xs = ticks(x, x0, x1, Math.max(3, Math.floor(width / 80)));
    const ys = ticks(y, y0, y1, 7);
    const yLabels = tickLabels(ys);
    tickLabels(xs).forEach((label, i) => parts.push(
      svg("path", { class: "grid", d: `M${at(px(xs[i]), MARGIN.top)}V${bottom}` }),
      svg("text", { x: px(xs[i]), y: bottom + 17, "text-anchor": "middle", class: "tick-x" }, label)));
    yLabels.forEach((label, i) => parts.push(
      svg("path", { class: "grid", d: `M${at(MARGIN.left, py(ys[i]))}H${right}` }),
      svg("text", { x: MARGIN.left - 8, y: py(ys[i]) + 4, "text-anchor": "end", class: "tick-y" }, label)));
    const middle = (MARGIN.top + bottom) / 2;
    parts.push(
      svg("path", { class: "axis", d: `M${MARGIN.left} ${bottom}H${right}` }),
      svg("text", { class: "x-label", x: (MARGIN.left + right) / 2, y: bottom + 37, "text-anchor": "middle" }, this.shown.x),
      svg("text", { class: "y-label", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, this.shown.y));
    return parts;
  }

  lines() {
    const { lines, px, py, y0, y1, right, y } = this.frame;
    const { mark, markLabel, steps } = this.shown;
    const parts = [];
    const up = (v) => (v === null ? MARGIN.top : py(v)); // a band may have no upper end
    const drawn = lines.map((line) => {
      const xs = line.xs.map((v) => (v === null ? null : px(v)));
      const ys = line.middle.map((v) => (v === null ? null : py(v)));
      const stroke = `var(--m${line.method})`;
      const lows = line.low?.map((v) => (v === null ? null : py(v)));
      if (lows) parts.push(svg("path", { class: "band", "data-method": line.method, fill: stroke, d: bandPath(xs, lows, line.high.map(up), steps) }));
      return svg("g", { class: "line", "data-method": line.method }, svg("path", {
        stroke, "stroke-dasharray": this.page.methods[line.method].dash.join(" "), d: linePath(xs, ys, steps) }));
    });
    parts.push(...drawn);
    if (mark !== null && y.to(mark) >= y0 && y.to(mark) <= y1) {
      parts.push(
        svg("path", { class: "mark", d: `M${at(MARGIN.left, py(mark))}H${right}` }),
        svg("text", { class: "mark-label", x: right - 4, y: py(mark) - 5, "text-anchor": "end" }, `${markLabel} ${short(mark)}`));
    }
    return parts;
  }

  // Show the values of all visible lines where the pointer is; null hides them.
  read(pixel, aloud = false) {
    const { lines, x, y, x0, x1, right, bottom, py } = this.frame;
    this.at = pixel;
    this.tip.hidden = pixel === null || !lines.length;
    this.cursor.replaceChildren();
    if (this.tip.hidden) return;
    const exact = x.from(x0 + ((pixel - MARGIN.left) / (right - MARGIN.left)) * (x1 - x0));
    const whole = lines[0].xs.every(Number.isInteger); // nobody spends half an evaluation
    const spot = whole ? Math.round(exact) : exact;
    const sign = this.shown.rising ? -1 : 1;
    const rows = lines.map(({ method, xs, middle, low, high }) => {
      const i = lastBefore(xs, spot);
      const ended = i === xs.length - 1 && spot > xs[i] * (1 + 1e-9);
      return { method, ended, value: middle[i] ?? null, low: low?.[i] ?? null, high: high?.[i] ?? null, band: low };
    });
    rows.sort((a, b) => (a.value === null) - (b.value === null) || sign * (a.value - b.value));
    this.cursor.append(svg("path", { class: "hair", d: `M${at(pixel, MARGIN.top)}V${bottom}` }));
    for (const { method, value } of rows) {
      const height = value === null ? NaN : py(value);
      if (height >= MARGIN.top - 1 && height <= bottom + 1) {
        this.cursor.append(svg("circle", { cx: pixel, cy: height, r: 3.5, fill: `var(--m${method})` }));
      }
    }
    const where = `${short(spot, 4)} ${this.shown.x}`;
    this.tip.replaceChildren(
      html("div", { class: "where" }, where),
      ...rows.map((row) => html("div", { class: row.ended ? "reading ended" : "reading" },
        ...swatch(this.page.methods, row.method), html("span", { class: "value" }, short(row.value)),
        html("span", { class: "spread" }, !row.band || row.value === null ? "" : spread(row)))));
    const flip = pixel > (MARGIN.left + right) / 2;
    this.tip.style.left = flip ? "auto" : `${pixel + 14}px`;
    this.tip.style.right = flip ? `${this.frame.width - pixel + 14}px` : "auto";
    if (aloud) {
      this.spoken.textContent = `${where}: ${rows.map((row) => `${this.page.methods[row.method].label} ${short(row.value)}`).join(", ")}`;
    }
  }
}

const spread = ({ low, high }) => `${short(low, 3)} – ${high === null ? "failed" : short(high, 3)}`;

function toggle(name, pressed, onclick) {
  return html("button", { type: "button", "aria-pressed": String(pressed), onclick }, name);
}

// Both ends of the values in units of a scale, with a little room.
function ends(scale, values, room) {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    const u = scale.to(v);
    if (u < low) low = u;
    if (u > high) high = u;
  }
  if (low > high) return [0, 1];
  const span = high - low;
  // What hardly varies is shown flat, not as a landscape of rounding.
  const extra = span > 1e-9 * Math.max(Math.abs(low), 1) ? span * room : Math.max(Math.abs(low) * 0.05, 0.1);
  return [low - extra, high + extra];
}

// The ends with a level in them, unless most of the picture would be empty.
function stretched([low, high], level) {
  const span = high - low;
  if (!Number.isFinite(level) || level < low - span * 0.35 || level > high + span * 0.35) return [low, high];
  return [Math.min(low, level - span * 0.05), Math.max(high, level + span * 0.05)];
}
