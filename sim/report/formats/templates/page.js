// Conveniences of a report page: sorting, values under the pointer, switching. Without it everything is still there.
"use strict";
(() => {
  const value = (cell) => {
    const raw = cell ? cell.dataset.v : undefined;
    return raw === undefined ? (cell ? cell.textContent.trim() : "") : Number(raw);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b, "en", { numeric: true });

  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => compare(value(a.cells[column]), value(b.cells[column])));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }

  const short = (v) => (Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(Number(v.toPrecision(4))));
  for (const svg of document.querySelectorAll("svg[data-hover]")) {
    const hover = JSON.parse(svg.dataset.hover);
    const plot = svg.parentElement;
    const note = document.createElement("div");
    const line = document.createElement("div");
    note.className = "readout";
    line.className = "cursor";
    note.hidden = line.hidden = true;
    plot.append(line, note);
    const hide = () => { note.hidden = line.hidden = true; };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect();
      const [left, top, width, height] = hover.box;
      const at = ((event.clientX - frame.left) / frame.width - left) / width;
      if (at < 0 || at > 1) return hide();
      const x = hover.x[0] + at * (hover.x[1] - hover.x[0]);
      const rows = hover.series.map((series) => {
        let i = 0;
        while (i + 1 < series.x.length && series.x[i + 1] <= x) i += 1;
        if (!hover.step && i + 1 < series.x.length && series.x[i + 1] - x < x - series.x[i]) i += 1;
        return `${series.name}: ${short(series.y[i])}`;
      });
      note.textContent = [`${hover.xlabel}: ${short(x)}`, ...rows].join("\n");
      note.hidden = line.hidden = false;
      const offset = svg.offsetLeft || 0;
      const px = (left + at * width) * frame.width;
      line.style.cssText = `left:${px}px;top:${top * frame.height}px;height:${height * frame.height}px`;
      note.style.left = `${Math.max(0, Math.min(px + 10, frame.width - note.offsetWidth))}px`;
      note.style.top = `${top * frame.height + offset}px`;
    });
  }

  const panel = document.querySelector(".switch");
  if (panel) {
    panel.hidden = false;
    const apply = () => {
      const wanted = panel.querySelector("input:checked").value;
      for (const part of document.querySelectorAll("[data-variant]")) {
        part.hidden = wanted !== "" && part.dataset.variant !== wanted;
      }
    };
    panel.addEventListener("change", apply);
    apply();
  }
})();
