package spnego

import (
	"crypto"
	"crypto/md5"
	"crypto/x509"
	"encoding/binary"
	"errors"
)

// Binding ties an AP-REQ to the TLS connection that it comes on (RFC 4121 §4.1.1.2). The zero Binding ties it to none.
type Binding [md5.Size]byte

// EndPoint returns what a connection with a server that has this certificate is known by (tls-server-end-point, RFC 5929 §4).
func EndPoint(server *x509.Certificate) []byte {
	hash := crypto.SHA256 // in place of MD5 and SHA-1 too
	switch server.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write(server.Raw)
	return h.Sum([]byte("tls-server-end-point:"))
}

// BindingOf returns the binding to connections with a server that has this certificate.
func BindingOf(server *x509.Certificate) Binding {
	data := EndPoint(server)
	// Two addresses, each without a type and empty, and the data, with its length before it.
	all := binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(data)))
	return md5.Sum(append(all, data...))
}

// checksumGSS is the type of an authenticator's checksum that holds no checksum (RFC 4121 §4.1.1).
const checksumGSS = 0x8003

// Binding returns what the offer is tied to. Its authenticator must have been decrypted.
func (o *Offer) Binding() (Binding, error) {
	sum := o.Request.Authenticator.Cksum
	if sum.CksumType != checksumGSS || len(sum.Checksum) < 24 || binary.LittleEndian.Uint32(sum.Checksum) != md5.Size {
		return Binding{}, errors.New("its authenticator is not one of GSS-API")
	}
	return Binding(sum.Checksum[4:20]), nil
}
