// Records of the key archive (docs/archive-format.md, section 3) as those see them who may open them.
import { Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { deriveKey, keyID, Point, verifyCiphertext } from "./threshold";
import { isNone, labelled, nobody, Reader } from "./wire";

export interface Header { purpose: number; spki: Bytes; algorithm: string; person: string; name: string; mail: string; time: number }

export const purposes = { key: 1, drill: 2 };

const maxHeader = 1024, maxCapsule = maxHeader + 512, maxInner = (1 << 17) + 16, minInner = 17;

/** parseHeader reads whose key a record keeps. */
export function parseHeader(b: Bytes): Header {
  const r = new Reader(b, "header", maxHeader);
  const h: Header = { purpose: r.u8(), spki: r.hash(), algorithm: r.line(32), person: r.uuid(), name: r.line(256), mail: r.line(320), time: r.time() };
  r.done();
  r.need(h.purpose === purposes.key || h.purpose === purposes.drill, "its purpose is not known");
  r.need((h.person === nobody) === (h.purpose === purposes.drill), "its person does not fit its purpose");
  r.need(h.purpose === purposes.drill || h.name !== "" || h.mail !== "", "it names nobody");
  r.need(!isNone(h.spki) && /^[a-z0-9-]+$/.test(h.algorithm), "it does not say for which key it is");
  return h;
}

/** Capsule is the public part of a record. */
export interface Capsule {
  raw: Bytes; header: Header; headerBytes: Bytes; keyID: Bytes; innerHash: Bytes; wrapped: Bytes; r: Point; r2: Point; proof: Bytes;
  hash: Bytes; // names the record
}

export async function parseCapsule(b: Bytes): Promise<Capsule> {
  const r = new Reader(b, "capsule", maxCapsule);
  const headerBytes = r.blob16(maxHeader);
  const c = { raw: b, headerBytes, keyID: r.hash(), innerHash: r.hash(), wrapped: r.raw(48), r: r.point(), r2: r.point(), proof: r.proof() };
  r.done();
  return { ...c, header: parseHeader(headerBytes), hash: await der.sha256(b) };
}

/** verifyCapsule holds that a record was sealed to the archive key by someone who knew what is in it, and that no part is another's. */
export async function verifyCapsule(c: Capsule, y: Point): Promise<void> {
  if (!der.equal(await keyID(y), c.keyID)) throw new Wrong("a record was sealed to another archive key");
  verifyCiphertext(y, c.r, c.r2, await labelled("Sealpost archive v1 capsule binding", c.raw.subarray(0, c.raw.length - 128)), c.proof);
}

/** InnerRecord is a record without the server's layer. */
export interface InnerRecord { capsule: Capsule; inner: Bytes }

export async function parseInnerRecord(b: Bytes): Promise<InnerRecord> {
  const r = new Reader(b, "inner record", maxInner + maxCapsule + 64);
  const capsule = r.blob16(maxCapsule), inner = r.blob32(maxInner);
  r.done();
  const out = { capsule: await parseCapsule(capsule), inner };
  if (inner.length < minInner || !der.equal(await der.sha256(inner), out.capsule.innerHash)) throw new Wrong("the encrypted key belongs to another record");
  return out;
}

const zeroNonce = new Uint8Array(12); // right for every key of this format, because each encrypts exactly one message

async function gcmOpen(key: Bytes, ciphertext: Bytes, associated: Bytes): Promise<Bytes> {
  const k = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: zeroNonce, additionalData: associated, tagLength: 128 }, k, ciphertext));
  } catch {
    throw new Wrong("a record does not open with these answers");
  }
}

/** openRecord opens a record whose proof was verified with the shared point, and returns the private key (PKCS#8). The caller checks it
 * against the header's hash, and erases it. */
export async function openRecord(i: InnerRecord, z: Point, y: Point): Promise<Bytes> {
  const c = i.capsule;
  const k = await deriveKey(z, c.r, y, c.headerBytes);
  const dataKey = await gcmOpen(k, c.wrapped, der.join(c.headerBytes, c.innerHash));
  k.fill(0);
  const out = await gcmOpen(dataKey, i.inner, c.headerBytes);
  dataKey.fill(0);
  return out;
}
