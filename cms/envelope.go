package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/sealpost/sealpost/internal/ber"
)

// envelope is an AuthEnvelopedData or EnvelopedData taken apart, with nothing
// decrypted yet.
type envelope struct {
	authenticated bool
	pieces        bool // the ciphertext may come in pieces
	recipients    []recipientInfo
	contentType   asn1.ObjectIdentifier
	cipher        *contentCipher
	ciphertext    []byte
	tag           []byte // AuthEnvelopedData only
	aad           []byte // the authenticated attributes as a SET OF, or nil
}

// recipientInfo is one way to the content key: a KeyTransRecipientInfo, or one
// of the encrypted keys of a KeyAgreeRecipientInfo.
type recipientInfo struct {
	identity
	agreement    bool
	originator   cryptobyte.String // KeyAgreeRecipientInfo: the body of originator [0]
	ukm          []byte            // KeyAgreeRecipientInfo, or nil
	algorithm    algorithm
	encryptedKey []byte
}

// identity names a certificate by issuer and serial number or by key identifier.
type identity struct {
	issuer []byte
	serial *big.Int
	keyID  []byte
}

func (id identity) matches(cert *x509.Certificate) bool {
	if id.serial != nil {
		return id.serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(id.issuer, cert.RawIssuer)
	}
	return len(id.keyID) > 0 && bytes.Equal(id.keyID, cert.SubjectKeyId)
}

// readIssuerAndSerial reads the body of an IssuerAndSerialNumber.
func (id *identity) readIssuerAndSerial(body cryptobyte.String) bool {
	var issuer cryptobyte.String
	id.serial = new(big.Int)
	ok := body.ReadASN1Element(&issuer, cbasn1.SEQUENCE) && body.ReadASN1Integer(id.serial) && body.Empty()
	id.issuer = issuer
	return ok
}

func parseEnvelope(der []byte, pieces bool) (*envelope, error) {
	typ, body, err := contentInfo(der)
	if err != nil {
		return nil, err
	}
	e := &envelope{pieces: pieces}
	switch {
	case typ.Equal(OIDAuthEnvelopedData):
		e.authenticated = true
	case typ.Equal(OIDEnvelopedData):
	default:
		return nil, ErrMalformed.Withf("The message is not an enveloped one (content type %v).", typ)
	}
	var version int
	if !body.ReadASN1Integer(&version) || !e.versionFits(version) ||
		!body.SkipOptionalASN1(context(0)) { // originatorInfo
		return nil, ErrMalformed
	}
	if err := e.readRecipients(&body); err != nil {
		return nil, err
	}
	if err := e.readContent(&body); err != nil {
		return nil, err
	}
	if e.authenticated {
		if err := e.readAuthentication(&body); err != nil {
			return nil, err
		}
	}
	unprotected := uint8(1) // unprotectedAttrs, of which nothing is used
	if e.authenticated {
		unprotected = 2
	}
	if !body.SkipOptionalASN1(context(unprotected)) || !body.Empty() {
		return nil, ErrMalformed
	}
	return e, nil
}

// versionFits checks against RFC 5083 §2.1 and RFC 5652 §6.1.
func (e *envelope) versionFits(version int) bool {
	if e.authenticated {
		return version == 0
	}
	return version == 0 || version >= 2 && version <= 4
}

func (e *envelope) readRecipients(body *cryptobyte.String) error {
	var set cryptobyte.String
	if !body.ReadASN1(&set, cbasn1.SET) || set.Empty() {
		return ErrMalformed
	}
	for others := 0; !set.Empty(); {
		var info cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1(&info, &tag) {
			return ErrMalformed
		}
		ok := true
		switch tag {
		case cbasn1.SEQUENCE:
			ok = e.readKeyTransport(info)
		case context(1):
			ok = e.readKeyAgreement(info)
		case context(2), context(3), context(4): // shared keys, passwords, others: never ours
			others++
		default:
			ok = false
		}
		if !ok {
			return ErrMalformed
		}
		if len(e.recipients)+others > MaxRecipients {
			return ErrTooLarge.Withf("The message names more than %d recipients.", MaxRecipients)
		}
	}
	return nil
}

// readKeyTransport reads a KeyTransRecipientInfo (RFC 5652 §6.2.1).
func (e *envelope) readKeyTransport(info cryptobyte.String) bool {
	var version int
	var r recipientInfo
	if !info.ReadASN1Integer(&version) {
		return false
	}
	var id cryptobyte.String
	switch version {
	case 0:
		if !info.ReadASN1(&id, cbasn1.SEQUENCE) || !r.readIssuerAndSerial(id) {
			return false
		}
	case 2:
		if !info.ReadASN1(&id, contextPrimitive(0)) {
			return false
		}
		r.keyID = id
	default:
		return false
	}
	var key cryptobyte.String
	if !readAlgorithm(&info, &r.algorithm) || !info.ReadASN1(&key, cbasn1.OCTET_STRING) || !info.Empty() {
		return false
	}
	r.encryptedKey = key
	e.recipients = append(e.recipients, r)
	return true
}

