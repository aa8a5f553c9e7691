package agent

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/pkcs12"
)

// The files for mail programs, in Identity.Folder. All are made anew from identity.json each time; nothing reads them
// back but the password.
const (
	P12File        = "identity.p12"      // every key with its certificate and the chain, the current ones first
	PasswordFile   = "identity.password" // one line; only where the agent made the password
	SigningFile    = "signing.pem"       // the certificate alone
	EncryptionFile = "encryption.pem"    // the certificate alone
	ChainFile      = "chain.pem"         // from the issuing certificate to the root
	GPGSMFolder    = "gpgsm"             // 01.p12, 02.p12 …: one key each, in the older protection that gpgsm 2.2 reads
)

const maxPassword = 1024 // bytes of a password file

// writeFiles brings the folder up to date. The password is the person's own, or empty.
func (id *Identity) writeFiles(own string) error {
	if err := os.MkdirAll(filepath.Join(id.Folder, GPGSMFolder), 0o700); err != nil {
		return disk.Cannot(err, "The folder %s cannot be made.", id.Folder)
	}
	entries, chain, err := id.entries()
	if err != nil {
		return err
	}
	if len(entries) == 0 { // all keys are elsewhere
		if err := remove(filepath.Join(id.Folder, P12File)); err != nil {
			return ErrDisk.Because(err)
		}
		return id.writePEM(chain)
	}
	// A password that we make goes first, and one that the person's own takes the place of goes away last: a file that nobody can open is
	// worse than a password without its file.
	password, profile, err := id.settlePassword(own)
	if err != nil {
		return err
	}
	p12, err := pkcs12.Encode(entries, chain, password, profile)
	if err != nil {
		return fmt.Errorf("encode %s: %w", P12File, err)
	}
	if err := disk.Write(filepath.Join(id.Folder, P12File), p12, 0o600); err != nil {
		return err
	}
	if err := id.writeGPGSM(entries, chain, password); err != nil {
		return err
	}
	if id.OwnPassword {
		path := filepath.Join(id.Folder, PasswordFile)
		if err := remove(path); err != nil {
			return ErrDisk.Withf("%s cannot be removed.", path).Because(err)
		}
	}
	return id.writePEM(chain)
}

// takesFiles makes the folder for mail programs' files and tries whether it takes any.
func takesFiles(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return disk.Cannot(err, "The folder %s cannot be made.", folder)
	}
	f, err := os.CreateTemp(folder, ".try-*")
	if err != nil {
		return disk.Cannot(err, "Files cannot be written into the folder %s.", folder)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return disk.Cannot(err, "Files cannot be written into the folder %s.", folder)
	}
	return nil
}

// settlePassword returns the password for the files and how they are to be protected. One that was made earlier is kept,
// so that whoever wrote it down need not do so again.
func (id *Identity) settlePassword(own string) (string, pkcs12.Profile, error) {
	path := filepath.Join(id.Folder, PasswordFile)
	if id.OwnPassword {
		if own == "" {
			return "", 0, ErrPassword
		}
		return own, pkcs12.Modern, nil
	}
	password, err := id.GeneratedPassword()
	if err != nil || password != "" {
		return password, pkcs12.ModernGenerated, err
	}
	if password, err = pkcs12.GeneratePassphrase(); err != nil {
		return "", 0, fmt.Errorf("make password: %w", err)
	}
	return password, pkcs12.ModernGenerated, disk.Write(path, []byte(password+"\n"), 0o600)
}

// GeneratedPassword returns the password that the agent made for identity.p12; empty if it made none.
func (id *Identity) GeneratedPassword() (string, error) {
	path := filepath.Join(id.Folder, PasswordFile)
	data, err := disk.Read(path, maxPassword)
	if err != nil {
		return "", ErrState.Withf("%s cannot be read.", path).Because(err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// entries returns every key of the identity that is here, the current ones first, and the issuers' certificates, with those of keys
// that are elsewhere.
func (id *Identity) entries() ([]pkcs12.Entry, []*x509.Certificate, error) {
	var entries []pkcs12.Entry
	var chain []*x509.Certificate
	seen := map[string]bool{}
	newest := id.Encryption()
	for _, h := range id.held() {
		issuers, err := parseChain(h.Chain)
		if err != nil {
			return nil, nil, ErrState.Withf("A chain in the agent's folder cannot be read.").Because(err)
		}
		for _, cert := range issuers {
			if !seen[string(cert.Raw)] {
				seen[string(cert.Raw)] = true
				chain = append(chain, cert)
			}
		}
		if h.Key.IsZero() {
			continue
		}
		if h.Key.Place() != PlaceSoftware { // the file has its certificate alone
			leaf, err := h.Leaf()
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, leaf)
			continue
		}
		entry, err := h.entry(id.Person.Name, id.signsWith(h), h == newest)
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, entry)
	}
	return entries, chain, nil
}

// entry names a key so that people can tell the current ones from the history.
func (h *Held) entry(person string, signing, newest bool) (pkcs12.Entry, error) {
	leaf, err := h.Leaf()
	if err != nil {
		return pkcs12.Entry{}, err
	}
	key, err := h.Key.Signer()
	if err != nil {
		return pkcs12.Entry{}, err
	}
	name := person + " (signing)"
	switch {
	case !signing && newest:
		name = person + " (encryption)"
	case !signing:
		name = fmt.Sprintf("%s (old encryption, %s to %s)", person, leaf.NotBefore.Format(time.DateOnly), leaf.NotAfter.Format(time.DateOnly))
	}
	return pkcs12.Entry{Key: key, Certificate: leaf, Name: name}, nil
}

func (id *Identity) writeGPGSM(entries []pkcs12.Entry, chain []*x509.Certificate, password string) error {
	for i, entry := range entries {
		p12, err := pkcs12.Encode([]pkcs12.Entry{entry}, chain, password, pkcs12.Compatibility)
		if err != nil {
			return fmt.Errorf("encode %s: %w", gpgsmFile(i), err)
		}
		if err := disk.Write(filepath.Join(id.Folder, GPGSMFolder, gpgsmFile(i)), p12, 0o600); err != nil {
			return err
		}
	}
	for i := len(entries); ; i++ { // of a longer list that was there before
		path := filepath.Join(id.Folder, GPGSMFolder, gpgsmFile(i))
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return ErrDisk.Because(err)
		}
	}
}

func gpgsmFile(i int) string { return fmt.Sprintf("%02d.p12", i+1) }

func (id *Identity) writePEM(chain []*x509.Certificate) error {
	files := map[string][]byte{ChainFile: encodePEM(chain...)}
	if held := id.Signing(); held != nil {
		leaf, err := held.Leaf()
		if err != nil {
			return err
		}
		files[SigningFile] = encodePEM(leaf)
		if leaf.KeyUsage&encipherUsage != 0 { // one certificate for both
			files[EncryptionFile] = files[SigningFile]
		}
	}
	if held := id.Encryption(); held != nil {
		leaf, err := held.Leaf()
		if err != nil {
			return err
		}
		files[EncryptionFile] = encodePEM(leaf)
	}
	for name, data := range files {
		if err := disk.Write(filepath.Join(id.Folder, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func encodePEM(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, cert := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return b.Bytes()
}
