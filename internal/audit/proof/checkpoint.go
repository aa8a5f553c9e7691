package proof

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/fault"
)

// MaxNote is the size of the largest signed checkpoint that is read, in bytes: room for a hundred witnesses.
const MaxNote = 32 << 10

// Faults of what is read here.
var (
	ErrMalformed = fault.New(fault.Malformed, "audit-proof-malformed", "This is not a checkpoint or proof of an audit log.")
	ErrSignature = fault.New(fault.Malformed, "audit-checkpoint-signature",
		"This checkpoint is not signed by a known key of the audit log.")
	ErrFalse = fault.New(fault.Conflict, "audit-proof-false",
		"The proof does not hold: the audit log shows different contents to different readers, or was rewritten.")
)

// Checkpoint is the state of a log: how many events it has, and the hash that stands for them all.
type Checkpoint struct {
	Origin string // the log's name
	Size   int64
	Root   tlog.Hash
}

// Text returns the checkpoint as it is signed.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign returns the checkpoint as a note that each signer has signed.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	if err := CheckName(c.Origin); err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// Open parses a signed checkpoint and checks that the log itself signed it: at least one signature must be by a known
// verifier that bears the name of the log, and none of a known verifier may be wrong. Signatures by others are ignored.
func Open(msg []byte, known note.Verifiers) (Checkpoint, error) {
	if len(msg) > MaxNote {
		return Checkpoint{}, ErrMalformed.Withf("A checkpoint of %d bytes is too large.", len(msg))
	}
	n, err := note.Open(msg, known)
	if e, ok := err.(*note.UnverifiedNoteError); ok {
		if _, err := parseText(e.Note.Text); err != nil {
			return Checkpoint{}, err
		}
		return Checkpoint{}, ErrSignature
	}
	if _, ok := err.(*note.InvalidSignatureError); ok {
		return Checkpoint{}, ErrSignature.Because(err)
	}
	if err != nil {
		return Checkpoint{}, ErrMalformed.Because(err)
	}
	c, err := parseText(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if !slices.ContainsFunc(n.Sigs, func(s note.Signature) bool { return s.Name == c.Origin }) {
		return Checkpoint{}, ErrSignature.Withf("The audit log %s did not sign this checkpoint itself.", c.Origin)
	}
	return c, nil
}

// parseText parses what a checkpoint's signatures cover. Extension lines are allowed, and ignored, as the format says.
func parseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || slices.Contains(lines[:len(lines)-1], "") || lines[len(lines)-1] != "" {
		return Checkpoint{}, ErrMalformed
	}
	size, err := parseNumber(lines[1])
	if err != nil || CheckName(lines[0]) != nil {
		return Checkpoint{}, ErrMalformed
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, ErrMalformed
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// CheckName says what is wrong with the name of a log: it is one word, without "+", such as "pki.example.test/audit".
func CheckName(name string) error {
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' || r == unicode.ReplacementChar
	}
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return fault.New(fault.Malformed, "audit-log-name",
			fmt.Sprintf("The audit log's name %q must be one word of at most 255 bytes, without +, such as pki.example.test/audit.", name))
	}
	return nil
}

// parseNumber parses a decimal that is written in the only way there is.
func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, ErrMalformed
	}
	return n, nil
}

func parseHash(s string) (tlog.Hash, error) {
	var h tlog.Hash
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || base64.StdEncoding.EncodeToString(b) != s {
		return tlog.Hash{}, ErrMalformed
	}
	copy(h[:], b)
	return h, nil
}
