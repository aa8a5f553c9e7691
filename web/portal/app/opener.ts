// Opening a delivery of a case: what an officer does before decrypting, and the recipient with the officers' answers.
import { Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { checkRoster, caseKinds, decisions, encodePartials, parsePartials, SignedApproval, SignedCase, verifyApproval } from "./case";
import { Capsule, InnerRecord, openRecord, purposes, verifyCapsule } from "./record";
import { agentOf, Roster } from "./roster";
import { combine, Context, decrypt, lagrange, Point, provePartials, verifyPartials } from "./threshold";

/** Bundle is one delivery of a case with its capsules, all verified, in the order of the case. */
export interface Bundle { roster: Roster; case: SignedCase; delivery: number; capsules: Capsule[] }

/** bundle verifies the capsules of a delivery, given in any order, against the case and its roster, which was verified: each is in the case, belongs to the
 * subject under whom the case lists it, has the case's purpose, and was made by someone who knew what is in it. */
export async function bundle(roster: Roster, c: SignedCase, delivery: number, given: Capsule[], progress?: (done: number) => void): Promise<Bundle> {
  await checkRoster(c, roster);
  const found = new Map(given.map((k) => [der.hex(k.hash), k]));
  const capsules: Capsule[] = [], seen = new Set<string>();
  const purpose = c.kind === caseKinds.drill ? purposes.drill : purposes.key;
  for (const s of c.deliveries[delivery]?.subjects ?? []) {
    for (const h of s.records) {
      const k = found.get(der.hex(h));
      if (!k) throw new Wrong("a record of the case is missing");
      if (k.header.purpose !== purpose || k.header.person !== s.person) throw new Wrong("a record is another's, or for something else, than the case says");
      if (seen.has(der.hex(k.r.bytes))) throw new Wrong("a record repeats another");
      seen.add(der.hex(k.r.bytes));
      capsules.push(k);
    }
  }
  if (capsules.length === 0 || capsules.length !== given.length) throw new Wrong("there are other records than the case asks for");
  for (const [i, k] of capsules.entries()) {
    await verifyCapsule(k, roster.key);
    progress?.(i + 1);
    if (i % 8 === 7) await new Promise((go) => setTimeout(go)); // the page stays alive
  }
  return { roster, case: c, delivery, capsules };
}

const contextOf = (b: Bundle, agent: number): Context => ({ case: b.case.hash, epoch: b.case.epoch, agent, key: b.roster.key });
const recipientOf = (b: Bundle) => b.case.deliveries[b.delivery]!.recipient;
const points = (b: Bundle) => b.capsules.map((k) => k.r);

/** partials decrypts an officer's part of a bundle and proves it: what is sealed to the recipient then. The nonce is for test vectors alone. */
export async function partials(b: Bundle, agent: number, share: bigint, nonce?: bigint): Promise<Bytes> {
  const ds = decrypt(share, points(b));
  const proof = await provePartials(share, contextOf(b, agent), points(b), ds, nonce);
  return encodePartials({ case: b.case.hash, roster: b.roster.hash, agent, recipient: recipientOf(b).fingerprint, ds, proof });
}

/** Misdeed is a wrong answer that the officer signed for: it can be disputed. */
export class Misdeed extends Wrong {
  constructor(readonly agent: number, readonly sealed: Bytes, detail: string) {
    super(detail);
  }
}

/** Opener takes the officers' answers to one delivery and opens its records when there are enough good ones. */
export class Opener {
  private readonly ds = new Map<number, Point[]>();

  constructor(private readonly bundle: Bundle, private readonly open: (sealed: Bytes) => Promise<Bytes>) {}

  get missing(): number {
    return Math.max(0, this.bundle.roster.plan.threshold - this.ds.size);
  }

  get agents(): number[] {
    return [...this.ds.keys()];
  }

  /** add takes an approval with what was sealed, after verifying both. Otherwise it is as it was: others suffice. */
  async add(a: SignedApproval, sealed: Bytes): Promise<void> {
    const b = this.bundle;
    await verifyApproval(a, b.roster, b.case);
    if (a.decision !== decisions.approve) throw new Wrong("an officer refused this case");
    if (this.ds.has(a.agent)) throw new Wrong("an officer is there twice");
    const s = a.sealings[b.delivery]!;
    if (!der.equal(await der.sha256(sealed), s.sealed)) throw new Wrong("what came is not what the officer signed");
    const bad = (detail: string) => new Misdeed(a.agent, s.sealed, detail);
    let raw: Bytes;
    try {
      raw = await this.open(sealed);
    } catch {
      throw bad("what the officer sealed to this browser cannot be opened");
    }
    try {
      if (!der.equal(await der.sha256(raw), s.partials)) throw bad("the officer sealed something else than was signed");
      this.ds.set(a.agent, await this.verified(a.agent, raw));
    } catch (e) {
      throw e instanceof Misdeed ? e : bad("the officer's part is wrong");
    } finally {
      raw.fill(0);
    }
  }

  private async verified(agent: number, raw: Bytes): Promise<Point[]> {
    const b = this.bundle, p = parsePartials(raw);
    const own = agentOf(b.roster, agent)!.member.own;
    if (!der.equal(p.case, b.case.hash) || !der.equal(p.roster, b.roster.hash) || p.agent !== agent || !der.equal(p.recipient, recipientOf(b).fingerprint)) {
      throw new Wrong("it was made for another case, roster, officer or recipient");
    }
    await verifyPartials(own, contextOf(b, agent), points(b), p.ds, p.proof);
    return p.ds;
  }

  /** record opens one record of the delivery: its private key (PKCS#8), which the caller checks against the header and erases. */
  async record(i: InnerRecord): Promise<Bytes> {
    const at = this.bundle.capsules.findIndex((k) => der.equal(k.hash, i.capsule.hash));
    if (at < 0 || this.missing > 0) throw new Wrong("a record is not in this case, or officers are missing");
    const agents = this.agents.slice(0, this.bundle.roster.plan.threshold);
    const z = combine(lagrange(agents), agents.map((a) => this.ds.get(a)![at]!));
    return openRecord(i, z, this.bundle.roster.key);
  }

  wipe(): void {
    this.ds.clear();
  }
}
