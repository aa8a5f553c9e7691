// An officer decides about a case in the page, with their own PKCS#12, which is opened here alone: what sealpost-kra does (package kra of the
// Go sources), but for the audit log, of which a page remembers nothing. An installation offers it or not (docs/portal.md says what is given up).
import { Approval, caseKinds, checkRoster, clockSkew, decisions, encodeAnswer, inTime, mayAnswer, parseCase, Sealing, signApproval, SignedCase } from "./case";
import { believe } from "./asking";
import { rawOf, spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as desk from "./desk";
import { open } from "./open";
import { bundle, partials } from "./opener";
import { clear, Contents, decryption, Key, open as openFile } from "./pkcs12-read";
import { words } from "./recipient";
import { parseCapsule } from "./record";
import { Agent, openShare, parseRoster, Roster } from "./roster";
import { seal } from "./seal";
import * as server from "./server";
import { Signer, signer } from "./statement";

/** heardWords is how many of the sixteen words of a fingerprint an officer types: 80 bits. */
export const heardWords = 5;

/** NoOfficer says that a file does not hold the keys of an officer of this case's roster. */
export class NoOfficer extends Error {}
/** Misheard says that the words which an officer heard are not those of the recipient in the case. */
export class Misheard extends Error {}

/** Examined is a case that was verified, as far as a page can. */
export interface Examined {
  case: SignedCase;
  roster: Roster;
  policy: server.Policy;
  records: number;
}

/** examine fetches a case and verifies it: statement, roster, and that it is open now. */
export async function examine(id: string, now = Date.now()): Promise<Examined> {
  const policy = await server.policy(), found = await desk.whole(id);
  if (!found.signed || !found.roster) throw new Wrong("the officers have changed since this case was opened");
  const c = await parseCase(der.fromBase64(found.signed)), roster = await parseRoster(der.fromBase64(found.roster));
  if (c.id !== id) throw new Wrong("the server sent another case");
  await believe(roster, (found.intermediates ?? []).map(der.fromBase64), policy);
  await checkRoster(c, roster);
  if (now / 1000 < c.opened - clockSkew || now / 1000 > c.deadline) throw new Wrong("the case is not open by this computer's clock");
  return { case: c, roster, policy, records: c.deliveries.reduce((n, d) => n + d.subjects.reduce((m, s) => m + s.records.length, 0), 0) };
}

/** places are those of the words that an officer is asked for, chosen anew each time, from 0. */
export function places(): number[] {
  const out = new Set<number>();
  while (out.size < heardWords) out.add(der.random(1)[0]! % 16);
  return [...out].sort((a, b) => a - b);
}

/** hear compares what an officer heard with the recipient's fingerprint. It matters in a restore alone: other recipients are in the roster. */
export function hear(x: Examined, at: number[], heard: string[]): void {
  if (x.case.kind !== caseKinds.restore) return;
  const right = words(x.case.deliveries[0]!.recipient.fingerprint);
  if (at.length < heardWords || new Set(at).size !== at.length || at.some((p, i) => right[p] !== (heard[i] ?? "").trim().toLowerCase())) throw new Misheard();
}

/** Officer is who decides. Their keys cannot be taken out. */
export interface Officer {
  agent: Agent;
  sign: Signer;
  read: CryptoKey;
}

/** officer opens an officer's two keys, in one file or in two under one passphrase. They are in the roster, valid, and may decide about this case. */
export async function officer(x: Examined, files: Bytes[], passphrase: string, now = new Date()): Promise<Officer> {
  const contents: Contents[] = [];
  try {
    for (const f of files.slice(0, 2)) contents.push(await openFile(f, passphrase));
    const of = (c: { der: Bytes }): Key | undefined => contents.flatMap((f) => f.keys).find((k) => k.certificate && der.equal(rawOf(k.certificate), c.der));
    const agent = x.roster.plan.agents.find((a) => of(a.signing) && of(a.decryption));
    if (!agent) throw new NoOfficer();
    if (!mayAnswer(x.case, x.roster, agent.id)) throw new Wrong("this officer may not decide about this case");
    if (!inTime(agent.signing.read, now) || !inTime(agent.decryption.read, now)) throw new Wrong("this officer's certificates are not valid now");
    return { agent, sign: await signer(of(agent.signing)!.pkcs8, spkiOf(agent.signing.read)), read: await decryption(of(agent.decryption)!) };
  } finally {
    contents.forEach(clear);
  }
}

const statement = (x: Examined, by: Officer, decision: number, comment: string, sealings: Sealing[]): Approval =>
  ({ case: x.case.hash, roster: x.roster.hash, epoch: x.roster.plan.epoch, agent: by.agent.id, decision, time: Math.floor(Date.now() / 1000), comment, sealings });

/** approve verifies every record, opens the officer's part of each for its recipient, and sends the signed answer. */
export async function approve(x: Examined, by: Officer, comment: string, progress: (done: number, of: number) => void): Promise<void> {
  const all = await Promise.all((await desk.capsules(x.case.id, x.records)).map(parseCapsule));
  const sealings: Sealing[] = [], sealed: Bytes[] = [];
  const share = await openShare(x.roster, by.agent.id, async (b) => (await open(b, { certificate: by.agent.decryption.read, key: by.read })).content);
  let before = 0;
  for (const [i, d] of x.case.deliveries.entries()) {
    const n = d.subjects.reduce((m, s) => m + s.records.length, 0);
    const b = await bundle(x.roster, x.case, i, all.slice(before, before + n), (done) => progress(before + done, x.records));
    before += n;
    const raw = await partials(b, by.agent.id, share);
    const hash = await der.sha256(raw), message = await seal(raw, [d.recipient.read]);
    sealings.push({ recipient: d.recipient.fingerprint, sealed: await der.sha256(message), partials: hash });
    sealed.push(message);
  }
  const a = await signApproval(statement(x, by, decisions.approve, comment, sealings), x.roster, x.case, by.sign);
  await desk.answer(x.case.id, encodeAnswer(a, sealed));
}

/** deny sends the officer's signed no. */
export async function deny(x: Examined, by: Officer, comment: string): Promise<void> {
  const a = await signApproval(statement(x, by, decisions.deny, comment, []), x.roster, x.case, by.sign);
  await desk.answer(x.case.id, encodeAnswer(a, []));
}
