package agent

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"

	"github.com/sealpost/sealpost/agent/store"
)

// Databases are several of NSS, each folder once.
type Databases []store.NSS

// UnmarshalJSON reads a list, or one alone, as agents wrote it that knew no more.
func (d *Databases) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		var one store.NSS
		if err := decodeState(data, &one); err != nil {
			return err
		}
		*d = Databases{one}
		return nil
	}
	var list []store.NSS
	err := decodeState(data, &list)
	*d = list
	return err
}

var _ json.Unmarshaler = (*Databases)(nil)

// with returns the databases, those of other taking the place of ours of the same folder.
func (d Databases) with(other Databases) Databases {
	out := slices.Clone(d)
	for _, n := range other {
		if i := slices.IndexFunc(out, func(have store.NSS) bool { return filepath.Clean(have.Dir) == filepath.Clean(n.Dir) }); i >= 0 {
			out[i] = n
		} else {
			out = append(out, n)
		}
	}
	return out
}
