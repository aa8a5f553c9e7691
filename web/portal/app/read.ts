// Messages and files are taken apart by asn1js. Here is what says which element has to come next, so that nothing that is not
// understood is passed over.
import * as asn1js from "asn1js";
import { Wrong } from "./certificate";
import * as der from "./der";
import { Bytes } from "./der";

/** Element is one element as it stands in the input, which it points into: who clears the input clears it. */
export class Element {
  constructor(private readonly block: asn1js.BaseBlock) {}

  get bytes(): Bytes {
    return this.block.valueBeforeDecodeView as Bytes;
  }

  /** value is the contents of a primitive element; of one in pieces (BER), a copy with the pieces joined. */
  get value(): Bytes {
    const b = this.bytes;
    if ((b[0]! & 0x20) !== 0) return der.join(...this.inside.map((e) => e.value));
    return b.subarray(b[1]! < 0x80 ? 2 : 2 + (b[1]! & 0x7f));
  }

  private get inside(): Element[] {
    return ((this.block.valueBlock as { value?: asn1js.BaseBlock[] }).value ?? []).filter((e) => !(e instanceof asn1js.EndOfContent)).map((e) => new Element(e));
  }

  /** open returns what is inside a constructed element. */
  open(): Reader {
    if ((this.bytes[0]! & 0x20) === 0) throw new Wrong("an element has nothing inside");
    return new Reader(this.inside);
  }

  get oid(): string {
    if (!(this.block instanceof asn1js.ObjectIdentifier)) throw new Wrong("an identifier is missing");
    return this.block.valueBlock.toString();
  }

  /** small returns an INTEGER from 0 to 2^31. */
  get small(): number {
    const b = this.value;
    if (b.length === 0 || b.length > 4 || b[0]! > 127) throw new Wrong("a number is too large");
    return b.reduce((n, x) => 256 * n + x, 0);
  }

  /** as returns the element under another tag: attributes travel under a context tag but are signed as a SET OF (RFC 5652, 5.4). */
  as(tag: number): Bytes {
    const out = this.bytes.slice();
    out[0] = tag;
    return out;
  }
}

/** Reader goes through elements one by one. Tags are as the first byte has them. */
export class Reader {
  private at = 0;
  constructor(private readonly elements: Element[]) {}

  get more(): boolean {
    return this.at < this.elements.length;
  }

  is(...tags: number[]): boolean {
    return this.more && tags.includes(this.elements[this.at]!.bytes[0]!);
  }

  /** next is the next element, which has one of the tags. */
  next(...tags: number[]): Element {
    if (!this.is(...tags)) throw new Wrong("an element is missing or another one than expected");
    return this.elements[this.at++]!;
  }

  maybe(...tags: number[]): Element | undefined {
    return this.is(...tags) ? this.next(...tags) : undefined;
  }

  end(): void {
    if (this.more) throw new Wrong("there is more than expected");
  }

  /** each goes through all that is left. */
  each<T>(tag: number, read: (e: Element) => T): T[] {
    const out: T[] = [];
    while (this.more) out.push(read(this.next(tag)));
    return out;
  }
}

/** read takes one element apart that is all of the input. */
export function read(b: Bytes, tag: number, limit = 1 << 20): Reader {
  if (b.length > limit) throw new Wrong("it is too large");
  const { offset, result } = asn1js.fromBER(b, { maxDepth: 32, maxNodes: 100_000, maxContentLength: limit, parseEmbedded: false });
  if (offset !== b.length || b[0] !== tag) throw new Wrong("it cannot be read");
  return new Element(result).open();
}

/** contentInfo opens a CMS message of one of the types (RFC 5652, 3). */
export function contentInfo(b: Bytes, ...types: string[]): { type: string; body: Reader } {
  const info = read(b, 0x30);
  const type = info.next(0x06).oid;
  const content = info.next(0xa0).open();
  info.end();
  if (!types.includes(type)) throw new Wrong("it is a message of another kind");
  const body = content.next(0x30).open();
  content.end();
  return { type, body };
}

export interface Algorithm {
  id: string;
  parameters?: Element;
}

export function algorithm(e: Element): Algorithm {
  const r = e.open();
  const out: Algorithm = { id: r.next(0x06).oid };
  if (r.more) out.parameters = r.next(0x02, 0x04, 0x05, 0x06, 0x30);
  r.end();
  return out;
}

/** plain says that an algorithm has no parameters, or NULL, which RFC 5754 tells readers to treat alike. */
export const plain = (a: Algorithm) => !a.parameters || der.equal(a.parameters.bytes, der.nothing);

/** attributes reads a SET OF Attribute; each is there once, with one value. */
export function attributes(set: Reader): Map<string, Element> {
  const out = new Map<string, Element>();
  set.each(0x30, (e) => {
    const r = e.open();
    const id = r.next(0x06).oid;
    const values = r.next(0x31).open();
    r.end();
    if (out.has(id)) throw new Wrong("an attribute is there twice");
    out.set(id, values.next(0x02, 0x04, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x1e, 0x30));
    values.end();
  });
  return out;
}
