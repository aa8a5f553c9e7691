package testmail

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
)

// verdict is what was found in an answer.
type verdict struct {
	findings []Finding
	theirs   bool // the person's own key signed it
}

func (v *verdict) add(code string, g Grade, facts map[string]string) {
	v.findings = append(v.findings, Finding{Code: code, Grade: g, Facts: facts})
}

// opened is an answer taken apart.
type opened struct {
	steps int

	signature []byte // SignedData, DER or BER; nil: none
	content   []byte // what it covers; nil: it is in the signature
	envelope  []byte // EnvelopedData; nil: none
	locked    bool   // the envelope did not open
	wrapped   bool   // the signed or encrypted part is one of several: something was added on the way
	openPGP   bool
	broken    bool // there is CMS that cannot be read, or too much in too much
	quoted    bool // the word inside the test mail is there
}

// judge says what there is to say about an answer. Whatever is wrong with the answer is a finding; an error is ours.
func (d *Desk) judge(ctx context.Context, raw []byte, t awaited, keys []*identity) (*verdict, error) {
	v := &verdict{}
	o := &opened{}
	o.walk(raw, t.code, keys, 0)
	h := readHead(raw[:min(len(raw), maxHead)])
	signer, err := d.judgeSignature(ctx, v, o, t)
	if err != nil {
		return nil, err
	}
	if signer != nil {
		v.judgeSender(signer, h.from)
	}
	o.judgeEnvelope(v, keys)
	if o.wrapped {
		v.add("wrapped", Warn, nil)
	}
	if h.program != "" {
		v.add("program", Note, map[string]string{"program": h.program})
	}
	return v, nil
}

// walk takes an entity apart, and what is in it.
func (o *opened) walk(raw []byte, code string, keys []*identity, depth int) {
	if o.steps++; depth > maxLayers || o.steps > maxSteps {
		o.broken = true
		return
	}
	e := parseEntity(raw)
	protocol := strings.ToLower(e.params["protocol"])
	switch {
	case strings.Contains(protocol, "pgp"):
		o.openPGP = true
	case e.media == "multipart/signed":
		o.walkSigned(e, code, keys, depth)
	case strings.HasPrefix(e.media, "multipart/"):
		for _, part := range e.parts() {
			before := o.signature != nil || o.envelope != nil
			o.walk(part, code, keys, depth+1)
			o.wrapped = o.wrapped || !before && (o.signature != nil || o.envelope != nil)
		}
	case isCMS(e):
		o.walkCMS(e.decoded(), code, keys, depth)
	case strings.HasPrefix(e.media, "text/"):
		o.quoted = o.quoted || bytes.Contains(bytes.ToLower(e.decoded()), []byte(code))
	}
}

func isCMS(e entity) bool {
	switch e.media {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	case "application/octet-stream": // gateways forget the type, and leave the name
		return strings.HasSuffix(e.name(), ".p7m")
	}
	return false
}

func (o *opened) walkSigned(e entity, code string, keys []*identity, depth int) {
	parts := e.parts()
	if len(parts) < 2 {
		o.broken = true
		return
	}
	if o.signature == nil {
		o.signature, o.content = parseEntity(parts[1]).decoded(), canonical(parts[0])
	}
	o.walk(parts[0], code, keys, depth+1)
}

func (o *opened) walkCMS(message []byte, code string, keys []*identity, depth int) {
	typ, err := cms.TypeOf(message, MaxAnswer)
	switch {
	case err != nil:
		o.broken = true
	case typ.Equal(cms.OIDSignedData):
		inside, err := cms.Verify(message, cms.VerifyOptions{AllowAnySigner: true, BER: true, MaxSize: MaxAnswer})
		if o.signature == nil {
			o.signature = message
		}
		if err == nil {
			o.walk(inside.Content, code, keys, depth+1)
		}
	case typ.Equal(cms.OIDEnvelopedData), typ.Equal(cms.OIDAuthEnvelopedData):
		if o.envelope == nil {
			o.envelope = message
		}
		inside := open(message, keys)
		if inside == nil {
			o.locked = true
			return
		}
		o.walk(inside, code, keys, depth+1)
	default:
		o.broken = true
	}
}

