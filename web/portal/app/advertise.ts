// What somebody's directory entry says of them: SignedData over nothing, with their certificates, whose signed attributes say which
// ciphers their programs read and which certificate to encrypt to. It is the message of cms.Advertise in the Go sources.
import { Certificate } from "pkijs";
import { capabilitiesOf, issuerAndSerial } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { attribute, sign, Signer } from "./signed";

/** What all mail programs read: AES-CBC with 256 and with 128 bits. */
const common = der.sequence(der.algorithm("2.16.840.1.101.3.4.1.42"), der.algorithm("2.16.840.1.101.3.4.1.2"));

/** advertise signs that one should encrypt to a certificate. The chain is without the root. */
export async function advertise(by: Signer, encryption: Certificate, chain: Certificate[], time: Date): Promise<Bytes> {
  const name = issuerAndSerial(encryption);
  const tagged = name.slice(); // [0] in place of SEQUENCE (RFC 8551, 2.5.3)
  tagged[0] = 0xa0;
  const others = der.equal(name, issuerAndSerial(by.certificate)) ? chain : [encryption, ...chain];
  return sign(new Uint8Array(), by, { detached: true, chain: others, time, attributes: [
    attribute("1.2.840.113549.1.9.15", capabilitiesOf(encryption) ?? common),
    attribute("1.2.840.113549.1.9.16.2.11", tagged),
    attribute("1.3.6.1.4.1.311.16.4", name), // Microsoft's, for the same
  ] });
}
