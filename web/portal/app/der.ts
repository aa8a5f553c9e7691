// DER as it is written here: element by element, with definite lengths, so that strict readers such as gpgsm take it (pkijs
// writes BER in places). Reading is pkijs's and asn1js's.

export type Bytes = Uint8Array<ArrayBuffer>;

export function join(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** element writes one element with tag, length and contents. */
export function element(tag: number, ...contents: Uint8Array[]): Bytes {
  const body = join(...contents);
  const length: number[] = [];
  for (let n = body.length; n > 0; n = Math.floor(n / 256)) length.unshift(n % 256);
  const head = body.length < 128 ? [tag, body.length] : [tag, 0x80 | length.length, ...length];
  const out = join(new Uint8Array(head), body);
  if (contents.length > 1) body.fill(0); // it may hold a key
  return out;
}

export const sequence = (...of: Uint8Array[]) => element(0x30, ...of);
/** setOf sorts its elements, as DER wants (X.690, 11.6). */
export const setOf = (...of: Uint8Array[]) => element(0x31, ...sorted(of));
export const octets = (b: Uint8Array) => element(0x04, b);
export const bits = (b: Uint8Array) => element(0x03, new Uint8Array([0]), b);
export const utf8 = (s: string) => element(0x0c, new TextEncoder().encode(s));
/** context is a constructed element with a context-specific tag. */
export const context = (n: number, ...of: Uint8Array[]) => element(0xa0 | n, ...of);
export const nothing = new Uint8Array([0x05, 0x00]);

export function sorted(of: Uint8Array[]): Uint8Array[] {
  return [...of].sort((a, b) => {
    for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
    return a.length - b.length;
  });
}

/** integer writes a number that is not negative. */
export function integer(n: number): Bytes {
  const out: number[] = [];
  for (; n > 0 || out.length === 0; n = Math.floor(n / 256)) out.unshift(n % 256);
  if (out[0]! > 127) out.unshift(0);
  return element(0x02, new Uint8Array(out));
}

/** unsigned writes the INTEGER that big-endian bytes stand for. */
export function unsigned(b: Uint8Array): Bytes {
  let zeros = 0;
  while (zeros < b.length - 1 && b[zeros] === 0) zeros++;
  b = b.subarray(zeros);
  return b[0]! > 127 ? element(0x02, new Uint8Array(1), b) : element(0x02, b);
}

/** oid writes an object identifier, given with dots. */
export function oid(dotted: string): Bytes {
  const [first, second, ...rest] = dotted.split(".").map(Number) as [number, number, ...number[]];
  const out: number[] = [];
  for (const arc of [40 * first + second, ...rest]) {
    const digits = [arc % 128];
    for (let n = Math.floor(arc / 128); n > 0; n = Math.floor(n / 128)) digits.unshift(128 | n % 128);
    out.push(...digits);
  }
  return element(0x06, new Uint8Array(out));
}

/** time writes a time to the second: UTCTime through 2049, then GeneralizedTime (RFC 5652, 11.3). */
export function time(t: Date): Bytes {
  const digits = t.toISOString().replace(/\.\d+|[-:T]/g, ""); // years have four digits for another while
  const short = t.getUTCFullYear() >= 1950 && t.getUTCFullYear() < 2050;
  return element(short ? 0x17 : 0x18, new TextEncoder().encode(short ? digits.slice(2) : digits));
}

/** date reads what time writes; anything else is no time. */
export function date(b: Uint8Array): Date | undefined {
  const text = new TextDecoder().decode(b.subarray(2));
  const long = b[0] === 0x17 ? (text < "50" ? "20" : "19") + text : text;
  const t = new Date(long.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  return Number.isNaN(t.getTime()) ? undefined : t;
}

/** algorithm is an AlgorithmIdentifier. */
export const algorithm = (id: string, ...parameters: Uint8Array[]) => sequence(oid(id), ...parameters);

/** bmp is text as a BMPString has it: 16 bits for each unit. */
export function bmp(s: string): Bytes {
  const out = new Uint8Array(2 * s.length);
  for (let i = 0; i < s.length; i++) {
    out[2 * i] = s.charCodeAt(i) >> 8;
    out[2 * i + 1] = s.charCodeAt(i) & 255;
  }
  return out;
}

export const equal = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((x, i) => x === b[i]);
export const hex = (b: Uint8Array) => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
export const sha256 = async (b: Bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", b));
export const random = (n: number) => crypto.getRandomValues(new Uint8Array(n));

export function base64(b: Uint8Array): string {
  let s = "";
  for (const x of b) s += String.fromCharCode(x);
  return btoa(s);
}

export const fromBase64 = (s: string) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
