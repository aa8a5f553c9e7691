// Recovery cases and what is sent around them (docs/archive-format.md, sections 6 to 9).
import { Certificate } from "pkijs";
import { spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { agentOf, checkReceives, Roster, uses } from "./roster";
import { digest, sign, Signer, verify, wayOf } from "./statement";
import { maxBatch, Point } from "./threshold";
import { Cert, compare, isNone, limits, nobody, printed, Reader, Signature, Writer } from "./wire";

export const caseKinds = { restore: 1, business: 2, legal: 3, drill: 4 };
export const decisions = { approve: 1, deny: 2 };
/** clockSkew is how many seconds apart clocks may be. */
export const clockSkew = 300;

export interface Subject { person: string; records: Bytes[] }
export interface Delivery { recipient: Cert; subjects: Subject[] }

/** Case is what is to be opened, for whom and why. Times are in seconds since 1970. */
export interface Case {
  id: string; kind: number; roster: Bytes; keyID: Bytes; epoch: number;
  requester: { person: string; name: string; certificate: Cert };
  reason: string; reference: string; opened: number; deadline: number; deliveries: Delivery[];
}

export interface SignedCase extends Case { signature: Signature; raw: Bytes; statement: Bytes; hash: Bytes }

const maxCase = 1 << 25;

function statementOf(c: Case): Bytes {
  const w = new Writer("case");
  w.uuid(c.id);
  w.u8(c.kind);
  w.raw(c.roster);
  w.raw(c.keyID);
  w.u32(c.epoch);
  w.uuid(c.requester.person);
  w.text(c.requester.name);
  w.blob16(c.requester.certificate.der);
  w.text(c.reason);
  w.text(c.reference);
  w.time(c.opened);
  w.time(c.deadline);
  const deliveries = [...c.deliveries].sort((a, b) => compare(a.recipient.fingerprint, b.recipient.fingerprint));
  w.u16(deliveries.length);
  for (const d of deliveries) {
    w.blob16(d.recipient.der);
    const subjects = [...d.subjects].sort((a, b) => (a.person < b.person ? -1 : 1));
    w.u16(subjects.length);
    for (const s of subjects) {
      w.uuid(s.person);
      w.u32(s.records.length);
      for (const h of [...s.records].sort(compare)) w.raw(h);
    }
  }
  return w.bytes;
}

/** signCase puts deliveries, subjects and records in order and signs with the key of the requester's certificate. */
export async function signCase(c: Case, by: Signer): Promise<SignedCase> {
  const out = await parseCase(await signed(statementOf(c), by));
  await verifyCase(out);
  return out;
}

async function signed(statement: Bytes, by: Signer): Promise<Bytes> {
  const s = await sign(by, statement);
  return der.join(statement, new Uint8Array([s.algorithm, s.value.length >> 8, s.value.length & 255]), s.value);
}

/** parseCase reads a case. It does not verify the signature. */
export async function parseCase(b: Bytes): Promise<SignedCase> {
  const r = new Reader(b, "case", maxCase);
  const c = {
    id: r.uuid(), kind: r.u8(), roster: r.hash(), keyID: r.hash(), epoch: r.u32(), person: r.uuid(), name: r.line(limits.name), certificate: r.certificate(),
    reason: r.text(4000), reference: r.line(256), opened: r.time(), deadline: r.time(),
  };
  const deliveries = r.list16(1000, 4, () => ({
    recipient: r.certificate(),
    subjects: r.list16(1 << 14, 20, () => ({ person: r.uuid(), records: r.list32(limits.records, 32, () => r.hash()) })),
  }));
  const statement = r.read, signature = r.signature();
  r.done();
  const { person, name, certificate, ...rest } = c;
  const out: SignedCase = {
    ...rest, requester: { person, name, certificate: await printed(certificate) }, signature, raw: b, statement, hash: await digest(statement),
    deliveries: await Promise.all(deliveries.map(async (d) => ({ ...d, recipient: await printed(d.recipient) }))),
  };
  check(r, out);
  return out;
}

function check(r: Reader, c: SignedCase): void {
  r.need(c.id !== nobody && !isNone(c.roster) && !isNone(c.keyID) && c.epoch > 0, "its id, roster or epoch is missing");
  r.need(c.kind >= caseKinds.restore && c.kind <= caseKinds.drill, "its kind is not known");
  r.need(c.requester.person !== nobody && c.requester.name !== "" && c.reason !== "", "its requester or reason is missing");
  wayOf(spkiOf(c.requester.certificate.read));
  r.need(c.opened < c.deadline, "its deadline is not after its opening");
  r.need(c.deliveries.length > 0, "it delivers nothing");
  let before: Bytes = new Uint8Array(32);
  const people = new Set<string>(), records = new Set<string>();
  for (const d of c.deliveries) {
    r.need(compare(d.recipient.fingerprint, before) > 0 && d.subjects.length > 0, "its deliveries are not in order");
    before = d.recipient.fingerprint;
    checkReceives(d.recipient.read);
    let last = "";
    for (const s of d.subjects) {
      r.need(s.person > last && !people.has(s.person) && (s.person === nobody) === (c.kind === caseKinds.drill) && s.records.length > 0, "a subject is missing, there twice or not in order");
      last = s.person;
      people.add(s.person);
      s.records.forEach((h, i) => {
        r.need((i === 0 || compare(s.records[i - 1]!, h) < 0) && !records.has(der.hex(h)), "its records are not in order");
        records.add(der.hex(h));
      });
    }
  }
  r.need(records.size <= limits.records, "it has too many records");
  r.need(c.kind !== caseKinds.restore || c.deliveries.length === 1 && c.deliveries[0]!.subjects.length === 1 && c.deliveries[0]!.subjects[0]!.person === c.requester.person,
    "it is not the requester alone who restores their own keys");
}

/** verifyCase checks the requester's signature. */
export async function verifyCase(c: SignedCase): Promise<void> {
  if (!(await verify(spkiOf(c.requester.certificate.read), c.signature, c.statement))) throw new Wrong("the signature of who asks does not hold");
}

/** checkRoster verifies a case, and that it is put to this (verified) roster and names only recipients that it allows. */
export async function checkRoster(c: SignedCase, r: Roster): Promise<void> {
  await verifyCase(c);
  if (!der.equal(c.roster, r.hash) || !der.equal(c.keyID, r.keyID) || c.epoch !== r.plan.epoch) throw new Wrong("this case is put to other officers");
  const use = c.kind === caseKinds.business ? uses.business : c.kind === caseKinds.legal ? uses.legal : 0;
  for (const d of use ? c.deliveries : []) {
    if (!r.plan.recipients.some((x) => x.uses & use && der.equal(x.certificate.der, d.recipient.der))) throw new Wrong("a recipient is not one whom the officers' list allows");
  }
}

/** mayAnswer says whether an officer may decide about a case: who asks, receives, or is its subject (but in a restore) may not. */
export function mayAnswer(c: SignedCase, r: Roster, id: number): boolean {
  const a = agentOf(r, id)?.agent;
  if (!a) return false;
  const key = (x: Certificate) => spkiOf(x);
  if (a.person === c.requester.person || der.equal(key(a.signing.read), key(c.requester.certificate.read))) return false;
  return !c.deliveries.some((d) => der.equal(key(d.recipient.read), key(a.decryption.read)) || d.subjects.some((s) => s.person === a.person)
    || r.plan.recipients.some((x) => x.person === a.person && der.equal(x.certificate.der, d.recipient.der)));
}

/** inTime says whether an officer's certificate is valid at a time. */
export const inTime = (c: Certificate, now: Date): boolean => c.notBefore.value <= now && now <= c.notAfter.value;

export interface Sealing { recipient: Bytes; sealed: Bytes; partials: Bytes }
export interface Approval { case: Bytes; roster: Bytes; epoch: number; agent: number; decision: number; time: number; comment: string; sealings: Sealing[] }
export interface SignedApproval extends Approval { signature: Signature; raw: Bytes; statement: Bytes; hash: Bytes }

const maxApproval = 1 << 18;

export async function parseApproval(b: Bytes): Promise<SignedApproval> {
  const r = new Reader(b, "approval", maxApproval);
  const a = {
    case: r.hash(), roster: r.hash(), epoch: r.u32(), agent: r.u16(), decision: r.u8(), time: r.time(), comment: r.text(2000),
    sealings: r.list16(1000, 96, () => ({ recipient: r.hash(), sealed: r.hash(), partials: r.hash() })),
  };
  const statement = r.read, signature = r.signature();
  r.done();
  r.need(a.agent > 0 && a.epoch > 0, "its agent or epoch is missing");
  r.need(a.decision === decisions.approve || a.decision === decisions.deny, "its decision is not known");
  r.need((a.decision === decisions.approve) === (a.sealings.length > 0), "its sealings do not fit its decision");
  return { ...a, signature, raw: b, statement, hash: await digest(statement) };
}

/** signApproval signs what an officer decided, and holds that it counts. */
export async function signApproval(a: Approval, r: Roster, c: SignedCase, by: Signer): Promise<SignedApproval> {
  const w = new Writer("approval");
  w.raw(a.case);
  w.raw(a.roster);
  w.u32(a.epoch);
  w.u16(a.agent);
  w.u8(a.decision);
  w.time(a.time);
  w.text(a.comment);
  w.u16(a.sealings.length);
  for (const s of a.sealings) w.raw(der.join(s.recipient, s.sealed, s.partials));
  const out = await parseApproval(await signed(w.bytes, by));
  await verifyApproval(out, r, c);
  return out;
}

/** verifyApproval checks everything about an approval that is public. The roster has been verified. */
export async function verifyApproval(a: SignedApproval, r: Roster, c: SignedCase): Promise<void> {
  await checkRoster(c, r);
  if (!der.equal(a.case, c.hash) || !der.equal(a.roster, r.hash) || a.epoch !== r.plan.epoch) throw new Wrong("an answer is to another case");
  const found = agentOf(r, a.agent);
  if (!found || !mayAnswer(c, r, a.agent)) throw new Wrong("an answer is of somebody who may not answer this case");
  if (!(await verify(spkiOf(found.agent.signing.read), a.signature, a.statement))) throw new Wrong("the signature of an answer does not hold");
  if (a.time < c.opened - clockSkew || a.time > c.deadline) throw new Wrong("an answer was given outside the case's time");
  if (a.decision === decisions.approve && (a.sealings.length !== c.deliveries.length || !a.sealings.every((s, i) => der.equal(s.recipient, c.deliveries[i]!.recipient.fingerprint)))) {
    throw new Wrong("an answer is for other recipients");
  }
}

/** encodeAnswer is what an officer sends: the approval, with what is sealed to the recipients. */
export function encodeAnswer(a: SignedApproval, sealed: Bytes[]): Bytes {
  const w = new Writer("answer");
  w.blob32(a.raw);
  w.u16(sealed.length);
  for (const s of sealed) w.blob32(s);
  return w.bytes;
}

export async function parseAnswer(b: Bytes): Promise<{ approval: SignedApproval; sealed: Bytes[] }> {
  const r = new Reader(b, "answer", 1 << 24);
  const raw = r.blob32(maxApproval), sealed = r.list16(1000, 20, () => r.blob32(maxSealed));
  r.done();
  const approval = await parseApproval(raw);
  const same = sealed.length === approval.sealings.length && (await Promise.all(sealed.map((s) => der.sha256(s)))).every((h, i) => der.equal(h, approval.sealings[i]!.sealed));
  r.need(same, "what is sealed is not what was signed");
  return { approval, sealed };
}

/** Partials are one officer's answer to one delivery, as they are inside of what is sealed. */
export interface Partials { case: Bytes; roster: Bytes; agent: number; recipient: Bytes; ds: Point[]; proof: Bytes }

const maxPartials = 256 + maxBatch * 32;
export const maxSealed = maxPartials + (1 << 16);

export function encodePartials(p: Partials): Bytes {
  const w = new Writer("partials");
  w.raw(p.case);
  w.raw(p.roster);
  w.u16(p.agent);
  w.raw(p.recipient);
  w.u32(p.ds.length);
  for (const d of p.ds) w.raw(d.bytes);
  w.raw(p.proof);
  return w.bytes;
}

export function parsePartials(b: Bytes): Partials {
  const r = new Reader(b, "partials", maxPartials);
  const p = { case: r.hash(), roster: r.hash(), agent: r.u16(), recipient: r.hash(), ds: r.list32(maxBatch, 32, () => r.point()), proof: r.proof() };
  r.done();
  return p;
}

export interface Dispute { case: Bytes; roster: Bytes; agent: number; recipient: Bytes; sealed: Bytes; time: number; reason: string; certificate: Cert }

/** signDispute signs a recipient's word that what an officer sealed is wrong. */
export async function signDispute(d: Dispute, by: Signer): Promise<Bytes> {
  const w = new Writer("dispute");
  w.raw(d.case);
  w.raw(d.roster);
  w.u16(d.agent);
  w.raw(d.recipient);
  w.raw(d.sealed);
  w.time(d.time);
  w.text(d.reason);
  w.blob16(d.certificate.der);
  const out = await signed(w.bytes, by);
  await parseDispute(out);
  return out;
}

/** parseDispute reads a dispute and verifies its signature. */
export async function parseDispute(b: Bytes): Promise<Dispute> {
  const r = new Reader(b, "dispute", limits.certificate + limits.signature + 1024);
  const d = { case: r.hash(), roster: r.hash(), agent: r.u16(), recipient: r.hash(), sealed: r.hash(), time: r.time(), reason: r.line(500), certificate: r.certificate() };
  const statement = r.read, signature = r.signature();
  r.done();
  r.need(![d.case, d.roster, d.recipient, d.sealed].some(isNone) && d.agent > 0 && d.reason !== "", "something of it is missing");
  r.need(await verify(spkiOf(d.certificate.read), signature, statement), "its signature does not hold");
  return { ...d, certificate: await printed(d.certificate) };
}
