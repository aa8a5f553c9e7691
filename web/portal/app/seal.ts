// What is for one reader alone goes as CMS AuthEnvelopedData (RFC 5083), which pkijs does not write: AES-256-GCM, the content key
// under the key of the reader's certificate. It is the same message as package cms of the Go sources makes (docs/agent.md).
import { Certificate } from "pkijs";
import { issuerAndSerial, mayReceive, spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as oid from "./oid";
import { curveOf } from "./signature";

/** identifier binds a key to its person, requests and the server's nonce (api.EscrowIdentifier). */
export async function identifier(person: string, signing: Bytes, encryption: Bytes, nonce: string): Promise<string> {
  const withLength = (b: Bytes) => {
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, b.length);
    return der.join(head, b);
  };
  const hash = await der.sha256(der.join(withLength(signing), withLength(encryption)));
  return ["sealpost-escrow-v1", person, der.hex(hash), nonce].join(" ");
}

/** sealKey encrypts a private key with its identifier (EncKeyWithID, RFC 4211, 4.2.1). The key's bytes are zeros afterwards. */
export async function sealKey(pkcs8: Bytes, id: string, to: Certificate): Promise<Bytes> {
  const content = der.sequence(pkcs8, der.utf8(id));
  pkcs8.fill(0);
  return seal(content, [to], oid.encKeyWithID);
}

/** seal encrypts content of a type to certificates, each of which can open it. Whether they are valid is the caller's to check. The content's
 * bytes are zeros afterwards. */
export async function seal(content: Bytes, to: Certificate[], type: string = oid.data): Promise<Bytes> {
  if (to.length === 0) throw new Wrong("there is nobody to encrypt to");
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  const attributes = type === oid.data ? [] : [der.sequence(der.oid(oid.contentType), der.setOf(der.oid(type)))]; // authenticated with the content
  const nonce = der.random(12);
  const additionalData = attributes.length > 0 ? der.setOf(...attributes) : new Uint8Array();
  const encrypted = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData, tagLength: 128 }, key, content));
  content.fill(0);
  const infos = await Promise.all(to.map((c) => recipientInfo(key, c)));
  const gcm = der.algorithm("2.16.840.1.101.3.4.1.46", der.sequence(der.octets(nonce), der.integer(16)));
  return der.sequence(der.oid(oid.authEnvelopedData), der.context(0, der.sequence(
    der.integer(0), der.setOf(...infos),
    der.sequence(der.oid(type), gcm, der.element(0x80, encrypted.subarray(0, -16))),
    ...(attributes.length > 0 ? [der.context(1, ...attributes)] : []), der.octets(encrypted.subarray(-16)))));
}

async function recipientInfo(key: CryptoKey, to: Certificate): Promise<Bytes> {
  const curve = curveOf(to);
  if (!mayReceive(to)) throw new Wrong("a recipient's certificate is not for encryption");
  return curve ? agreement(key, to, curve) : transport(key, to);
}

/** transport encrypts the content key with RSAES-OAEP and SHA-256 (RFC 3560). */
async function transport(key: CryptoKey, to: Certificate): Promise<Bytes> {
  const recipient = await crypto.subtle.importKey("spki", spkiOf(to), { name: "RSA-OAEP", hash: "SHA-256" }, false, ["wrapKey"]);
  const encrypted = await crypto.subtle.wrapKey("raw", key, recipient, "RSA-OAEP");
  const sha256 = der.algorithm("2.16.840.1.101.3.4.2.1", der.nothing);
  const oaep = der.algorithm(oid.oaep, der.sequence(der.context(0, sha256), der.context(1, der.algorithm(oid.mgf1, sha256))));
  return der.sequence(der.integer(0), issuerAndSerial(to), oaep, der.octets(new Uint8Array(encrypted)));
}

/** agreement wraps the content key with a key agreed upon with one that is made for this message (RFC 5753, 3.1.1 and 7.2). */
async function agreement(key: CryptoKey, to: Certificate, curve: oid.Curve): Promise<Bytes> {
  const ecdh = { name: "ECDH", namedCurve: curve.name };
  const recipient = await crypto.subtle.importKey("spki", spkiOf(to), ecdh, false, []);
  const own = await crypto.subtle.generateKey(ecdh, false, ["deriveBits"]) as CryptoKeyPair;
  const wrap = der.algorithm("2.16.840.1.101.3.4.1.45");
  const wrapping = await agree(own.privateKey, recipient, curve.hash, wrap, undefined, 256, "wrapKey");
  const wrapped = new Uint8Array(await crypto.subtle.wrapKey("raw", key, wrapping, "AES-KW"));
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  return der.context(1, der.integer(3),
    der.context(0, der.context(1, der.algorithm(oid.ec), der.bits(point))),
    der.algorithm(curve.agreement, wrap),
    der.sequence(der.sequence(issuerAndSerial(to), der.octets(wrapped))));
}

/** agree derives the key that wraps the content key (RFC 5753, 7.2; the KDF of ANSI X9.63). wrap is its AlgorithmIdentifier as it stands in
 * the message, ukm what the sender may have added. One hash is at least as long as the key. */
export async function agree(own: CryptoKey, other: CryptoKey, hash: string, wrap: Bytes, ukm: Bytes | undefined, bits: number, use: "wrapKey" | "unwrapKey"): Promise<CryptoKey> {
  const secret = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: other }, own, null));
  const size = der.octets(new Uint8Array([0, 0, bits >> 8, bits & 255]));
  const shared = der.sequence(wrap, ...(ukm ? [der.context(0, der.octets(ukm))] : []), der.context(2, size));
  const input = der.join(secret, new Uint8Array([0, 0, 0, 1]), shared);
  const derived = new Uint8Array(await crypto.subtle.digest(hash, input));
  const key = await crypto.subtle.importKey("raw", derived.subarray(0, bits / 8), "AES-KW", false, [use]);
  for (const b of [secret, input, derived]) b.fill(0);
  return key;
}
