// The page on which somebody gets the keys of their older mail back, with the officers' help. It shows what Restore does; all words are in the page already.
import { Asker, fromBrowser, fromFile, NoSigning } from "./asker";
import { Wrong } from "./certificate";
import * as der from "./der";
import { by, copy, moment, show, step, view, word } from "./page";
import { suggest } from "./passphrase";
import { passphraseForm } from "./passphrase-form";
import { BadPassphrase } from "./pkcs12-read";
import { words } from "./recipient";
import { Restore, Standing } from "./restoring";
import * as server from "./server";

// For the tests, and for whoever wants to see what the page does: the parts without the page.
export * as cases from "./case";
export * as opener from "./opener";
export * as record from "./record";
export * as recovered from "./recovered";
export * as recipient from "./recipient";
export * as roster from "./roster";
export * as statement from "./statement";
export * as threshold from "./threshold";
export * as wire from "./wire";
export { parse, spkiOf } from "./certificate";
export { seal } from "./seal";

let restore: Restore | undefined;
let asker: Asker | undefined;
let standing: Standing[] = [];
let passphrase = "";
let urls: string[] = []; // of files that were made
let timer = 0;

const item = (text: string) => Object.assign(document.createElement("li"), { textContent: text });

type Act = "retry" | "signin" | "prove" | "anew" | "home";

/** notice says what happened, whether anything was lost, and what to do. */
function notice(kind: string, acts: Act[], detail = "", request = ""): void {
  by("notice-title").textContent = word("restore." + kind);
  by("notice-text").textContent = word("restore." + kind + "-text");
  by("notice-detail").textContent = detail;
  show(by("notice-detail"), detail !== "");
  by("notice-request").textContent = request;
  show(by("notice-request").parentElement!, request !== "");
  for (const act of ["retry", "signin", "prove", "anew", "home"] as const) show(by(act), acts.includes(act));
  const calm = ["session", "prove", "later", "elsewhere"].includes(kind);
  by("notice").classList.toggle("bad", !calm);
  by("notice").classList.toggle("warn", calm);
  const wide = document.querySelector<HTMLElement>("[data-view]:not([hidden])")?.classList.contains("reading") ?? false;
  by("notice").classList.toggle("reading", wide);
  by("notice").classList.toggle("narrow", !wide);
  show(by("notice"));
  const doing = document.querySelector<HTMLElement>('[data-state="doing"]');
  if (doing) step(doing.dataset.step!, "failed");
  by("notice").focus();
}

/** failed turns what went wrong into a notice. */
function failed(e: unknown): void {
  clearTimeout(timer);
  const unsent = restore?.kept?.cases.every((k) => !k.sent) ?? false; // the officers know nothing of it yet
  if (e instanceof server.Refused) {
    if (e.kind === "session") return notice("session", ["signin"]);
    if (e.code === "proof-needed") return notice("prove", ["prove"]);
    if (e.kind === "later") return notice("later", ["retry"], word("fault-" + e.code), e.request);
    if (e.code === "case-empty" || e.code === "no-archive") return view("nothing");
    if (e.code === "unknown-case") return notice("altered", ["anew", "home"], "", e.request);
    return notice("refused", unsent ? ["retry", "anew", "home"] : ["retry", "home"], server.said(e, word("fault-" + e.code)), e.request);
  }
  if (e instanceof Wrong) return notice("wrong", unsent ? ["retry", "anew"] : ["retry"], e.message);
  if (e instanceof DOMException && ["InvalidStateError", "UnknownError", "QuotaExceededError", "SecurityError", "NotFoundError", "DataCloneError"].includes(e.name)) {
    return notice("storage", ["home"], e.message);
  }
  notice("broken", ["retry"], String(e));
}

let running: Promise<void> | undefined;

/** once does one thing at a time, here and in this person's other tabs. What goes on by itself steps aside; what somebody asks for waits for its turn. */
function once(work: () => Promise<void>, byItself = false): Promise<void> {
  if (running) return byItself ? running : running.then(() => once(work));
  running = alone(work, byItself).finally(() => {
    running = undefined;
  });
  return running;
}

async function alone(work: () => Promise<void>, byItself: boolean): Promise<void> {
  if (!byItself) show(by("notice"), false);
  try {
    if (!navigator.locks) return await work();
    const turn = byItself ? { ifAvailable: true } : { signal: AbortSignal.timeout(5000) };
    await navigator.locks.request("sealpost-restore", turn, (lock) => (lock ? work() : Promise.resolve(wait(4000))));
  } catch (e) {
    if (e instanceof DOMException && e.name === "TimeoutError") return notice("elsewhere", ["retry"]);
    failed(e);
  }
}

