package kra

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/disk"
)

// An officer's home:
//
//	lock                                held while a command is at work
//	signing.key, decryption.key         encrypted (PKCS #8), see internal/keys
//	token.uri                           in place of them: the addresses of both on a PKCS #11 token
//	signing.csr, decryption.csr         for the authority's operator
//	agent.pem, roots.pem                the card that came back, and the roots it was checked against
//	dealer.key                          on a dealing machine
//	recipient.pem                       in place of agent.pem, in the home of somebody who receives recovered keys
//	rosters/PIN.bin                     rosters that were verified here
//	log.txt                             the audit log's key, and the last checkpoint that was verified here
//	log-until-TIME.txt                  the same, put aside as evidence
//	cases/ID/case.bin, answer.bin       what was answered to a case, until its deadline
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
	tokenFile      = "token.uri"
	recipientFile  = "recipient.pem"
	rosterFolder   = "rosters"
	caseFolder     = "cases"
	answerFile     = "answer.bin"
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
		return nil, disk.ErrDisk.Withf("The home %s cannot be locked.", h.dir).Because(err)
	}
	unlock, err = disk.TryLock(f)
	if errors.Is(err, disk.ErrLocked) {
		return nil, ErrBusy.Withf("Another sealpost-kra is at work in %s. Wait until it has ended.", h.dir)
	}
	if err != nil {
		return nil, disk.ErrDisk.Withf("The home %s cannot be locked.", h.dir).Because(err)
	}
	return unlock, nil
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
func (h home) read(name string, most int64) ([]byte, error) { return disk.Read(h.path(name), most) }

func (h home) write(name string, data []byte) error {
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return disk.ErrDisk.Withf("%s cannot be written.", path).Because(err)
	}
	return disk.Write(path, data, 0o600)
}
