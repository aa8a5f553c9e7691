// What is kept in this browser while somebody restores their keys: from before the officers are asked until the file is there. A reload, a
// closed tab or an ended session thus loses nothing.
//
// Both keys lie in IndexedDB as CryptoKeys that no script can take out: the one to which the officers' answers are sealed, and the
// one that signed the request, with which a wrong answer is reported. Who can read the browser's profile has them all the same, and
// with the first one what officers release to it. The recovered keys are never kept: they are opened again.
import { Bytes } from "./der";
import { Signer } from "./statement";

export interface KeptCase {
  signed: Bytes; // as it was signed here
  roster: Bytes;
  between: Bytes[]; // issuing certificates
  sent: boolean;
  ended?: string; // in which state it came to nothing
}

/** Kept is a restore that was begun. The person's id is its key. */
export interface Kept {
  person: string;
  begun: number; // milliseconds since 1970
  reason: string;
  reference: string;
  key: CryptoKey; // ECDH on P-256
  recipient: Bytes; // its certificate, signed by itself
  signer: Signer;
  certificate: Bytes; // the signer's
  cases: KeptCase[]; // one for each archive key
}

const table = "restores";

const done = <T>(r: IDBRequest<T>) => new Promise<T>((resolve, reject) => {
  r.onsuccess = () => resolve(r.result);
  r.onerror = () => reject(r.error);
});

async function within<T>(mode: IDBTransactionMode, work: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const request = indexedDB.open("sealpost-restore", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: "person" });
  const db = await done(request);
  try {
    const tx = db.transaction(table, mode, { durability: "strict" });
    const result = await done(work(tx.objectStore(table)));
    await new Promise<void>((resolve, reject) => {
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(tx.error);
    });
    return result;
  } finally {
    db.close();
  }
}

export const find = (person: string) => within<Kept | undefined>("readonly", (s) => s.get(person));
export const keep = async (k: Kept): Promise<void> => void (await within("readwrite", (s) => s.put(k)));
export const erase = async (person: string): Promise<void> => void (await within("readwrite", (s) => s.delete(person)));
