package mozilla

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// DBKey returns by what Thunderbird finds a certificate (nsIX509Cert.dbKey): the base64 of eight zero bytes, where it once
// meant to name a token, the length of the serial number, that of the issuer's name, both in four bytes, big-endian, the content
// of the serial number's INTEGER, and the name.
func DBKey(cert *x509.Certificate) string {
	serial := serialContent(cert)
	key := make([]byte, 8, 16+len(serial)+len(cert.RawIssuer))
	key = binary.BigEndian.AppendUint32(key, uint32(len(serial)))
	key = binary.BigEndian.AppendUint32(key, uint32(len(cert.RawIssuer)))
	key = append(append(key, serial...), cert.RawIssuer...)
	return base64.StdEncoding.EncodeToString(key)
}

// serialContent is the content of the INTEGER, which has a zero byte in front where the number's first bit is set.
func serialContent(cert *x509.Certificate) []byte {
	var b cryptobyte.Builder
	b.AddASN1BigInt(cert.SerialNumber)
	der, err := b.Bytes()
	if err != nil {
		return nil // a parsed certificate has a number
	}
	in := cryptobyte.String(der)
	var content cryptobyte.String
	if !in.ReadASN1(&content, asn1.INTEGER) {
		return nil
	}
	return content
}

// issuerOf returns the issuer's name (DER) in a DBKey; nil if it is none.
func issuerOf(key string) []byte {
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(b) < 16 {
		return nil
	}
	serial, issuer := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if b = b[16:]; uint64(serial)+uint64(issuer) != uint64(len(b)) {
		return nil
	}
	return b[serial:]
}

// displayName is what Thunderbird shows of a certificate, and keeps beside the DBKey for people to read.
func displayName(cert *x509.Certificate) string {
	switch {
	case cert.Subject.CommonName != "":
		return cert.Subject.CommonName
	case len(cert.EmailAddresses) > 0:
		return cert.EmailAddresses[0]
	}
	return cert.Subject.String()
}
