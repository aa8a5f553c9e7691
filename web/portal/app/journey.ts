// One request on its way from "keys made here" to "file made here". Every step may be the last before the page goes away;
// walking again from what is kept comes to the same end.
import * as certificates from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as keys from "./keys";
import { build, Entry } from "./pkcs12";
import { buildOld } from "./pkcs12-old";
import { verifyReceipt } from "./receipt";
import { identifier, sealKey } from "./seal";
import { advertise } from "./advertise";
import { Identity, profile, Settings } from "./profile";
import * as server from "./server";
import { sign, Signer } from "./signed";
import * as store from "./store";

/** steps, as the page shows them. */
export type Step = "keys" | "send" | "archive" | "issue" | "file";

/** Ended is a request that came to nothing, in the server's words. */
export class Ended extends Error {
  constructor(readonly kind: "rejected" | "failed", reason: string) {
    super(reason);
  }
}

/** Impossible is what this page can do nothing about. */
export class Impossible extends Error {
  constructor(readonly kind: "restricted" | "nothing" | "algorithm", detail = "") {
    super(detail);
  }
}

/** Waiting says that the server is not done yet. */
export class Waiting extends Error {
  constructor(readonly forRegistrar: boolean) {
    super();
  }
}

export class Journey {
  kept?: store.Kept;
  rsaFirst = false; // for programs that know no other keys
  private status?: server.Status;
  private entries: { half: store.Half; certificate: Bytes; issuer: string; serial: string }[] = [];
  private chain: Bytes[] = [];

  constructor(private policy: server.Policy, private readonly wanted: string, private readonly tell: (step: Step, state: "doing" | "done" | "waiting") => void) {}

  get person() {
    return this.policy.person;
  }

  /** resume finds what was begun in this browser. */
  async resume(): Promise<boolean> {
    this.kept = await store.find(this.person.id);
    return this.kept !== undefined;
  }

  /** plan returns what is asked for: what is wanted, the one for mail, or the first. */
  private plan(): server.Enrolment {
    if (this.person.restricted) throw new Impossible("restricted", this.person.restricted);
    const all = this.policy.enrolments;
    const found = this.wanted ? all.find((e) => e.name === this.wanted) : all.find((e) => e.name === "smime") ?? all[0];
    if (!found || !found.signing && !found.encryption) throw new Impossible("nothing");
    return found;
  }

  /** check finds out early that nothing can be asked for. */
  check(): void {
    this.plan();
  }

  /** walk takes the request as far as it goes now: to certificates that are checked. */
  async walk(): Promise<void> {
    await this.begin();
    await this.send();
    await this.await();
    await this.verify();
  }

  private async begin(): Promise<void> {
    this.tell("keys", "doing");
    if (!this.kept) await this.resume(); // another tab may have begun meanwhile
    if (!this.kept) {
      const plan = this.plan();
      const halves: store.Half[] = [];
      for (const use of ["signing", "encryption"] as const) {
        const half = plan[use];
        if (!half) continue;
        const kind = keys.choose(half.algorithms, this.rsaFirst);
        if (!kind) throw new Impossible("algorithm", half.algorithms.join(", "));
        const pair = await keys.make(kind);
        const single = !plan.signing || !plan.encryption;
        halves.push({ use, single, key: pair.privateKey, spki: await keys.spki(pair), csr: await keys.request(kind, pair, this.person.name) });
      }
      const kept: store.Kept = { person: this.person.id, name: crypto.randomUUID(), enrolment: plan.name, escrowed: plan.encryption?.escrowed ?? false, begun: Date.now(), halves };
      await store.keep(kept); // before anything is sent: there is never a certificate without its key
      this.kept = kept;
    }
    this.tell("keys", "done");
  }

