package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Consistency proves that a checkpoint's tree begins with that of an older one: nothing that was there has been changed
// or taken away. As text, and so in JSON, it has the form of the request to a witness in c2sp.org/tlog-witness.
type Consistency struct {
	OldSize    int64
	Hashes     tlog.TreeProof
	Checkpoint []byte // the newer one, signed
}

// Check checks that the log that known verifies, and that once showed old, still has all that old stands for. It returns
// the newer checkpoint, which the caller keeps in the place of old, or ErrMalformed, ErrSignature or ErrFalse.
func (p Consistency) Check(old Checkpoint, known note.Verifiers) (Checkpoint, error) {
	c, err := Open(p.Checkpoint, known)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != old.Origin || p.OldSize != old.Size || c.Size < old.Size || old.Size < 1 {
		return Checkpoint{}, ErrFalse
	}
	if err := tlog.CheckTree(p.Hashes, c.Size, c.Root, old.Size, old.Root); err != nil {
		return Checkpoint{}, ErrFalse.Because(err)
	}
	return c, nil
}

// MarshalText returns the proof as a request to a witness.
func (p Consistency) MarshalText() ([]byte, error) {
	return formatProof(fmt.Sprintf("old %d\n", p.OldSize), p.Hashes, p.Checkpoint), nil
}

// UnmarshalText parses what MarshalText returns. It checks nothing but the form.
func (p *Consistency) UnmarshalText(text []byte) error {
	lines, checkpoint, err := splitProof(text)
	if err != nil {
		return err
	}
	old, hashes, err := parseProof(lines, "old ")
	if err != nil {
		return err
	}
	*p = Consistency{OldSize: old, Hashes: hashes, Checkpoint: checkpoint}
	return nil
}
