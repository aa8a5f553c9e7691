// Package ca is the certificate authority itself: issuers, profiles, the linting and signing of certificates, serials,
// and their revocation. Its main type is Authority.
//
// A certificate comes about in two steps. Prepare builds the bytes that are to be signed, lints them, and stores them
// with their serial, their digest and the claim on the key, in one transaction. Sign loads those bytes and lets the
// issuer's key sign their stored digest and nothing else, and stores the certificate, again in one transaction for all
// of a pair. A crash in between leaves a serial that is known: it is either signed within ten minutes, from the stored
// bytes, or abandoned, and an abandoned serial counts as revoked. docs/issuance-cycle.md walks through every point.
//
// It owns the schema ca. It does not own who may have which certificate: names, mail addresses and permission come
// from package enroll, which asks the directory. It does not build revocation lists (package crl) or OCSP answers
// (package ocsp), but tells both from one table what is revoked, and lets crl sign with an issuer's key. It never sees
// a private key of anybody but its issuers.
//
// Names inside a certificate request are never used; ParseCSR returns them for comparison alone.
package ca