  /** send submits the request, or asks for it when the server has it. The key is sealed anew each time: a nonce ends, the request's name
   * and CSRs stay, by which the server knows it again. */
  private async send(): Promise<void> {
    const kept = this.kept!;
    this.tell("send", "doing");
    if (kept.id) {
      this.status = await this.ask(kept.id);
    } else {
      await this.renew();
      const csr = (use: store.Use) => kept.halves.find((h) => h.use === use)?.csr;
      const sealed = await this.seal();
      const text = (b?: Bytes) => b && der.base64(b);
      this.status = await server.enrol(kept.name, { enrolment: kept.enrolment, signing_csr: text(csr("signing")), encryption_csr: text(csr("encryption")), escrowed_key: text(sealed) });
    }
    if (this.status.person !== kept.person) throw new certificates.Wrong("the answer is about somebody else");
    if (!kept.id) {
      kept.id = this.status.id;
      await store.keep(kept);
    }
  }

  /** renew asks for the policy again: for a new nonce, and because somebody else may have signed in meanwhile, in another tab. */
  private async renew(): Promise<void> {
    const policy = await server.policy();
    if (policy.person.id !== this.kept!.person) throw new server.Refused("session", "another-person", "");
    this.policy = policy;
  }

  /** ask asks how the request stands. For somebody else there is no such request: then the keys must not seem to be good for nothing. */
  private async ask(id: string): Promise<server.Status> {
    try {
      return await server.enrolment(id);
    } catch (e) {
      if (e instanceof server.Refused && e.kind === "refused") await this.renew();
      throw e;
    }
  }

  private async seal(): Promise<Bytes | undefined> {
    const half = this.kept!.halves.find((h) => h.use === "encryption");
    if (!half || !this.kept!.escrowed) return undefined;
    const x = this.policy.exchange;
    if (!x) throw new certificates.Wrong("there is no exchange certificate");
    const to = certificates.parse(der.fromBase64(x.certificate));
    await certificates.verifyExchange(to, x.chain.map((c) => certificates.parse(der.fromBase64(c))));
    const signing = this.kept!.halves.find((h) => h.use === "signing")?.csr ?? new Uint8Array();
    return sealKey(await keys.pkcs8(half.key), await identifier(this.person.id, signing, half.csr, x.nonce), to);
  }

  /** await asks until there is an answer, for some minutes: who leaves the page open must not stay signed in by that alone. */
  private async await(): Promise<void> {
    const until = Date.now() + 10 * 60_000;
    for (let pause = 500; ; pause = Math.min(2 * pause, 15_000)) {
      const st = this.status!;
      if (st.receipt) {
        this.tell("send", "done");
        this.tell("archive", "done");
      }
      switch (st.state) {
        case "issued":
          this.tell("send", "done");
          return;
        case "rejected":
        case "failed":
          throw new Ended(st.state, st.reason ?? "");
        case "submitted":
          this.tell("send", "done");
          this.tell("issue", "waiting");
          break;
        default:
          this.tell("issue", "doing");
      }
      if (Date.now() > until) throw new Waiting(st.state === "submitted");
      await new Promise((go) => setTimeout(go, pause));
      this.status = await this.ask(st.id);
    }
  }

  /** verify decides whether what came is to be believed. */
  private async verify(): Promise<void> {
    this.tell("issue", "doing");
    const kept = this.kept!, st = this.status!;
    this.entries = [];
    this.chain = [];
    for (const half of kept.halves) {
      const found = (st.certificates ?? []).map((c) => ({ leaf: certificates.parse(der.fromBase64(c.der)), wire: c }))
        .find((c) => der.equal(certificates.spkiOf(c.leaf), half.spki));
      if (!found) throw new certificates.Wrong("there is no certificate for a key");
      const chain = found.wire.chain.map(der.fromBase64);
      await certificates.verifyOwn(found.leaf, chain.map(certificates.parse), half.spki, half.use, half.single, this.person.mailboxes);
      const root = this.policy.exchange?.chain.at(-1);
      if (root && !der.equal(der.fromBase64(root), chain.at(-1)!)) throw new certificates.Wrong("the certificates have another root than the policy");
      if (half.use === "encryption" && this.kept!.escrowed) {
        if (!st.receipt) throw new certificates.Wrong("there is no receipt for the encryption key");
        await verifyReceipt({ signed: der.fromBase64(st.receipt.signed), signer: st.receipt.signer ? der.fromBase64(st.receipt.signer) : undefined }, half.spki);
      }
      this.entries.push({ half, certificate: der.fromBase64(found.wire.der), issuer: found.wire.issuer, serial: found.wire.serial });
      this.chain.push(...chain);
    }
    this.tell("archive", "done");
    this.tell("issue", "done");
  }

