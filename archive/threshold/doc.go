// Package threshold is the mathematics of the key archive and nothing else: threshold encryption whose ciphertexts
// anybody can check (TDH2 of Shoup and Gennaro, 1998) over ristretto255 (RFC 9496), and the sharing of its secret key
// among agents, by a dealer, by all of them together, or from one set of agents to the next.
//
// It owns points, scalars, proofs and polynomials, their canonical encodings and every check on them. It does not own
// files, names, certificates, symmetric encryption or what the bytes it binds mean: that is archive/record. It does no
// I/O and keeps no state.
//
// Notation, everywhere in this package and in docs/archive-format.md: G is the generator, G₂ a second generator of which
// nobody knows the logarithm, x the secret key, Y = x·G the archive's key, x_i and Y_i = x_i·G the share and the public
// share of agent i. Any T of the N agents can act, fewer learn nothing.
//
// # What is ours and what is circl's
//
// The group, hashing to it, share verification, Lagrange bases and the batched proofs of partial decryptions are
// cloudflare/circl. Ours are the glue and three things circl cannot give:
//
//   - The proof of a ciphertext is TDH2's own and not a circl dleq.Proof: it costs two multiplications to make instead of
//     four, so that a sealed record can be verified once more before its secret is forgotten.
//   - Polynomials are evaluated here, because circl's keep copies of the coefficients that nobody can erase, and its
//     secretsharing.New draws coefficients that no test vector can fix.
//   - The coefficients of a dleq batch depend, in circl, on each pair alone, so that a prover can choose errors that
//     cancel. We put the hash of the whole transcript into the domain separation tag, on which every coefficient depends.
//
// Other traps of circl that this package is built around: its t is our T−1; it ignores the reader it is given and draws
// from crypto/rand; its Lagrange basis is silently wrong for equal ids; its batch index wraps after 65,536 items; and it
// decodes the identity.
//
// Types here hold secrets where they say so. Secrets are erased by Wipe as far as Go allows: copies that circl makes on
// its stack are out of reach.
package threshold
