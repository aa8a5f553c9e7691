package clients

import (
	"bytes"
	"crypto/sha1" // #nosec G505: Windows names certificates by it; nothing relies on it
	"crypto/x509"
	"encoding/binary"

	"github.com/sealpost/sealpost/internal/fault"
)

// A serialised certificate store (.sst), as Windows exports it and Exchange takes it, is documented as
// DocSigSerializedCertStore in [MS-OSHARED] 2.3.9.1: a header of version and type; for each certificate any number of
// properties and then the certificate, each as id, encoding, length and value; and an end marker. All numbers have four bytes,
// the lowest first.
const (
	storeVersion  = 0x00000000
	storeType     = 0x54524543 // "CERT"
	encodingASN1  = 1
	idSHA1        = 3 // CERT_SHA1_HASH_PROP_ID
	idCertificate = 0x20
	idEnd         = 0
)

// ErrStore says that something is not a store of certificates.
var ErrStore = fault.New(fault.Malformed, "store-malformed", "The file is no serialised certificate store, or holds something other than certificates.")

// maxStore bounds a store that is read, in bytes.
const maxStore = 1 << 20

// SST returns all certificates as a serialised certificate store.
func (i Installation) SST() []byte {
	out := binary.LittleEndian.AppendUint32(nil, storeVersion)
	out = binary.LittleEndian.AppendUint32(out, storeType)
	for _, c := range i.Certificates {
		out = appendEntry(out, idCertificate, c.Raw)
	}
	return append(out, make([]byte, 12)...)
}

func appendEntry(out []byte, id uint32, value []byte) []byte {
	out = binary.LittleEndian.AppendUint32(out, id)
	out = binary.LittleEndian.AppendUint32(out, encodingASN1)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(value)))
	return append(out, value...)
}

// blob is one certificate as Windows keeps it in the registry: as in a store, after its SHA-1.
func blob(c *x509.Certificate) []byte {
	sum := sha1.Sum(c.Raw) // #nosec G401: a name
	return appendEntry(appendEntry(nil, idSHA1, sum[:]), idCertificate, c.Raw)
}

// ReadSST returns the certificates of a store. Properties are passed over; lists of revoked certificates and of trust, and
// anything after the end, are refused with ErrStore.
func ReadSST(store []byte) (out []*x509.Certificate, err error) {
	if len(store) > maxStore {
		return nil, ErrStore.Withf("The file is longer than %d bytes.", maxStore)
	}
	r := bytes.NewReader(store)
	var head struct{ Version, Type uint32 }
	if binary.Read(r, binary.LittleEndian, &head) != nil || head.Version != storeVersion || head.Type != storeType {
		return nil, ErrStore
	}
	for {
		var entry struct{ ID, Encoding, Length uint32 }
		if err := binary.Read(r, binary.LittleEndian, &entry); err != nil {
			return nil, ErrStore.Because(err)
		}
		if entry.ID == idEnd {
			if entry.Encoding != 0 || entry.Length != 0 || r.Len() != 0 {
				return nil, ErrStore
			}
			return out, nil
		}
		if entry.Encoding != encodingASN1 || entry.ID == 0x21 || entry.ID == 0x22 || int64(entry.Length) > int64(r.Len()) {
			return nil, ErrStore
		}
		value := make([]byte, entry.Length)
		if _, err := r.Read(value); err != nil && entry.Length > 0 {
			return nil, ErrStore.Because(err)
		}
		if entry.ID != idCertificate {
			continue
		}
		c, err := x509.ParseCertificate(value)
		if err != nil {
			return nil, ErrStore.Because(err)
		}
		out = append(out, c)
	}
}
