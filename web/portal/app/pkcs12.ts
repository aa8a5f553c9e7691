// The file for mail programs: PKCS#12 (RFC 7292) as package pkcs12 of the Go sources writes its modern profile: AES-256-CBC
// with a key from PBKDF2 with HMAC-SHA-256, one derivation for the file, and a MAC with SHA-256, all at 600,000 iterations. It is
// DER without keyLength, so that gpgsm 2.4 reads it too. The MAC's salt has 8 bytes: the keychain of macOS is said to refuse 16.
//
// What older programs read is in pkcs12-old.ts.
import { hmac } from "@noble/hashes/hmac.js";
import type { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import * as der from "./der";
import { Bytes } from "./der";

export interface Entry {
  name: string;
  key: Bytes; // PKCS#8; zeros afterwards
  certificate: Bytes;
}

const iterations = 600_000;

/** Protection is how a file is locked. */
export interface Protection {
  /** encrypt returns how (an AlgorithmIdentifier), and what came out. */
  encrypt(plain: Bytes): Promise<[Bytes, Bytes]>;
  /** mac returns the MacData over the file's contents. */
  mac(safe: Bytes): Promise<Bytes>;
}

/** build writes the file. It takes a second or two. */
export async function build(entries: Entry[], chain: Bytes[], passphrase: string): Promise<Bytes> {
  return write(entries, chain, { encrypt: await encrypter(passphrase), mac: (safe) => mac(sha256, "2.16.840.1.101.3.4.2.1", safe, passphrase, 8, iterations) });
}

/** write puts keys and certificates together, locked in one way. */
export async function write(entries: Entry[], chain: Bytes[], locked: Protection): Promise<Bytes> {
  const bags: Bytes[] = [], keys: Bytes[] = [], seen: Bytes[] = [];
  const certificate = (c: Bytes, attributes: Bytes[]) => {
    if (seen.some((s) => der.equal(s, c))) return;
    seen.push(c);
    bags.push(bag("3", der.sequence(der.oid("1.2.840.113549.1.9.22.1"), der.context(0, der.octets(c))), attributes));
  };
  for (const e of entries) {
    const attributes = await attributesOf(e);
    certificate(e.certificate, attributes);
    const [algorithm, encrypted] = await locked.encrypt(e.key);
    e.key.fill(0);
    keys.push(bag("2", der.sequence(algorithm, der.octets(encrypted)), attributes));
  }
  for (const c of chain) certificate(c, []);
  const [algorithm, encrypted] = await locked.encrypt(der.sequence(...bags));
  const safe = der.sequence(
    content("6", der.sequence(der.integer(0), der.sequence(der.oid(pkcs7 + "1"), algorithm, der.element(0x80, encrypted)))),
    content("1", der.octets(der.sequence(...keys))));
  return der.sequence(der.integer(3), content("1", der.octets(safe)), await locked.mac(safe));
}

const pkcs7 = "1.2.840.113549.1.7.";
const content = (type: string, value: Bytes) => der.sequence(der.oid(pkcs7 + type), der.context(0, value));
const bag = (type: string, value: Bytes, attributes: Bytes[]) =>
  der.sequence(der.oid("1.2.840.113549.1.12.10.1." + type), der.context(0, value), ...(attributes.length > 0 ? [der.setOf(...attributes)] : []));

/** attributesOf ties a key to its certificate: the name that programs show, and a localKeyID that both have. */
async function attributesOf(e: Entry): Promise<Bytes[]> {
  const id = (await der.sha256(e.certificate)).subarray(0, 20);
  return [der.sequence(der.oid("1.2.840.113549.1.9.20"), der.setOf(der.element(0x1e, der.bmp(e.name)))),
    der.sequence(der.oid("1.2.840.113549.1.9.21"), der.setOf(der.octets(id)))];
}

/** encrypter returns PBES2 with the file's one key; each time with a new IV. */
async function encrypter(passphrase: string) {
  const salt = der.random(16);
  const password = await crypto.subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, password, { name: "AES-CBC", length: 256 }, false, ["encrypt"]);
  const pbkdf2 = der.algorithm("1.2.840.113549.1.5.12",
    der.sequence(der.octets(salt), der.integer(iterations), der.algorithm("1.2.840.113549.2.9", der.nothing)));
  return async (plain: Bytes): Promise<[Bytes, Bytes]> => {
    const iv = der.random(16);
    const encrypted = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, plain));
    const scheme = der.algorithm("2.16.840.1.101.3.4.1.42", der.octets(iv));
    return [der.algorithm("1.2.840.113549.1.5.13", der.sequence(pbkdf2, scheme)), encrypted];
  };
}

/** mac is a file's MacData (RFC 7292, 4). */
export async function mac(hash: typeof sha256 | typeof sha1, id: string, safe: Bytes, passphrase: string, saltSize: number, iterations: number): Promise<Bytes> {
  const salt = der.random(saltSize);
  const key = await derive(hash, 3, passphrase, salt, iterations, hash.outputLen);
  const sum = new Uint8Array(hmac(hash, key, safe));
  key.fill(0);
  return der.sequence(der.sequence(der.algorithm(id, der.nothing), der.octets(sum)), der.octets(salt), der.integer(iterations));
}

type Hash = ((b: Uint8Array) => Uint8Array) & { blockLen: number; outputLen: number };

/** derive makes key material of a passphrase (RFC 7292, appendix B.2, with its names), for which WebCrypto has nothing. The page stays
 * alive meanwhile. What each block of I becomes is shown to whoever wants to know: see pkcs12-old.ts. */
export async function derive(hash: Hash, purpose: 1 | 2 | 3, passphrase: string, salt: Bytes, iterations: number, size: number, watch?: (block: Uint8Array) => void): Promise<Bytes> {
  const v = hash.blockLen;
  const fill = (b: Uint8Array) => {
    const out = new Uint8Array(v * Math.ceil(b.length / v));
    for (let i = 0; i < out.length; i++) out[i] = b[i % b.length]!;
    return out;
  };
  const password = der.bmp(passphrase + "\0");
  const filled = fill(password);
  const D = new Uint8Array(v).fill(purpose), I = der.join(fill(salt), filled);
  const out = new Uint8Array(size);
  for (let at = 0; at < size; at += hash.outputLen) {
    let A = hash(der.join(D, I));
    for (let i = 1; i < iterations; i++) {
      A = hash(A);
      if (i % 20_000 === 0) await new Promise((go) => setTimeout(go));
    }
    out.set(A.subarray(0, Math.min(A.length, size - at)), at);
    const B = fill(A);
    for (let j = 0; j < I.length && at + hash.outputLen < size; j += v) {
      let carry = 1;
      for (let k = v - 1; k >= 0; k--) {
        carry += I[j + k]! + B[k]!;
        I[j + k] = carry & 255;
        carry >>= 8;
      }
      watch?.(I.subarray(j, j + v));
    }
    for (const b of [A, B]) b.fill(0);
  }
  for (const b of [password, filled, I]) b.fill(0);
  return out;
}