// open decrypts a message with whichever key it is for; nil if with none.
func open(message []byte, keys []*identity) []byte {
	for _, k := range keys {
		out, err := cms.Open(message, k.recipient(), cms.OpenOptions{AllowPKCS1v15: true, AllowUnauthenticated: true, BER: true, MaxSize: MaxAnswer})
		if err == nil {
			return out.Content
		}
	}
	return nil
}

// judgeEnvelope says whether the answer was encrypted, and how.
func (o *opened) judgeEnvelope(v *verdict, keys []*identity) {
	if o.envelope == nil {
		switch {
		case o.broken && o.signature == nil && len(v.findings) == 0:
			v.add("unreadable", Bad, nil)
		default:
			v.add("not-encrypted", Bad, nil)
		}
	} else {
		var certs []*x509.Certificate
		for _, k := range keys {
			certs = append(certs, k.encryption)
		}
		look, err := cms.LookAtEnvelope(o.envelope, certs, MaxAnswer)
		switch {
		case err != nil:
			v.add("envelope-unreadable", Bad, nil)
		default:
			name, _ := cms.AlgorithmName(look.Cipher)
			facts := map[string]string{"cipher": name}
			switch {
			case look.For == nil:
				v.add("encrypted-elsewhere", Bad, facts)
			case look.Opaque:
				v.add("cipher-unknown", Bad, facts)
			case o.locked:
				v.add("envelope-unreadable", Bad, nil)
			case !look.Strong:
				v.add("cipher-old", Warn, facts)
			default:
				v.add("encrypted", Good, facts)
			}
		}
	}
	if o.quoted {
		v.add("opened", Good, nil)
	}
}

// judgeSignature says whether the answer is signed, by whom, and whether that holds. It returns the certificate if it is the
// person's.
func (d *Desk) judgeSignature(ctx context.Context, v *verdict, o *opened, t awaited) (*ca.Certificate, error) {
	switch {
	case o.signature == nil && o.openPGP:
		v.add("openpgp", Bad, nil)
		return nil, nil
	case o.signature == nil && o.locked: // nobody knows what is inside
		return nil, nil
	case o.signature == nil && o.broken:
		v.add("unreadable", Bad, nil)
		return nil, nil
	case o.signature == nil:
		v.add("not-signed", Bad, nil)
		return nil, nil
	}
	held, err := d.holdings(ctx, t.person)
	if err != nil {
		return nil, err
	}
	look, err := cms.LookAtSignature(o.signature, MaxAnswer)
	if err != nil {
		v.add("signature-unreadable", Bad, nil)
		return nil, nil
	}
	signer := d.judgeBytes(v, o, look, held)
	if signer == nil {
		return nil, nil
	}
	known, err := d.judgeSigner(ctx, v, signer, t, held)
	if err != nil {
		return nil, err
	}
	if known != nil {
		v.judgeBeside(look, signer, held, t)
	}
	v.judgeCapabilities(look)
	return known, nil
}

// judgeBytes says whether the signature holds, and returns who made it, by certificate; nil if nobody can be said to have.
func (d *Desk) judgeBytes(v *verdict, o *opened, look *cms.SignatureLook, held *holdings) *x509.Certificate {
	digest, strong := cms.AlgorithmName(look.Digest)
	if !strong {
		v.add("digest-old", Bad, map[string]string{"digest": digest})
		return nil
	}
	var theirs []*x509.Certificate
	for _, c := range held.all {
		if cert, err := x509.ParseCertificate(c.DER); err == nil {
			theirs = append(theirs, cert)
		}
	}
	if s := look.Signer; s != nil && s.KeyUsage != 0 && s.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		v.add("signer-not-for-signing", Bad, nil)
		return nil
	}
	made, err := cms.Verify(o.signature, cms.VerifyOptions{Content: o.content, AllowAnySigner: true, Intermediates: theirs, BER: true, MaxSize: MaxAnswer})
	switch {
	case err == nil:
	case errors.Is(err, cms.ErrUnsupported):
		name, _ := cms.AlgorithmName(look.Algorithm)
		v.add("signature-unknown", Bad, map[string]string{"algorithm": name})
		return nil
	case errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge):
		v.add("signature-unreadable", Bad, nil)
		return nil
	case look.Signer == nil:
		v.add("signer-missing", Bad, nil)
		return nil
	default:
		v.add("signature-broken", Bad, nil)
		return nil
	}
	v.add("signature-holds", Good, map[string]string{"digest": digest})
	if look.Signer == nil {
		v.add("signer-left-out", Warn, nil)
	}
	return made.Signer
}

