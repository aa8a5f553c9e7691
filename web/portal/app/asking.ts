// Somebody asks officers for other people's keys: what the server says that a case would name is made the case, in the archive's own
// encoding, and signed with the key with which they sign mail. It is what sealpost-agent does (package agent of the Go sources).
import { Asker } from "./asker";
import { caseKinds, checkRoster, mayAnswer, signCase, SignedCase } from "./case";
import { mailboxesOf, parse, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as desk from "./desk";
import { commonName, parseRoster, Roster, verifyOfficers, verifyRoster } from "./roster";
import * as server from "./server";
import { fromHex, limits, line, printed } from "./wire";

/** Wish is what the page showed, and what somebody agreed to by signing. */
export interface Wish {
  kind: "business" | "legal";
  query: { mailboxes: string[]; people: string[]; from?: string; to?: string };
  drafts: string[]; // a digest for each case that the page showed (digestOf), in any order
  recipient: string; // fingerprint
  reason: string;
  reference: string;
  days: number;
}

/** Changed says that the case would name something else by now than the page showed. */
export class Changed extends Error {}

/** believe holds that a roster is signed by its officers, whose certificates were issued for that. */
export async function believe(r: Roster, between: Bytes[], policy: server.Policy): Promise<void> {
  const root = policy.exchange?.chain.at(-1);
  if (!root) throw new Wrong("the policy names no root");
  await verifyRoster(r);
  await verifyOfficers(r, between.slice(0, 200).map(parse), parse(der.fromBase64(root)));
}

/** digestOf names what a draft names: the roster, the people and their records (portal.draftDigest). */
export function digestOf(d: desk.Draft, roster: Roster): Promise<string> {
  const lines = [der.hex(roster.hash)];
  for (const s of [...d.subjects].sort((a, b) => (a.person < b.person ? -1 : 1))) lines.push(s.person, ...s.records.map((r) => r.record).sort());
  return der.sha256(new TextEncoder().encode(lines.join("\n"))).then(der.hex);
}

/** prepare signs the cases of a wish. Nothing is sent. */
export async function prepare(wish: Wish, by: Asker, policy: server.Policy, now = Date.now()): Promise<SignedCase[]> {
  const cases: SignedCase[] = [];
  const drafts = await desk.drafts({ kind: wish.kind, ...wish.query });
  const left = new Set(wish.drafts);
  for (const d of drafts) {
    const roster = await parseRoster(der.fromBase64(d.roster));
    if (!left.delete(await digestOf(d, roster))) throw new Changed();
    await believe(roster, (d.intermediates ?? []).map(der.fromBase64), policy);
    cases.push(await draw(wish, d, roster, by, policy, now));
  }
  if (left.size > 0 || cases.length === 0) throw new Changed();
  return cases;
}

/** send opens the cases, and returns their ids. Sending the same again, after an answer that did not come, opens nothing twice. */
export async function send(cases: SignedCase[]): Promise<string[]> {
  const ids: string[] = [];
  for (const c of cases) ids.push((await desk.open(c.raw)).id);
  return ids;
}

async function draw(wish: Wish, d: desk.Draft, roster: Roster, by: Asker, policy: server.Policy, now: number): Promise<SignedCase> {
  const recipient = roster.plan.recipients.find((r) => der.hex(r.certificate.fingerprint) === wish.recipient);
  if (!recipient) throw new Wrong("the officers' list does not name this recipient");
  const opened = Math.floor(now / 1000), certificate = await printed({ der: by.certificate, read: parse(by.certificate) });
  const name = line(commonName(certificate.read) || mailboxesOf(certificate.read)[0] || policy.person.name, limits.name); // as their certificate names them
  const c = await signCase({
    id: crypto.randomUUID(), kind: caseKinds[wish.kind], roster: roster.hash, keyID: roster.keyID, epoch: roster.plan.epoch,
    requester: { person: policy.person.id, name, certificate },
    reason: wish.reason, reference: wish.reference, opened, deadline: opened + wish.days * 24 * 3600,
    deliveries: [{ recipient: recipient.certificate, subjects: d.subjects.map((s) => ({ person: s.person, records: s.records.map((r) => fromHex(r.record)) })) }],
  }, by.signer);
  await checkRoster(c, roster);
  if (roster.plan.agents.filter((a) => mayAnswer(c, roster, a.id)).length < roster.plan.threshold) throw new Wrong("not enough officers could answer this case");
  return c;
}
