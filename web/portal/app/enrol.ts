// The page on which somebody gets their certificates. It shows what package journey does; all words are in the page already.
import { Wrong } from "./certificate";
import { Ended, Impossible, Journey, Step, Waiting } from "./journey";
import { by, show, step as draw, word } from "./page";
import { suggest } from "./passphrase";
import { passphraseForm } from "./passphrase-form";
import * as server from "./server";

// For the tests, and for whoever wants to see what the page does: the parts without the page.
export { parse, verifyExchange, verifyOwn } from "./certificate";
export { choose, make, pkcs8, request, spki } from "./keys";
export { advertise } from "./advertise";
export { build } from "./pkcs12";
export { profile } from "./profile";
export { buildOld } from "./pkcs12-old";
export { bits } from "./passphrase";
export { verifyReceipt } from "./receipt";
export { identifier, sealKey } from "./seal";

type View = "start" | "passphrase" | "progress" | "done" | "finished";

let journey: Journey | undefined;
let passphrase = "";
let chosen = ""; // the file's, for a profile beside it, until the person has what they want
let busy = false;
interface Download { url: string; name: string }
let file: Download | undefined;
let old: Download[] = [];

/** view shows one of the page's parts, and puts the reader there. */
function view(name: View): void {
  for (const section of document.querySelectorAll<HTMLElement>("[data-view]")) show(section, section.dataset.view === name);
  const heading = document.querySelector<HTMLElement>(`[data-view="${name}"] h1`);
  heading?.focus();
  window.scrollTo(0, 0);
}

/** step draws how far it is, and says it. */
function step(name: Step, state: "doing" | "done" | "waiting" | "failed"): void {
  if (draw(name, state)) show(by("registrar"), state === "waiting");
}

type Act = "retry" | "anew" | "signin" | "home";

/** notice says what happened, whether anything was lost, and what to do. */
function notice(kind: string, acts: Act[], detail = "", request = ""): void {
  by("notice-title").textContent = word(kind);
  by("notice-text").textContent = word(kind + "-text");
  by("notice-detail").textContent = detail;
  show(by("notice-detail"), detail !== "");
  by("notice-request").textContent = request;
  show(by("notice-request").parentElement!, request !== "");
  for (const act of ["retry", "anew", "signin", "home"] as const) show(by(act), acts.includes(act));
  const bad = !["session", "later", "registrar", "elsewhere"].includes(kind);
  const final = !acts.includes("retry") && !acts.includes("signin");
  if (final) { // nothing goes on here
    view("progress");
    by("progress-title").textContent = word(kind);
    show(by("steps"), false);
    show(by("resumed"), false);
  }
  show(by("notice-title"), !final);
  by("notice").classList.toggle("bad", bad);
  by("notice").classList.toggle("warn", !bad);
  show(by("registrar"), false);
  show(by("notice"));
  const doing = document.querySelector<HTMLElement>('[data-state="doing"]');
  if (doing) step(doing.dataset.step as Step, "failed");
  by("notice").focus();
}

/** failed turns what went wrong into a notice. */
function failed(e: unknown): void {
  if (e instanceof server.Refused) {
    if (e.kind === "session") return notice("session", ["signin"]);
    if (e.kind === "later") return notice("later", ["retry"], word("fault-" + e.code), e.request);
    return notice("refused", ["anew", "home"], server.said(e, word("fault-" + e.code)), e.request);
  }
  if (e instanceof Ended) return notice(e.kind, ["anew", "home"], e.message && `“${e.message}”`);
  if (e instanceof Waiting) return e.forRegistrar ? notice("registrar", ["retry"]) : notice("later", ["retry"]);
  if (e instanceof Impossible) return notice(e.kind, ["home"], e.kind === "restricted" && journey?.person.mailboxes.length === 0 ? word("fault-no-mailbox") : e.message);
  if (e instanceof Wrong) return notice("wrong", ["retry"], e.message);
  if (e instanceof DOMException && ["InvalidStateError", "UnknownError", "QuotaExceededError", "SecurityError", "NotFoundError", "DataCloneError"].includes(e.name)) {
    return notice("storage", ["home"], e.message);
  }
  notice("broken", ["retry"], String(e));
}

/** once does one thing at a time, here and in this person's other tabs. */
async function once(work: () => Promise<void>): Promise<void> {
  if (busy) return;
  busy = true;
  show(by("notice"), false);
  try {
    if (!navigator.locks) return await work();
    await navigator.locks.request("sealpost-enrolment", { ifAvailable: true }, async (lock) => (lock ? work() : notice("elsewhere", ["retry"])));
  } catch (e) {
    failed(e);
  } finally {
    busy = false;
  }
}

/** begin finds out where things stand, and goes on with what was begun. */
async function begin(): Promise<void> {
  journey = new Journey(await server.policy(), by("enrol").dataset.enrolment ?? "", step);
  if (await journey.resume()) {
    show(by("resumed"));
    return goOn();
  }
  journey.check();
  by<HTMLButtonElement>("get").disabled = false;
}

