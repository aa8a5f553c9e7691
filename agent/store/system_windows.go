package store

import (
	"bytes"
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What golang.org/x/sys/windows lacks.
const certKeyProvInfoProperty = 2 // CERT_KEY_PROV_INFO_PROP_ID: which key belongs to a certificate

var (
	crypt32         = windows.NewLazySystemDLL("crypt32.dll")
	procGetProperty = crypt32.NewProc("CertGetCertificateContextProperty")
)

// crypto32 is the person's stores of certificates, by crypt32.dll.
type crypto32 struct{}

func openWindowsStore() (windowsStore, error) { return crypto32{}, nil }

// open opens one of the person's stores; such a store shows the machine's certificates of its kind, too.
func (crypto32) open(name string, flags uint32) (windows.Handle, error) {
	utf16, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	return windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER|flags, uintptr(unsafe.Pointer(utf16)))
}

// each calls a function with every certificate of a store, and its DER.
func each(store windows.Handle, f func(*windows.CertContext, []byte) error) error {
	var context *windows.CertContext
	for {
		var err error
		context, err = windows.CertEnumCertificatesInStore(store, context) // frees the one before
		if context == nil {
			if errors.Is(err, windows.Errno(windows.CRYPT_E_NOT_FOUND)) {
				return nil
			}
			return err
		}
		der := bytes.Clone(unsafe.Slice(context.EncodedCert, context.Length))
		if err := f(context, der); err != nil {
			return errors.Join(err, windows.CertFreeCertificateContext(context))
		}
	}
}

func hasKey(context *windows.CertContext) bool {
	var size uint32
	ok, _, _ := procGetProperty.Call(uintptr(unsafe.Pointer(context)), certKeyProvInfoProperty, 0, uintptr(unsafe.Pointer(&size)))
	return ok != 0
}

func (c crypto32) list(name string, wanted func(*windows.CertContext) bool) (out [][]byte, err error) {
	store, err := c.open(name, windows.CERT_STORE_READONLY_FLAG)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, windows.CertCloseStore(store, 0)) }()
	err = each(store, func(context *windows.CertContext, der []byte) error {
		if wanted(context) {
			out = append(out, der)
		}
		return nil
	})
	return out, err
}

func (c crypto32) withKeys() ([][]byte, error) { return c.list("MY", hasKey) }

func (c crypto32) roots() ([][]byte, error) {
	return c.list("ROOT", func(*windows.CertContext) bool { return true })
}

func (c crypto32) add(p12 []byte, password string) (err error) {
	if len(p12) == 0 {
		return errors.New("the file with the key is empty")
	}
	utf16, err := windows.UTF16PtrFromString(password)
	if err != nil {
		return err
	}
	blob := windows.CryptDataBlob{Size: uint32(len(p12)), Data: &p12[0]}
	// Without CRYPT_EXPORTABLE: what leaves this machine leaves it from the agent's own files.
	in, err := windows.PFXImportCertStore(&blob, utf16, windows.CRYPT_USER_KEYSET|windows.PKCS12_ALWAYS_CNG_KSP|windows.PKCS12_ALLOW_OVERWRITE_KEY)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, windows.CertCloseStore(in, 0)) }()
	my, err := c.open("MY", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, windows.CertCloseStore(my, 0)) }()
	authorities, err := c.open("CA", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, windows.CertCloseStore(authorities, 0)) }()
	return each(in, func(context *windows.CertContext, der []byte) error {
		store, disposition := my, uint32(windows.CERT_STORE_ADD_REPLACE_EXISTING)
		if !hasKey(context) {
			if selfIssued(der) { // a root: trust is not ours to give
				return nil
			}
			store, disposition = authorities, windows.CERT_STORE_ADD_USE_EXISTING
		}
		return windows.CertAddCertificateContextToStore(store, context, disposition, nil)
	})
}
