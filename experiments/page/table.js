// Tables: sorted by their headers, searched where they are long, taken away as CSV.

const LONG = 20;

class Table {
  constructor(root, page) {
    this.page = page;
    this.table = root.querySelector("table");
    this.body = this.table.tBodies[0];
    this.rows = [...this.body.rows];
    this.words = this.rows.map((row) => row.textContent.toLowerCase());
    this.heads = [...this.table.tHead.rows[0].cells];
    this.heads.forEach((head, i) => {
      const sort = html("button", { type: "button", class: "sort", onclick: () => this.sort(i) }, head.textContent);
      head.replaceChildren(sort);
    });
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.prepare();
    root.prepend(this.bar());
    this.filter();
  }

  // Names become buttons: a method's hides its lines, a problem's shows its chart.
  prepare() {
    for (const cell of this.body.querySelectorAll("[data-panel]")) {
      const name = cell.textContent;
      if (!this.page.knows(name)) continue;
      cell.replaceChildren(html("button", { type: "button", class: "link label", onclick: () => this.page.go(name) }, name));
    }
    for (const part of this.body.querySelectorAll(".method")) {
      const button = html("button", { type: "button", class: "method", "data-method": part.dataset.method });
      button.append(...part.childNodes);
      part.replaceWith(button);
    }
  }

  bar() {
    const root = html("div", { class: "bar" });
    const problems = new Set([...this.body.querySelectorAll("[data-panel]")].map((cell) => cell.textContent));
    if (this.rows.length > LONG) {
      this.search = html("input", {
        type: "search", placeholder: `Search ${this.rows.length} rows`, "aria-label": "Search the table",
        oninput: () => { if (this.only) this.only.checked = false; this.filter(); },
      });
      root.append(this.search);
      if (problems.size > 1) {
        this.only = html("input", { type: "checkbox", checked: true, onchange: () => this.filter() });
        root.append(html("label", {}, this.only, "only the problem chosen above"));
      }
    }
    this.count = html("span", { class: "count", "aria-live": "polite" });
    const copy = html("button", { type: "button", onclick: () => this.copy(copy) }, "Copy as CSV");
    const save = html("button", { type: "button", onclick: () => this.save() }, "Download CSV");
    root.append(this.count, html("span", { class: "spring" }), copy, save);
    return root;
  }

  filter() {
    const words = (this.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    this.rows.forEach((row, i) => {
      const other = this.only?.checked && row.querySelector("[data-panel]").textContent !== this.page.chosen;
      row.hidden = other || !words.every((word) => this.words[i].includes(word));
      left += !row.hidden;
    });
    this.count.textContent = this.search ? `${left} of ${this.rows.length} rows` : "";
  }

  clicked(event) {
    if (event.target.closest(".link") || String(getSelection())) return;
    const method = event.target.closest("tr")?.querySelector(".method")?.dataset.method;
    if (method !== undefined) this.page.toggle(Number(method), event.shiftKey);
  }

  mark() {
    for (const row of this.rows) {
      const button = row.querySelector(".method");
      const hidden = button !== null && this.page.hidden.has(Number(button.dataset.method));
      row.classList.toggle("hidden-method", hidden);
      button?.setAttribute("aria-pressed", !hidden);
    }
  }

  sort(column) {
    const down = this.heads[column].getAttribute("aria-sort") === "ascending";
    this.heads.forEach((head) => head.removeAttribute("aria-sort"));
    this.heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const keys = new Map(this.rows.map((row) => [row, key(row.cells[column])]));
    const ordered = [...this.rows].sort((a, b) => compare(keys.get(a), keys.get(b), down ? -1 : 1));
    this.body.append(...ordered);
  }

  csv() {
    const rows = [this.table.tHead.rows[0], ...[...this.body.rows].filter((row) => !row.hidden)];
    return rows.map((row) => [...row.cells].map(csvCell).join(",")).join("\r\n") + "\r\n";
  }

  async copy(button) {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(this.csv());
    } catch {
      said = "Not allowed here: download it";
    }
    button.textContent = said;
    setTimeout(() => { button.textContent = "Copy as CSV"; }, 2000);
  }

  save() {
    const name = this.table.caption.textContent.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const address = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    html("a", { href: address, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}

// What a cell is sorted by: a number, a text, or null for what is missing or failed.
function key(cell) {
  if (cell.dataset.value === undefined) return cell.textContent.trim().toLowerCase();
  const value = cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  return Number.isFinite(value) ? value : null;
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // last either way
  if (typeof a === "number") return sign * (a - b);
  return sign * a.localeCompare(b, "en", { numeric: true });
}

function csvCell(cell) {
  const value = cell.dataset.value;
  const text = cell.textContent.trim();
  if (value && text !== "failed" && !/[^\d.,eE+−-]/.test(text)) return value;
  // A spreadsheet would take a text that begins so for a formula.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
