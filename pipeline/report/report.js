"use strict";
(() => {
  const ROWS_AT_ONCE = 40;
  const ROWS_MORE = 100;
  const byId = (name) => document.getElementById(name);
  const fields = Object.fromEntries(["category", "split", "outcome", "text"].map((name) => [name, byId(name)]));
  const rows = [...byId("list").children];
  let limit = ROWS_AT_ONCE;

  const matches = ({ dataset }) =>
    (!fields.category.value || dataset.category.split("\n").includes(fields.category.value)) &&
    (!fields.split.value || dataset.split === fields.split.value) &&
    (!fields.outcome.value || dataset.outcome.split(" ").includes(fields.outcome.value)) &&
    dataset.id.toLowerCase().includes(fields.text.value.trim().toLowerCase());

  const show = () => {
    const found = rows.filter(matches);
    const shown = new Set(found.slice(0, limit));
    for (const row of rows) row.hidden = !shown.has(row);
    byId("count").textContent = `${found.length} of ${rows.length} clips`;
    byId("more").hidden = found.length <= limit;
    byId("more").textContent = `Show more (${found.length - shown.size} left)`;
    byId("none").hidden = found.length > 0;
  };

  const read = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    for (const [name, field] of Object.entries(fields)) {
      field.value = wanted.get(name) ?? "";
      if (field.selectedIndex === -1) field.value = "";
    }
  };

  const write = () => {
    const query = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value) query.set(name, field.value);
    history.replaceState(null, "", `#${query.toString() || "clips"}`);
  };

  const change = () => {
    limit = ROWS_AT_ONCE;
    write();
    show();
  };

  const follow = () => {
    if (!location.hash.includes("=")) return;
    limit = ROWS_AT_ONCE;
    read();
    show();
    byId("clips").scrollIntoView();
  };

  for (const field of Object.values(fields)) field.addEventListener("input", change);
  byId("reset").addEventListener("click", () => {
    for (const field of Object.values(fields)) field.value = "";
    change();
  });
  byId("more").addEventListener("click", () => {
    const first = rows.filter(matches)[limit];
    limit += ROWS_MORE;
    show();
    (first.querySelector("summary") ?? first).focus();
  });
  window.addEventListener("hashchange", follow);
  byId("filters").hidden = false;
  show();
  follow();
})();
