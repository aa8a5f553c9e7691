package ocsp

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of a request. The largest useful one has a nonce, a signature and the certificate it was made with.
const (
	maxRequest    = 8 << 10 // bytes
	maxExtensions = 16      // in one place
	maxNonce      = 128     // octets, RFC 9654 §2.1
)

// request is an OCSPRequest (RFC 6960 §4.1.1) as far as an answer depends on it. Its slices are parts of what was read.
type request struct {
	ids   []certID
	nonce []byte // nil: none was sent
}

// certID is a CertID as it was asked: an answer repeats it, bit by bit.
type certID struct {
	issuer []byte // hash algorithm, hash of the issuer's name, hash of its key: three elements in DER
	serial []byte // the INTEGER's content
}

// Where an extension's identifier stands below id-pkix-ocsp, 1.3.6.1.5.5.7.48.1.
const (
	idBasic          = 1
	idNonce          = 2
	idResponse       = 4
	idServiceLocator = 7
	idPreferred      = 8
)

// oidOCSP is the content of the OBJECT IDENTIFIER 1.3.6.1.5.5.7.48.1.
var oidOCSP = string([]byte{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01})

// parse reads a request strictly: DER, version 1, at least one certificate, nothing behind it. A signature, and who says to
// have sent it, must be well-formed and count for nothing (RFC 9919): everybody may ask. A critical extension that is
// not known here is refused, as RFC 5280 §4.2 has it.
func parse(der []byte) (request, error) {
	if len(der) > maxRequest {
		return request{}, fmt.Errorf("a request of %d bytes", len(der))
	}
	in := cryptobyte.String(der)
	var outer, tbs, list, part cryptobyte.String
	var there bool
	if !in.ReadASN1(&outer, cryptobyte_asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, cryptobyte_asn1.SEQUENCE) {
		return request{}, errors.New("no request")
	}
	if !outer.ReadOptionalASN1(&part, &there, tagged(0)) || !outer.Empty() || (there && !isSignature(part)) {
		return request{}, errors.New("a signature that is none")
	}
	if !tbs.ReadOptionalASN1(&part, &there, tagged(0)) || (there && !isVersion1(part)) {
		return request{}, errors.New("a version that is not 1")
	}
	if !tbs.ReadOptionalASN1(&part, &there, tagged(1)) || (there && !isElement(part)) {
		return request{}, errors.New("a requestor that is no name")
	}
	if !tbs.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) {
		return request{}, errors.New("no list of certificates")
	}
	if !tbs.ReadOptionalASN1(&part, &there, tagged(2)) || !tbs.Empty() {
		return request{}, errors.New("extensions that are none")
	}
	var r request
	if there {
		if err := readExtensions(part, r.extension); err != nil {
			return request{}, err
		}
	}
	return r, r.list(list)
}

// list reads what is asked.
func (r *request) list(in cryptobyte.String) error {
	for !in.Empty() {
		var one, id, extensions cryptobyte.String
		var there bool
		if !in.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1(&id, cryptobyte_asn1.SEQUENCE) ||
			!one.ReadOptionalASN1(&extensions, &there, tagged(0)) || !one.Empty() {
			return errors.New("a certificate that is not asked for as it should be")
		}
		c, err := parseCertID(id)
		if err != nil {
			return err
		}
		if there {
			if err := readExtensions(extensions, singleExtension); err != nil {
				return err
			}
		}
		r.ids = append(r.ids, c)
	}
	if len(r.ids) == 0 {
		return errors.New("nothing is asked")
	}
	return nil
}

func parseCertID(in cryptobyte.String) (certID, error) {
	whole := in
	var algorithm, oid, name, key, serial cryptobyte.String
	if !in.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) || !algorithm.ReadASN1(&oid, cryptobyte_asn1.OBJECT_IDENTIFIER) ||
		(!algorithm.Empty() && !isElement(algorithm)) ||
		!in.ReadASN1(&name, cryptobyte_asn1.OCTET_STRING) || !in.ReadASN1(&key, cryptobyte_asn1.OCTET_STRING) {
		return certID{}, errors.New("an issuer that is not named as it should be")
	}
	issuer := whole[:len(whole)-len(in)]
	if !in.ReadASN1(&serial, cryptobyte_asn1.INTEGER) || !in.Empty() || !isMinimal(serial) {
		return certID{}, errors.New("a serial that is no number")
	}
	return certID{issuer: issuer, serial: serial}, nil
}

