// The archive's own encoding (docs/archive-format.md, section 1): every object has exactly one, and a reader refuses all else.
import * as asn1js from "asn1js";
import { Certificate } from "pkijs";
import { parse, Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";
import { parsePoint, parseProof, parseScalar, Point, pointSize, proofSize, scalarSize } from "./threshold";

const version = 1;

export const kinds = {
  header: 1, capsule: 2, record: 3, "inner record": 4, plan: 5, acknowledgement: 8, roster: 9, share: 11, receipt: 12, case: 13, approval: 14, partials: 15, answer: 17, dispute: 18,
};
export type Kind = keyof typeof kinds;

/** limits of single fields and of objects, in bytes or entries. */
export const limits = { certificate: 1 << 14, sealed: 1 << 16, signature: 1 << 13, name: 256, records: 1 << 16, agents: 255 };

/** labelled is SHA-256(label ‖ 0x00 ‖ parts). */
export const labelled = (label: string, ...parts: Uint8Array[]) => der.sha256(der.join(new TextEncoder().encode(label + "\0"), ...parts));

/** Cert is a certificate as it came, and read. */
export interface Cert { der: Bytes; read: Certificate; fingerprint: Bytes }

export interface Signature { algorithm: number; value: Bytes }

export const nobody = "00000000-0000-0000-0000-000000000000";
export const none = new Uint8Array(32);
export const isNone = (hash: Bytes) => hash.every((b) => b === 0);

const misleading = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u;

/** line makes any text acceptable as one line of at most max bytes: what could mislead becomes U+FFFD, and the end is cut off at a character. */
export function line(s: string, max: number): string {
  let out = "", n = 0;
  for (const c of s) {
    const shown = misleading.test(c) || /\p{Cs}/u.test(c) ? "\ufffd" : c;
    if ((n += new TextEncoder().encode(shown).length) > max) break;
    out += shown;
  }
  return out;
}

/** Writer builds an encoding. What it wrote is parsed again by whoever encodes, so that the rules are written down once. */
export class Writer {
  private readonly parts: Uint8Array[] = [];

  constructor(kind: Kind) {
    this.u8(version);
    this.u8(kinds[kind]);
  }

  get bytes(): Bytes {
    return der.join(...this.parts);
  }

  raw(b: Uint8Array): void {
    this.parts.push(b);
  }

  private number(n: number, size: number): void {
    if (!Number.isSafeInteger(n) || n < 0 || n >= 256 ** size) throw new Wrong("a number is out of its range");
    const out = new Uint8Array(size);
    for (let i = size - 1; i >= 0; i--, n = Math.floor(n / 256)) out[i] = n % 256;
    this.raw(out);
  }

  u8(n: number): void { this.number(n, 1); }
  u16(n: number): void { this.number(n, 2); }
  u32(n: number): void { this.number(n, 4); }
  /** time is in seconds since 1970. */
  time(seconds: number): void { this.number(seconds, 8); }

  blob16(b: Uint8Array): void {
    this.u16(b.length);
    this.raw(b);
  }

  blob32(b: Uint8Array): void {
    this.u32(b.length);
    this.raw(b);
  }

  text(s: string): void { this.blob16(new TextEncoder().encode(s)); }
  uuid(s: string): void { this.raw(uuidBytes(s)); }

  signature(s: Signature): void {
    this.u8(s.algorithm);
    this.blob16(s.value);
  }
}

function uuidBytes(s: string): Bytes {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(s)) throw new Wrong("an id is not one");
  return fromHex(s.replaceAll("-", ""));
}

export function fromHex(s: string): Bytes {
  if (!/^([0-9a-f]{2})*$/.test(s)) throw new Wrong("a hash is not written in hexadecimal");
  return new Uint8Array((s.match(/../g) ?? []).map((x) => parseInt(x, 16)));
}

/** Reader takes an encoding apart. */
export class Reader {
  private at = 0;

