// Signatures with certified keys, and the keys of a certificate as the browser takes them.
import { Certificate } from "pkijs";
import { spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as oid from "./oid";
import { read } from "./read";

/** Scheme is how a key signs: as package cms of the Go sources chooses, the hash that fits the curve, or PKCS #1 v1.5 with SHA-256. */
export interface Scheme {
  hash: string;
  digest: Bytes; // AlgorithmIdentifier
  signature: Bytes; // AlgorithmIdentifier
}

const sha256 = "2.16.840.1.101.3.4.2.1";

/** curveOf returns the curve of a certificate's key; undefined for RSA. Other keys are of no use here. */
export function curveOf(c: Certificate): oid.Curve | undefined {
  const kind = c.subjectPublicKeyInfo.algorithm;
  if (kind.algorithmId === oid.rsa) return undefined;
  const curve = oid.curves[kind.algorithmParams?.valueBlock?.toString() ?? ""];
  if (kind.algorithmId !== oid.ec || !curve) throw new Wrong("a certificate has a key of a kind that this browser cannot use");
  return curve;
}

export function schemeOf(c: Certificate): Scheme {
  const curve = curveOf(c);
  return curve ? { hash: curve.hash, digest: der.algorithm(curve.digest), signature: der.algorithm(curve.ecdsa) }
    : { hash: "SHA-256", digest: der.algorithm(sha256), signature: der.algorithm(oid.rsa, der.nothing) };
}

/** sign signs as a certificate's key does, and checks the result. */
export async function sign(key: CryptoKey, c: Certificate, message: Bytes): Promise<Bytes> {
  const curve = curveOf(c);
  const raw = new Uint8Array(await crypto.subtle.sign(curve ? { name: "ECDSA", hash: curve.hash } : "RSASSA-PKCS1-v1_5", key, message));
  const out = curve ? toDER(raw) : raw;
  if (!(await verify(c, curve?.hash ?? "SHA-256", message, out))) throw new Wrong("the key does not belong to the certificate");
  return out;
}

/** verify says whether a signature is of a certificate's key. */
export async function verify(c: Certificate, hash: string, message: Bytes, signature: Bytes): Promise<boolean> {
  const curve = curveOf(c);
  if (curve) {
    const key = await crypto.subtle.importKey("spki", spkiOf(c), { name: "ECDSA", namedCurve: curve.name }, false, ["verify"]);
    const raw = fromDER(signature, curve.size);
    return raw !== undefined && crypto.subtle.verify({ name: "ECDSA", hash }, key, raw, message);
  }
  const key = await crypto.subtle.importKey("spki", spkiOf(c), { name: "RSASSA-PKCS1-v1_5", hash }, false, ["verify"]);
  const bits = (key.algorithm as RsaKeyAlgorithm).modulusLength;
  return bits >= 2048 && bits <= 16384 && crypto.subtle.verify("RSASSA-PKCS1-v1_5", key, signature, message);
}

/** toDER writes r and s, which browsers have side by side, as two INTEGERs (RFC 3279, 2.2.3). */
export function toDER(raw: Bytes): Bytes {
  const half = raw.length / 2;
  return der.sequence(der.unsigned(raw.subarray(0, half)), der.unsigned(raw.subarray(half)));
}

/** fromDER is the inverse of toDER; undefined for anything that toDER does not write. */
export function fromDER(signature: Bytes, size: number): Bytes | undefined {
  try {
    const pair = read(signature, 0x30);
    const raw = der.join(padded(pair.next(0x02).value, size), padded(pair.next(0x02).value, size));
    pair.end();
    return raw.length === 2 * size && der.equal(toDER(raw), signature) ? raw : undefined;
  } catch (e) {
    if (e instanceof Wrong) return undefined;
    throw e;
  }
}

/** padded is a number's bytes, as many as are wanted. */
function padded(b: Uint8Array, size: number): Bytes {
  while (b.length > size && b[0] === 0) b = b.subarray(1);
  return der.join(new Uint8Array(Math.max(0, size - b.length)), b);
}
