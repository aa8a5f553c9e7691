// The recovery officer's pages. For now the parts that they are made of, which the tests try out.
export { parse, rawOf } from "./certificate";
export { open } from "./open";
export { BadPassphrase, clear, decryption, open as openFile, signing } from "./pkcs12-read";
export { seal } from "./seal";
export { sign, verify } from "./signed";
