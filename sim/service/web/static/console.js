// The console's little helper: parts of a page are fetched and put in place. Without it every link and form still works.
"use strict";

const focusKept = (element, change) => {
  const id = element.contains(document.activeElement) ? document.activeElement.id : "";
  change();
  if (id) document.getElementById(id)?.focus({ preventScroll: true });
};

const fill = async (element, url) => {
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
  if (!answer.ok) return;
  const text = await answer.text();
  focusKept(element, () => { element.innerHTML = text; });
};

// What an element shows anew: its own address, or that of the part inside it.
const address = (element) => element.dataset.poll || element.querySelector("[data-url]")?.dataset.url;

for (const element of document.querySelectorAll("[data-every]")) {
  let busy = false;
  setInterval(async () => {
    if (busy || document.hidden || document.querySelector("dialog[open]")) return;
    busy = true;
    try { await fill(element, address(element)); } catch { /* the server is away: the next look may find it */ }
    busy = false;
  }, Number(element.dataset.every));
}

const drawer = document.getElementById("drawer");

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-into], a[data-drawer]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const url = new URL(link.href);
  if (link.dataset.into) {
    await fill(document.querySelector(link.dataset.into), url.pathname + "/table" + url.search);
    history.replaceState(null, "", url);
    return;
  }
  url.searchParams.set("part", "drawer");
  await fill(document.getElementById("drawer-body"), url);
  drawer.showModal();
});

drawer?.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });

for (const form of document.querySelectorAll("form[data-into]")) {
  let timer = 0;
  const search = async () => {
    const query = new URLSearchParams(location.search);
    query.delete("page");
    for (const input of form.querySelectorAll("[name]:not([type=hidden])")) {
      if (input.value) query.set(input.name, input.value); else query.delete(input.name);
    }
    await fill(document.querySelector(form.dataset.into), `${form.dataset.url}?${query}`);
    history.replaceState(null, "", `?${query}`);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 250); });
}

for (const form of document.querySelectorAll("form[data-auto]")) form.addEventListener("change", () => form.submit());

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// An upload shows how far it is; the answer is the page that a plain form would have led to.
for (const form of document.querySelectorAll("form[data-progress]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("progress");
    const request = new XMLHttpRequest();
    const refused = () => {
      const answer = new DOMParser().parseFromString(request.responseText, "text/html");
      const alert = document.createElement("p");
      alert.className = "alert";
      alert.setAttribute("role", "alert");
      alert.textContent = answer.querySelector(".alert")?.textContent ?? `The server answered ${request.status}.`;
      bar.hidden = true;
      document.querySelector("main > .alert")?.remove();
      document.querySelector("main").prepend(alert);
      alert.scrollIntoView();
    };
    bar.hidden = false;
    request.upload.onprogress = (part) => { bar.value = (100 * part.loaded) / part.total; };
    request.onload = () => { if (request.status < 400) location.assign(request.responseURL); else refused(); };
    request.onerror = () => { bar.hidden = true; alert("The upload was cut off. Try again."); };
    request.open("POST", form.action);
    request.send(new FormData(form));
  });
}
