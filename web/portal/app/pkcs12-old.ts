// The file for programs that read no AES, such as gpgsm 2.2 (KMail, Kleopatra, Claws Mail): the Compatibility profile of package pkcs12
// of the Go sources, 3DES and SHA-1 at 100,000 iterations, one key to a file. It protects little by itself: only with a random passphrase.
import { sha1 } from "@noble/hashes/legacy.js";
import * as des from "des.js";
import * as der from "./der";
import { Bytes } from "./der";
import { derive, Entry, mac, write } from "./pkcs12";

const iterations = 100_000;

/** buildOld writes a file with one key. It takes some seconds. */
export function buildOld(entry: Entry, chain: Bytes[], passphrase: string): Promise<Bytes> {
  return write([entry], chain, {
    encrypt: (plain) => encrypt(plain, passphrase),
    mac: (safe) => mac(sha1, "1.3.14.3.2.26", safe, passphrase, 8, iterations),
  });
}

/** encrypt is pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292, appendix C). The IV is derived too: each time there is a new salt. */
async function encrypt(plain: Bytes, passphrase: string): Promise<[Bytes, Bytes]> {
  // gpgsm prints the blocks of I as numbers without their leading zero bytes, and goes on with what is then shifted (seen in
  // 2.2.40): one salt in about 128 it derives another key from than everybody else. Such salts are not taken.
  let salt: Bytes, key: Bytes, readable: boolean;
  do {
    readable = true;
    salt = der.random(8);
    key = await derive(sha1, 1, passphrase, salt, iterations, 24, (block) => {
      readable &&= block[0] !== 0;
    });
  } while (!readable);
  const iv = await derive(sha1, 2, passphrase, salt, iterations, 8);
  const cipher = des.CBC.instantiate(des.EDE).create({ type: "encrypt", key: Array.from(key), iv: Array.from(iv) });
  const out = Uint8Array.from([...cipher.update(plain), ...cipher.final()]);
  key.fill(0);
  return [der.algorithm("1.2.840.113549.1.12.1.3", der.sequence(der.octets(salt), der.integer(iterations))), out];
}
