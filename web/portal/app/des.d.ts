// What of des.js is used here; it has no types of its own.
declare module "des.js" {
  interface Cipher { update(data: Uint8Array): number[]; final(): number[] }
  interface Options { type: "encrypt"; key: number[]; iv: number[] }
  const EDE: unknown;
  const CBC: { instantiate(base: unknown): { create(options: Options): Cipher } };
}
