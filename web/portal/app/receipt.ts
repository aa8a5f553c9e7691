// The archive's receipt for the encryption key (docs/archive-format.md, section 5).
import * as der from "./der";
import { Bytes } from "./der";
import { Wrong } from "./certificate";
import { fromDER } from "./signature";

/** verifyReceipt holds that a receipt is for a key, and that its signature is of the key that the server names. A receipt whose signer is not
 * there any more comes without; its signature can be checked whenever the key turns up. */
export async function verifyReceipt(receipt: { signed: Bytes; signer?: Bytes }, spki: Bytes): Promise<void> {
  const b = receipt.signed;
  const statement = b.subarray(0, 2 + 3 * 32 + 8 + 2 * 32);
  if (b[0] !== 1 || b[1] !== 12 || b.length < statement.length + 4) throw new Wrong("the receipt cannot be read");
  if (!der.equal(b.subarray(2, 34), await der.sha256(spki))) throw new Wrong("the receipt is for another key");
  if (!receipt.signer?.length) return;
  if (!der.equal(b.subarray(statement.length - 32, statement.length), await der.sha256(receipt.signer))) throw new Wrong("the receipt is signed with another key");
  const value = b.slice(statement.length + 3);
  const said = der.join(new TextEncoder().encode("Sealpost archive v1 signature\0"), statement);
  if (!(await holds(b[statement.length]!, receipt.signer, value, said))) throw new Wrong("the receipt's signature does not hold");
}

async function holds(algorithm: number, signer: Bytes, value: Bytes, said: Bytes): Promise<boolean> {
  const verify = async (key: AlgorithmIdentifier | RsaHashedImportParams | EcKeyImportParams, how: AlgorithmIdentifier | RsaPssParams | EcdsaParams, signature: Bytes, message = said) =>
    crypto.subtle.verify(how, await crypto.subtle.importKey("spki", signer, key, false, ["verify"]), signature, message);
  switch (algorithm) {
    case 1: {
      const size = signer.length > 100 ? 48 : 32; // SubjectPublicKeyInfo has 91 bytes on P-256, 120 on P-384
      const raw = fromDER(value, size);
      return raw !== undefined && verify({ name: "ECDSA", namedCurve: size === 48 ? "P-384" : "P-256" }, { name: "ECDSA", hash: "SHA-256" }, raw);
    }
    case 2:
      return verify({ name: "RSA-PSS", hash: "SHA-256" }, { name: "RSA-PSS", saltLength: 32 }, value);
    case 3:
      return verify({ name: "Ed25519" }, { name: "Ed25519" }, value, await der.sha256(said));
  }
  return false;
}
