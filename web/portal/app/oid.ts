// Object identifiers that more than one file uses; the names are those of package cms of the Go sources.
export const data = "1.2.840.113549.1.7.1";
export const signedData = "1.2.840.113549.1.7.2";
export const envelopedData = "1.2.840.113549.1.7.3";
export const encryptedData = "1.2.840.113549.1.7.6";
export const authEnvelopedData = "1.2.840.113549.1.9.16.1.23";
export const encKeyWithID = "1.2.840.113549.1.9.16.1.21";

export const contentType = "1.2.840.113549.1.9.3";
export const messageDigest = "1.2.840.113549.1.9.4";
export const signingTime = "1.2.840.113549.1.9.5";

export const rsa = "1.2.840.113549.1.1.1";
export const oaep = "1.2.840.113549.1.1.7";
export const mgf1 = "1.2.840.113549.1.1.8";
export const ec = "1.2.840.10045.2.1";

/** digests that are accepted, by identifier; SHA-1 is not. */
export const digests: Record<string, string> = {
  "2.16.840.1.101.3.4.2.1": "SHA-256",
  "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};

/** Curve has what goes with it: the hash, and the identifiers of the digest, of ECDSA with it, and of the agreement of keys (RFC 5753, 7.1.4). */
export interface Curve { name: string; size: number; hash: string; digest: string; ecdsa: string; agreement: string }

export const curves: Record<string, Curve> = {
  "1.2.840.10045.3.1.7": { name: "P-256", size: 32, hash: "SHA-256", digest: "2.16.840.1.101.3.4.2.1", ecdsa: "1.2.840.10045.4.3.2", agreement: "1.3.132.1.11.1" },
  "1.3.132.0.34": { name: "P-384", size: 48, hash: "SHA-384", digest: "2.16.840.1.101.3.4.2.2", ecdsa: "1.2.840.10045.4.3.3", agreement: "1.3.132.1.11.2" },
  "1.3.132.0.35": { name: "P-521", size: 66, hash: "SHA-512", digest: "2.16.840.1.101.3.4.2.3", ecdsa: "1.2.840.10045.4.3.4", agreement: "1.3.132.1.11.3" },
};
