// How good a passphrase is, as far as one can say without a dictionary: a floor under it, and a word for the person. The file
// can be tried out at leisure by whoever gets hold of it; 600,000 iterations make each try dear.

export const shortest = 10; // characters

const common = ["password", "passwort", "passphrase", "qwert", "asdf", "welcome", "willkommen", "letmein", "hallo", "geheim", "secret", "iloveyou", "admin", "12345", "abc", "sommer", "winter", "summer"];

/** bits estimates how many bits a guesser needs. What is known of the person, repeated, or in a row counts for little. */
export function bits(passphrase: string, known: string[]): number {
  let rest = passphrase.toLowerCase();
  let out = 0;
  for (const word of [...common, ...known.flatMap((k) => k.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter((k) => k.length > 2)]) {
    while (rest.includes(word)) {
      rest = rest.replace(word, "\u0000");
      out += 4;
    }
  }
  const has = (r: RegExp) => r.test(passphrase);
  const pool = (has(/\p{Ll}|\p{Lo}/u) ? 26 : 0) + (has(/\p{Lu}/u) ? 26 : 0) + (has(/\d/) ? 10 : 0) + (has(/[^\p{L}\d]/u) ? 20 : 0);
  const seen = new Set<string>();
  let before = 0;
  for (const c of rest.replaceAll("\u0000", "")) {
    const code = c.codePointAt(0)!;
    const inRow = Math.abs(code - before) <= 1;
    out += inRow ? 0.5 : seen.has(c) ? 0.7 * Math.log2(pool) : Math.log2(pool);
    seen.add(c);
    before = code;
  }
  return out;
}

export type Strength = "short" | "weak" | "fair" | "good" | "strong";

export function strength(passphrase: string, known: string[]): Strength {
  if ([...passphrase].length < shortest) return "short";
  const n = bits(passphrase, known);
  return n < 40 ? "weak" : n < 55 ? "fair" : n < 75 ? "good" : "strong";
}

/** suggest returns a random one, in groups that are easily typed, without 0, 1, 8 and 9: of 80 bits, 20 for each group. */
export function suggest(groups = 4): string {
  const letters = "abcdefghijklmnopqrstuvwxyz234567";
  const all = Array.from(crypto.getRandomValues(new Uint8Array(4 * groups)), (b) => letters[b % 32]).join("");
  return all.match(/.{4}/g)!.join("-");
}
