package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/config"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pg"
)

// Wrapping is the configuration's wrapping keys beside those that the archive's records need. It can be had of an
// installation that does not start.
type Wrapping struct {
	Files  []WrappingFile // as the configuration lists them: new records use the first
	Needed []archive.WrappingUse
}

// WrappingFile is a file that the configuration names.
type WrappingFile struct {
	Path string
	Key  *record.WrappingKey // nil if the file is not there or does not open
	Err  error               // why
}

// OpenWrapping opens what can be opened and asks the archive what it needs.
func OpenWrapping(ctx context.Context, c *config.Config, u keys.Unlock, db *pg.DB) (*Wrapping, error) {
	w := &Wrapping{}
	for _, f := range c.Archive.WrappingKeys {
		path := c.Path(f)
		k, err := setup.OpenServersWrappingKey(path, u)
		w.Files = append(w.Files, WrappingFile{Path: path, Key: k, Err: err})
	}
	var err error
	w.Needed, err = archive.WrappingInUse(ctx, db)
	return w, err
}

// Holds returns the file that holds the key of an id, or "".
func (w *Wrapping) Holds(id record.Hash) string {
	for _, f := range w.Files {
		if f.Key != nil && f.Key.ID() == id {
			return f.Path
		}
	}
	return ""
}

// Missing returns the keys that records need and no file holds.
func (w *Wrapping) Missing() []archive.WrappingUse {
	var out []archive.WrappingUse
	for _, n := range w.Needed {
		if w.Holds(n.Key) == "" {
			out = append(out, n)
		}
	}
	return out
}

// RecordsOf returns how many records need a key.
func (w *Wrapping) RecordsOf(id record.Hash) int64 {
	for _, n := range w.Needed {
		if n.Key == id {
			return n.Records
		}
	}
	return 0
}

// Check returns everything that is wrong, joined.
func (w *Wrapping) Check() error {
	var errs []error
	for i, f := range w.Files {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("archive.wrapping_keys[%d]: %w", i, f.Err))
		}
	}
	for _, m := range w.Missing() {
		errs = append(errs, archive.ErrWrappingMissing.Withf("%d records need the wrapping key %s, and no configured file holds it. Put it back: sealpost wrapping restore --backup FILE",
			m.Records, m.Key))
	}
	return errors.Join(errs...)
}

// Place decides where a key from a backup belongs: to, or the one configured file that is not there. It refuses a key that
// is there already, and another than the one that is missing.
func (w *Wrapping) Place(key *record.WrappingKey, to string) (string, error) {
	id := key.ID()
	if f := w.Holds(id); f != "" {
		return "", fmt.Errorf("%s holds this key already; nothing was done", f)
	}
	missing := w.Missing()
	if len(missing) > 0 && !slices.ContainsFunc(missing, func(m archive.WrappingUse) bool { return m.Key == id }) {
		return "", fmt.Errorf("this is the backup of the wrapping key %s, and the archive's records need %s; nothing was done", id, ids(missing))
	}
	if to == "" {
		var err error
		if to, err = w.absent(id); err != nil {
			return "", err
		}
	}
	if m := rotated.FindStringSubmatch(filepath.Base(to)); m != nil && m[1] != setup.ShortID(id) {
		return "", fmt.Errorf("this is the backup of the wrapping key %s, which is not the one that belongs into %s; nothing was done", id, to)
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there, and nothing is ever replaced; move it aside first", to)
	}
	return to, nil
}

// rotated is how RotateWrappingKey names its files.
var rotated = regexp.MustCompile(`^wrapping-([0-9a-f]{8})\.key$`)

// absent returns the configured file that is not there and where the key may belong.
func (w *Wrapping) absent(id record.Hash) (string, error) {
	var absent []string
	for _, f := range w.Files {
		if _, err := os.Lstat(f.Path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if filepath.Base(f.Path) == "wrapping-"+setup.ShortID(id)+".key" {
			return f.Path, nil
		}
		absent = append(absent, f.Path)
	}
	switch len(absent) {
	case 1:
		return absent[0], nil
	case 0:
		for _, f := range w.Files {
			if f.Err != nil {
				return "", fmt.Errorf("%s is there and does not open, and nothing is ever replaced; move it aside first", f.Path)
			}
		}
		return "", errors.New("every file that archive.wrapping_keys names is there; say with --to where this key belongs, and name it there")
	}
	return "", fmt.Errorf("several files are not there: say with --to which of them this key belongs into: %s", strings.Join(absent, ", "))
}

func ids(uses []archive.WrappingUse) string {
	var out []string
	for _, u := range uses {
		out = append(out, u.Key.String())
	}
	return strings.Join(out, " and ")
}
