package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/keys"
)

// WrappingLabel is what wrapping keys are sealed as, on the server and in a backup.
const WrappingLabel = "archive wrapping key"

// BackupPassphrase returns where the passphrase of a backup is written when it is made.
func BackupPassphrase(backup string) string { return backup + ".passphrase" }

// MakeWrappingKey makes a wrapping key in a file, and before it its offline backup: the same seed under a passphrase of
// its own, because a backup that the server's passphrase opens is lost with it. Both are opened once more before it returns.
// It writes all or nothing, and never over anything.
func MakeWrappingKey(file, backup string, u keys.Unlock) (*record.WrappingKey, error) {
	key, err := record.GenerateWrappingKey()
	if err != nil {
		return nil, err
	}
	return key, keepWrappingKey(key, file, backup, u)
}

// RotateWrappingKey makes a further wrapping key in a folder. The files bear the beginning of its id. It returns their paths.
func RotateWrappingKey(dir, backupDir string, u keys.Unlock) (key *record.WrappingKey, file, backup string, err error) {
	if key, err = record.GenerateWrappingKey(); err != nil {
		return nil, "", "", err
	}
	name := "wrapping-" + ShortID(key.ID())
	file, backup = filepath.Join(dir, name+".key"), filepath.Join(backupDir, name+".backup")
	return key, file, backup, keepWrappingKey(key, file, backup, u)
}

// ShortID is how file names and people call a wrapping key: the first eight digits of its id.
func ShortID(id record.Hash) string { return id.String()[:8] }

func keepWrappingKey(key *record.WrappingKey, file, backup string, u keys.Unlock) (err error) {
	p := NewPassphrase()
	defer clear(p)
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, f := range made {
			err = errors.Join(err, os.Remove(f))
		}
	}()
	steps := []struct {
		path  string
		write func(path string) error
	}{
		{backup, func(path string) error { return WriteWrappingKey(path, key, p) }},
		{BackupPassphrase(backup), func(path string) error { return writeNew(path, append(slices.Clone(p), '\n'), 0o600) }},
		{file, func(path string) error { return WriteWrappingKey(path, key, u) }},
	}
	for _, s := range steps {
		if err := s.write(s.path); err != nil {
			return err
		}
		made = append(made, s.path)
	}
	written, err := keys.ReadPassphrase(BackupPassphrase(backup))
	if err != nil {
		return err
	}
	defer clear(written)
	return errors.Join(holds(backup, written, key.ID()), holds(file, u, key.ID()))
}

// holds returns an error unless a file opens and holds the key of that id.
func holds(path string, u keys.Unlock, id record.Hash) error {
	k, err := OpenWrappingKey(path, u)
	if err == nil && k.ID() != id {
		err = fmt.Errorf("%s holds another key than was written", path)
	}
	return err
}

// WriteWrappingKey seals a key into a new file. It never replaces one.
func WriteWrappingKey(path string, key *record.WrappingKey, u keys.Unlock) error {
	seed, err := key.Seed()
	if err != nil {
		return err
	}
	defer clear(seed)
	return keys.WriteSecret(path, seed, WrappingLabel, u)
}

// OpenWrappingKey opens a file with a sealed wrapping key: a server's, or a backup.
func OpenWrappingKey(path string, u keys.Unlock) (*record.WrappingKey, error) {
	seed, err := keys.ReadSecret(path, WrappingLabel, u)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	return record.NewWrappingKey(seed)
}

// OpenServersWrappingKey is OpenWrappingKey for a file that the configuration names. What it returns says what to do.
func OpenServersWrappingKey(path string, u keys.Unlock) (*record.WrappingKey, error) {
	k, err := OpenWrappingKey(path, u)
	const remedy = "put the key back from its offline backup: sealpost wrapping restore --backup FILE"
	if _, gone := os.Lstat(path); errors.Is(gone, fs.ErrNotExist) {
		return nil, keys.ErrMissing.Withf("There is no wrapping key %s. If it is lost, %s", path, remedy)
	}
	for _, damaged := range []error{keys.ErrPassphrase, keys.ErrNotKey, record.ErrFormat} {
		if errors.Is(err, damaged) {
			return nil, keys.ErrNotKey.Withf("The wrapping key %s does not open with this server's passphrase. If it is damaged, move it aside and %s", path, remedy).Because(err)
		}
	}
	return k, err
}