/** goOn takes the request to its end, and makes the file if there is a passphrase. */
async function goOn(): Promise<void> {
  view("progress");
  await journey!.walk();
  if (passphrase === "") {
    view("passphrase");
    show(by("passphrase-late"));
    show(by("passphrase-lead"), false);
    by("passphrase").focus();
    return;
  }
  const [content] = await Promise.all([journey!.file(passphrase), inDirectory()]);
  chosen = passphrase;
  passphrase = "";
  by<HTMLInputElement>("passphrase").value = "";
  offer(new Blob([content], { type: "application/x-pkcs12" }));
}

function offer(blob: Blob): void {
  if (file) URL.revokeObjectURL(file.url);
  file = { url: URL.createObjectURL(blob), name: journey!.person.mailboxes[0]!.replace(/[^\p{L}\p{N}@._-]/gu, "_") + ".p12" };
  const link = by<HTMLAnchorElement>("download");
  link.href = file.url;
  link.download = file.name;
  by("file-name").textContent = file.name;
  by("receipt").textContent = journey!.receipt ?? "";
  show(by("receipt").parentElement!, journey!.receipt !== undefined);
  view("done");
}

/** inDirectory has the person's entry in the directory say which certificate to encrypt to. Mail works without it: that it fails is no
 * reason to fail what comes then. */
async function inDirectory(): Promise<void> {
  try {
    show(by("advertised"), await journey!.advertise());
  } catch (e) {
    console.warn(e);
    show(by("not-advertised"));
  }
}

/** makeProfile makes a profile for Apple's devices with the same passphrase, or for older ones of them with a random one. */
async function makeProfile(older: boolean): Promise<void> {
  const buttons = [by<HTMLButtonElement>("apple-make"), by<HTMLButtonElement>("apple-older")], link = by<HTMLAnchorElement>("apple-file");
  for (const b of buttons) b.disabled = true;
  show(by("apple-making"));
  try {
    const secret = older ? suggest(6) : chosen;
    const content = await journey!.profile(secret, JSON.parse(by("enrol").dataset.mail ?? "{}"), older);
    const made = { url: URL.createObjectURL(new Blob([content], { type: "application/x-apple-aspen-config" })), name: file!.name.replace(/\.p12$/, ".mobileconfig") };
    old.push(made);
    link.href = made.url;
    link.download = made.name;
    show(link.parentElement!);
    show(by("apple-make"), false);
    show(by("apple-wrong"), !older);
    show(by("apple-secret").parentElement!, older);
    by("apple-secret").textContent = older ? secret : "";
    link.focus();
  } finally {
    for (const b of buttons) b.disabled = false;
    show(by("apple-making"), false);
  }
}

/** makeOld makes the files for GnuPG, with a passphrase that nobody can guess: it is all that protects them. */
async function makeOld(): Promise<void> {
  const button = by<HTMLButtonElement>("old-make");
  button.disabled = true;
  show(by("old-making"));
  try {
    const secret = suggest(6), files = await journey!.older(secret);
    for (const use of ["signing", "encryption"] as const) {
      const link = by<HTMLAnchorElement>("old-" + use), content = files[use];
      show(link.parentElement!, content !== undefined);
      if (!content) continue;
      const made = { url: URL.createObjectURL(new Blob([content], { type: "application/x-pkcs12" })), name: file!.name.replace(/\.p12$/, `.${use}.p12`) };
      old.push(made);
      link.href = made.url;
      link.download = made.name;
      link.addEventListener("click", () => {
        show(by("fetched"));
        void journey!.fetched().catch(failed);
      });
    }
    by("old-passphrase").textContent = secret;
    show(by("old-files"));
    show(button, false);
  } finally {
    button.disabled = false;
    show(by("old-making"), false);
  }
}

function wire(): void {
  passphraseForm(() => [journey?.person.name ?? "", ...(journey?.person.mailboxes ?? [])], () => !busy, (p) => {
    passphrase = p;
    void once(goOn);
  });
  by("get").addEventListener("click", () => {
    journey!.rsaFirst = by<HTMLInputElement>("gnupg").checked;
    by<HTMLDetailsElement>("old").open = journey!.rsaFirst;
    view("passphrase");
    by("passphrase").focus();
  });
  by("retry").addEventListener("click", () => void once(journey?.kept || passphrase ? goOn : begin));
  by("anew").addEventListener("click", () => void once(async () => {
    await journey?.forget();
    location.reload();
  }));
  by("download").addEventListener("click", () => {
    show(by("fetched"));
    void journey!.fetched().catch(failed);
  });
  by("apple-make").addEventListener("click", () => void once(() => makeProfile(false)));
  by("apple-older").addEventListener("click", () => void once(() => makeProfile(true)));
  by("apple-file").addEventListener("click", () => {
    show(by("fetched"));
    void journey!.fetched().catch(failed);
  });
  by("old-make").addEventListener("click", () => void once(makeOld));
  by("have").addEventListener("click", () => void once(async () => {
    await journey!.forget();
    for (const f of [file, ...old]) if (f) URL.revokeObjectURL(f.url);
    file = undefined;
    chosen = "";
    old = [];
    view("finished");
  }));
}

const page = document.getElementById("enrol");
if (page) {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle || !globalThis.indexedDB) {
    show(by("unable"));
  } else {
    show(by("get"));
    wire();
    void once(begin);
  }
}
