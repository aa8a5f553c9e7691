package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
)

// Recipient is who opens: a certificate that the message was sealed to and its
// private key.
type Recipient struct {
	Certificate *x509.Certificate
	Key         Decrypter
}

// OpenOptions loosen what Open accepts. The zero value is the strict one.
type OpenOptions struct {
	// AllowPKCS1v15 accepts RSA key transport with PKCS #1 v1.5 padding, as
	// Windows and most mail programs write it. Use a key for it that serves
	// nothing else. Some wrong content keys then decrypt CBC content to
	// garbage instead of an error: that is what takes the oracle away.
	AllowPKCS1v15 bool
	// AllowUnauthenticated accepts EnvelopedData, whose CBC content anybody can
	// alter without it being noticed. Use a key for it that opens nothing else:
	// an AuthEnvelopedData can be recast as EnvelopedData under the same content
	// key (RFC 9709 §1), and what becomes of it says something about its content.
	AllowUnauthenticated bool
	// BER accepts indefinite lengths and content in pieces, as mail programs write
	// them.
	BER bool
	// MaxSize in bytes of the whole message; zero means DefaultMaxSize.
	MaxSize int
}

// Opened is what was inside a message.
type Opened struct {
	ContentType asn1.ObjectIdentifier
	// Content is the plaintext. The caller clears it when it is a secret.
	Content []byte
	// Recipient is the certificate it was opened for.
	Recipient *x509.Certificate
	// Authenticated is true when alterations would have been noticed
	// (AuthEnvelopedData). It says nothing about who sealed it: anybody can.
	Authenticated bool
}

// Open decrypts a message in DER. Structural faults are ErrMalformed, ErrTooLarge
// or ErrUnsupported; a key that does not belong to its certificate is
// ErrRecipient; everything that fails from there on is ErrOpen without a cause.
// When no content key is found, the content is decrypted under a random one, so
// that the work does not tell what failed. (A message that does not name the
// certificate costs no operation of the private key; but that anybody can see.)
func Open(der []byte, r Recipient, opt OpenOptions) (*Opened, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	der, err := readable(der, opt.MaxSize, opt.BER)
	if err != nil {
		return nil, err
	}
	e, err := parseEnvelope(der, opt.BER)
	if err != nil {
		return nil, err
	}
	if !e.authenticated && !opt.AllowUnauthenticated {
		return nil, ErrUnsupported.Withf("The message is EnvelopedData, which does not notice alterations; AuthEnvelopedData is required.")
	}
	unwrap := noContentKey
	if info := e.find(r.Certificate); info != nil {
		if unwrap, err = info.unwrapper(r, e.cipher.keySize, opt); err != nil {
			return nil, err
		}
	}
	content, ok := e.decrypt(unwrap)
	if !ok {
		return nil, ErrOpen
	}
	return &Opened{ContentType: e.contentType, Content: content, Recipient: r.Certificate, Authenticated: e.authenticated}, nil
}

// check refuses a recipient whose key cannot belong to the certificate: a mistake
// of the caller, not of the message.
func (r Recipient) check() error {
	if r.Certificate == nil || r.Key == nil {
		return ErrRecipient.Withf("A certificate and its key are needed to open a message.")
	}
	mismatch := ErrRecipient.Withf("The key does not belong to the certificate of serial %x.", r.Certificate.SerialNumber)
	if pub, ok := r.Certificate.PublicKey.(*rsa.PublicKey); ok {
		if _, ok := r.Key.(crypto.Decrypter); !ok || !pub.Equal(r.Key.Public()) {
			return mismatch
		}
		return nil
	}
	pub, ok := ecdhPublic(certifiedKey(r.Certificate))
	if !ok {
		return ErrRecipient.Withf("The certificate of serial %x has a key that cannot decrypt.", r.Certificate.SerialNumber)
	}
	own, ok := ecdhPublic(r.Key.Public())
	if _, agrees := ecdhKey(r.Key); !ok || !agrees || !pub.Equal(own) {
		return mismatch
	}
	return nil
}

// unwrapFunc returns the content key, or false. The caller clears the key.
type unwrapFunc func() ([]byte, bool)

func noContentKey() ([]byte, bool) { return nil, false }

// decrypt unwraps the content key and decrypts the content. All ways to fail do
// the same work and end in the same false.
func (e *envelope) decrypt(unwrap unwrapFunc) ([]byte, bool) {
	key := make([]byte, e.cipher.keySize)
	defer clear(key)
	rand.Read(key)
	unwrapped, found := unwrap()
	defer clear(unwrapped)
	found = found && len(unwrapped) == len(key)
	if found {
		copy(key, unwrapped)
	}
	var content []byte
	var intact bool
	if e.authenticated {
		content, intact = e.cipher.openGCM(key, e.ciphertext, e.tag, e.aad)
	} else {
		content, intact = e.cipher.openCBC(key, e.ciphertext)
	}
	if !found || !intact {
		clear(content)
		return nil, false
	}
	return content, true
}
