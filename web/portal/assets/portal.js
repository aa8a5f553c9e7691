// Times are shown in the zone of whoever reads them; without this script they are the server's, in UTC.
"use strict";
const language = { en: "en-GB" }[document.documentElement.lang] ?? document.documentElement.lang;
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  time.textContent = new Intl.DateTimeFormat(language, "exact" in time.dataset ? { dateStyle: "medium", timeStyle: "medium" } : { dateStyle: "long" }).format(at);
  time.title = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" }).format(at);
}
// Keys that wait in this browser for their certificates (app/store.ts), of whom this page is about.
const unfinished = document.getElementById("unfinished");
try {
  if (unfinished) unfinished.hidden = localStorage.getItem("sealpost-enrolment") !== unfinished.dataset.person;
} catch {} // a browser that keeps nothing has nothing that waits
// A text that is there to be copied.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    const word = button.querySelector("span"), before = word.textContent;
    word.textContent = button.dataset.copied;
    setTimeout(() => { word.textContent = before; }, 2000);
  });
}
// A list narrows down while somebody types. What they typed stays where it is on the page that comes.
for (const form of document.querySelectorAll("[data-filter]")) {
  const box = form.querySelector("input[type=search]"), send = () => form.requestSubmit();
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", send);
  if (!box) continue;
  let soon;
  box.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(() => {
      sessionStorage.setItem("filtering", location.pathname);
      send();
    }, 400);
  });
  if (sessionStorage.getItem("filtering") === location.pathname) {
    sessionStorage.removeItem("filtering");
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }
}
// A page that waits for something looks every few seconds whether it is there, and is then loaded anew. After ten minutes it
// stops: being open alone must not keep somebody signed in.
const waits = document.querySelector("[data-wait]");
if (waits) {
  const until = Date.now() + 600_000;
  const look = async () => {
    if (Date.now() > until) return;
    try {
      if (!document.hidden) {
        const answer = await fetch(waits.dataset.wait, { cache: "no-store" });
        if (answer.ok && (await answer.text()) !== waits.dataset.state) return location.reload();
      }
    } catch {} // it is tried again
    setTimeout(look, 3000);
  };
  setTimeout(look, 3000);
}
// What is wrong with a form is read first.
document.querySelector("[data-focus]")?.focus();
