// Keys are made by the browser (WebCrypto) and sign their own certificate requests (PKCS#10, RFC 2986).
import * as der from "./der";
import { Bytes } from "./der";
import { toDER } from "./signature";

interface Kind {
  generate: RsaHashedKeyGenParams | EcKeyGenParams;
  sign: AlgorithmIdentifier | EcdsaParams;
  signature: Bytes; // AlgorithmIdentifier
}

const rsa = (bits: number): Kind => ({
  generate: { name: "RSASSA-PKCS1-v1_5", modulusLength: bits, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
  sign: "RSASSA-PKCS1-v1_5", signature: der.algorithm("1.2.840.113549.1.1.11", der.nothing),
});
const ec = (curve: string, hash: string, id: string): Kind => ({
  generate: { name: "ECDSA", namedCurve: curve }, sign: { name: "ECDSA", hash }, signature: der.algorithm(id),
});

/** kinds of key that a policy may name (api.KeyPlan). */
const kinds: Record<string, Kind> = {
  "P-256": ec("P-256", "SHA-256", "1.2.840.10045.4.3.2"),
  "P-384": ec("P-384", "SHA-384", "1.2.840.10045.4.3.3"),
  "RSA-3072": rsa(3072),
  "RSA-4096": rsa(4096),
};

/** choose returns the first of the accepted kinds, which is the one that the server prefers, that can be made here: the first with RSA
 * for programs that know no other, if there is one. */
export const choose = (accepted: string[], rsaFirst = false) =>
  (rsaFirst && accepted.find((k) => k in kinds && k.startsWith("RSA-"))) || accepted.find((k) => k in kinds);

/** make returns a new pair. Its private key can be taken out, because it has to go into the file that the person gets. */
export async function make(kind: string): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(kinds[kind]!.generate, true, ["sign", "verify"]) as CryptoKeyPair;
}

export const spki = async (pair: CryptoKeyPair) => new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
/** pkcs8 returns the private key. The caller fills it with zeros. */
export const pkcs8 = async (key: CryptoKey) => new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));

/** request signs a certificate request. The certificate's names come from the directory whatever it says; so it says little. */
export async function request(kind: string, pair: CryptoKeyPair, name: string): Promise<Bytes> {
  const subject = [...name].length > 0 && [...name].length <= 64 ? [der.setOf(der.sequence(der.oid("2.5.4.3"), der.utf8(name)))] : [];
  const info = der.sequence(der.integer(0), der.sequence(...subject), await spki(pair), der.context(0));
  const k = kinds[kind]!;
  const raw = new Uint8Array(await crypto.subtle.sign(k.sign, pair.privateKey, info));
  const signature = "namedCurve" in k.generate ? toDER(raw) : raw;
  return der.sequence(info, k.signature, der.bits(signature));
}