/** begin finds out where things stand, and goes on with what was begun. */
async function begin(): Promise<void> {
  restore ??= new Restore(await server.policy(), step);
  if (await restore.resume()) {
    show(by("resumed"));
    return goOn();
  }
  const offer = await restore.offer();
  by("offer-keys").textContent = String(offer.keys);
  by("offer-needed").textContent = String(offer.needed);
  by("offer-officers").replaceChildren(...offer.officers.map(item));
  asker = await fromBrowser(restore.person);
  show(by("sign-kept"), asker !== undefined);
  show(by("sign-file"), asker === undefined);
  by<HTMLInputElement>("file").required = by<HTMLInputElement>("file-passphrase").required = asker === undefined;
  view("start");
  show(by("offer"));
  by<HTMLButtonElement>("ask").disabled = false;
}

/** request opens the person's file if that is wanted, and asks the officers. */
async function request(): Promise<void> {
  const reason = by<HTMLTextAreaElement>("reason").value.trim().replaceAll("\r\n", "\n"), reference = by<HTMLInputElement>("reference").value.trim();
  const given = by<HTMLInputElement>("file").files?.[0], secret = by<HTMLInputElement>("file-passphrase");
  let who = asker;
  if (!who) {
    try {
      if (!given) return;
      if (given.size > 1 << 20) throw new Wrong(word("restore.file-large"));
      by("said").textContent = word("restore.file-opening");
      who = await fromFile(new Uint8Array(await given.arrayBuffer()), secret.value.normalize("NFC"), restore!.person);
    } catch (e) {
      if (e instanceof BadPassphrase) return notice("passphrase", []);
      if (e instanceof NoSigning) return notice("no-signing", []);
      if (e instanceof Wrong) return notice("file", [], e.message);
      throw e;
    } finally {
      by("said").textContent = "";
    }
  }
  await restore!.begin(who, reason, reference);
  secret.value = "";
  await goOn();
}

/** goOn takes the restore as far as it goes now. */
async function goOn(): Promise<void> {
  clearTimeout(timer);
  if (!(await restore!.resume())) return location.reload(); // it came to its end in another tab
  await restore!.send();
  standing = await restore!.look();
  showStanding();
  if (standing.every((s) => restore!.kept!.cases[standing.indexOf(s)]!.ended)) return ended();
  if (!standing.some((s) => s.ready) || standing.some((s) => !s.ready && !["closed", "denied", "cancelled", "expired"].includes(s.state))) {
    view("waiting");
    return wait();
  }
  if (passphrase === "") return view("passphrase");
  await fetchAll();
}

let pause = 1000, until = Date.now() + 10 * 60_000;

/** wait looks again after a while, for some minutes: who leaves the page open must not stay signed in by that alone. */
function wait(least = 0): void {
  clearTimeout(timer);
  show(by("look"), Date.now() > until);
  if (Date.now() > until) return;
  pause = Math.min(pause * 1.5, 15_000);
  timer = window.setTimeout(() => void once(goOn, true), Math.max(pause, least));
}

function showStanding(): void {
  const kept = restore!.kept!;
  void der.sha256(kept.recipient).then((fingerprint) => {
    by("words-to-read").replaceChildren(...words(fingerprint).map(item));
    by("fingerprint").textContent = der.hex(fingerprint).match(/.{4}/g)!.join(" ");
  });
  by("reason-shown").textContent = kept.reason;
  by("reference-shown").textContent = kept.reference;
  show(by("reference-shown").parentElement!, kept.reference !== "");
  const rows = standing.map((s) => {
    const agreed = s.officers.filter((o) => o.answer === "approve").length;
    const e = copy("standing", { number: s.id, agreed: word("restore.agreed").replace("%n", String(agreed)).replace("%m", String(s.needed)) });
    e.querySelector("[data-deadline]")!.replaceChildren(moment(s.deadline));
    e.querySelector("ul")!.replaceChildren(...s.officers.map((o) => officer(o)));
    return e;
  });
  by("standings").replaceChildren(...rows);
  by("wrong").replaceChildren(...restore!.wrong.map(item));
  show(by("wrong-notice"), restore!.wrong.length > 0);
}

function officer(o: Standing["officers"][number]): HTMLElement {
  const state = o.answer === "" ? (o.may ? "open" : "cannot") : o.answer;
  const e = copy("officer", { name: o.name, state: word("restore.officer-" + state), comment: o.comment && `“${o.comment}”` });
  e.dataset.answer = state;
  return e;
}

/** ended says in which way everything came to nothing. */
function ended(): void {
  const kinds = restore!.kept!.cases.map((k) => k.ended!);
  const kind = kinds.find((k) => k !== "closed") ?? "closed";
  by("ended-title").textContent = word("restore.ended-" + kind);
  by("ended-text").textContent = word(`restore.ended-${kind}-text`);
  const said = standing.flatMap((s) => [s.state === "cancelled" ? s.reason : "", ...s.officers.filter((o) => o.answer === "deny" && o.comment).map((o) => `${o.name}: “${o.comment}”`)]).filter((x) => x !== "");
  by("ended-said").replaceChildren(...said.map(item));
  view("ended");
}

