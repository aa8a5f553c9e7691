// The roster of the officers who can open the archive (docs/archive-format.md, section 4).
import * as asn1js from "asn1js";
import { Certificate } from "pkijs";
import { extension, isAuthority, purposes, spkiOf, usage, verifyChain, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { identifiers, verify, wayOf } from "./statement";
import { parseScalar, Point, publicOf, publicShare, keyID } from "./threshold";
import { Cert, compare, isNone, limits, nobody, printed, Reader, Signature, Writer } from "./wire";

export interface Agent { id: number; person: string; name: string; signing: Cert; decryption: Cert }
export interface Recipient { uses: number; person: string; name: string; certificate: Cert }
export const uses = { business: 1, legal: 2 };

export interface Plan {
  raw: Bytes; archive: string; created: number; epoch: number; origin: number; previous: Bytes; threshold: number; alone: boolean; dealers: number[];
  agents: Agent[]; recipients: Recipient[];
}

export interface Member { own: Point; sealed: Bytes; signature: Signature }

export interface Roster {
  raw: Bytes; plan: Plan; transcript: Bytes; commitments: Point[]; members: Member[];
  key: Point; keyID: Bytes;
  hash: Bytes; // the pin
  core: Bytes; // hash of what all of them sign
}

const maxPlan = 1 << 24, maxRoster = 1 << 26;

async function parsePlan(b: Bytes): Promise<Plan> {
  const r = new Reader(b, "plan", maxPlan);
  const archive = r.line(128), session = r.raw(16), created = r.time(), epoch = r.u32(), origin = r.u8(), previous = r.hash(), threshold = r.u16(), alone = r.flag();
  const dealers = r.list16(limits.agents, 2, () => r.u16());
  const dealerKey = r.blob16(limits.certificate);
  const agents = r.list16(limits.agents, 24, () => ({ id: r.u16(), person: r.uuid(), name: r.line(limits.name), signing: r.certificate(), decryption: r.certificate() }));
  const recipients = r.list16(100, 21, () => ({ uses: r.u8(), person: r.uuid(), name: r.line(limits.name), certificate: r.certificate() }));
  r.done();
  r.need(archive !== "" && !isNone(session) && (origin === 1 || origin === 2), "its name, session or origin is missing");
  r.need(epoch > 0 && (epoch === 1) === isNone(previous), "its epoch does not fit the previous roster");
  r.need(alone === (threshold === 1) && threshold >= 1 && agents.length > threshold, "its threshold does not fit its agents");
  r.need(dealers.length > 0 && dealers.every((d, i) => i === 0 || dealers[i - 1]! < d), "its dealers are not in order");
  const machine = origin === 2 && epoch === 1;
  if (machine) {
    r.need(dealers.length === 1 && dealers[0] === 0, "its dealer is not one machine");
    wayOf(dealerKey);
  } else {
    r.need(dealerKey.length === 0 && (epoch > 1 ? !dealers.includes(0) : dealers.length === agents.length && dealers.every((d, i) => d === agents[i]!.id)), "its dealers are others");
  }
  const plan: Plan = {
    raw: b, archive, created, epoch, origin, previous, threshold, alone, dealers,
    agents: await Promise.all(agents.map(async (a) => ({ ...a, signing: await printed(a.signing), decryption: await printed(a.decryption) }))),
    recipients: await Promise.all(recipients.map(async (c) => ({ ...c, certificate: await printed(c.certificate) }))),
  };
  checkPeople(r, plan);
  return plan;
}

/** checkPeople holds that no person and no key has two places, and that keys are for what they are there for. */
function checkPeople(r: Reader, p: Plan): void {
  const people = new Set([nobody]), keys = new Set<string>();
  const once = (c: Cert) => {
    const key = der.hex(spkiOf(c.read));
    r.need(!keys.has(key), "a key is there twice");
    keys.add(key);
  };
  let last = 0;
  for (const a of p.agents) {
    r.need(a.id > last && !people.has(a.person) && a.name !== "", "an agent is missing, there twice or not in order");
    last = a.id;
    people.add(a.person);
    once(a.signing);
    once(a.decryption);
    checkSigning(a.signing.read);
    checkDecryption(a.decryption.read);
  }
  let before: Bytes = new Uint8Array(32);
  for (const c of p.recipients) {
    r.need(compare(c.certificate.fingerprint, before) > 0 && c.uses >= 1 && c.uses <= 3 && c.person !== nobody && c.name !== "", "a recipient is missing or not in order");
    before = c.certificate.fingerprint;
    once(c.certificate);
    checkDecryption(c.certificate.read);
  }
}

function checkSigning(c: Certificate): void {
  wayOf(spkiOf(c));
  const bits = usage(c) ?? 0;
  if (bits !== 0 && ((bits & 0xc000) === 0 || (bits & 0x3e00) !== 0) || isAuthority(c)) throw new Wrong("a certificate is not one for signatures alone");
}

function checkDecryption(c: Certificate): void {
  checkReceives(c);
  const bits = usage(c) ?? 0;
  if (bits !== 0 && ((bits & 0x3800) === 0 || (bits & 0xc600) !== 0) || isAuthority(c)) throw new Wrong("a certificate is not one for decryption alone");
}

/** checkReceives holds that something can be sealed to a certificate. */
export function checkReceives(c: Certificate): void {
  const [kind, curve] = identifiers(spkiOf(c));
  if (kind === "1.2.840.10045.2.1" && ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"].includes(curve!)) return;
  if (kind === "1.2.840.113549.1.1.1") {
    const key = asn1js.fromBER(c.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView).result;
    const modulus = key instanceof asn1js.Sequence && key.valueBlock.value[0];
    if (modulus instanceof asn1js.Integer && BigInt("0x0" + der.hex(modulus.valueBlock.valueHexView)) >> 2047n) return;
  }
  throw new Wrong("nothing can be sealed to this certificate's kind of key");
}

/** parseRoster reads a roster. It is not to be trusted before verifyRoster. */
export async function parseRoster(b: Bytes): Promise<Roster> {
  const r = new Reader(b, "roster", maxRoster);
  const plan = await parsePlan(r.blob32(maxPlan));
  const transcript = r.hash();
  const commitments = Array.from({ length: plan.threshold }, () => r.point());
  const own = plan.agents.map(() => r.point());
  const core = await der.sha256(r.read);
  const members = own.map((y) => ({ own: y, sealed: r.blob32(limits.sealed), signature: r.signature() }));
  r.done();
  return { raw: b, plan, transcript, commitments, members, key: commitments[0]!, keyID: await keyID(commitments[0]!), hash: await der.sha256(b), core };
}

/** verifyRoster holds that a roster agrees with itself and was signed by all its officers. Chains and usages are [verifyOfficers]'s. */
export async function verifyRoster(r: Roster): Promise<void> {
  for (const [i, a] of r.plan.agents.entries()) {
    const m = r.members[i]!;
    if (!der.equal(publicShare(r.commitments, a.id).bytes, m.own.bytes)) throw new Wrong(`the public share of officer ${a.id} does not match the commitments`);
    const w = new Writer("acknowledgement");
    w.raw(r.core);
    w.u16(a.id);
    w.blob32(m.sealed);
    if (!(await verify(spkiOf(a.signing.read), m.signature, w.bytes))) throw new Wrong(`the signature of officer ${a.id} does not hold`);
  }
}

const oids = { agentSigning: "1.3.6.1.4.1.32473.2.1", agentDecryption: "1.3.6.1.4.1.32473.2.2", recipient: "1.3.6.1.4.1.32473.2.3" }; // docs/oids.md

/** verifyOfficers holds that the certificates of a roster were issued for that purpose under a root. */
export async function verifyOfficers(r: Roster, between: Certificate[], root: Certificate, now = new Date()): Promise<void> {
  for (const a of r.plan.agents) {
    await certifiedFor(a.signing.read, a.name, oids.agentSigning, between, root, now);
    await certifiedFor(a.decryption.read, a.name, oids.agentDecryption, between, root, now);
  }
  for (const c of r.plan.recipients) await certifiedFor(c.certificate.read, c.name, oids.recipient, between, root, now);
}

async function certifiedFor(c: Certificate, name: string, purpose: string, between: Certificate[], root: Certificate, now: Date): Promise<void> {
  if (isAuthority(c) || purposes(c).length !== 1 || purposes(c)[0] !== purpose || commonName(c) !== name) throw new Wrong(`the certificate of ${name} in the list of officers was not issued for that`);
  const chain = pathTo(c, between, root);
  // That it has ended is no fault: who may still answer, [mayAnswer] tells.
  await verifyChain(c, chain, c.notAfter.value < now ? c.notAfter.value : now);
  for (const issuer of chain) {
    if (extension(issuer, "2.5.29.37") && !purposes(issuer).some((p) => p === purpose || p === "2.5.29.37.0")) throw new Wrong(`the certificate of ${name} in the list of officers is of an authority that may not issue it`);
  }
}

/** pathTo finds the issuers of a certificate by their names, up to the root. verifyChain judges what it finds. */
export function pathTo(c: Certificate, between: Certificate[], root: Certificate): Certificate[] {
  const out: Certificate[] = [];
  for (let at = c; out.length < 8; at = out.at(-1)!) {
    if (at.issuer.isEqual(root.subject)) return [...out, root];
    const next = between.find((b) => at.issuer.isEqual(b.subject) && !out.includes(b) && !b.subject.isEqual(b.issuer));
    if (!next) break;
    out.push(next);
  }
  throw new Wrong("a certificate does not chain to the root");
}

/** commonName is the name in a certificate's subject. */
export const commonName = (c: Certificate): string => c.subject.typesAndValues.find((t) => t.type === "2.5.4.3")?.value.valueBlock.value ?? "";

/** agentOf finds an officer, and what the roster keeps of them. */
export function agentOf(r: Roster, id: number): { agent: Agent; member: Member } | undefined {
  const i = r.plan.agents.findIndex((a) => a.id === id);
  return i < 0 ? undefined : { agent: r.plan.agents[i]!, member: r.members[i]! };
}

/** openShare takes an officer's own share out of what the roster keeps for them; open opens what was sealed to their certificate. */
export async function openShare(r: Roster, id: number, open: (sealed: Bytes) => Promise<Bytes>): Promise<bigint> {
  const found = agentOf(r, id);
  if (!found) throw new Wrong("there is no such officer");
  const b = await open(found.member.sealed), reader = new Reader(b, "share", 128);
  const context = reader.hash(), agent = reader.u16(), x = parseScalar(reader.raw(32));
  reader.done();
  b.fill(0);
  if (!der.equal(context, r.core) || agent !== id || !der.equal(publicOf(x).bytes, found.member.own.bytes)) throw new Wrong("the sealed share is another's");
  return x;
}

