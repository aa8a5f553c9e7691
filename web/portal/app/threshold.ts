// The mathematics of the key archive (docs/archive-format.md, section 2), as package archive/threshold of the Go sources has it:
// threshold encryption over ristretto255 whose ciphertexts anybody can check. Numbers here are bigint, which nobody can erase: a
// share or a shared point is in the page's memory until the browser takes it away.
import { ristretto255, ristretto255_hasher } from "@noble/curves/ed25519.js";
import { Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";

type Element = InstanceType<typeof ristretto255.Point>;

/** Point is a canonical encoding that was decoded once: never the identity. */
export interface Point { readonly bytes: Bytes; readonly element: Element }

export const pointSize = 32, scalarSize = 32, proofSize = 64;
export const maxBatch = 1 << 16;

const labels = {
  g2: "Sealpost archive v1 second generator", key: "Sealpost archive v1 key encryption", seal: "Sealpost archive v1 ciphertext proof",
  partials: "Sealpost archive v1 partial decryptions", nonce: "Sealpost archive v1 proof nonce",
};
const ascii = (s: string) => new TextEncoder().encode(s);
const order = ristretto255.Point.Fn.ORDER;
const mod = (n: bigint) => ((n % order) + order) % order;
const base = ristretto255.Point.BASE;
const encode = (e: Element) => new Uint8Array(e.toBytes());

let second: Element | undefined;
/** secondGenerator is hashed to the group: nobody knows its logarithm. */
export const secondGenerator = () => (second ??= ristretto255_hasher.hashToCurve(ascii(labels.g2), { DST: ascii(labels.g2) }) as Element);

const hashToScalar = (message: Bytes, tag: Bytes): bigint => ristretto255_hasher.hashToScalar!(message, { DST: tag });

/** parsePoint refuses encodings that are not canonical, and the identity. */
export function parsePoint(bytes: Bytes): Point {
  if (bytes.length !== pointSize) throw new Wrong("a point has another length");
  let element: Element;
  try {
    element = ristretto255.Point.fromBytes(bytes);
  } catch {
    throw new Wrong("these bytes are not the canonical encoding of a point");
  }
  return pointOf(element);
}

function pointOf(element: Element): Point {
  const bytes = encode(element);
  if (bytes.every((b) => b === 0)) throw new Wrong("the identity is not accepted as a point");
  return { bytes, element };
}

const littleEndian = (b: Uint8Array) => b.reduceRight((n, x) => (n << 8n) | BigInt(x), 0n);

function scalarBytes(n: bigint): Bytes {
  const out = new Uint8Array(scalarSize);
  for (let i = 0; i < scalarSize; i++, n >>= 8n) out[i] = Number(n & 255n);
  return out;
}

/** parseScalar refuses numbers that are not reduced, and zero. */
export function parseScalar(b: Bytes): bigint {
  const n = b.length === scalarSize ? littleEndian(b) : order;
  if (n >= order || n === 0n) throw new Wrong("these bytes are not the canonical encoding of a scalar");
  return n;
}

/** parseProof takes challenge and response apart, which may be zero. */
export function parseProof(b: Bytes): [bigint, bigint] {
  if (b.length !== proofSize) throw new Wrong("a proof has another length");
  const c = littleEndian(b.subarray(0, scalarSize)), f = littleEndian(b.subarray(scalarSize));
  if (c >= order || f >= order) throw new Wrong("a proof's scalars are not canonical");
  return [c, f];
}

export const keyID = (y: Point) => der.sha256(y.bytes);
export const publicOf = (x: bigint) => pointOf(base.multiply(x));

/** publicShare is Σ iᵏ·C_k, the public share of agent i. */
export function publicShare(commitments: Point[], agent: number): Point {
  let sum = ristretto255.Point.ZERO;
  for (const c of [...commitments].reverse()) sum = sum.multiplyUnsafe(BigInt(agent)).add(c.element);
  return pointOf(sum);
}

/** verifyCiphertext checks that a pair belongs to what is bound, and was made by someone who knew its logarithm. */
export function verifyCiphertext(y: Point, r: Point, r2: Point, binding: Bytes, proof: Bytes): void {
  const [c, f] = parseProof(proof);
  const w = base.multiplyUnsafe(f).subtract(r.element.multiplyUnsafe(c));
  const w2 = secondGenerator().multiplyUnsafe(f).subtract(r2.element.multiplyUnsafe(c));
  const input = der.join(y.bytes, r.bytes, r2.bytes, encode(w), encode(w2), binding);
  if (hashToScalar(input, ascii(labels.seal)) !== c) throw new Wrong("the proof of this ciphertext does not hold");
}

/** Context is what a batch of partial decryptions is for. */
export interface Context { case: Bytes; epoch: number; agent: number; key: Point }

const u16 = (n: number) => new Uint8Array([n >> 8, n & 255]);
const u32 = (n: number) => new Uint8Array([n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
const counted = (b: Uint8Array) => der.join(u16(b.length), b);

/** transcript binds everything, so that nobody can choose errors that cancel. */
export const transcript = (own: Point, x: Context, rs: Point[], ds: Point[]): Promise<Bytes> =>
  der.sha256(der.join(ascii(labels.partials + "\0"), x.case, u32(x.epoch), u16(x.agent), x.key.bytes, own.bytes, u32(rs.length), ...rs.map((p) => p.bytes), ...ds.map((p) => p.bytes)));

interface Batch { tag: Bytes; m: Element; v: Element }

async function batchOf(own: Point, x: Context, rs: Point[], ds: Point[]): Promise<Batch> {
  if (rs.length === 0 || rs.length > maxBatch || rs.length !== ds.length || x.agent < 1 || x.agent > 65535) throw new Wrong("a batch has one partial decryption for each ciphertext");
  const tag = der.join(ascii(labels.partials + "\0"), await transcript(own, x, rs, ds));
  const seed = await der.sha256(der.join(counted(own.bytes), counted(der.join(ascii("Seed-"), tag))));
  let m = ristretto255.Point.ZERO, v = ristretto255.Point.ZERO;
  for (const [j, r] of rs.entries()) {
    const d = hashToScalar(der.join(counted(seed), u16(j), counted(r.bytes), counted(ds[j]!.bytes), ascii("Composite")), der.join(ascii("HashToScalar-"), tag));
    m = m.add(r.element.multiplyUnsafe(d));
    v = v.add(ds[j]!.element.multiplyUnsafe(d));
  }
  return { tag, m, v };
}

const challenge = (own: Point, b: Batch, w: Element, w2: Element) =>
  hashToScalar(der.join(...[encode(base), own.bytes, encode(b.m), encode(b.v), encode(w), encode(w2)].map(counted), ascii("Challenge")), der.join(ascii("HashToScalar-"), b.tag));

/** verifyPartials checks an agent's partial decryptions against its public share of the roster. */
export async function verifyPartials(own: Point, x: Context, rs: Point[], ds: Point[], proof: Bytes): Promise<void> {
  const [c, s] = parseProof(proof);
  const b = await batchOf(own, x, rs, ds);
  const w = base.multiplyUnsafe(s).add(own.element.multiplyUnsafe(c)), w2 = b.m.multiplyUnsafe(s).add(b.v.multiplyUnsafe(c));
  if (challenge(own, b, w, w2) !== c) throw new Wrong("the partial decryptions are wrong, or belong to another case");
}

/** decrypt returns the partial decryptions x·R. Whoever calls it has verified every ciphertext's proof: there is no way back. */
export const decrypt = (share: bigint, rs: Point[]): Point[] => rs.map((r) => pointOf(r.element.multiply(share)));

/** provePartials proves that all ds are share·rs. The nonce is for test vectors alone: one used twice reveals the share. */
export async function provePartials(share: bigint, x: Context, rs: Point[], ds: Point[], nonce?: bigint): Promise<Bytes> {
  const own = publicOf(share), b = await batchOf(own, x, rs, ds);
  const w = nonce ?? nonceOf(share, await transcript(own, x, rs, ds));
  const c = challenge(own, b, base.multiply(w), b.m.is0() ? b.m : b.m.multiply(w));
  return der.join(scalarBytes(c), scalarBytes(mod(w - c * share)));
}

/** nonceOf depends on the secret, the statement and on fresh randomness: it repeats for no two statements, whatever the browser's generator does. */
function nonceOf(secret: bigint, statement: Bytes): bigint {
  const input = der.join(scalarBytes(secret), statement, der.random(64));
  const w = hashToScalar(input, ascii(labels.nonce));
  input.fill(0);
  if (w === 0n) throw new Wrong("a nonce is zero");
  return w;
}

/** lagrange returns the coefficients that make the shares of these agents one secret. */
export function lagrange(agents: number[]): bigint[] {
  if (new Set(agents).size !== agents.length || agents.some((a) => a < 1 || a > 65535)) throw new Wrong("an agent is there twice");
  return agents.map((i) => {
    let above = 1n, below = 1n;
    for (const k of agents) {
      if (k === i) continue;
      above = mod(above * BigInt(k));
      below = mod(below * BigInt(k - i));
    }
    return mod(above * ristretto255.Point.Fn.inv(below));
  });
}

/** combine makes the shared point of a ciphertext of partial decryptions that were verified, in the order of the coefficients. */
export function combine(lambdas: bigint[], ds: Point[]): Point {
  if (lambdas.length !== ds.length) throw new Wrong("not as many partial decryptions as agents");
  return pointOf(ds.reduce((sum, d, i) => sum.add(d.element.multiply(lambdas[i]!)), ristretto255.Point.ZERO));
}

/** deriveKey returns the key encryption key of one ciphertext: 32 bytes, which the caller erases. */
export async function deriveKey(z: Point, r: Point, y: Point, info: Bytes): Promise<Bytes> {
  const secret = await crypto.subtle.importKey("raw", z.bytes, "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: der.join(r.bytes, y.bytes), info: der.join(ascii(labels.key + "\0"), info) };
  return new Uint8Array(await crypto.subtle.deriveBits(how, secret, 256));
}
