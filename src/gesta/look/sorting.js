for (const table of document.querySelectorAll("table.sorts")) {
  const [head, ...rows] = table.rows;
  if (!head) continue;
  [...head.cells].forEach((cell, place) => {
    if (!cell.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    const key = (row) => row.cells[place]?.textContent.trim() ?? "";
    const compare = (a, b) => {
      const [one, other] = [parseFloat(key(a)), parseFloat(key(b))];
      if (Number.isNaN(one) !== Number.isNaN(other)) return Number.isNaN(one) ? 1 : -1;
      return one - other || key(a).localeCompare(key(b), "en");
    };
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
      for (const row of rows) row.parentNode.append(row);
    });
  });
}