  constructor(private readonly b: Bytes, private readonly what: Kind, max: number) {
    this.need(b.length <= max, "it is larger than what is accepted");
    this.need(this.u8() === version, "its version is not known to this page");
    this.need(this.u8() === kinds[what], "it is something else");
  }

  need(condition: unknown, fault: string): void {
    if (!condition) throw new Wrong(`a ${this.what} cannot be read: ${fault}`);
  }

  /** read is all that was read so far. */
  get read(): Bytes {
    return this.b.slice(0, this.at);
  }

  done(): void {
    this.need(this.at === this.b.length, "there are bytes too many");
  }

  raw(n: number): Bytes {
    this.need(n <= this.b.length - this.at, "it is cut off");
    this.at += n;
    return this.b.slice(this.at - n, this.at);
  }

  private number(size: number): number {
    return this.raw(size).reduce((n, x) => n * 256 + x, 0);
  }

  u8(): number { return this.number(1); }
  u16(): number { return this.number(2); }
  u32(): number { return this.number(4); }
  hash(): Bytes { return this.raw(32); }

  flag(): boolean {
    const v = this.u8();
    this.need(v <= 1, "a flag is neither yes nor no");
    return v === 1;
  }

  time(): number {
    const high = this.u32(), low = this.u32(), v = high * 2 ** 32 + low;
    this.need(v > 0 && v <= 253402300799, "a time is none");
    return v;
  }

  uuid(): string {
    return der.hex(this.raw(16)).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  private sized(n: number, max: number): Bytes {
    this.need(n <= max, "a field is too long");
    return this.raw(n);
  }

  blob16(max: number): Bytes { return this.sized(this.u16(), max); }
  blob32(max: number): Bytes { return this.sized(this.u32(), max); }

  private count(n: number, max: number, entry: number): number {
    this.need(n <= max && n * entry <= this.b.length - this.at, "a list is too long");
    return n;
  }

  /** list16 and list32 read as many entries as their count says, each of at least so many bytes. */
  list16<T>(max: number, entry: number, one: () => T): T[] { return Array.from({ length: this.count(this.u16(), max, entry) }, one); }
  list32<T>(max: number, entry: number, one: () => T): T[] { return Array.from({ length: this.count(this.u32(), max, entry) }, one); }

  /** line is one line of text; text may have several. */
  line(max: number): string { return this.checked(max, (s) => s); }
  text(max: number): string { return this.checked(max, (s) => s.replaceAll("\n", " ")); }

  private checked(max: number, plain: (s: string) => string): string {
    const b = this.blob16(max);
    let s: string;
    try {
      s = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(b);
    } catch {
      throw new Wrong(`a ${this.what} has text that is not valid`);
    }
    this.need(!misleading.test(plain(s)), "its text has control characters, or such as reorder text");
    return s;
  }

  point(): Point { return parsePoint(this.raw(pointSize)); }
  scalar(): bigint { return parseScalar(this.raw(scalarSize)); }

  proof(): Bytes {
    const b = this.raw(proofSize);
    parseProof(b);
    return b;
  }

  signature(): Signature {
    const s = { algorithm: this.u8(), value: this.blob16(limits.signature) };
    this.need(s.algorithm >= 1 && s.algorithm <= 3 && s.value.length > 0, "its signature is missing, or of an unknown kind");
    return s;
  }

  /** certificate reads one; see [sealed] for its fingerprint. */
  certificate(): { der: Bytes; read: Certificate } {
    const b = this.blob16(limits.certificate);
    const all = asn1js.fromBER(b);
    this.need(all.offset === b.length && b[0] === 0x30, "a certificate is none");
    return { der: b, read: parse(b) };
  }
}

/** printed adds what people compare. */
export const printed = async (c: { der: Bytes; read: Certificate }): Promise<Cert> => ({ ...c, fingerprint: await der.sha256(c.der) });

/** compare orders bytes as lists of the format are. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
