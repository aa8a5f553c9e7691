package proof

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxHashes is the depth of the deepest tree that int64 can number, with one to spare for consistency proofs.
const maxHashes = 64

// LeafHash returns the hash by which the log knows an event, from the event's body.
func LeafHash(body []byte) tlog.Hash { return tlog.RecordHash(body) }

// Inclusion proves that an event is in the log. As text, and so in JSON, it has the form of c2sp.org/tlog-proof.
type Inclusion struct {
	Index      int64            // of the event, from 0
	Hashes     tlog.RecordProof // from the leaf's sibling up
	Checkpoint []byte           // signed
}

// Check checks that the event whose hash is leaf is in the log that known verifies, and returns the checkpoint that says
// so. It returns ErrMalformed, ErrSignature or ErrFalse.
func (p Inclusion) Check(leaf tlog.Hash, known note.Verifiers) (Checkpoint, error) {
	c, err := Open(p.Checkpoint, known)
	if err != nil {
		return Checkpoint{}, err
	}
	if p.Index < 0 || p.Index >= c.Size {
		return Checkpoint{}, ErrFalse
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, leaf); err != nil {
		return Checkpoint{}, ErrFalse.Because(err)
	}
	return c, nil
}

const inclusionHeader = "c2sp.org/tlog-proof@v1"

// MarshalText returns the proof as the content of a .tlog-proof file.
func (p Inclusion) MarshalText() ([]byte, error) {
	return formatProof(fmt.Sprintf("%s\nindex %d\n", inclusionHeader, p.Index), p.Hashes, p.Checkpoint), nil
}

// UnmarshalText parses a .tlog-proof file. It checks nothing but the form, and ignores extra data.
func (p *Inclusion) UnmarshalText(text []byte) error {
	lines, checkpoint, err := splitProof(text)
	if err != nil {
		return err
	}
	if lines[0] != inclusionHeader {
		return ErrMalformed
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, hashes, err := parseProof(lines, "index ")
	if err != nil {
		return err
	}
	*p = Inclusion{Index: index, Hashes: hashes, Checkpoint: checkpoint}
	return nil
}

// formatProof appends to head the hashes, one a line, and after an empty line the checkpoint.
func formatProof(head string, hashes []tlog.Hash, checkpoint []byte) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, h := range hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.Write(checkpoint)
	return b.Bytes()
}

// splitProof returns the lines, at least one, before the first empty line, and the checkpoint after it.
func splitProof(text []byte) (lines []string, checkpoint []byte, err error) {
	if len(text) > 2*MaxNote {
		return nil, nil, ErrMalformed.Withf("A proof of %d bytes is too large.", len(text))
	}
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return nil, nil, ErrMalformed
	}
	return strings.Split(string(head), "\n"), bytes.Clone(checkpoint), nil
}

// parseProof parses a line of a word and a number, and the hashes on the lines after it.
func parseProof(lines []string, word string) (int64, []tlog.Hash, error) {
	if len(lines) == 0 || len(lines) > 1+maxHashes {
		return 0, nil, ErrMalformed
	}
	digits, ok := strings.CutPrefix(lines[0], word)
	if !ok {
		return 0, nil, ErrMalformed
	}
	number, err := parseNumber(digits)
	if err != nil {
		return 0, nil, err
	}
	var hashes []tlog.Hash
	for _, l := range lines[1:] {
		h, err := parseHash(l)
		if err != nil {
			return 0, nil, err
		}
		hashes = append(hashes, h)
	}
	return number, hashes, nil
}
