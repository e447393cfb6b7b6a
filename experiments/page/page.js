// The page: what charts and tables share, which is the hidden methods and the chosen problem.

const page = {
  ...JSON.parse(document.getElementById("data").textContent),
  hidden: new Set(),
  shownCharts: [],
  tables: [],
  chosen: null,

  toggle(method, alone) {
    const others = this.methods.map((_, i) => i).filter((i) => i !== method);
    const isAlone = !this.hidden.has(method) && others.every((i) => this.hidden.has(i));
    if (alone) this.hidden = new Set(isAlone ? [] : others);
    else if (!this.hidden.delete(method)) this.hidden.add(method);
    this.refresh();
  },

  showAll() {
    this.hidden.clear();
    this.refresh();
  },

  refresh() {
    this.shownCharts.forEach((chart) => chart.refresh());
    this.tables.forEach((table) => table.mark());
  },

  knows(name) {
    return this.shownCharts.some((chart) => chart.data.panels.length > 1
      && chart.data.panels.some((panel) => panel.name === name));
  },

  // Charts that have a panel of this name show it, too.
  select(name, origin = null) {
    if (origin === null || origin === this.shownCharts[0]) this.chosen = name;
    for (const chart of this.shownCharts) {
      const panel = chart.data.panels.find((one) => one.name === name);
      if (chart !== origin && panel && panel !== chart.panel) chart.choose(panel, true);
    }
    this.tables.forEach((table) => table.filter());
  },

  go(name) {
    this.select(name);
    const first = this.shownCharts.find((chart) => chart.data.panels.some((panel) => panel.name === name));
    first.host.scrollIntoView({ block: "nearest" });
  },
};

document.documentElement.classList.add("alive");
for (const host of document.querySelectorAll("[data-chart]")) {
  const data = page.charts[Number(host.dataset.chart)];
  if (data.panels.length) page.shownCharts.push(new Chart(host, data, page));
}
page.chosen = page.shownCharts[0]?.panel.name ?? null;
for (const root of document.querySelectorAll("div.table")) page.tables.push(new Table(root, page));
page.tables.forEach((table) => table.mark());
for (const code of document.querySelectorAll("pre > code")) {
  const button = html("button", {
    type: "button", class: "copy",
    onclick: () => navigator.clipboard.writeText(code.textContent).then(
      () => { button.textContent = "Copied"; }, () => { button.textContent = "Not allowed"; }),
  }, "Copy");
  code.parentElement.append(button);
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
