// What was encrypted to a certificate is opened with its key: AuthEnvelopedData (RFC 5083, as seal.ts writes it), and EnvelopedData
// (RFC 5652, section 6) where the caller accepts that nobody notices its being altered.
import { Certificate } from "pkijs";
import { spkiOf, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as oid from "./oid";
import { algorithm, Algorithm, attributes, contentInfo, Element, plain, Reader } from "./read";
import { agree } from "./seal";
import { curveOf } from "./signature";
import { names } from "./signed";

/** Recipient is who opens. The key is for ECDH (deriveBits) or RSA-OAEP with SHA-256 (unwrapKey); it need not be one that can be taken out. */
export interface Recipient {
  certificate: Certificate;
  key: CryptoKey;
}

export interface Opened {
  type: string;
  content: Bytes; // the caller clears it
  authenticated: boolean; // altering it would have been noticed; it says nothing about who sealed it
}

/** open decrypts a message. Everything that fails after the message was understood is one and the same Wrong. */
export async function open(message: Bytes, to: Recipient, options: { unauthenticated?: boolean } = {}): Promise<Opened> {
  const { type: kind, body } = contentInfo(message, oid.authEnvelopedData, ...(options.unauthenticated ? [oid.envelopedData] : []));
  const authenticated = kind === oid.authEnvelopedData;
  const version = body.next(0x02).small;
  if (authenticated ? version !== 0 : ![0, 2, 3, 4].includes(version)) throw new Wrong("a message has an unknown version");
  body.maybe(0xa0); // who sends
  const unwrap = unwrapperOf(body.next(0x31).open(), to);
  const info = body.next(0x30).open();
  const type = info.next(0x06).oid;
  const cipher = algorithm(info.next(0x30));
  const encrypted = info.next(0x80, 0xa0).value;
  info.end();
  const how = authenticated ? gcm(cipher, type, body) : cbc(cipher);
  body.maybe(authenticated ? 0xa2 : 0xa1); // attributes that nothing vouches for
  body.end();
  try {
    const key = await unwrap(how.parameters.name);
    const input = how.tag ? der.join(encrypted, how.tag) : encrypted;
    return { type, content: new Uint8Array(await crypto.subtle.decrypt(how.parameters, key, input)), authenticated };
  } catch (e) {
    if (e instanceof Wrong) throw e;
    throw new Wrong("a message cannot be opened with this key");
  }
}

interface How {
  parameters: AesGcmParams | AesCbcParams;
  tag?: Bytes;
}

/** gcm reads the parameters of AES-GCM (RFC 5084, 3.2), and what is authenticated: the type of the content must be, unless it is id-data. */
function gcm(a: Algorithm, type: string, body: Reader): How {
  if (!["2.16.840.1.101.3.4.1.46", "2.16.840.1.101.3.4.1.6"].includes(a.id) || !a.parameters) throw new Wrong("a message is encrypted in a way that is not accepted");
  const r = a.parameters.open();
  const iv = r.next(0x04).value;
  const size = r.maybe(0x02)?.small ?? 12;
  r.end();
  const attrs = body.maybe(0xa1);
  if (attrs ? attributes(attrs.open()).get(oid.contentType)?.oid !== type : type !== oid.data) throw new Wrong("a message does not authenticate what it holds");
  const tag = body.next(0x04).value;
  if (iv.length !== 12 || size < 12 || size > 16 || tag.length !== size) throw new Wrong("a message is encrypted in a way that is not accepted");
  return { parameters: { name: "AES-GCM", iv, additionalData: attrs?.as(0x31) ?? new Uint8Array(), tagLength: 8 * size }, tag };
}

function cbc(a: Algorithm): How {
  const iv = a.parameters?.bytes[0] === 0x04 ? a.parameters.value : new Uint8Array();
  if (!["2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.2"].includes(a.id) || iv.length !== 16) throw new Wrong("a message is encrypted in a way that is not accepted");
  return { parameters: { name: "AES-CBC", iv } };
}

type Unwrap = (cipher: string) => Promise<CryptoKey>;

/** unwrapperOf finds the entry for a recipient, and reads it whole. */
function unwrapperOf(set: Reader, to: Recipient): Unwrap {
  const curve = curveOf(to.certificate);
  while (set.more) {
    const e = set.next(0x30, 0xa1, 0xa2, 0xa3, 0xa4);
    const found = curve ? e.bytes[0] === 0xa1 && agreement(e.open(), to, curve) : e.bytes[0] === 0x30 && transport(e.open(), to);
    if (found) return found;
  }
  throw new Wrong("a message is for somebody else");
}

/** transport reads a KeyTransRecipientInfo (RFC 5652, 6.2.1) with RSAES-OAEP and SHA-256; browsers have no other that is safe. */
function transport(r: Reader, to: Recipient): Unwrap | undefined {
  r.next(0x02);
  if (!names(r.next(0x30, 0x80), to.certificate)) return undefined;
  const how = algorithm(r.next(0x30));
  const encrypted = r.next(0x04).value;
  r.end();
  if (how.id !== oid.oaep || !how.parameters || !isSHA256(how.parameters)) throw new Wrong("a message's key is encrypted in a way that is not accepted");
  return (cipher) => crypto.subtle.unwrapKey("raw", encrypted, to.key, "RSA-OAEP", cipher, false, ["decrypt"]);
}

/** isSHA256 says that the parameters of OAEP name SHA-256 twice, and no label (RFC 4055, 4.1). */
function isSHA256(parameters: Element): boolean {
  const r = parameters.open();
  const sha256 = (a: Algorithm) => oid.digests[a.id] === "SHA-256" && plain(a);
  const hash = r.maybe(0xa0)?.open(), mask = r.maybe(0xa1)?.open();
  if (!hash || !mask || r.more) return false;
  const mgf = algorithm(mask.next(0x30));
  return sha256(algorithm(hash.next(0x30))) && mgf.id === oid.mgf1 && mgf.parameters?.bytes[0] === 0x30 && sha256(algorithm(mgf.parameters));
}

const wraps: Record<string, number> = { "2.16.840.1.101.3.4.1.45": 256, "2.16.840.1.101.3.4.1.5": 128 };

/** agreement reads a KeyAgreeRecipientInfo (RFC 5652, 6.2.2), which may be for several. */
function agreement(r: Reader, to: Recipient, curve: oid.Curve): Unwrap | undefined {
  r.next(0x02);
  const originator = r.next(0xa0).open();
  const ukm = r.maybe(0xa1)?.open().next(0x04).value;
  const how = algorithm(r.next(0x30));
  const keys = r.next(0x30).open();
  r.end();
  const found = keys.each(0x30, (e) => {
    const one = e.open();
    const named = one.next(0x30, 0xa0);
    const encrypted = one.next(0x04).value;
    one.end();
    const ours = named.bytes[0] === 0x30 ? names(named, to.certificate) : names(named.open().next(0x04), to.certificate);
    return ours ? encrypted : undefined;
  }).find((k) => k);
  if (!found) return undefined;
  const hash = Object.values(oid.curves).find((c) => c.agreement === how.id)?.hash;
  const wrap = how.parameters?.bytes[0] === 0x30 ? algorithm(how.parameters) : undefined;
  const bits = wrap && plain(wrap) ? wraps[wrap.id] : undefined;
  if (!hash || !bits) throw new Wrong("a message's key is encrypted in a way that is not accepted");
  const point = pointOf(originator);
  return async (cipher) => {
    const ephemeral = await crypto.subtle.importKey("raw", point, { name: "ECDH", namedCurve: curve.name }, false, []);
    const wrapping = await agree(to.key, ephemeral, hash, how.parameters!.bytes, ukm, bits, "unwrapKey");
    return crypto.subtle.unwrapKey("raw", found, wrapping, "AES-KW", cipher, false, ["decrypt"]);
  };
}

/** pointOf reads the sender's key, which was made for this message. Whether it is on the recipient's curve the browser checks. */
function pointOf(originator: Reader): Bytes {
  const r = originator.next(0xa1).open();
  const kind = algorithm(r.next(0x30));
  const bits = r.next(0x03).value;
  if (kind.id !== oid.ec || bits[0] !== 0) throw new Wrong("a sender's key is of a kind that is not accepted");
  return bits.subarray(1);
}
