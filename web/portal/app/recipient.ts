// Certificates that are made here: of the key to which officers seal their answers, which nobody certifies but the person's own voice, and
// in the place of one that is not known.
import * as der from "./der";
import { Bytes } from "./der";
import { toDER } from "./signature";
import { line } from "./wire";

const p256 = { name: "ECDSA", namedCurve: "P-256" };
const day = 24 * 3600_000;
const longestName = 64; // of a common name (RFC 5280, appendix A.1)

/** makeRecipient makes this browser's key, which cannot be taken out, and its certificate. It is valid for longer than any case lasts. */
export async function makeRecipient(name: string, now = Date.now()): Promise<{ key: CryptoKey; certificate: Bytes }> {
  const pair = await crypto.subtle.generateKey(p256, true, ["sign", "verify"]) as CryptoKeyPair;
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
  pkcs8.fill(0);
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  const keyAgreement = der.sequence(der.oid("2.5.29.15"), new Uint8Array([1, 1, 0xff]), der.octets(new Uint8Array([3, 2, 3, 8])));
  const certificate = await certify(pair.privateKey, "New device of " + name, spki, new Date(now - 3600_000), new Date(now + 60 * day), keyAgreement);
  return { key, certificate };
}

/** standIn makes a certificate for a key of which none is known, because a file wants one. The key that signs it is forgotten at once: nobody is to trust it. */
export async function standIn(spki: Bytes, name: string, since: Date): Promise<Bytes> {
  const pair = await crypto.subtle.generateKey(p256, false, ["sign", "verify"]) as CryptoKeyPair;
  return certify(pair.privateKey, name + " (recovered key without its certificate)", spki, since, new Date(Math.max(Date.now(), since.getTime()) + 365 * day));
}

/** certify writes a certificate (RFC 5280, 4.1) of somebody who issues to themselves. */
async function certify(by: CryptoKey, name: string, spki: Bytes, from: Date, to: Date, ...extensions: Bytes[]): Promise<Bytes> {
  const algorithm = der.algorithm("1.2.840.10045.4.3.2");
  const subject = der.sequence(der.setOf(der.sequence(der.oid("2.5.4.3"), der.utf8(line(name, longestName)))));
  const serial = der.random(15);
  serial[0]! |= 0x40;
  const signed = der.sequence(
    ...(extensions.length > 0 ? [der.context(0, der.integer(2))] : []), der.unsigned(serial), algorithm, subject,
    der.sequence(der.time(from), der.time(to)), subject, spki,
    ...(extensions.length > 0 ? [der.context(3, der.sequence(...extensions))] : []));
  const raw = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, by, signed));
  return der.sequence(signed, algorithm, der.bits(toDER(raw)));
}

/** words writes a hash as sixteen words for reading aloud: each stands for 16 bits as consonant, vowel, consonant, vowel, consonant (proquints). */
export function words(hash: Uint8Array): string[] {
  const consonants = "bdfghjklmnprstvz", vowels = "aiou", out: string[] = [];
  for (let i = 0; i < hash.length; i += 2) {
    const v = (hash[i]! << 8) | hash[i + 1]!;
    out.push(consonants[v >> 12]! + vowels[(v >> 10) & 3]! + consonants[(v >> 6) & 15]! + vowels[(v >> 4) & 3]! + consonants[v & 15]!);
  }
  return out;
}