// judgeSigner says whose certificate it is and how it stands. It returns our record of it if it is the person's.
func (d *Desk) judgeSigner(ctx context.Context, v *verdict, signer *x509.Certificate, t awaited, held *holdings) (*ca.Certificate, error) {
	known, err := d.Authority.Known(ctx, signer)
	if errors.Is(err, ca.ErrNotFound) {
		v.add("signer-foreign", Bad, map[string]string{"issuer": line(cmp.Or(signer.Issuer.CommonName, signer.Issuer.String()), maxLine)})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := d.Authority.Profile(known.Profile)
	now := d.Now()
	facts := map[string]string{"serial": known.Serial.String(), "until": known.NotAfter.UTC().Format("2006-01-02")}
	switch {
	case known.Person != t.person:
		v.add("signer-other", Bad, nil)
		return nil, nil
	case known.Status.State != ca.Good:
		v.add("signer-revoked", Bad, facts)
	case now.After(known.NotAfter):
		v.add("signer-ended", Bad, facts)
	case err != nil || !p.Mail():
		v.add("signer-not-for-mail", Bad, facts)
	default:
		newest := held.newest(t.mailbox, (*ca.Profile).Signs)
		if newest != nil && newest.Number > known.Number {
			v.add("signer-older", Warn, facts)
		} else {
			v.add("signer-yours", Good, facts)
		}
	}
	v.theirs = true
	return &known, nil
}

// judgeBeside says what came along with the signature: the chain, and what others are to encrypt to.
func (v *verdict) judgeBeside(look *cms.SignatureLook, signer *x509.Certificate, held *holdings, t awaited) {
	above := func(c *x509.Certificate) bool { return !c.Equal(signer) && bytes.Equal(c.RawSubject, signer.RawIssuer) }
	if slices.ContainsFunc(look.Certificates, above) {
		v.add("chain", Good, nil)
	} else {
		v.add("chain-missing", Warn, nil)
	}
	newest := held.newest(t.mailbox, (*ca.Profile).Encrypts)
	if newest == nil {
		return
	}
	if slices.ContainsFunc(look.Certificates, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, newest.DER) }) {
		v.add("encryption-certificate", Good, nil)
	} else {
		v.add("encryption-certificate-missing", Warn, nil)
	}
}

// judgeCapabilities says which ciphers the person's program asks others to use.
func (v *verdict) judgeCapabilities(look *cms.SignatureLook) {
	var names []string
	old := false
	for i, oid := range look.Capabilities {
		name, good := cms.AlgorithmName(oid)
		if !strings.ContainsFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' }) || slices.Contains(names, name) { // a number tells people nothing
			continue
		}
		names = append(names, name)
		old = old || i == 0 && !good
	}
	switch {
	case len(names) == 0:
		v.add("capabilities-none", Note, nil)
	case old:
		v.add("capabilities-old", Warn, map[string]string{"list": strings.Join(names, ", ")})
	default:
		v.add("capabilities", Good, map[string]string{"list": strings.Join(names, ", ")})
	}
}

// judgeSender compares the sender with the certificate: mail programs warn their readers where they differ.
func (v *verdict) judgeSender(signer *ca.Certificate, from string) {
	facts := map[string]string{"from": from, "certificate": strings.Join(signer.Mailboxes, ", ")}
	switch {
	case from == "":
		v.add("sender-unclear", Bad, nil)
	case slices.Contains(signer.Mailboxes, strings.ToLower(from)):
		v.add("sender", Good, map[string]string{"from": from})
	default:
		v.add("sender-differs", Bad, facts)
	}
}
