// For the tests, and for whoever wants to see what the page does: the parts without the page.
export * as cases from "./case";
export * as opener from "./opener";
export * as record from "./record";
export * as roster from "./roster";
export * as statement from "./statement";
export * as threshold from "./threshold";
export * as wire from "./wire";
export { parse, spkiOf } from "./certificate";
export { seal } from "./seal";
