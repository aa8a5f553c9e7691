// What is checked of certificates before anything is sent to them or kept with a key.
//
// The root is the one that the server names. This page comes from the same server: whoever could name a false root could as
// well send another page. What is checked here finds mistakes; who wants the organisation's root to decide uses the agent.
import * as asn1js from "asn1js";
import { BasicConstraints, Certificate, ExtKeyUsage, GeneralNames } from "pkijs";
import * as der from "./der";
import { Bytes } from "./der";

/** Wrong is an answer that must not be believed. */
export class Wrong extends Error {}

const holds = (condition: unknown, what: string): void => {
  if (!condition) throw new Wrong(what);
};

const raw = new WeakMap<Certificate, Bytes>();
/** rawOf returns a certificate as it came. */
export const rawOf = (c: Certificate): Bytes => raw.get(c)!;

export const parse = (b: Bytes): Certificate => {
  try {
    const c = Certificate.fromBER(b.buffer.slice(b.byteOffset, b.byteOffset + b.length));
    raw.set(c, b.slice());
    return c;
  } catch (e) {
    throw new Wrong("a certificate cannot be read: " + e);
  }
};

const schema = (x: { toSchema(): asn1js.BaseBlock }) => new Uint8Array(x.toSchema().toBER());
export const spkiOf = (c: Certificate) => schema(c.subjectPublicKeyInfo);
export const issuerAndSerial = (c: Certificate): Bytes => der.sequence(schema(c.issuer), new Uint8Array(c.serialNumber.toBER()));

export const extension = (c: Certificate, id: string) => c.extensions?.find((e) => e.extnID === id);

/** usage returns the bits of the key usage (RFC 5280, 4.2.1.3), the first as the highest of sixteen; undefined without one. */
export function usage(c: Certificate): number | undefined {
  const parsed = extension(c, "2.5.29.15")?.parsedValue as asn1js.BitString | undefined;
  if (!parsed) return undefined;
  const b = parsed.valueBlock.valueHexView;
  return ((b[0] ?? 0) << 8) | (b[1] ?? 0);
}

const signs = 0xc000, enciphers = 0x3980, certifies = 0x0600; // digitalSignature or contentCommitment; those for encryption; those of authorities
/** isSelfIssued says whether a certificate is of its own subject, as roots are. */
export const isSelfIssued = (c: Certificate) => der.equal(schema(c.issuer), schema(c.subject));

/** capabilitiesOf returns SMIMECapabilities as a certificate has them (RFC 4262); undefined if it has none. */
export const capabilitiesOf = (c: Certificate): Bytes | undefined => extension(c, "1.2.840.113549.1.9.15")?.extnValue.valueBlock.valueHexView.slice() as Bytes | undefined;

/** maySign says whether a certificate is for signing, as far as it says what it is for. */
export const maySign = (c: Certificate) => ((usage(c) ?? signs) & signs) !== 0;
/** mayReceive says the same of encryption to its key. */
export const mayReceive = (c: Certificate) => ((usage(c) ?? enciphers) & (c.subjectPublicKeyInfo.algorithm.algorithmId === "1.2.840.113549.1.1.1" ? 0x2000 : 0x0800)) !== 0;
/** keyIdentifierOf returns the certificate's own name for its key, if it has one. */
export const keyIdentifierOf = (c: Certificate): Uint8Array | undefined => (extension(c, "2.5.29.14")?.parsedValue as asn1js.OctetString | undefined)?.valueBlock.valueHexView;
export const purposes = (c: Certificate) => (extension(c, "2.5.29.37")?.parsedValue as ExtKeyUsage | undefined)?.keyPurposes ?? [];
export const isAuthority = (c: Certificate) => (extension(c, "2.5.29.19")?.parsedValue as BasicConstraints | undefined)?.cA === true;

/** verifyChain holds that a certificate is valid now and chains to the last of the chain, which signs itself. */
export async function verifyChain(leaf: Certificate, chain: Certificate[], now = new Date()): Promise<void> {
  holds(chain.length > 0 && chain.length <= 8, "the chain is empty or too long");
  const all = [leaf, ...chain];
  for (const [i, c] of all.entries()) {
    holds(c.notBefore.value <= now && now <= c.notAfter.value, "a certificate is not valid at this computer's time");
    const issuer = all[i + 1] ?? c;
    holds(der.equal(schema(c.issuer), schema(issuer.subject)), "a certificate is of another issuer");
    holds(await c.verify(issuer), "the signature of a certificate does not hold");
    if (i > 0) holds(isAuthority(c) && ((usage(c) ?? 0) & 0x0400) !== 0, "an issuer is no authority");
  }
}

const exchangePurpose = "1.3.6.1.4.1.32473.2.4"; // docs/oids.md

/** verifyExchange holds that a private key may be sent to a certificate: it is for that alone. */
export async function verifyExchange(c: Certificate, chain: Certificate[]): Promise<void> {
  await verifyChain(c, chain);
  holds(!isAuthority(c) && purposes(c).length === 1 && purposes(c)[0] === exchangePurpose, "it is no exchange certificate");
  const bits = usage(c) ?? 0;
  holds((bits & 0x2800) !== 0 && (bits & ~0x2800) === 0, "the exchange certificate is not for encryption alone");
}

/** verifyOwn holds that a certificate which came is for our key, our use of it and our mail. */
export async function verifyOwn(c: Certificate, chain: Certificate[], key: Bytes, use: "signing" | "encryption", single: boolean, mailboxes: string[]): Promise<void> {
  holds(der.equal(spkiOf(c), key), "a certificate is for another key");
  await verifyChain(c, chain);
  const bits = usage(c) ?? 0;
  const [needed, foreign] = use === "signing" ? [0x8000, enciphers] : [0x2800, signs];
  holds(!isAuthority(c) && extension(c, "2.5.29.15")?.critical && (bits & certifies) === 0 && (bits & needed) !== 0 && (single || (bits & foreign) === 0),
    "the key usage of a certificate is wrong");
  holds(purposes(c).includes("1.3.6.1.5.5.7.3.4"), "a certificate is not for mail");
  const ours = mailboxes.map(normal), theirs = mailboxesOf(c);
  holds(theirs.length > 0 && theirs.every((m) => ours.includes(m)), "a certificate names other addresses");
}

/** mailboxesOf returns the addresses of a certificate, also those beyond ASCII (RFC 9598). */
export function mailboxesOf(c: Certificate): string[] {
  const names = (extension(c, "2.5.29.17")?.parsedValue as { altNames?: GeneralNames["names"] } | undefined)?.altNames ?? [];
  const out: string[] = [];
  for (const n of names) {
    if (n.type === 1) out.push(normal(n.value));
    if (n.type === 0 && n.value.valueBlock.value[0].toString().includes("1.3.6.1.5.5.7.8.9")) {
      out.push(normal(n.value.valueBlock.value[1].valueBlock.value[0].valueBlock.value));
    }
  }
  return out;
}

/** normal makes addresses comparable: lower case, the domain as DNS has it. */
export function normal(mailbox: string): string {
  const at = mailbox.lastIndexOf("@");
  const domain = mailbox.slice(at + 1);
  const url = URL.parse?.("http://" + domain) ?? new URL("http://" + domain);
  return (mailbox.slice(0, at) + "@" + url.hostname).toLowerCase();
}