// readKeyAgreement reads a KeyAgreeRecipientInfo (RFC 5652 §6.2.2), which may
// hold the encrypted keys of several recipients.
func (e *envelope) readKeyAgreement(info cryptobyte.String) bool {
	var version int
	var ukmField, ukm, keys cryptobyte.String
	var hasUKM bool
	shared := recipientInfo{agreement: true}
	if !info.ReadASN1Integer(&version) || version != 3 ||
		!info.ReadASN1(&shared.originator, context(0)) ||
		!info.ReadOptionalASN1(&ukmField, &hasUKM, context(1)) ||
		!readAlgorithm(&info, &shared.algorithm) ||
		!info.ReadASN1(&keys, cbasn1.SEQUENCE) || !info.Empty() || keys.Empty() {
		return false
	}
	if hasUKM {
		if !ukmField.ReadASN1(&ukm, cbasn1.OCTET_STRING) || !ukmField.Empty() {
			return false
		}
		shared.ukm = ukm
	}
	for !keys.Empty() && len(e.recipients) <= MaxRecipients {
		r := shared
		if !r.readEncryptedKey(&keys) {
			return false
		}
		e.recipients = append(e.recipients, r)
	}
	return true
}

// readEncryptedKey reads a RecipientEncryptedKey.
func (r *recipientInfo) readEncryptedKey(keys *cryptobyte.String) bool {
	var entry, id, key cryptobyte.String
	if !keys.ReadASN1(&entry, cbasn1.SEQUENCE) {
		return false
	}
	if entry.PeekASN1Tag(context(0)) { // RecipientKeyIdentifier; its date and other fields say nothing more
		var keyID cryptobyte.String
		if !entry.ReadASN1(&id, context(0)) || !id.ReadASN1(&keyID, cbasn1.OCTET_STRING) {
			return false
		}
		r.keyID = keyID
	} else if !entry.ReadASN1(&id, cbasn1.SEQUENCE) || !r.readIssuerAndSerial(id) {
		return false
	}
	if !entry.ReadASN1(&key, cbasn1.OCTET_STRING) || !entry.Empty() {
		return false
	}
	r.encryptedKey = key
	return true
}

// readContent reads EncryptedContentInfo.
func (e *envelope) readContent(body *cryptobyte.String) error {
	var info, ciphertext cryptobyte.String
	var alg algorithm
	if !body.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1ObjectIdentifier(&e.contentType) ||
		!readAlgorithm(&info, &alg) ||
		!e.readCiphertext(&info, &ciphertext) || !info.Empty() {
		return ErrMalformed
	}
	e.ciphertext = ciphertext
	var err error
	if e.authenticated {
		e.cipher, err = parseGCM(alg)
		return err
	}
	if e.cipher, err = parseCBC(alg); err != nil {
		return err
	}
	if len(ciphertext) == 0 || len(ciphertext)%len(e.cipher.iv) != 0 {
		return ErrMalformed
	}
	return nil
}

// readCiphertext reads an OCTET STRING under an implicit tag.
func (e *envelope) readCiphertext(info, ciphertext *cryptobyte.String) bool {
	if !e.pieces || !info.PeekASN1Tag(context(0)) {
		return info.ReadASN1(ciphertext, contextPrimitive(0))
	}
	var pieces cryptobyte.String
	if !info.ReadASN1(&pieces, context(0)) {
		return false
	}
	whole, err := ber.Join(pieces)
	*ciphertext = whole
	return err == nil
}

// readAuthentication reads authAttrs and mac (RFC 5083 §2.1). Attributes must be
// there, and name the content type, unless the content is id-data.
func (e *envelope) readAuthentication(body *cryptobyte.String) error {
	var element, set, mac cryptobyte.String
	if body.PeekASN1Tag(context(1)) {
		if !body.ReadASN1Element(&element, context(1)) {
			return ErrMalformed
		}
		e.aad = withTag(element, cbasn1.SET)
		if !element.ReadASN1(&set, context(1)) {
			return ErrMalformed
		}
		attrs, ok := parseAttributes(set)
		if !ok {
			return ErrMalformed
		}
		if typ, ok := attrs.contentType(); !ok || !typ.Equal(e.contentType) {
			return ErrMalformed.Withf("The message does not authenticate its content type.")
		}
	} else if !e.contentType.Equal(OIDData) {
		return ErrMalformed.Withf("The message does not authenticate its content type.")
	}
	if !body.ReadASN1(&mac, cbasn1.OCTET_STRING) || len(mac) != e.cipher.tagSize {
		return ErrMalformed
	}
	e.tag = mac
	return nil
}

// find returns the first entry for a certificate, or nil.
func (e *envelope) find(cert *x509.Certificate) *recipientInfo {
	for i := range e.recipients {
		if e.recipients[i].matches(cert) {
			return &e.recipients[i]
		}
	}
	return nil
}
