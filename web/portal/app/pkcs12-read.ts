// A file with keys (PKCS#12, RFC 7292) is opened here, in the page; neither it nor its passphrase goes anywhere. It is read as package
// pkcs12 of the Go sources reads it, as far as browsers have the ciphers: AES-CBC under PBES2, and a MAC with SHA-2. That is what
// openssl 3, NSS (which writes BER) and Sealpost write; files with 3DES or RC2 are refused by name.
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { Certificate } from "pkijs";
import { parse, spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as oid from "./oid";
import { derive } from "./pkcs12";
import { algorithm, Algorithm, attributes, Element, plain, read, Reader } from "./read";
import { curveOf } from "./signature";

/** BadPassphrase is the one answer to a wrong passphrase and to a file that was altered: the two cannot be told apart. */
export class BadPassphrase extends Error {}

export interface Key {
  name: string;
  pkcs8: Bytes; // see clear
  certificate?: Certificate; // missing when the file has none for this key, or the key is of a kind that browsers do not know
}

export interface Contents {
  keys: Key[]; // in the order of the file
  chain: Certificate[]; // all other certificates
}

/** The limits of what is read: for somebody's own keys. */
export const limits = { size: 1 << 20, iterations: 5_000_000, keys: 100, key: 16 << 10 };

/** clear overwrites the private keys. Copies that the browser itself made it cannot reach. */
export function clear(c: Contents): void {
  for (const k of c.keys) k.pkcs8.fill(0);
}

/** open opens a file. It takes as long as the file's iterations want: seconds. */
export async function open(file: Bytes, passphrase: string): Promise<Contents> {
  const pfx = read(file, 0x30, limits.size);
  if (pfx.next(0x02).small !== 3) throw new Wrong("the file is no PKCS#12");
  const content = pfx.next(0x30).open();
  if (content.next(0x06).oid !== oid.data) throw new Wrong("the file is not protected by a passphrase");
  const safe = content.next(0xa0).open().next(0x04, 0x24).value;
  if (!pfx.more) throw new Wrong("the file has no MAC, so that nobody would notice its being altered");
  const keys = new Deriver(passphrase);
  await checkMAC(pfx.next(0x30).open(), safe, keys);
  pfx.end();
  const found = new Bags(keys);
  try {
    for (const part of read(safe, 0x30, limits.size).each(0x30, (e) => e.open())) await found.part(part);
    return await found.match();
  } catch (e) {
    for (const k of found.keys) k.pkcs8.fill(0);
    throw e;
  }
}

/** Deriver makes keys of one passphrase, each once, and counts the iterations of all of them: a file must not keep the page busy for hours. */
class Deriver {
  private budget = limits.iterations;
  private readonly made = new Map<string, Promise<CryptoKey>>();
  constructor(readonly passphrase: string) {}

  spend(iterations: number): void {
    if (iterations < 1 || iterations > this.budget) throw new Wrong("the file wants too much work to be opened");
    this.budget -= iterations;
  }

  /** pbkdf2 derives a key for AES-CBC (RFC 8018, 5.2). */
  pbkdf2(hash: string, salt: Bytes, iterations: number, bits: number): Promise<CryptoKey> {
    const name = [hash, der.hex(salt), iterations, bits].join(" ");
    if (!this.made.has(name)) {
      this.spend(iterations);
      const derive = async () => {
        const bytes = new TextEncoder().encode(this.passphrase);
        const password = await crypto.subtle.importKey("raw", bytes, "PBKDF2", false, ["deriveKey"]);
        bytes.fill(0);
        return crypto.subtle.deriveKey({ name: "PBKDF2", hash, salt, iterations }, password, { name: "AES-CBC", length: bits }, false, ["decrypt"]);
      };
      this.made.set(name, derive());
    }
    return this.made.get(name)!;
  }
}

const macs: Record<string, typeof sha256 | typeof sha512> = { "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 };

/** checkMAC verifies the whole file (RFC 7292, 5.1) before anything in it is looked at. */
async function checkMAC(r: Reader, safe: Bytes, keys: Deriver): Promise<void> {
  const info = r.next(0x30).open();
  const how = algorithm(info.next(0x30));
  const want = info.next(0x04).value, salt = r.next(0x04).value;
  const iterations = r.maybe(0x02)?.small ?? 1;
  info.end();
  r.end();
  const hash = macs[oid.digests[how.id] ?? ""];
  if (!hash || !plain(how)) throw new Wrong("the file is of an older kind that browsers do not read");
  keys.spend(iterations);
  const key = await derive(hash, 3, keys.passphrase, salt, iterations, hash.outputLen);
  const sum = hmac(hash, key, safe);
  key.fill(0);
  let differ = want.length ^ sum.length;
  for (let i = 0; i < sum.length; i++) differ |= sum[i]! ^ (want[i] ?? 0);
  if (differ !== 0) throw new BadPassphrase();
}

/** Tagged is something in the file with what ties a key to its certificate. */
interface Tagged {
  name: string;
  id: string;
}

/** Bags are what is in a file (RFC 7292, 4.2). */
class Bags {
  readonly keys: (Tagged & { pkcs8: Bytes })[] = [];
  private readonly certificates: (Tagged & { certificate: Certificate; used?: boolean })[] = [];
  constructor(private readonly deriver: Deriver) {}

  /** part reads a part of the file: bags as they are, or encrypted together (RFC 5652, 8). */
  async part(r: Reader): Promise<void> {
    const type = r.next(0x06).oid;
    const content = r.next(0xa0).open();
    r.end();
    if (type === oid.data) return this.bags(content.next(0x04, 0x24).value);
    if (type !== oid.encryptedData) throw new Wrong("the file has a part that is not understood");
    const data = content.next(0x30).open();
    data.next(0x02);
    const info = data.next(0x30).open();
    if (info.next(0x06).oid !== oid.data) throw new Wrong("the file has a part that is not understood");
    const how = algorithm(info.next(0x30));
    const plain = await this.decrypt(how, info.next(0x80, 0xa0).value);
    try {
      await this.bags(plain);
    } finally {
      plain.fill(0); // a key may lie inside without further encryption
    }
  }

  private async bags(b: Bytes): Promise<void> {
    for (const bag of read(b, 0x30, limits.size).each(0x30, (e) => e.open())) {
      const type = bag.next(0x06).oid.replace(/^1\.2\.840\.113549\.1\.12\.10\.1\./, "bag ");
      const value = bag.next(0xa0).open();
      const tags = tagsOf(bag.maybe(0x31));
      bag.end();
      if (type === "bag 1") this.key(value.next(0x30).bytes.slice(), tags);
      else if (type === "bag 2") {
        const info = value.next(0x30).open();
        const how = algorithm(info.next(0x30));
        this.key(await this.decrypt(how, info.next(0x04, 0x24).value), tags);
      } else if (type === "bag 3") this.certificate(value.next(0x30).open(), tags);
      else if (type !== "bag 4" && type !== "bag 5") throw new Wrong("the file has something that is not understood"); // revocation lists, other secrets
    }
  }

  private key(pkcs8: Bytes, tags: Tagged): void {
    this.keys.push({ ...tags, pkcs8 });
    if (this.keys.length > limits.keys || pkcs8.length > limits.key) throw new Wrong("the file has too many or too large keys");
  }

  private certificate(r: Reader, tags: Tagged): void {
    if (r.next(0x06).oid !== "1.2.840.113549.1.9.22.1") throw new Wrong("the file has a certificate of a kind that is not understood");
    this.certificates.push({ ...tags, certificate: parse(r.next(0xa0).open().next(0x04, 0x24).value) });
    if (this.certificates.length > 10 * limits.keys) throw new Wrong("the file has too many certificates");
  }

  /** decrypt reads PBES2 (RFC 8018, appendix A.4). The MAC held, so that the padding tells nobody anything. */
  private async decrypt(how: Algorithm, encrypted: Bytes): Promise<Bytes> {
    if (how.id !== "1.2.840.113549.1.5.13" || !how.parameters) throw new Wrong("the file is encrypted in an older way that browsers do not read");
    const r = how.parameters.open();
    const kdf = algorithm(r.next(0x30)), scheme = algorithm(r.next(0x30));
    r.end();
    const bits = { "2.16.840.1.101.3.4.1.42": 256, "2.16.840.1.101.3.4.1.2": 128 }[scheme.id];
    if (kdf.id !== "1.2.840.113549.1.5.12" || kdf.parameters?.bytes[0] !== 0x30 || !bits || scheme.parameters?.bytes[0] !== 0x04) {
      throw new Wrong("the file is encrypted in a way that browsers do not read");
    }
    const key = await this.derive(kdf.parameters.open(), bits);
    try {
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv: scheme.parameters.value }, key, encrypted));
    } catch {
      throw new BadPassphrase();
    }
  }

  private derive(r: Reader, bits: number): Promise<CryptoKey> {
    const salt = r.next(0x04).value, iterations = r.next(0x02).small;
    const length = r.maybe(0x02)?.small ?? bits / 8;
    const prf = r.more ? algorithm(r.next(0x30)) : { id: "1.2.840.113549.2.7" };
    r.end();
    const hash = { "1.2.840.113549.2.7": "SHA-1", "1.2.840.113549.2.9": "SHA-256", "1.2.840.113549.2.10": "SHA-384", "1.2.840.113549.2.11": "SHA-512" }[prf.id];
    if (!hash || length !== bits / 8) throw new Wrong("the file is encrypted in a way that browsers do not read");
    return this.deriver.pbkdf2(hash, salt, iterations, bits);
  }

  /** match gives every key its certificate: one with the same public key, and among several, as after a renewal, the one with the same id. */
  async match(): Promise<Contents> {
    const keys: Key[] = [];
    for (const k of this.keys) {
      const candidates = this.certificates.filter((c) => !c.used).sort((a, b) => Number(b.id === k.id) - Number(a.id === k.id));
      let found;
      for (const c of candidates) {
        if (!(await belongs(k.pkcs8, c.certificate))) continue;
        found = c;
        c.used = true;
        break;
      }
      keys.push({ name: k.name || found?.name || "", pkcs8: k.pkcs8, certificate: found?.certificate });
    }
    return { keys, chain: this.certificates.filter((c) => !c.used).map((c) => c.certificate) };
  }
}

