// One restore on its way from "the officers are asked" to "the file is made here", as the agent does it (package agent of the Go sources). Every step may be the last
// before the page goes away; looking again from what is kept comes to the same end.
import { Asker } from "./asker";
import { decisions, mayAnswer, inTime, caseKinds, checkRoster, parseApproval, parseCase, signCase, signDispute, SignedCase, verifyApproval } from "./case";
import { mailboxesOf, parse, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as desk from "./desk";
import { open } from "./open";
import { bundle, Misdeed, Opener } from "./opener";
import { build } from "./pkcs12";
import { buildOld } from "./pkcs12-old";
import { certified, checkKey, entries, Found, Key } from "./recovered";
import { makeRecipient } from "./recipient";
import { InnerRecord, parseInnerRecord } from "./record";
import * as store from "./restore-store";
import { commonName, parseRoster, Roster, verifyOfficers, verifyRoster } from "./roster";
import * as server from "./server";
import { fromHex, line, printed } from "./wire";

/** steps, as the page shows them. */
export type Step = "collect" | "verify" | "open" | "file";

export interface Officer { id: number; name: string; may: boolean; answer: "" | "approve" | "deny" | "disputed"; comment: string }

/** Standing is how one of the cases stands. */
export interface Standing { id: string; state: desk.Standing["state"] | "unsent"; reason: string; keys: number; needed: number; officers: Officer[]; deadline: Date; ready: boolean }

/** Offer is what could be asked for: how many keys the archive keeps, and who would have to agree. */
export interface Offer { keys: number; needed: number; officers: string[] }

interface Draft { roster: Roster; between: Bytes[]; records: Bytes[] }

const lasts = 7 * 24 * 3600; // seconds that officers have to answer
const unsentAfter = 240; // seconds after which a case that the server has not seen is made anew: it takes none whose time is five minutes off

export class Restore {
  kept?: store.Kept;
  wrong: string[] = []; // officers whose part did not fit; the server has the signed disputes
  left: string[] = []; // keys that were left out, and why
  private keys: Key[] = [];

  constructor(private policy: server.Policy, private readonly tell: (step: Step, state: "doing" | "done") => void) {}

  get person() {
    return this.policy.person;
  }

  private get root() {
    const der64 = this.policy.exchange?.chain.at(-1);
    if (!der64) throw new Wrong("the policy names no root");
    return parse(der.fromBase64(der64));
  }

  /** resume finds what was begun in this browser. */
  async resume(): Promise<boolean> {
    this.kept = await store.find(this.person.id);
    return this.kept !== undefined;
  }

  /** offer says what could be asked for. Nothing is kept of it. */
  async offer(): Promise<Offer> {
    const found = await this.drafts();
    const one = found[0]!.roster;
    return { keys: found.reduce((n, d) => n + d.records.length, 0), needed: one.plan.threshold, officers: one.plan.agents.map((a) => a.name) };
  }

  /** drafts asks what cases would have to name, and holds that it is about this person alone and put to officers who can be believed. */
  private async drafts(): Promise<Draft[]> {
    const out: Draft[] = [];
    for (const d of await desk.drafts()) {
      const roster = await parseRoster(der.fromBase64(d.roster)), between = (d.intermediates ?? []).map(der.fromBase64);
      await this.believe(roster, between);
      if (d.subjects.length !== 1 || d.subjects[0]!.person !== this.person.id) throw new Wrong("the server names other people's keys. Nothing was signed");
      const records = d.subjects[0]!.records.map((r) => fromHex(r.record));
      if (records.length === 0 || records.some((r) => r.length !== 32)) throw new Wrong("the server names no keys. Nothing was signed");
      out.push({ roster, between, records });
    }
    if (out.length === 0) throw new Wrong("the server does not say what could be asked for");
    return out;
  }

  private async believe(r: Roster, between: Bytes[]): Promise<void> {
    await verifyRoster(r);
    await verifyOfficers(r, between.slice(0, 200).map(parse), this.root);
  }

  /** begin makes this browser's key and the cases, and keeps them before anything is sent. */
  async begin(by: Asker, reason: string, reference: string): Promise<void> {
    if (await this.resume()) return; // another tab has begun meanwhile
    const made = await makeRecipient(this.person.name);
    const kept: store.Kept = {
      person: this.person.id, begun: Date.now(), reason, reference, key: made.key, recipient: made.certificate, signer: by.signer, certificate: by.certificate, cases: [],
    };
    kept.cases = await this.draw(kept);
    await store.keep(kept);
    this.kept = kept;
  }

  private async draw(kept: store.Kept): Promise<store.KeptCase[]> {
    const certificate = await cert(kept.certificate), recipient = await cert(kept.recipient), opened = Math.floor(Date.now() / 1000);
    const out: store.KeptCase[] = [];
    for (const d of await this.drafts()) {
      const c = await signCase({
        id: crypto.randomUUID(), kind: caseKinds.restore, roster: d.roster.hash, keyID: d.roster.keyID, epoch: d.roster.plan.epoch,
        requester: { person: kept.person, name: line(commonName(certificate.read) || mailboxesOf(certificate.read)[0] || this.person.name, 256), certificate },
        reason: kept.reason, reference: kept.reference, opened, deadline: opened + lasts,
        deliveries: [{ recipient, subjects: [{ person: kept.person, records: d.records }] }],
      }, kept.signer);
      await checkRoster(c, d.roster);
      if (officersOf(c, d.roster).filter((o) => o.may).length < d.roster.plan.threshold) throw new Wrong("not enough officers could answer");
      out.push({ signed: c.raw, roster: d.roster.raw, between: d.between, sent: false });
    }
    return out;
  }

  /** send brings the cases to the server. One that has lain here for too long, unseen, is made anew, for the same key. */
  async send(): Promise<void> {
    const kept = this.kept!;
    await this.renew();
    for (const k of kept.cases) {
      if (k.sent || k.ended) continue;
      const c = await parseCase(k.signed);
      if (Date.now() / 1000 - c.opened > unsentAfter && !(await seen(c.id))) {
        const sent = kept.cases.filter((x) => x.sent), ids = new Set(await Promise.all(sent.map(async (x) => der.hex((await parseCase(x.signed)).keyID))));
        const again = await this.draw(kept);
        const fresh: store.KeptCase[] = [];
        for (const x of again) if (!ids.has(der.hex((await parseCase(x.signed)).keyID))) fresh.push(x);
        kept.cases = [...sent, ...fresh];
        await store.keep(kept);
        return this.send();
      }
      await desk.open(k.signed);
      k.sent = true;
      await store.keep(kept);
    }
  }

  /** renew asks for the policy again: somebody else may have signed in meanwhile, in another tab. */
  private async renew(): Promise<void> {
    const policy = await server.policy();
    if (policy.person.id !== this.kept!.person) throw new server.Refused("session", "another-person", "");
    this.policy = policy;
  }

  /** look asks how the cases stand, and holds that they are the ones that were signed here. */
  async look(): Promise<Standing[]> {
    const out: Standing[] = [];
    for (const k of this.kept!.cases) out.push(await this.lookAt(k));
    return out;
  }

  private async ask(id: string): Promise<desk.Standing> {
    try {
      return await desk.get(id);
    } catch (e) { // to somebody else there is no such case: then it must not seem to be lost
      if (e instanceof server.Refused && e.kind === "refused") await this.renew();
      throw e;
    }
  }

  private async lookAt(k: store.KeptCase): Promise<Standing> {
    const c = await parseCase(k.signed), roster = await parseRoster(k.roster);
    const out: Standing = {
      id: c.id, state: "unsent", reason: "", keys: c.deliveries[0]!.subjects[0]!.records.length, needed: roster.plan.threshold, officers: officersOf(c, roster),
      deadline: new Date(c.deadline * 1000), ready: false,
    };
    if (!k.sent) return out;
    const now = await this.ask(c.id);
    if (!now.signed || !der.equal(der.fromBase64(now.signed), k.signed)) throw new Wrong("the server has another request than the one that was signed here");
    out.state = now.state;
    out.reason = now.state_reason ?? "";
    await answered(out.officers, now.answers ?? [], c, roster);
    out.ready = (now.state === "approved" || now.state === "released") && out.officers.filter((o) => o.answer === "approve").length >= out.needed;
    if (!["requested", "approved", "released"].includes(now.state) && !k.ended) {
      k.ended = now.state;
      await store.keep(this.kept!);
    }
    return out;
  }

  /** receive takes what the cases that are ready have: it collects, verifies everything, disputes answers that are wrong, and opens the keys if there are enough good
   * ones. It says whether anything was opened. */
  async receive(standing: Standing[]): Promise<boolean> {
    this.wrong = [];
    this.left = [];
    this.forgetKeys();
    for (const [i, k] of this.kept!.cases.entries()) {
      if (standing[i]?.ready) await this.receiveCase(k);
    }
    return this.keys.length > 0;
  }

  private async receiveCase(k: store.KeptCase): Promise<void> {
    const c = await parseCase(k.signed), roster = await parseRoster(k.roster);
    await this.believe(roster, k.between);
    this.tell("collect", "doing");
    await desk.collect(c.id);
    const asked = c.deliveries[0]!.subjects[0]!.records.length;
    const records = await Promise.all((await desk.records(c.id, asked)).map(parseInnerRecord));
    this.tell("collect", "done");
    this.tell("verify", "doing");
    const b = await bundle(roster, c, 0, records.map((r) => r.capsule));
    const recipient = { certificate: parse(this.kept!.recipient), key: this.kept!.key };
    const opener = new Opener(b, async (sealed) => (await open(sealed, recipient)).content);
    await this.take(opener, c, roster);
    if (opener.missing > 0) return;
    this.tell("verify", "done");
    this.tell("open", "doing");
    for (const r of records) await this.openOne(opener, r);
    opener.wipe();
    this.tell("open", "done");
  }

  /** take gives the opener what officers sealed until it is enough, and reports those whose part is wrong. */
  private async take(opener: Opener, c: SignedCase, roster: Roster): Promise<void> {
    for (const s of await desk.sealed(c.id)) {
      if (opener.missing === 0) return;
      try {
        await opener.add(await parseApproval(der.fromBase64(s.approval)), der.fromBase64(s.partials));
      } catch (e) {
        if (e instanceof Misdeed) await this.dispute(e, c, roster);
        else if (!(e instanceof Wrong)) throw e; // what did not come as it was signed is the server's doing, or somebody's on the way: nobody is blamed
      }
    }
  }

  private async dispute(m: Misdeed, c: SignedCase, roster: Roster): Promise<void> {
    const name = roster.plan.agents.find((a) => a.id === m.agent)?.name ?? "";
    const now = await desk.get(c.id);
    if (!now.answers?.some((a) => a.agent === m.agent && a.disputed)) {
      const signed = await signDispute({
        case: c.hash, roster: roster.hash, agent: m.agent, recipient: c.deliveries[0]!.recipient.fingerprint, sealed: m.sealed, time: Math.floor(Date.now() / 1000),
        reason: line(m.message, 500), certificate: c.requester.certificate,
      }, this.kept!.signer);
      await desk.dispute(c.id, signed);
    }
    this.wrong.push(name);
  }

  private async openOne(opener: Opener, r: InnerRecord): Promise<void> {
    let pkcs8: Bytes | undefined;
    try {
      pkcs8 = await opener.record(r);
      this.keys.push(await checkKey(pkcs8, r.capsule.header));
    } catch (e) {
      pkcs8?.fill(0);
      if (!(e instanceof Wrong)) throw e;
      this.left.push(e.message);
    }
  }

  /** file builds the PKCS#12 of all keys that were opened, and forgets them. */
  async file(passphrase: string): Promise<{ content: Bytes; keys: number }> {
    this.tell("file", "doing");
    const out = await this.written(async (found) => ({ content: await build(entries(found, this.person), found.flatMap((f) => f.chain), passphrase), keys: found.length }));
    this.tell("file", "done");
    return out;
  }

  /** older builds a file for each key that was opened, for programs that read neither the other one nor several keys, and forgets them. */
  older(passphrase: string): Promise<{ name: string; content: Bytes }[]> {
    return this.written(async (found) => {
      const out: { name: string; content: Bytes }[] = [];
      for (const [i, e] of entries(found, this.person).entries()) out.push({ name: e.name, content: await buildOld(e, found[i]!.chain, passphrase) });
      return out;
    });
  }

  private async written<T>(write: (found: Found[]) => Promise<T>): Promise<T> {
    try {
      const known: desk.Certified[] = [];
      for (const k of this.kept!.cases) if (k.sent && !k.ended) known.push(...await desk.certificates((await parseCase(k.signed)).id));
      return await write(await certified(this.keys, known, this.root, this.person));
    } finally {
      this.forgetKeys();
    }
  }

  private forgetKeys(): void {
    for (const k of this.keys) k.pkcs8.fill(0);
    this.keys = [];
  }

  /** finish closes the cases that were received and erases what was kept. */
  async finish(): Promise<void> {
    for (const k of this.kept?.cases ?? []) if (k.sent && !k.ended) await this.end((await parseCase(k.signed)).id, false);
    await this.forget();
  }

  /** cancel gives the restore up, at the server and here. */
  async cancel(): Promise<void> {
    for (const k of this.kept?.cases ?? []) if (!k.ended) await this.end((await parseCase(k.signed)).id, true);
    await this.forget();
  }

  /** end ends a case, whatever its state. Once something was collected it can only be closed. */
  private async end(id: string, takeBack: boolean): Promise<void> {
    if (!(await seen(id))) {
      await this.renew();
      return; // it never got there
    }
    const { state } = await desk.get(id);
    try {
      if (takeBack && (state === "requested" || state === "approved")) await desk.cancel(id);
      else if (state === "released") await desk.close(id);
    } catch (e) { // what the server cannot take any more is over
      if (!(e instanceof server.Refused && e.code === "case-state")) throw e;
    }
  }

  /** forget erases what was kept. */
  async forget(): Promise<void> {
    this.forgetKeys();
    await store.erase(this.person.id);
    this.kept = undefined;
  }
}

const cert = (b: Bytes) => printed({ der: b, read: parse(b) });

async function seen(id: string): Promise<boolean> {
  try {
    await desk.get(id);
    return true;
  } catch (e) {
    if (e instanceof server.Refused && e.code === "unknown-case") return false;
    throw e;
  }
}

function officersOf(c: SignedCase, r: Roster): Officer[] {
  return r.plan.agents.map((a) => ({ id: a.id, name: a.name, may: inTime(a.signing.read, new Date()) && mayAnswer(c, r, a.id), answer: "", comment: "" }));
}

/** answered notes what officers said, as far as they signed it. */
async function answered(officers: Officer[], answers: desk.Answer[], c: SignedCase, r: Roster): Promise<void> {
  for (const x of answers) {
    try {
      const a = await parseApproval(der.fromBase64(x.signed));
      await verifyApproval(a, r, c);
      const o = officers.find((o) => o.id === a.agent);
      if (!o) continue;
      o.answer = a.decision === decisions.deny ? "deny" : x.disputed ? "disputed" : "approve";
      o.comment = a.comment;
    } catch (e) {
      if (!(e instanceof Wrong)) throw e;
    }
  }
}
