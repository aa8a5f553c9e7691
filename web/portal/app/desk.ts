// The REST interface for recovery cases (api/openapi.json), as the pages use it: for restoring, asking, and deciding.
import * as der from "./der";
import { Bytes } from "./der";
import { call } from "./server";

export interface Draft { roster: string; intermediates?: string[] | null; subjects: { person: string; records: { record: string; spki_sha256: string }[] }[] }
export interface Answer { agent: number; decision: string; comment?: string; disputed?: boolean; signed: string }
export interface Standing {
  id: string;
  state: "requested" | "approved" | "released" | "closed" | "denied" | "cancelled" | "expired";
  state_reason?: string;
  answers?: Answer[];
  signed?: string;
}

const post = <T>(path: string, body?: object) =>
  call<T>(path, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : { method: "POST" });
const of = (id: string) => "/cases/" + encodeURIComponent(id);

/** pages reads a list to its end, which must not be endless. */
async function pages<T>(path: string, most: number): Promise<T[]> {
  const out: T[] = [];
  for (let after = ""; ; ) {
    const page = await call<{ items: T[]; next?: string }>(`${path}?limit=200${after && "&after=" + encodeURIComponent(after)}`);
    out.push(...page.items);
    if (!page.next || out.length > most || page.next === after) return out;
    after = page.next;
  }
}

export const drafts = async (query: object = { kind: "restore" }) => (await post<{ drafts?: Draft[] }>("/cases/drafts", query)).drafts ?? [];
export const open = (signed: Bytes) => post<Standing>("/cases", { case: der.base64(signed) });
export const get = (id: string) => call<Standing>(of(id));
/** whole is a case with what it needs to be verified. */
export const whole = (id: string) => call<Standing & { roster?: string; intermediates?: string[] | null }>(of(id));
export const capsules = async (id: string, most: number) => (await pages<string>(of(id) + "/capsules", most)).map(der.fromBase64);
export const answer = (id: string, b: Bytes) => post<Standing>(of(id) + "/answers", { answer: der.base64(b) });
export const cancel = (id: string) => post<Standing>(of(id) + "/cancel", {});
export const close = (id: string) => post<Standing>(of(id) + "/close");
export const collect = (id: string) => post<Standing>(of(id) + "/deliveries/0/collect");
export const dispute = (id: string, signed: Bytes) => post<Standing>(of(id) + "/disputes", { dispute: der.base64(signed) });
export const records = async (id: string, most: number) => (await pages<string>(of(id) + "/deliveries/0/records", most)).map(der.fromBase64);
export const sealed = async (id: string) => (await call<{ items: { approval: string; partials: string }[] }>(of(id) + "/deliveries/0/sealed")).items;

export interface Certified { spki_sha256: string; certificates: string[]; issuers: string[] }
/** certificates are those of a case's keys, of this authority and foreign ones. */
export const certificates = (id: string) => pages<Certified>(of(id) + "/certificates", 1 << 16);
