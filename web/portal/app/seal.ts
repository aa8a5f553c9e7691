// The private encryption key goes to the archive as CMS AuthEnvelopedData (RFC 5083), which pkijs does not write: EncKeyWithID
// (RFC 4211, 4.2.1) under AES-256-GCM, the content key under the key of the server's exchange certificate. It is the same
// message as the agent's (package cms of the Go sources, docs/agent.md).
import { Certificate } from "pkijs";
import { issuerAndSerial, spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";

const encKeyWithID = "1.2.840.113549.1.9.16.1.21";

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

/** sealKey encrypts a private key with its identifier to a certificate. The key's bytes are zeros afterwards. */
export async function sealKey(pkcs8: Bytes, id: string, to: Certificate): Promise<Bytes> {
  const content = der.sequence(pkcs8, der.utf8(id));
  pkcs8.fill(0);
  return seal(content, to, encKeyWithID);
}

const data = "1.2.840.113549.1.7.1";

/** seal encrypts content to a certificate. The content's bytes are zeros afterwards. */
export async function seal(content: Bytes, to: Certificate, of = data): Promise<Bytes> {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"]);
  const type = der.oid(of);
  // The content's type is authenticated with it, unless it is plain data (RFC 5083, 2.1).
  const attributes = of === data ? [] : [der.sequence(der.oid("1.2.840.113549.1.9.3"), der.setOf(type))];
  const nonce = der.random(12), additionalData = attributes.length > 0 ? der.setOf(...attributes) : new Uint8Array();
  const encrypted = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData, tagLength: 128 }, key, content));
  content.fill(0);
  const info = await recipientInfo(key, to);
  const gcm = der.algorithm("2.16.840.1.101.3.4.1.46", der.sequence(der.octets(nonce), der.integer(16)));
  return der.sequence(der.oid("1.2.840.113549.1.9.16.1.23"), der.context(0, der.sequence(
    der.integer(0), der.setOf(info),
    der.sequence(type, gcm, der.element(0x80, encrypted.subarray(0, -16))),
    ...(attributes.length > 0 ? [der.context(1, ...attributes)] : []), der.octets(encrypted.subarray(-16)))));
}

const curves: Record<string, { name: string; hash: string; scheme: string }> = {
  "1.2.840.10045.3.1.7": { name: "P-256", hash: "SHA-256", scheme: "1.3.132.1.11.1" },
  "1.3.132.0.34": { name: "P-384", hash: "SHA-384", scheme: "1.3.132.1.11.2" },
  "1.3.132.0.35": { name: "P-521", hash: "SHA-512", scheme: "1.3.132.1.11.3" },
};

async function recipientInfo(key: CryptoKey, to: Certificate): Promise<Bytes> {
  const kind = to.subjectPublicKeyInfo.algorithm;
  if (kind.algorithmId === "1.2.840.113549.1.1.1") return transport(key, to);
  const curve = curves[kind.algorithmParams?.valueBlock?.toString() ?? ""];
  if (kind.algorithmId !== "1.2.840.10045.2.1" || !curve) throw new Wrong("the exchange certificate has a key that this browser cannot encrypt to");
  return agreement(key, to, curve);
}

/** transport encrypts the content key with RSAES-OAEP and SHA-256 (RFC 3560). */
async function transport(key: CryptoKey, to: Certificate): Promise<Bytes> {
  const recipient = await crypto.subtle.importKey("spki", spkiOf(to), { name: "RSA-OAEP", hash: "SHA-256" }, false, ["wrapKey"]);
  const encrypted = await crypto.subtle.wrapKey("raw", key, recipient, "RSA-OAEP");
  const sha256 = der.algorithm("2.16.840.1.101.3.4.2.1", der.nothing);
  const oaep = der.algorithm("1.2.840.113549.1.1.7", der.sequence(der.context(0, sha256), der.context(1, der.algorithm("1.2.840.113549.1.1.8", sha256))));
  return der.sequence(der.integer(0), issuerAndSerial(to), oaep, der.octets(new Uint8Array(encrypted)));
}

/** agreement wraps the content key with a key agreed upon with one that is made for this message (RFC 5753, 3.1.1 and 7.2). */
async function agreement(key: CryptoKey, to: Certificate, curve: { name: string; hash: string; scheme: string }): Promise<Bytes> {
  const ecdh = { name: "ECDH", namedCurve: curve.name };
  const recipient = await crypto.subtle.importKey("spki", spkiOf(to), ecdh, false, []);
  const own = await crypto.subtle.generateKey(ecdh, false, ["deriveBits"]) as CryptoKeyPair;
  const secret = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: recipient }, own.privateKey, null));
  const wrap = der.algorithm("2.16.840.1.101.3.4.1.45");
  const shared = der.sequence(wrap, der.context(2, der.octets(new Uint8Array([0, 0, 1, 0])))); // 256 bits are wanted
  const input = der.join(secret, new Uint8Array([0, 0, 0, 1]), shared);
  const derived = new Uint8Array(await crypto.subtle.digest(curve.hash, input)); // at least as long as the key
  const wrapping = await crypto.subtle.importKey("raw", derived.subarray(0, 32), "AES-KW", false, ["wrapKey"]);
  for (const b of [secret, input, derived]) b.fill(0);
  const wrapped = new Uint8Array(await crypto.subtle.wrapKey("raw", key, wrapping, "AES-KW"));
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  return der.context(1, der.integer(3),
    der.context(0, der.context(1, der.algorithm("1.2.840.10045.2.1"), der.bits(point))),
    der.algorithm(curve.scheme, wrap),
    der.sequence(der.sequence(issuerAndSerial(to), der.octets(wrapped))));
}
