// What moves on the page: tables sort by a click on a head, claims are filtered by verdict, views are drawn.
"use strict";

function sortable(table) {
  const heads = table.tHead.rows[0].cells;
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
      const order = new Intl.Collator(undefined, { numeric: true });
      const compare = (left, right) => {
        const [a, b] = [key(left), key(right)];
        const numbers = [Number(a), Number(b)];
        if (a === "" || b === "") return (a === "") - (b === ""); // what has no value stays last
        const by = numbers.some(Number.isNaN) ? order.compare(a, b) : numbers[0] - numbers[1];
        return down ? -by : by;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}

function filterable(form) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const count = form.querySelector("output");
  const show = () => {
    const chosen = new Set([...form.querySelectorAll("input:checked")].map((box) => box.value));
    rows.forEach((row) => (row.hidden = !chosen.has(row.dataset.verdict)));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("change", show);
  show();
}

// A link to a row that is filtered away shows it.
function reveal() {
  const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (row) row.hidden = false;
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("form.filter").forEach(filterable);
addEventListener("hashchange", reveal);
reveal();
document.querySelectorAll("script[data-view]").forEach((script) => {
  const place = document.getElementById(script.dataset.view);
  const options = { renderer: "svg", actions: false, tooltip: { theme: "dark" } };
  vegaEmbed(place, JSON.parse(script.textContent), options).catch((error) => {
    place.textContent = "This view could not be drawn.";
    console.error(error);
  });
});
