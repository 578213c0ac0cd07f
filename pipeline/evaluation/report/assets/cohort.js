"use strict";
// The heads of a sortable table become buttons that sort its rows.
(() => {
  const ordered = (rows, column, kind, sign) => {
    const value = (row) => {
      const cell = row.cells[column];
      return kind === "number" ? Number.parseFloat(cell.dataset.value) : cell.textContent.trim();
    };
    return rows.toSorted((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (kind === "text") return sign * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    });
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.querySelectorAll("th[data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        body.append(...ordered([...body.rows], head.cellIndex, head.dataset.sort, up ? 1 : -1));
      });
    }
  }
})();
