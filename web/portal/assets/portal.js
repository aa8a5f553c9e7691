// Times are shown in the zone of whoever reads them; without this script they are the server's, in UTC.
"use strict";
const language = { en: "en-GB" }[document.documentElement.lang] ?? document.documentElement.lang;
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  time.textContent = new Intl.DateTimeFormat(language, { dateStyle: "long" }).format(at);
  time.title = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" }).format(at);
}
// Keys that wait in this browser for their certificates (app/store.ts), of whom this page is about.
const unfinished = document.getElementById("unfinished");
try {
  if (unfinished) unfinished.hidden = localStorage.getItem("sealpost-enrolment") !== unfinished.dataset.person;
} catch {} // a browser that keeps nothing has nothing that waits
