package store

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/sealpost/sealpost/internal/disk"
)

// Windows is the person's certificate store on Windows (CurrentUser\MY, which Outlook uses), with its keys in CNG. It has never
// been run on Windows: what talks to Windows compiles, and what decides is tested with a stand-in for it.
type Windows struct{}

// maxKeyFile bounds a file with one key, in bytes.
const maxKeyFile = 1 << 20

// windowsStore is what is asked of Windows. Certificates are in DER.
type windowsStore interface {
	// withKeys returns the certificates in MY that have a private key.
	withKeys() ([][]byte, error)
	// add imports a PKCS#12 file's key into CNG, for the person and not to be exported, its certificate into MY, and the
	// issuing authorities' into CA. What is in the store of roots is left alone.
	add(p12 []byte, password string) error
	// roots returns the certificates that are trusted as roots, by the person or on the whole machine.
	roots() ([][]byte, error)
}

// Name returns the kind of store.
func (Windows) Name() (kind, place string) { return "windows", "" }

// Install imports the keys that are not there yet.
func (Windows) Install(_ context.Context, d Keys) (Outcome, error) {
	store, err := openWindowsStore()
	if err != nil {
		return Outcome{}, err
	}
	return fillWindows(store, d)
}

// fillWindows brings in what is missing. What is there is not brought in again: each import makes another copy of the key.
func fillWindows(store windowsStore, d Keys) (out Outcome, err error) {
	const why = "Windows' certificate store did not take the keys."
	have, err := store.withKeys()
	if err != nil {
		return out, storeFault(err, why)
	}
	for i, cert := range d.Certificates {
		if slices.ContainsFunc(have, is(cert)) {
			continue
		}
		p12, err := disk.Read(d.Single[i], maxKeyFile)
		if err != nil {
			return out, err
		}
		if err := store.add(p12, d.Password); err != nil {
			return out, storeFault(err, why)
		}
	}
	if have, err = store.withKeys(); err != nil {
		return out, storeFault(err, why)
	}
	for _, cert := range d.Certificates {
		if !slices.ContainsFunc(have, is(cert)) {
			return out, ErrStore.Withf("Windows' certificate store has no key to the certificate %x, though it reported no error.", cert.SerialNumber)
		}
	}
	trusted, err := store.roots()
	if err != nil {
		return out, storeFault(err, "Windows does not say which roots it trusts.")
	}
	for _, root := range d.Roots {
		if !slices.ContainsFunc(trusted, is(root)) {
			out.Notes = append(out.Notes, fmt.Sprintf("Windows does not trust the root %s. Your administrator can have all machines trust it (group policy: Trusted Root "+
				"Certification Authorities); for you alone, open the last certificate in %s and install it there.", plainName(root), d.Chain))
		}
	}
	return out, nil
}

// is returns a test for a certificate's DER.
func is(cert *x509.Certificate) func([]byte) bool {
	return func(der []byte) bool { return string(der) == string(cert.Raw) }
}

// selfIssued reports whether a certificate names itself as its issuer, as roots do; whatever cannot be read does.
func selfIssued(der []byte) bool {
	cert, err := x509.ParseCertificate(der)
	return err != nil || string(cert.RawIssuer) == string(cert.RawSubject)
}
