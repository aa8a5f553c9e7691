package kra

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// An officer's home:
//
//	lock                                held while a command is at work
//	signing.key, decryption.key         encrypted (PKCS #8), see internal/keys
//	signing.csr, decryption.csr         for the authority's operator
//	agent.pem, roots.pem                the card that came back, and the roots it was checked against
//	dealer.key                          on a dealing machine
//	ceremonies/HASH/plan.bin            a plan whose hash the officers have compared,
//	ceremonies/HASH/roots.pem           the roots it was checked against,
//	ceremonies/HASH/intermediates.pem   what lies between them and its certificates,
//	ceremonies/HASH/state.cms           and what this machine has said in it, sealed; state.bin on a dealing machine
const (
	lockFile       = "lock"
	signingKey     = "signing.key"
	decryptionKey  = "decryption.key"
	signingCSR     = "signing.csr"
	decryptionCSR  = "decryption.csr"
	cardFile       = "agent.pem"
	rootsFile      = "roots.pem"
	dealerKey      = "dealer.key"
	ceremonyFolder = "ceremonies"
	sealedState    = "state.cms"
	dealtState     = "state.bin"
)

type home struct{ dir string }

func (h home) path(name string) string { return filepath.Join(h.dir, filepath.FromSlash(name)) }

// check refuses a home that others may look into. One that does not exist is fine.
func (h home) check() error {
	info, err := os.Stat(h.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return ErrHome.Withf("The home %s cannot be read.", h.dir).Because(err)
	case !info.IsDir():
		return ErrHome.Withf("%s is not a folder.", h.dir)
	case info.Mode().Perm()&0o077 != 0:
		return ErrHome.Withf("The home %s is open to other users, and keys are kept in it. Close it: chmod 700 %s", h.dir, h.dir)
	}
	return nil
}

// make makes the home where it is missing.
func (h home) make() error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return ErrHome.Withf("The home %s cannot be made.", h.dir).Because(err)
	}
	return h.check()
}

// lock takes the home for this process. The kernel gives it back when the process ends, however it ends.
func (h home) lock() (unlock func() error, err error) {
	f, err := os.OpenFile(h.path(lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKeys.Withf("There is no home %s. Begin with: sealpost-kra keygen", h.dir)
	}
	if err != nil {
		return nil, ErrDisk.Withf("The home %s cannot be locked.", h.dir).Because(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(ErrBusy.Withf("Another sealpost-kra is at work in %s. Wait until it has ended.", h.dir), f.Close())
		}
		return nil, errors.Join(ErrDisk.Withf("The home %s cannot be locked.", h.dir).Because(err), f.Close())
	}
	return f.Close, nil
}

// locked runs fn while the home is taken.
func (h home) locked(fn func() error) (err error) {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return fn()
}

// read returns a file of the home; nil if there is none.
func (h home) read(name string, most int64) ([]byte, error) { return readFile(h.path(name), most) }

func (h home) write(name string, data []byte) error {
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return ErrDisk.Withf("%s cannot be written.", path).Because(err)
	}
	return writeFile(path, data, 0o600)
}

// readFile reads a regular file of at most so many bytes; nil if there is none.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	case !info.Mode().IsRegular():
		return nil, ErrDisk.Withf("%s is not a file.", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, ErrDisk.Withf("%s cannot be read.", path).Because(err)
	case int64(len(b)) > most:
		return nil, ErrDisk.Withf("%s is larger than anything that belongs here (%d bytes).", path, most)
	case b == nil:
		b = []byte{}
	}
	return b, nil
}

// writeFile writes a file so that a crash, or a stick that is pulled out, leaves the old one or the new one, never a part.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := replace(path, data, mode); err != nil {
		return ErrDisk.Withf("%s cannot be written.", path).Because(err)
	}
	return nil
}

func replace(path string, data []byte, mode fs.FileMode) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
