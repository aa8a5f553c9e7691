// Package delivery is the side of a case that receives: it reads the case's folder, verifies what the agents answered and
// names those whose answer is wrong, opens the keys, checks each, and writes them as files that mail programs read.
//
// It owns the layout of a case's folder and of the files that are handed over. It does not own the formats in them
// (archive/record, pkcs12), who may open what (the server and the agents decide), where the recipient's key lies, nor
// whether certificates can be trusted: those that are delivered beside keys are checked against the keys, and no further.
//
// # A case's folder
//
// It lies on a shared drive or a stick, or a client fills it from the server. Everything in it is public or sealed:
//
//	case.bin              the signed case
//	roster.bin            the roster that it is put to
//	intermediates.pem     issuing certificates between the case's certificates and the root
//	capsules.bin          frames: the capsules of all records, in the order of the case; for agents
//	NN-agent.answer       one agent's approval or denial
//	NN-agent-N.sealed     or, for the recipient of delivery N alone, frames: one agent's approval, and what it sealed to that recipient
//	NN-agent.dispute      the recipient's word that this agent's answer is wrong
//	delivery-N.records    frames: the inner records of the N-th delivery (from 0), in the order of the case; for its recipient
//	certificates.pem      certificates of the keys and their issuers, as far as known
//
// A frame is a length (32 bits, big-endian) and that many bytes. A file of frames may be cut off, so that a download
// resumes: whole frames count.
//
// # Plaintext
//
// Opened keys are in this process's memory for as long as one person's are written, and go nowhere but into the files
// that were asked for, encrypted under a passphrase.
package delivery

import "github.com/sealpost/sealpost/internal/fault"

// Faults that this package returns, beside those of archive/record and internal/disk. Their details name the file.
var (
	ErrFolder       = fault.New(fault.Malformed, "case-folder", "The case's folder cannot be used.")
	ErrIncomplete   = fault.New(fault.Conflict, "case-incomplete", "Something of this case is still missing in its folder.")
	ErrRecipient    = fault.New(fault.Denied, "case-other-recipient", "This case is not for the recipient whose key is here.")
	ErrNotEnough    = fault.New(fault.Conflict, "case-agents-missing", "More agents must approve before the keys can be opened.")
	ErrKey          = fault.New(fault.Denied, "case-key-wrong", "A key that was opened is not the one that its record is for.")
	ErrCertificates = fault.New(fault.Malformed, "case-certificates", "This is not a file of certificates.")
	ErrOutput       = fault.New(fault.Conflict, "delivery-output", "The keys cannot be written here.")
)
