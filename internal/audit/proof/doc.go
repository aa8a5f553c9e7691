// Package proof is what the audit log shows to those who do not trust its keeper: signed checkpoints, and proofs that
// an event is in the tree of a checkpoint or that one checkpoint's tree continues another's. It makes and parses them
// as text and checks them; it needs no database, so clients and officers' tools link it alone.
//
// The formats are those of the transparency community, so that other programs read them too: signed notes
// (c2sp.org/signed-note), checkpoints (c2sp.org/tlog-checkpoint), inclusion proofs (c2sp.org/tlog-proof), and for
// consistency the request of a witness (c2sp.org/tlog-witness). Hashes are those of RFC 6962.
package proof
