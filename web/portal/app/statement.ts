// Signatures over objects of the archive (docs/archive-format.md, section 1.3).
import * as asn1js from "asn1js";
import { Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { fromDER, toDER } from "./signature";
import { labelled, Signature } from "./wire";

const label = "Sealpost archive v1 signature";

/** digest is what is signed, and the name of the signed object. */
export const digest = (statement: Bytes) => labelled(label, statement);

const signed = (statement: Bytes) => der.join(new TextEncoder().encode(label + "\0"), statement);

type Way = { number: 1; curve: "P-256" | "P-384"; size: number } | { number: 2 } | { number: 3 };

/** wayOf says how the key of a SubjectPublicKeyInfo signs, if it may. */
export function wayOf(spki: Bytes): Way {
  const [kind, curve] = identifiers(spki);
  if (kind === "1.2.840.10045.2.1" && curve === "1.2.840.10045.3.1.7") return { number: 1, curve: "P-256", size: 32 };
  if (kind === "1.2.840.10045.2.1" && curve === "1.3.132.0.34") return { number: 1, curve: "P-384", size: 48 };
  if (kind === "1.2.840.113549.1.1.1") return { number: 2 };
  if (kind === "1.3.101.112") return { number: 3 };
  throw new Wrong("nothing here is signed with this kind of key");
}

/** identifiers are the kind of a public key, and its curve if it has one. */
export function identifiers(spki: Bytes): string[] {
  const list = (of?: asn1js.BaseBlock) => (of instanceof asn1js.Sequence ? of.valueBlock.value : []);
  return list(list(asn1js.fromBER(spki).result)[0]).map((v) => (v instanceof asn1js.ObjectIdentifier ? v.valueBlock.toString() : ""));
}

const pss = { name: "RSA-PSS", hash: "SHA-256" };

/** verify holds that a signature over a statement was made with the key of a SubjectPublicKeyInfo. */
export async function verify(spki: Bytes, s: Signature, statement: Bytes): Promise<boolean> {
  const way = wayOf(spki);
  if (way.number !== s.algorithm) return false;
  if (way.number === 1) {
    const raw = fromDER(s.value, way.size);
    const key = await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: way.curve }, false, ["verify"]);
    return raw !== undefined && crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, signed(statement));
  }
  if (way.number === 2) {
    const key = await crypto.subtle.importKey("spki", spki, pss, false, ["verify"]);
    return (key.algorithm as RsaKeyAlgorithm).modulusLength >= 2048 && crypto.subtle.verify({ name: "RSA-PSS", saltLength: 32 }, key, s.value, signed(statement));
  }
  const key = await crypto.subtle.importKey("spki", spki, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, s.value, await digest(statement));
}

/** Signer signs statements. Its key cannot be taken out and can be kept. */
export interface Signer { number: number; key: CryptoKey }

/** signer makes one of a private key; the caller erases the bytes. */
export async function signer(pkcs8: Bytes, spki: Bytes): Promise<Signer> {
  const way = wayOf(spki);
  const how = way.number === 1 ? { name: "ECDSA", namedCurve: way.curve } : way.number === 2 ? pss : "Ed25519";
  return { number: way.number, key: await crypto.subtle.importKey("pkcs8", pkcs8, how, false, ["sign"]) };
}

export async function sign(by: Signer, statement: Bytes): Promise<Signature> {
  const how = by.number === 1 ? { name: "ECDSA", hash: "SHA-256" } : by.number === 2 ? { name: "RSA-PSS", saltLength: 32 } : "Ed25519";
  const said = by.number === 3 ? await digest(statement) : signed(statement);
  const value = new Uint8Array(await crypto.subtle.sign(how, by.key, said));
  return { algorithm: by.number, value: by.number === 1 ? toDER(value) : value };
}
