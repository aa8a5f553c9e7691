// SignedData (RFC 5652, section 5) with one signer and signed attributes, as package cms of the Go sources writes and wants it.
import { Certificate } from "pkijs";
import { issuerAndSerial, keyIdentifierOf, maySign, parse, rawOf, verifyChain, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as oid from "./oid";
import { algorithm, Algorithm, attributes, contentInfo, Element, plain, Reader } from "./read";
import * as signature from "./signature";

export interface Signer {
  key: CryptoKey; // to sign with
  certificate: Certificate;
}

export interface SignOptions {
  type?: string; // of the content; id-data if it is missing
  detached?: boolean; // the content stays outside
  chain?: Certificate[]; // further certificates to include
  time?: Date; // the signing time; without one none is written
  attributes?: Bytes[]; // further signed attributes (attribute)
}

/** attribute is one with one value. */
export const attribute = (type: string, value: Bytes) => der.sequence(der.oid(type), der.setOf(value));
const hashed = async (hash: string, b: Bytes) => new Uint8Array(await crypto.subtle.digest(hash, b));

/** sign signs content. */
export async function sign(content: Bytes, by: Signer, options: SignOptions = {}): Promise<Bytes> {
  if (!maySign(by.certificate)) throw new Wrong("the certificate is not for signing");
  const type = options.type ?? oid.data;
  const scheme = signature.schemeOf(by.certificate);
  const signed = [attribute(oid.contentType, der.oid(type)), attribute(oid.messageDigest, der.octets(await hashed(scheme.hash, content)))];
  if (options.time) signed.push(attribute(oid.signingTime, der.time(options.time)));
  signed.push(...(options.attributes ?? []));
  const value = await signature.sign(by.key, by.certificate, der.setOf(...signed));
  const info = der.sequence(der.integer(1), issuerAndSerial(by.certificate), scheme.digest, der.context(0, ...der.sorted(signed)), scheme.signature, der.octets(value));
  return der.sequence(der.oid(oid.signedData), der.context(0, der.sequence(
    der.integer(type === oid.data ? 1 : 3), der.setOf(scheme.digest),
    der.sequence(der.oid(type), ...(options.detached ? [] : [der.context(0, der.octets(content))])),
    der.context(0, ...[by.certificate, ...(options.chain ?? [])].map(rawOf)),
    der.setOf(info))));
}

/** VerifyOptions say who is trusted to have signed: a certificate, or whoever has one under the last of a chain. */
export interface VerifyOptions {
  signer?: Certificate;
  chain?: Certificate[]; // above the signer's, the root last
  type?: string; // of the content; id-data if it is missing
  content?: Bytes; // of a detached signature
}

export interface Verified {
  content: Bytes;
  signer: Certificate;
  certificates: Certificate[]; // all that came, unchecked
  time?: Date; // as the signer claims
}

interface Info {
  named: Element;
  digest: Algorithm;
  signed: Element;
  algorithm: Algorithm;
  value: Bytes;
}

/** verify holds that a message is signed by whom the options trust, and returns what was signed. Revocation is not looked at. */
export async function verify(message: Bytes, options: VerifyOptions): Promise<Verified> {
  if (!options.signer && !options.chain) throw new Wrong("nobody is trusted to have signed");
  const { body } = contentInfo(message, oid.signedData);
  if (![1, 3, 4, 5].includes(body.next(0x02).small)) throw new Wrong("a message has an unknown version");
  const digests = body.next(0x31).open().each(0x30, algorithm);
  const content = contentOf(body.next(0x30).open(), options);
  const certificates = body.maybe(0xa0)?.open().each(0x30, (e) => parse(e.bytes)) ?? [];
  body.maybe(0xa1); // revocation lists, of no use here
  const signers = body.next(0x31).open();
  const info = infoOf(signers.next(0x30).open());
  signers.end();
  body.end();
  const signer = (options.signer ? [options.signer] : certificates).find((c) => names(info.named, c));
  if (!signer) throw new Wrong("a message is signed by somebody else");
  if (!maySign(signer)) throw new Wrong("a signer's certificate is not for signing");
  if (!digests.some((d) => d.id === info.digest.id)) throw new Wrong("a message does not name its digest");
  const time = await checkAttributes(info, options.type ?? oid.data, content);
  await checkSignature(info, signer);
  if (options.chain) await verifyChain(signer, options.chain);
  return { content, signer, certificates, time };
}

/** contentOf returns what was signed, from the message or from the options, but never from both. */
function contentOf(info: Reader, options: VerifyOptions): Bytes {
  if (info.next(0x06).oid !== (options.type ?? oid.data)) throw new Wrong("the signed content is of another kind");
  const inside = info.maybe(0xa0)?.open();
  info.end();
  const content = inside?.next(0x04, 0x24).value;
  inside?.end();
  if ((content === undefined) === (options.content === undefined)) throw new Wrong("the content must be in the message or beside it");
  return content ?? options.content!;
}

function infoOf(r: Reader): Info {
  const version = r.next(0x02).small;
  const named = version === 1 ? r.next(0x30) : r.next(0x80);
  const digest = algorithm(r.next(0x30));
  const signed = r.next(0xa0); // without them, the attributes of one message could pass for the content of another
  const info = { named, digest, signed, algorithm: algorithm(r.next(0x30)), value: r.next(0x04).value };
  r.maybe(0xa1); // nothing vouches for these
  r.end();
  if ((version !== 1 && version !== 3) || !plain(digest)) throw new Wrong("a signature cannot be read");
  return info;
}

/** names says whether an identifier of a signer or recipient is of a certificate: issuer and serial number, or the key's. */
export function names(e: Element, c: Certificate): boolean {
  if (e.bytes[0] === 0x30) return der.equal(e.bytes, issuerAndSerial(c));
  const id = keyIdentifierOf(c);
  return id !== undefined && der.equal(e.value, id);
}

async function checkAttributes(info: Info, type: string, content: Bytes): Promise<Date | undefined> {
  const found = attributes(info.signed.open());
  const hash = oid.digests[info.digest.id];
  const [typed, digest, time] = [oid.contentType, oid.messageDigest, oid.signingTime].map((id) => found.get(id));
  if (!hash || typed?.oid !== type || digest?.bytes[0] !== 0x04) throw new Wrong("a signature is not for this content");
  if (!der.equal(digest.value, await hashed(hash, content))) throw new Wrong("the content is not what was signed");
  const at = time && der.date(time.bytes);
  if (time && !at) throw new Wrong("the signing time cannot be read");
  return at;
}

/** checkSignature wants the digest of the content to be that of the signature: a weaker one could be put beside it otherwise. */
async function checkSignature(info: Info, signer: Certificate): Promise<void> {
  const hash = oid.digests[info.digest.id]!;
  const curve = signature.curveOf(signer);
  const fits = curve ? Object.values(oid.curves).some((c) => c.ecdsa === info.algorithm.id && c.hash === hash) && !info.algorithm.parameters
    : (info.algorithm.id === oid.rsa || withRSA[info.algorithm.id] === hash) && plain(info.algorithm);
  if (!fits) throw new Wrong("a signature is of a kind that is not accepted");
  if (!(await signature.verify(signer, hash, info.signed.as(0x31), info.value))) throw new Wrong("the signature of a message does not hold");
}

const withRSA: Record<string, string> = { "1.2.840.113549.1.1.11": "SHA-256", "1.2.840.113549.1.1.12": "SHA-384", "1.2.840.113549.1.1.13": "SHA-512" };