function tagsOf(set: Element | undefined): Tagged {
  const found = set ? attributes(set.open()) : new Map<string, Element>();
  const name = found.get("1.2.840.113549.1.9.20"), id = found.get("1.2.840.113549.1.9.21");
  return { name: name?.bytes[0] === 0x1e ? new TextDecoder("utf-16be").decode(name.value) : "", id: id?.bytes[0] === 0x04 ? der.hex(id.value) : "none" };
}

/** belongs tries whether what a key signs holds with a certificate. That needs no copy of the key that a script could read. */
async function belongs(pkcs8: Bytes, c: Certificate): Promise<boolean> {
  try {
    const curve = curveOf(c);
    const how = curve ? { name: "ECDSA", namedCurve: curve.name, hash: "SHA-256" } : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    const [key, certified] = [await crypto.subtle.importKey("pkcs8", pkcs8, how, false, ["sign"]), await crypto.subtle.importKey("spki", spkiOf(c), how, false, ["verify"])];
    const said = der.random(32);
    return await crypto.subtle.verify(how, certified, await crypto.subtle.sign(how, key, said), said);
  } catch {
    return false; // a key of another kind than the certificate's
  }
}

/** signing and decryption are a file's key as the browser uses it; a script cannot take it out. */
export function signing(k: Key): Promise<CryptoKey> {
  const curve = curveOf(k.certificate!);
  return crypto.subtle.importKey("pkcs8", k.pkcs8, curve ? { name: "ECDSA", namedCurve: curve.name } : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, false, ["sign"]);
}

export function decryption(k: Key): Promise<CryptoKey> {
  const curve = curveOf(k.certificate!);
  return curve ? crypto.subtle.importKey("pkcs8", k.pkcs8, { name: "ECDH", namedCurve: curve.name }, false, ["deriveBits"])
    : crypto.subtle.importKey("pkcs8", k.pkcs8, { name: "RSA-OAEP", hash: "SHA-256" }, false, ["unwrapKey"]);
}