  get receipt(): string | undefined {
    return this.status?.receipt?.id;
  }

  /** file builds the PKCS#12 of keys, certificates and chain. */
  async file(passphrase: string): Promise<Bytes> {
    this.tell("file", "doing");
    const entries: Entry[] = [];
    for (const e of this.entries) {
      entries.push({ name: this.person.name + (e.half.single ? "" : ` (${e.half.use})`), key: await keys.pkcs8(e.half.key), certificate: e.certificate });
    }
    const out = await build(entries, this.chain, passphrase);
    this.tell("file", "done");
    return out;
  }

  /** older builds a file for each key, for programs that read neither the other one nor several keys. */
  async older(passphrase: string): Promise<Partial<Record<store.Use, Bytes>>> {
    const out: Partial<Record<store.Use, Bytes>> = {};
    for (const e of this.entries) {
      const entry = { name: this.person.name + (e.half.single ? "" : ` (${e.half.use})`), key: await keys.pkcs8(e.half.key), certificate: e.certificate };
      out[e.half.use] = await buildOld(entry, this.chain, passphrase);
    }
    return out;
  }

  /** signer is what the person signs with, besides mail: their signing key, or the one that they have for everything. */
  private signer(): Signer | undefined {
    const e = this.entries.find((e) => e.half.use === "signing" || e.half.single);
    const certificate = e && certificates.parse(e.certificate);
    return e && certificate && certificates.maySign(certificate) ? { key: e.half.key, certificate } : undefined;
  }

  /** above are the certificates above those of the person, without the root. */
  private above() {
    const once = this.chain.filter((x, n) => this.chain.findIndex((y) => der.equal(x, y)) === n);
    return once.map(certificates.parse).filter((c) => !certificates.isSelfIssued(c));
  }

  /** profile makes a profile for Apple's devices, signed by the person. An older one is locked in a way that says little: the passphrase
   * has to be random. */
  async profile(passphrase: string, settings: Settings, older: boolean): Promise<Bytes> {
    const identities: Identity[] = [];
    for (const e of this.entries) {
      const name = this.person.name + (e.half.single ? "" : ` (${e.half.use})`);
      const entry = { name, key: await keys.pkcs8(e.half.key), certificate: e.certificate };
      identities.push({ use: e.half.single ? "both" : e.half.use, name, file: await (older ? buildOld(entry, [], passphrase) : build([entry], [], passphrase)) });
    }
    const list = profile({ person: { id: this.person.id, name: this.person.name, mailbox: this.person.mailboxes[0]! }, identities, chain: this.chain, settings });
    const by = this.signer();
    return by ? sign(list, by, { chain: this.above(), time: new Date() }) : list;
  }

  /** advertise has the directory say, signed by the person, which certificate to encrypt to, where the server wants that. It returns
   * whether there was anything to say. */
  async advertise(): Promise<boolean> {
    const policy = await server.policy(), by = this.signer();
    const wanted = policy.person.id === this.kept?.person ? policy.advertise ?? [] : [];
    let said = false;
    for (const name of wanted) {
      const e = this.entries.find((e) => e.issuer === name.issuer && e.serial === name.serial);
      if (!e || !by) continue;
      await server.advertise(der.base64(await advertise(by, certificates.parse(e.certificate), this.above(), new Date())));
      said = true;
    }
    return said;
  }

  /** fetched notes that the person has begun to download the file. */
  async fetched(): Promise<void> {
    if (!this.kept) return;
    this.kept.downloaded ??= Date.now();
    await store.keep(this.kept);
  }

  /** forget erases the keys. */
  async forget(): Promise<void> {
    await store.erase(this.person.id);
    this.kept = undefined;
    this.entries = [];
  }
}
