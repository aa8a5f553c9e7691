// The recovery officers' pages: asking for other people's keys with one's own signature, and deciding about a case, where the installation
// allows that in a page. Keys are opened here, and go nowhere.
import { Changed, prepare, send, Wish } from "./asking";
import * as approving from "./approving";
import { fromFile, NoSigning } from "./asker";
import { SignedCase } from "./case";
import { Wrong } from "./certificate";
import { Bytes } from "./der";
import { by, show, word } from "./page";
import { BadPassphrase, limits } from "./pkcs12-read";
import * as server from "./server";

// For the tests, and for whoever wants to see what the pages do: the parts without the pages.
export * as approving from "./approving";
export { parse, rawOf } from "./certificate";
export { open } from "./open";
export { BadPassphrase, clear, decryption, open as openFile, signing } from "./pkcs12-read";
export { words } from "./recipient";
export { seal } from "./seal";
export { sign, verify } from "./signed";

/** happened says what happened, whether anything was lost, and what to do. */
function happened(kind: string, how: "good" | "warn" | "bad", detail = ""): void {
  by("happened-title").textContent = word("officer." + kind);
  by("happened-text").textContent = detail || word("officer." + kind + "-text");
  by("happened").className = "notice " + how;
  for (const way of ["prove", "session"]) show(by("to-" + way), kind === way);
  show(by("happened"));
  by("happened").focus();
}

function failed(e: unknown): void {
  if (e instanceof BadPassphrase) return happened("passphrase", "bad");
  if (e instanceof NoSigning) return happened("no-signing", "bad");
  if (e instanceof approving.NoOfficer) return happened("no-officer", "bad");
  if (e instanceof approving.Misheard) return happened("misheard", "bad");
  if (e instanceof Changed) return happened("changed", "warn");
  if (e instanceof Wrong) return happened("wrong", "bad", `${word("officer.wrong-text")} (${e.message})`);
  if (e instanceof server.Refused) {
    if (e.kind === "session") return happened("session", "warn");
    if (e.code === "proof-needed") return happened("prove", "warn");
    if (e.kind === "later") return happened("later", "warn");
    return happened("refused", "bad", server.said(e, word("fault-" + e.code)));
  }
  happened("broken", "bad", String(e));
}

/** chosen reads the files that somebody chose. They are small, or they are none of ours. */
async function chosen(): Promise<Bytes[]> {
  const files = [...(by<HTMLInputElement>("file").files ?? [])];
  if (files.length === 0 || files.length > 2 || files.some((f) => f.size > limits.size)) throw new BadPassphrase();
  return Promise.all(files.map(async (f) => new Uint8Array(await f.arrayBuffer())));
}

/** working does one thing at a time. A passphrase is in its field no longer than it is needed. */
async function working(form: HTMLFormElement, work: (files: Bytes[], passphrase: string) => Promise<void>): Promise<void> {
  if (form.dataset.busy) return;
  form.dataset.busy = "yes";
  const buttons = [...form.querySelectorAll("button")];
  for (const b of buttons) b.disabled = true;
  happened("working", "warn");
  try {
    const passphrase = by<HTMLInputElement>("passphrase").value.normalize("NFC");
    const files = await chosen();
    try {
      await work(files, passphrase);
    } finally {
      for (const f of files) f.fill(0);
    }
  } catch (e) {
    failed(e);
  } finally {
    by<HTMLInputElement>("passphrase").value = "";
    for (const b of buttons) b.disabled = false;
    delete form.dataset.busy;
  }
}

function wireSign(form: HTMLFormElement): void {
  let signed: SignedCase[] | undefined; // kept for another try
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    void working(form, async (files, passphrase) => {
      const policy = await server.policy();
      if (signed && (signed[0]!.requester.person !== policy.person.id || Date.now() / 1000 > signed[0]!.opened + 240)) signed = undefined; // the server takes none that is older
      signed ??= await prepare(JSON.parse(form.dataset.wish!) as Wish, await fromFile(files[0]!, passphrase, policy.person), policy);
      const ids = await send(signed);
      location.assign(ids.length === 1 ? "/officer/cases/" + ids[0] : "/officer");
    });
  });
}

function wireDecide(form: HTMLFormElement): void {
  const places = approving.places();
  form.querySelectorAll("[data-place]").forEach((e, i) => (e.textContent = String(places[i]! + 1)));
  const heard = () => [...form.querySelectorAll<HTMLInputElement>("[data-heard]")].map((i) => i.value);
  const progress = by<HTMLProgressElement>("progress");
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const approve = (e.submitter as HTMLButtonElement | null)?.value === "approve";
    const typed = document.getElementById("typed") as HTMLInputElement | null;
    if (approve && typed && typed.value.trim().toLowerCase() !== typed.dataset.right!.toLowerCase()) return happened("not-typed", "warn");
    void working(form, async (files, passphrase) => {
      const x = await approving.examine(form.dataset.case!);
      if (approve) approving.hear(x, places, heard()); // before any key is touched
      const officer = await approving.officer(x, files, passphrase);
      const comment = by<HTMLInputElement>("comment").value.trim();
      if (approve) {
        show(progress);
        await approving.approve(x, officer, comment, (done, of) => {
          progress.max = of;
          progress.value = done;
        });
      } else {
        await approving.deny(x, officer, comment);
      }
      location.reload();
    });
  });
}

for (const [id, wire] of [["sign", wireSign], ["decide-here", wireDecide]] as const) {
  const form = document.getElementById(id) as HTMLFormElement | null;
  if (form && globalThis.isSecureContext && globalThis.crypto?.subtle) {
    show(form);
    wire(form);
  }
}
