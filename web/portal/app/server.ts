// The REST interface as the page uses it (api/openapi.json). The session's cookie says who asks.

export interface KeyPlan { algorithms: string[]; escrowed: boolean }
export interface Enrolment { name: string; endorsed: boolean; signing?: KeyPlan; encryption?: KeyPlan }
export interface Policy {
  person: { id: string; name: string; mailboxes: string[]; restricted?: string };
  enrolments: Enrolment[];
  exchange?: { certificate: string; chain: string[]; nonce: string };
  advertise?: { issuer: string; serial: string }[]; // certificates of which the directory should say something signed
}
export interface Status {
  id: string;
  person: string;
  state: "received" | "submitted" | "endorsed" | "issued" | "rejected" | "failed";
  reason?: string;
  certificates?: { der: string; chain: string[]; issuer: string; serial: string }[];
  receipt?: { id: string; signed: string; signer?: string };
}

/** Refused is an answer that is none of what was asked for, or no answer at all. */
export class Refused extends Error {
  constructor(readonly kind: "session" | "later" | "refused", readonly code: string, detail: string, readonly request = "") {
    super(detail);
  }
}

/** said is why the server refused: in the page's words, and with the server's own beside where they say more (texts_faults.go). */
export function said(e: Refused, words: string): string {
  if (!words) return e.message;
  return /-acceptable$|^case-refused$|^case-certificate$|^case-state$/.test(e.code) ? `${words} (${e.message})` : words;
}

export async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch("/api/v1" + path, { ...init, credentials: "same-origin", redirect: "error", cache: "no-store", signal: AbortSignal.timeout(60_000) });
  } catch (e) {
    throw new Refused("later", "no-answer", String(e));
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch (e) {
    throw new Refused("later", "no-answer", String(e));
  }
  if (response.ok) return body as T;
  const problem = body as { type?: string; detail?: string };
  const code = (problem.type ?? "").replace("urn:sealpost:problem:", "");
  const kind = response.status === 401 ? "session" : response.status >= 500 || response.status === 429 || response.status === 408 ? "later" : "refused";
  throw new Refused(kind, code, problem.detail ?? "", response.headers.get("Request-Id") ?? "");
}

export const policy = () => call<Policy>("/policy");
export const advertise = (value: string) => call<object>("/advertisements", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ value }) });
export const enrolment = (id: string) => call<Status>("/enrolments/" + encodeURIComponent(id));
export const enrol = (name: string, body: object) =>
  call<Status>("/enrolments", { method: "POST", headers: { "Content-Type": "application/json", "Idempotency-Key": name }, body: JSON.stringify(body) });
