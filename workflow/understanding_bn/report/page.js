// What moves on the page: claims are sorted and filtered, figures folded on a narrow screen, views drawn when opened.
"use strict";

// By number or by a verdict, in the order of the list of verdicts. Values have different units: no order of them means much.
function sortable(table) {
  const heads = [...table.querySelectorAll("th[data-sort]")];
  for (const head of heads) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const compare = (left, right, key) => left.dataset[key] - right.dataset[key];
      const order = (left, right) =>
        (down ? -1 : 1) * compare(left, right, head.dataset.sort) || compare(left, right, "order");
      table.append(...[...table.tBodies].sort(order));
    });
  }
}

function filterable(form) {
  const claims = [...document.getElementById(form.dataset.table).tBodies];
  const count = form.querySelector("output");
  const show = () => {
    const chosen = new Set([...form.querySelectorAll("input:checked")].map((box) => box.value));
    claims.forEach((claim) => (claim.hidden = !chosen.has(claim.dataset.is)));
    count.textContent = `${claims.filter((claim) => !claim.hidden).length} of ${claims.length} shown`;
  };
  form.querySelector("fieldset").disabled = false;
  form.addEventListener("change", show);
  show();
}

// A link to a claim that is filtered away shows it; one to a figure that is folded opens it.
function reveal() {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  place.hidden = false;
  if (place.matches("details")) place.open = true;
  place.scrollIntoView();
}

function draw(script) {
  const place = document.getElementById(script.dataset.view);
  const options = { renderer: "svg", actions: false, tooltip: { theme: "dark" } };
  vegaEmbed(place, JSON.parse(script.textContent), options).catch((error) => {
    place.textContent = "This view could not be drawn.";
    console.error(error);
  });
}

document.querySelectorAll("table.claims").forEach(sortable);
document.querySelectorAll("form.filter").forEach(filterable);
if (matchMedia("(max-width: 48rem)").matches) {
  document.querySelectorAll("details.item").forEach((item) => (item.open = false));
}
document.querySelectorAll("script[data-view]").forEach((script) => {
  script.parentElement.addEventListener("toggle", () => draw(script), { once: true });
});
addEventListener("hashchange", reveal);
reveal();
