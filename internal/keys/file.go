package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.step.sm/crypto/kms"
	"go.step.sm/crypto/kms/apiv1"
	"go.step.sm/crypto/pemutil"
)

// maxFile bounds a key file. RSA-4096 has some 3,500 bytes.
const maxFile = 64 << 10

func createFile(ctx context.Context, path string, req *apiv1.CreateKeyRequest, u Unlock) (crypto.Signer, error) {
	if len(u) == 0 {
		return nil, ErrNoUnlock
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, ErrExists.Withf("There is a file %s already. It was not touched.", path)
	}
	m, err := kms.New(ctx, apiv1.Options{Type: apiv1.SoftKMS})
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", path, err)
	}
	defer m.Close()
	made, err := m.CreateKey(req)
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", path, err)
	}
	signer, ok := made.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("create key %s: a %T does not sign", path, made.PrivateKey)
	}
	text, err := seal(signer, u)
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", path, err)
	}
	if err := writeNew(path, text); err != nil {
		return nil, err
	}
	return signer, nil
}

func seal(key crypto.Signer, u Unlock) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	block, err := pemutil.EncryptPKCS8PrivateKey(rand.Reader, der, u, x509.PEMCipherAES256)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

// writeNew writes a file that nobody else may read and that is whole or absent, also after a power cut. Link, unlike
// Rename, fails when the name is taken.
func writeNew(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return ErrMissing.Withf("The key file %s cannot be written.", path).Because(err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return ErrExists.Withf("There is a file %s already. It was not touched.", path)
	} else if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func openFile(path string, u Unlock) (crypto.Signer, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, u)
}

// readFile reads a key file, unless others may read or change it. Its group may read it: that is how a service's own
// user is given a key that root owns.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing.Withf("There is no key file %s.", path)
	}
	if err != nil {
		return nil, ErrMissing.Withf("The key file %s cannot be read.", path).Because(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, ErrMissing.Withf("The key file %s cannot be read.", path).Because(err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, ErrNotKey.Withf("%s is not a file.", path)
	case info.Mode().Perm()&0o037 != 0:
		return nil, ErrPermissions.Withf("Others may read or change the key file %s (mode %04o). Set its mode to 0600.", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, ErrMissing.Withf("The key file %s cannot be read.", path).Because(err)
	}
	if len(text) > maxFile {
		return nil, ErrNotKey.Withf("%s is too large for a key.", path)
	}
	return text, nil
}

// parse opens the text of a key file; name is what faults call it.
func parse(name string, text []byte, u Unlock) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil || len(bytes.TrimSpace(rest)) > 0:
		return nil, ErrNotKey.Withf("%s does not hold an encrypted private key (PKCS #8 in PEM) and nothing else.", name)
	case block.Type == "PRIVATE KEY" || block.Type == "EC PRIVATE KEY" || block.Type == "RSA PRIVATE KEY":
		clear(block.Bytes)
		return nil, ErrNotInClear.Withf("The key file %s is not encrypted. Encrypt it, for example with: openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000", name)
	case block.Type != "ENCRYPTED PRIVATE KEY":
		return nil, ErrNotKey.Withf("%s holds a %s, not an encrypted private key.", name, block.Type)
	case len(u) == 0:
		return nil, ErrNoUnlock.Withf("The key file %s needs a passphrase.", name)
	}
	if err := checkPBES2(block.Bytes, maxIterations); err != nil {
		return nil, ErrNotKey.Withf("The key file %s is damaged, or encrypted in a way that is not supported.", name).Because(err)
	}
	der, err := pemutil.DecryptPKCS8PrivateKey(block.Bytes, u)
	if err != nil {
		return nil, ErrPassphrase.Withf("The passphrase does not open the key file %s.", name).Because(err)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// One wrong passphrase in 256 yields padding that looks right. The bytes are random then: nothing to report.
		return nil, ErrPassphrase.Withf("The passphrase does not open the key file %s.", name)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, ErrNotKey.Withf("The key in %s does not sign.", name)
	}
	return signer, nil
}