/** fetchAll collects what the officers released, opens it, and makes the file. */
async function fetchAll(): Promise<void> {
  for (const name of ["collect", "verify", "open", "file"]) step(name, "ahead");
  view("progress");
  let came: boolean;
  try {
    came = await restore!.receive(standing);
  } catch (e) {
    if (!(e instanceof server.Refused && e.code === "case-state")) throw e;
    view("waiting"); // an approval counts no more, as of an officer whose certificate was revoked
    return failed(e);
  }
  if (!came) {
    passphrase = "";
    by<HTMLInputElement>("passphrase").value = "";
    standing = await restore!.look();
    showStanding();
    if (restore!.left.length > 0) return notice("none", ["home"], restore!.left.join("; "));
    view("waiting");
    return wait();
  }
  const made = await restore!.file(passphrase);
  passphrase = "";
  by<HTMLInputElement>("passphrase").value = "";
  offer(by<HTMLAnchorElement>("download"), made.content, "older");
  by("file-name").textContent = by<HTMLAnchorElement>("download").download;
  by("keys").textContent = String(made.keys);
  by("left").replaceChildren(...restore!.left.map(item));
  show(by("left-notice"), restore!.left.length > 0);
  by("done-wrong").textContent = restore!.wrong.join(", ");
  show(by("done-wrong-notice"), restore!.wrong.length > 0);
  view("done");
}

/** offer puts a file behind a link. */
function offer(link: HTMLAnchorElement, content: Uint8Array<ArrayBuffer>, what: string): void {
  link.href = URL.createObjectURL(new Blob([content], { type: "application/x-pkcs12" }));
  link.download = `${(restore!.person.mailboxes[0] ?? "keys").replace(/[^\p{L}\p{N}@._-]/gu, "_")}-${what}.p12`;
  urls.push(link.href);
}

/** makeOld opens the keys once more and makes the files for GnuPG, with a passphrase that nobody can guess: it is all that protects them. */
async function makeOld(): Promise<void> {
  const button = by<HTMLButtonElement>("old-make");
  button.disabled = true;
  show(by("old-making"));
  try {
    if (!(await restore!.resume())) return location.reload();
    standing = await restore!.look();
    if (!(await restore!.receive(standing))) return notice("none", ["home"], restore!.left.join("; "));
    const secret = suggest(6), files = await restore!.older(secret);
    by("old-links").replaceChildren(...files.map((f, i) => {
      const e = item(""), link = Object.assign(document.createElement("a"), { textContent: f.name });
      offer(link, f.content, "older-" + String(i + 1).padStart(2, "0"));
      link.addEventListener("click", () => show(by("fetched")));
      e.append(link);
      return e;
    }));
    by("old-passphrase").textContent = secret;
    show(by("old-files"));
    show(button, false);
  } finally {
    button.disabled = false;
    show(by("old-making"), false);
  }
}

function wire(): void {
  passphraseForm(() => [restore?.person.name ?? "", ...(restore?.person.mailboxes ?? [])], () => !running, (p) => {
    passphrase = p;
    void once(goOn);
  });
  by<HTMLFormElement>("start-form").addEventListener("submit", (e) => {
    e.preventDefault();
    if (by<HTMLTextAreaElement>("reason").value.trim() === "") return by("reason").focus();
    void once(request);
  });
  by("other-file").addEventListener("click", () => {
    asker = undefined;
    show(by("sign-kept"), false);
    show(by("sign-file"));
    by<HTMLInputElement>("file").required = by<HTMLInputElement>("file-passphrase").required = true;
    by("file").focus();
  });
  by("retry").addEventListener("click", () => void once(restore?.kept ? goOn : begin));
  by("look").addEventListener("click", () => {
    until = Date.now() + 10 * 60_000;
    pause = 1000;
    void once(goOn);
  });
  by("cancel").addEventListener("click", () => show(by("cancel-sure")));
  by("cancel-not").addEventListener("click", () => show(by("cancel-sure"), false));
  by("cancel-yes").addEventListener("click", () => void once(async () => {
    clearTimeout(timer);
    if (await restore!.resume()) await restore!.cancel();
    view("cancelled");
  }));
  for (const id of ["anew", "ended-anew"]) {
    by(id).addEventListener("click", () => void once(async () => {
      await restore?.forget();
      location.reload();
    }));
  }
  by("old-make").addEventListener("click", () => void once(makeOld));
  by("download").addEventListener("click", () => show(by("fetched")));
  by("have").addEventListener("click", () => void once(async () => {
    if (await restore!.resume()) await restore!.finish();
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = [];
    view("finished");
  }));
}

const page = document.getElementById("restore");
if (page) {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle || !globalThis.indexedDB) {
    view("unable");
  } else {
    show(by("ask"));
    wire();
    void once(begin);
  }
}
