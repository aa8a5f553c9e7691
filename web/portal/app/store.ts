// What is kept in this browser while somebody gets certificates: their keys and requests, from before anything is sent until
// they have the file. A reload, a closed tab or an ended session thus loses nothing.
//
// The keys lie in IndexedDB as CryptoKeys that can be taken out: they have to go into the file. Wrapping them with a key that cannot
// be taken out would gain nothing, because the browser writes that one to the same place, and a script of this site could unwrap with it
// as well. Wrapping them with the passphrase would, but who waits days for a registrar forgets a passphrase that nothing has
// needed yet, and the keys with it. So they are as safe as the browser's profile is, for as short as can be: they are erased
// when the person says that the file is there, and in any case a day after it was downloaded.

import { Bytes } from "./der";

export type Use = "signing" | "encryption";

export interface Half {
  use: Use;
  single: boolean; // one certificate for both uses
  key: CryptoKey;
  spki: Bytes;
  csr: Bytes;
}

/** Kept is one request that was begun. The person's id is its key. */
export interface Kept {
  person: string;
  name: string; // the request's, for the server (Idempotency-Key)
  enrolment: string;
  escrowed: boolean; // the encryption key goes to the archive
  begun: number; // milliseconds since 1970
  halves: Half[];
  id?: string; // the server's
  downloaded?: number; // when
}

/** marker tells other pages of this site that something waits here. */
const marker = "sealpost-enrolment";

const table = "requests";

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open("sealpost", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(table, { keyPath: "person" });
  return done(request);
}

const done = <T>(r: IDBRequest<T>) => new Promise<T>((resolve, reject) => {
  r.onsuccess = () => resolve(r.result);
  r.onerror = () => reject(r.error);
});

async function within<T>(mode: IDBTransactionMode, work: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
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

export async function find(person: string): Promise<Kept | undefined> {
  const kept = await within<Kept | undefined>("readonly", (s) => s.get(person));
  if (kept?.downloaded && Date.now() - kept.downloaded > 24 * 3600_000) {
    await erase(person);
    return undefined;
  }
  return kept;
}

export async function keep(k: Kept): Promise<void> {
  await within("readwrite", (s) => s.put(k));
  localStorage.setItem(marker, k.person);
}

export async function erase(person: string): Promise<void> {
  await within("readwrite", (s) => s.delete(person));
  localStorage.removeItem(marker);
}
