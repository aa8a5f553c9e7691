package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// What a YubiKey says of a key, in extensions of the certificate that it makes for it (Yubico, "PIV attestation", 1.3.6.1.4.1.41482.3).
var (
	oidFirmware = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 3} // three bytes
	oidSerial   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7} // INTEGER
	oidPolicy   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 8} // two bytes: PIN, touch
)

var (
	pinPolicies   = map[byte]string{1: "never", 2: "once", 3: "always"}
	touchPolicies = map[byte]string{1: "never", 2: "always", 3: "cached"}
)

const slotPrefix = "YubiKey PIV Attestation "

// VerifyPIV decides that a YubiKey made the key in the certificate request (SubjectPublicKeyInfo): certs are the certificate that it made for
// the key, that of its slot F9, and those above.
func VerifyPIV(certs [][]byte, trusted *x509.CertPool, spki []byte, now time.Time) (*Proof, error) {
	if len(certs) < 2 {
		return nil, ErrStatement.Withf("The certificate of the key and that of slot F9 are needed.")
	}
	leaf, way, err := chain(certs, trusted, now)
	if err != nil {
		return nil, err
	}
	slot, named := strings.CutPrefix(leaf.Subject.CommonName, slotPrefix)
	// One more certificate than the trusted one: a trusted authority that makes other certificates too makes none for keys itself.
	if len(way) < 3 || !named || leaf.IsCA {
		return nil, ErrEndorsed.Withf("The certificate is not one that a YubiKey made for a key.")
	}
	if !bytes.Equal(leaf.RawSubjectPublicKeyInfo, spki) {
		return nil, ErrOtherKey
	}
	p := &Proof{Device: "piv", Slot: slot, Maker: way[len(way)-1].Subject.String(), Endorsement: hex.EncodeToString(hash(way[1].Raw))}
	if err := p.read(leaf); err != nil {
		return nil, err
	}
	return p, nil
}

// read reads the extensions. Firmware and policies are there since attestation is.
func (p *Proof) read(leaf *x509.Certificate) error {
	bad := ErrStatement.Withf("What the YubiKey says of the key cannot be read.")
	for _, e := range leaf.Extensions {
		switch {
		case e.Id.Equal(oidFirmware):
			if len(e.Value) != 3 {
				return bad
			}
			p.Firmware = fmt.Sprintf("%d.%d.%d", e.Value[0], e.Value[1], e.Value[2])
		case e.Id.Equal(oidSerial):
			serial := new(big.Int)
			if rest, err := asn1.Unmarshal(e.Value, &serial); err != nil || len(rest) > 0 || serial.Sign() < 0 || serial.BitLen() > 64 {
				return bad
			}
			p.Serial = serial.String()
		case e.Id.Equal(oidPolicy):
			if len(e.Value) != 2 {
				return bad
			}
			p.PIN, p.Touch = pinPolicies[e.Value[0]], touchPolicies[e.Value[1]]
		}
	}
	if p.Firmware == "" || p.PIN == "" || p.Touch == "" {
		return bad
	}
	if strings.HasPrefix(p.Slot, "f9") || len(p.Slot) != 2 {
		return bad
	}
	return nil
}
