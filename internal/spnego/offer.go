package spnego

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/jcmturner/gokrb5/v8/messages"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxToken is how many characters a token may have. Active Directory puts the names of a person's groups into tickets.
const MaxToken = 32 << 10

// What a token may be instead of an offer of Kerberos.
var (
	ErrNTLM  = errors.New("it is NTLM, not Kerberos")
	ErrOther = errors.New("it offers something else before Kerberos")
)

// The mechanisms' object identifiers. Windows lists Kerberos first under a number that it once cut short.
var (
	oidSPNEGO     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}
	oidKerberos   = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
	oidKerberosMS = asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2}
	oidNTLM       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 2, 10}
)

// Tags of the tokens.
const (
	tagToken = der.Tag(0x60) // [APPLICATION 0] (RFC 2743 §3.1)
	maxMechs = 16
)

// The first bytes of Kerberos' own tokens (RFC 4121 §4.1).
var (
	requestID = []byte{1, 0}
	replyID   = []byte{2, 0}
)

// Offer is what a client sends.
type Offer struct {
	Request   messages.APReq
	mechanism asn1.ObjectIdentifier
}

// Read reads the token of a request's Authorization: Negotiate.
func Read(token string) (*Offer, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("it has %d characters", len(token))
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	if bytes.HasPrefix(raw, []byte("NTLMSSP\x00")) {
		return nil, ErrNTLM
	}
	mechs, inner, err := readInit(raw)
	if err != nil {
		return nil, err
	}
	kerberos := func(o asn1.ObjectIdentifier) bool { return o.Equal(oidKerberos) || o.Equal(oidKerberosMS) }
	switch {
	case kerberos(mechs[0]) && inner != nil: // the token is of the first mechanism (RFC 4178 §4.2.1)
	case slices.ContainsFunc(mechs, oidNTLM.Equal) && !slices.ContainsFunc(mechs, kerberos):
		return nil, ErrNTLM
	default:
		return nil, ErrOther
	}
	message, err := readMessage(inner, requestID)
	if err != nil {
		return nil, err
	}
	o := &Offer{mechanism: mechs[0]}
	if err := o.Request.Unmarshal(message); err != nil {
		return nil, fmt.Errorf("its AP-REQ: %w", err)
	}
	return o, nil
}

// readInit reads a NegTokenInit: which mechanisms it offers, at least one, and the token of the first, if it is there.
func readInit(raw []byte) (mechs []asn1.ObjectIdentifier, inner []byte, err error) {
	var token, init, list cryptobyte.String
	var oid asn1.ObjectIdentifier
	in := cryptobyte.String(raw)
	if !in.ReadASN1(&token, tagToken) || !in.Empty() || !token.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSPNEGO) {
		return nil, nil, errors.New("it is no SPNEGO token")
	}
	if !token.ReadASN1(&init, context(0)) || !token.Empty() || !init.ReadASN1(&init, der.SEQUENCE) ||
		!init.ReadASN1(&list, context(0)) || !list.ReadASN1(&list, der.SEQUENCE) {
		return nil, nil, errors.New("it is no NegTokenInit")
	}
	for !list.Empty() {
		var m asn1.ObjectIdentifier
		if len(mechs) == maxMechs || !list.ReadASN1ObjectIdentifier(&m) {
			return nil, nil, errors.New("its mechanisms cannot be read")
		}
		mechs = append(mechs, m)
	}
	var octets cryptobyte.String
	var there bool
	if len(mechs) == 0 || !init.SkipOptionalASN1(context(1)) || !init.ReadOptionalASN1(&octets, &there, context(2)) || !init.SkipOptionalASN1(context(3)) || !init.Empty() {
		return nil, nil, errors.New("its NegTokenInit cannot be read")
	}
	var content cryptobyte.String
	if there && (!octets.ReadASN1(&content, der.OCTET_STRING) || !octets.Empty()) {
		return nil, nil, errors.New("its inner token cannot be read")
	}
	return mechs, content, nil
}

// readMessage takes a Kerberos message out of its frame (RFC 4121 §4.1).
func readMessage(token, id []byte) ([]byte, error) {
	in, inner := cryptobyte.String(token), cryptobyte.String(nil)
	var oid asn1.ObjectIdentifier
	var have []byte
	if !in.ReadASN1(&inner, tagToken) || !in.Empty() || !inner.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidKerberos) || !inner.ReadBytes(&have, len(id)) {
		return nil, errors.New("its inner token is not Kerberos'")
	}
	if !bytes.Equal(have, id) {
		return nil, fmt.Errorf("its inner token is of kind %x", have)
	}
	return inner, nil
}

func context(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// frame puts a Kerberos message into its frame.
func frame(id, message []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tagToken, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidKerberos)
		b.AddBytes(id)
		b.AddBytes(message)
	})
	return b.Bytes()
}
