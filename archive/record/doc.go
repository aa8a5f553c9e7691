// Package record is every format of the key archive and what can be done with it without I/O: the record in which a key
// is kept, the roster of the agents who can open it and the ceremony that makes one, the case and the approvals by which
// it is opened, and the receipt for a deposit. Server, officer's tool, agent and browser share it and its test vectors.
//
// The bytes are described in docs/archive-format.md, completely enough to write another implementation from it. They are
// for ever: a change is a new version byte beside the old one, and the vectors in testdata never change.
//
// It owns encodings, hashes, signatures over them and the order of cryptographic steps. It does not own the mathematics
// (archive/threshold), CMS (cms), whom to trust: certificate chains, revocation and clocks are the caller's; nor the
// meaning of a PKCS#8 key: whether it matches its public key is checked by whoever deposits and whoever opens.
//
// # A record's life
//
// Seal makes a Record to the archive's key and the server's wrapping key. Its public part is the Capsule: what an agent
// sees, whose hash names the record in cases and receipts, and whose proof anybody can verify. UnwrapOuter takes the
// server's layer off and yields an InnerRecord, which goes to the recipient of a case and nowhere else. Rewrap moves a
// Record to another wrapping key; Capsule.Rekey to another archive key.
//
// # A case's life
//
// Case.Sign freezes it. An agent makes a Bundle of the capsules, which verifies all of them, and approves; the recipient
// gives approvals and sealed partials to an Opener, which names agents whose partials are wrong, and opens.
//
// Everything that is parsed is strict: unknown versions, trailing bytes, other orders and texts that could mislead a
// reader are refused, so that equal objects have equal bytes. Values returned by this package are not to be changed, and
// are then safe for concurrent use.
package record
