// A key that was opened: whether it is the one that its record is for, and which certificate it goes with.
import { Certificate } from "pkijs";
import * as asn1js from "asn1js";
import { mailboxesOf, normal, parse, rawOf, spkiOf, usage, verifyChain, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as desk from "./desk";
import { Entry } from "./pkcs12";
import { Header } from "./record";
import { standIn } from "./recipient";
import { commonName, pathTo } from "./roster";

export interface Key { pkcs8: Bytes; spki: Bytes; header: Header }

const curves: Record<string, string> = { "1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521" };

/** checkKey derives the public key of an opened one, holds that it is its record's, and tries whether it decrypts: browsers differ in what they check of a
 * key that they are given. */
export async function checkKey(pkcs8: Bytes, header: Header): Promise<Key> {
  const [kind, curve] = kindOf(pkcs8);
  let spki: Bytes | undefined;
  try {
    if (kind === "1.2.840.113549.1.1.1") spki = await tryRSA(pkcs8);
    if (kind === "1.2.840.10045.2.1" && curves[curve!]) spki = await tryAgreement(pkcs8, { name: "ECDH", namedCurve: curves[curve!]! });
    if (kind === "1.3.101.110") spki = await tryAgreement(pkcs8, { name: "X25519" });
  } catch {
    throw new Wrong("a record holds something else than the key that it is for"); // the cause could have parts of the key in it
  }
  if (!spki) throw new Wrong(`a key is of a kind that this browser does not know (${header.algorithm})`);
  if (!der.equal(await der.sha256(spki), header.spki)) throw new Wrong("a record holds another key than the one that it is for");
  return { pkcs8, spki, header };
}

function kindOf(pkcs8: Bytes): string[] {
  const list = (of?: asn1js.BaseBlock) => (of instanceof asn1js.Sequence ? of.valueBlock.value : []);
  return list(list(asn1js.fromBER(pkcs8).result)[1]).map((v) => (v instanceof asn1js.ObjectIdentifier ? v.valueBlock.toString() : ""));
}

async function tryRSA(pkcs8: Bytes): Promise<Bytes> {
  const how = { name: "RSA-OAEP", hash: "SHA-256" };
  const own = await crypto.subtle.importKey("pkcs8", pkcs8, how, true, ["decrypt"]);
  const { kty, n, e } = await crypto.subtle.exportKey("jwk", own);
  const other = await crypto.subtle.importKey("jwk", { kty, n, e }, how, true, ["encrypt"]);
  const said = der.random(32);
  const back = await crypto.subtle.decrypt(how, own, await crypto.subtle.encrypt(how, other, said));
  if (!der.equal(new Uint8Array(back), said)) throw new Wrong("the key does not decrypt");
  return new Uint8Array(await crypto.subtle.exportKey("spki", other));
}

async function tryAgreement(pkcs8: Bytes, how: EcKeyImportParams | Algorithm): Promise<Bytes> {
  const own = await crypto.subtle.importKey("pkcs8", pkcs8, how, true, ["deriveBits"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", own);
  const other = await crypto.subtle.importKey("jwk", { kty, crv, x, ...(y ? { y } : {}) }, how, true, []);
  const pair = await crypto.subtle.generateKey(how, false, ["deriveBits"]) as CryptoKeyPair;
  const agreed = async (a: CryptoKey, b: CryptoKey) => new Uint8Array(await crypto.subtle.deriveBits({ name: how.name, public: b }, a, null));
  if (!der.equal(await agreed(own, pair.publicKey), await agreed(pair.privateKey, other))) throw new Wrong("the key does not decrypt");
  return new Uint8Array(await crypto.subtle.exportKey("spki", other));
}

interface Person { name: string; mailboxes: string[] }

/** Found is a key with the certificate under which it is put into the file. */
export interface Found { key: Key; certificate: Bytes; chain: Bytes[]; since: Date; unknown: boolean }

/** certified finds every key's certificate: the newest that can be believed, else another authority's that came with the key, else one that is made here. */
export async function certified(keys: Key[], known: desk.Certified[], root: Certificate, person: Person): Promise<Found[]> {
  const out: Found[] = [];
  for (const key of keys) {
    const hash = der.hex(key.header.spki), of = known.filter((k) => k.spki_sha256 === hash);
    const issuers = read(of.flatMap((k) => k.issuers));
    const own = read(of.flatMap((k) => k.certificates)).filter((c) => der.equal(spkiOf(c.read), key.spki));
    own.sort((a, b) => b.read.notBefore.value.getTime() - a.read.notBefore.value.getTime());
    let chosen: { der: Bytes; read: Certificate } | undefined, chain: Bytes[] = [];
    for (const c of own) {
      const found = await believed(c.read, issuers, root, person);
      if (!found) continue;
      chosen = c;
      chain = found.map(rawOf);
      break;
    }
    chosen ??= own[0];
    if (chosen && chain.length === 0) chain = issuers.map((i) => i.der);
    const since = chosen?.read.notBefore.value ?? new Date(key.header.time * 1000);
    out.push({ key, certificate: chosen?.der ?? await standIn(key.spki, person.name || person.mailboxes[0] || "", since), chain, since, unknown: !chosen });
  }
  return out.sort((a, b) => b.since.getTime() - a.since.getTime() || b.key.header.time - a.key.header.time);
}

function read(list: string[]): { der: Bytes; read: Certificate }[] {
  const out: { der: Bytes; read: Certificate }[] = [];
  for (const text of [...new Set(list)]) {
    try {
      const b = der.fromBase64(text);
      out.push({ der: b, read: parse(b) });
    } catch {
      // what cannot be read is as if it had not come
    }
  }
  return out;
}

/** believed returns the chain of a certificate that is, or was, one to encrypt the person's mail to. One that has ended is good: there is mail to it. */
async function believed(c: Certificate, issuers: { read: Certificate }[], root: Certificate, person: Person): Promise<Certificate[] | undefined> {
  try {
    if (((usage(c) ?? 0) & 0x2800) === 0) return undefined;
    const theirs = mailboxesOf(c), ours = person.mailboxes.map(normal);
    if (theirs.length > 0 && !theirs.some((m) => ours.includes(m)) && commonName(c) !== person.name) return undefined; // addresses change over the years
    const chain = pathTo(c, issuers.map((i) => i.read), root), now = new Date();
    await verifyChain(c, chain, c.notAfter.value < now ? c.notAfter.value : now);
    return chain;
  } catch {
    return undefined;
  }
}

/** entries names the keys so that people can tell the newest from the older ones. */
export function entries(found: Found[], person: Person): Entry[] {
  const who = person.name || person.mailboxes[0] || "";
  return found.map((f, i) => ({
    name: (i === 0 ? `${who} (encryption)` : `${who} (old encryption, from ${f.since.toISOString().slice(0, 10)})`) + (f.unknown ? ", certificate unknown" : ""),
    key: f.key.pkcs8, certificate: f.certificate,
  }));
}