// readExtensions reads Extensions (RFC 5280 §4.1) and gives each to visit.
func readExtensions(in cryptobyte.String, visit func(id int, critical bool, value cryptobyte.String) error) error {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cryptobyte_asn1.SEQUENCE) || !in.Empty() || list.Empty() {
		return errors.New("extensions that are none")
	}
	for n := 0; !list.Empty(); n++ {
		var one, oid, value cryptobyte.String
		var critical bool
		if n == maxExtensions {
			return errors.New("too many extensions")
		}
		if !list.ReadASN1(&one, cryptobyte_asn1.SEQUENCE) || !one.ReadASN1(&oid, cryptobyte_asn1.OBJECT_IDENTIFIER) ||
			(one.PeekASN1Tag(cryptobyte_asn1.BOOLEAN) && !one.ReadASN1Boolean(&critical)) ||
			!one.ReadASN1(&value, cryptobyte_asn1.OCTET_STRING) || !one.Empty() {
			return errors.New("an extension that is none")
		}
		id := -1
		if len(oid) == len(oidOCSP)+1 && string(oid[:len(oidOCSP)]) == oidOCSP {
			id = int(oid[len(oidOCSP)])
		}
		if err := visit(id, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// extension reads one of a whole request.
func (r *request) extension(id int, critical bool, value cryptobyte.String) error {
	switch id {
	case idNonce:
		var nonce cryptobyte.String
		if r.nonce != nil || !value.ReadASN1(&nonce, cryptobyte_asn1.OCTET_STRING) || !value.Empty() || len(nonce) == 0 || len(nonce) > maxNonce {
			return errors.New("a nonce that is not one of 1 to 128 octets")
		}
		r.nonce = nonce
	case idResponse, idPreferred:
		// What is answered is always the basic response, which every client can read (RFC 6960 §4.4.3), signed in the one way.
	default:
		if critical {
			return errors.New("a critical extension that is not known here")
		}
	}
	return nil
}

// singleExtension reads one of a single certificate's. The service locator is for responders that pass requests on.
func singleExtension(id int, critical bool, _ cryptobyte.String) error {
	if critical && id != idServiceLocator {
		return errors.New("a critical extension that is not known here")
	}
	return nil
}

func tagged(n uint8) cryptobyte_asn1.Tag {
	return cryptobyte_asn1.Tag(n).ContextSpecific().Constructed()
}

// isVersion1 reports whether in is the INTEGER 0.
func isVersion1(in cryptobyte.String) bool {
	var version int
	return in.ReadASN1Integer(&version) && in.Empty() && version == 0
}

// isElement reports whether in is one element of whatever kind.
func isElement(in cryptobyte.String) bool {
	var element cryptobyte.String
	var tag cryptobyte_asn1.Tag
	return in.ReadAnyASN1Element(&element, &tag) && in.Empty()
}

// isSignature reports whether in has the form of a Signature: an algorithm, bits, and perhaps certificates.
func isSignature(in cryptobyte.String) bool {
	var signature, algorithm, bits, certificates cryptobyte.String
	return in.ReadASN1(&signature, cryptobyte_asn1.SEQUENCE) && in.Empty() &&
		signature.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) && signature.ReadASN1(&bits, cryptobyte_asn1.BIT_STRING) &&
		signature.ReadOptionalASN1(&certificates, nil, tagged(0)) && signature.Empty()
}

// isMinimal reports whether the content of an INTEGER is as short as DER wants it.
func isMinimal(b []byte) bool {
	return len(b) == 1 || (len(b) > 1 && !(b[0] == 0 && b[1] < 0x80) && !(b[0] == 0xff && b[1] >= 0x80))
}
