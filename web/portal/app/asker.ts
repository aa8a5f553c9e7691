// Who asks officers for keys: a person with their signing key, which this browser still has from getting certificates, or which is in their file.
import { Certificate } from "pkijs";
import { isAuthority, mailboxesOf, maySign, normal, parse, purposes, rawOf, spkiOf } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import * as keys from "./keys";
import { clear, open } from "./pkcs12-read";
import * as server from "./server";
import { Signer, signer } from "./statement";
import * as store from "./store";

export interface Asker { certificate: Bytes; signer: Signer }

/** NoSigning says that a file has no certificate with which this person signs now. */
export class NoSigning extends Error {}

/** fromBrowser finds the signing key of certificates that were got in this browser and are not confirmed to be in a file yet. */
export async function fromBrowser(person: server.Policy["person"]): Promise<Asker | undefined> {
  const kept = await store.find(person.id);
  const half = kept?.halves.find((h) => h.use === "signing" || h.single);
  if (!kept?.id || !half) return undefined;
  let status: server.Status;
  try {
    status = await server.enrolment(kept.id);
  } catch (e) {
    if (e instanceof server.Refused && e.kind === "refused") return undefined;
    throw e;
  }
  const found = (status.certificates ?? []).map((c) => parse(der.fromBase64(c.der))).find((c) => der.equal(spkiOf(c), half.spki));
  return found && suits(found, person) ? asker(found, await keys.pkcs8(half.key)) : undefined;
}

/** fromFile opens a person's PKCS#12 here in the page and takes the newest key with which they sign. */
export async function fromFile(file: Bytes, passphrase: string, person: server.Policy["person"]): Promise<Asker> {
  const contents = await open(file, passphrase);
  try {
    const suiting = contents.keys.filter((k) => k.certificate && suits(k.certificate, person))
      .sort((a, b) => b.certificate!.notBefore.value.getTime() - a.certificate!.notBefore.value.getTime());
    if (!suiting[0]) throw new NoSigning();
    return await asker(suiting[0].certificate!, suiting[0].pkcs8.slice());
  } finally {
    clear(contents);
  }
}

const forMail = "1.3.6.1.5.5.7.3.4";

/** suits says whether a certificate is one with which this person signs now, as far as it can be seen here. The server knows which it issued. */
function suits(c: Certificate, person: server.Policy["person"]): boolean {
  const now = new Date(), ours = person.mailboxes.map(normal);
  return maySign(c) && !isAuthority(c) && purposes(c).includes(forMail) && c.notBefore.value <= now && now <= c.notAfter.value && mailboxesOf(c).some((m) => ours.includes(m));
}

/** asker takes a key. Its bytes are zeros afterwards. */
async function asker(c: Certificate, pkcs8: Bytes): Promise<Asker> {
  const by = await signer(pkcs8, spkiOf(c));
  pkcs8.fill(0);
  return { certificate: rawOf(c), signer: by };
}
