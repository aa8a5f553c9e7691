// Package foreign brings private encryption keys that were kept elsewhere into the archive: it reads a folder or ZIP archive
// of PKCS #12 files and of key recovery blobs of Windows' certificate authority, checks every key against its certificate,
// asks the server whose it is, and sends it sealed to the archive's exchange certificate. It runs on a registrar's machine.
//
// It owns the formats in which keys come, what is taken of them, and the report. It does not decide whose a key is or
// whether it may be archived: the server does. It writes no file, and nothing that it reads is written anywhere.
//
// # Plaintext
//
// Keys are in memory from the reading of their file until their batch (api.MaxImportDrafts keys) was sent, and their
// encodings are erased then. What the standard library makes of them (numbers of keys, passwords as strings) is not under
// our control, and is gone when the process ends.
//
// # Limits
//
// Everything read is bounded by the constants below, also what a ZIP archive unpacks to. A file beyond a limit is reported,
// and the rest is taken.
package foreign

import "github.com/sealpost/sealpost/internal/fault"

// Limits of what is read.
const (
	MaxFiles       = 20_000    // in a folder or archive
	MaxFile        = 4 << 20   // bytes of one file
	MaxTotal       = 1 << 30   // bytes of all files
	MaxZIP         = 512 << 20 // bytes of a ZIP archive
	MaxDepth       = 8         // folders within one another
	MaxKeysPerFile = 1000
	MaxList        = 8 << 20 // bytes of a password list
	maxCertificate = 256 << 10
)

// Faults of single files and keys, and of the whole. The server's own come as it words them.
var (
	ErrSource      = fault.New(fault.Malformed, "import-source", "This is no folder, ZIP archive or file that keys can be read from.")
	ErrList        = fault.New(fault.Malformed, "import-list", "The password list cannot be read.")
	ErrFile        = fault.New(fault.Malformed, "import-file", "The file cannot be read.")
	ErrTooLarge    = fault.New(fault.Malformed, "import-too-large", "The file is larger than what is read.")
	ErrFormat      = fault.New(fault.Malformed, "import-format", "The file is none that keys are taken from.")
	ErrPassword    = fault.New(fault.Denied, "import-password", "There is no password for this file.")
	ErrNoKey       = fault.New(fault.Malformed, "import-no-key", "There is no private key in the file.")
	ErrCertificate = fault.New(fault.Malformed, "import-no-certificate", "There is no certificate for this key, neither in its file nor among the other files.")
	ErrUse         = fault.New(fault.Denied, "import-signing-key", "The certificate is for signing. A key that signs is never archived.")
	ErrBlob        = fault.New(fault.Malformed, "import-recovery-blob", "The file is no key recovery blob that can be read.")
	ErrAgent       = fault.New(fault.Denied, "import-recovery-agent", "None of the recovery agents' keys that were given opens this file.")
	ErrAnswer      = fault.New(fault.Malformed, "import-answer", "The server's answer does not fit what was asked.")
	ErrStopped     = fault.New(fault.Unavailable, "import-stopped", "The import was stopped before its end. Run it again: what was archived is not sent twice.")
)
