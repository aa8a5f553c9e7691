//go:build cgo

package keys

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/url"
	"sync"

	"github.com/miekg/pkcs11"
	"go.step.sm/crypto/kms"
	"go.step.sm/crypto/kms/apiv1"
	_ "go.step.sm/crypto/kms/pkcs11" // the scheme pkcs11
	"go.step.sm/crypto/kms/uri"
)

// token says which token of which maker's library: by its label or its serial number (RFC 7512, section 2.3).
type token struct{ module, label, serial string }

func parseToken(address string) (token, *uri.URI, error) {
	u, err := uri.ParseWithScheme("pkcs11", address)
	if err != nil {
		return token{}, nil, ErrURI.Because(err)
	}
	t := token{u.Get("module-path"), u.Get("token"), u.Get("serial")}
	switch {
	case u.Has("pin-value") || u.Has("pin-source"):
		return t, nil, ErrURI.Withf("A PIN does not belong into a key's address. Give it in a file or the environment.")
	case t.module == "":
		return t, nil, ErrURI.Withf("The address of a key on a token needs module-path: the library of its maker.")
	case (t.label == "") == (t.serial == ""):
		return t, nil, ErrURI.Withf("The address of a key on a token needs either token (its label) or serial.")
	}
	return t, u, nil
}

// attributes are those of the token's address.
func (t token) attributes() url.Values {
	if t.label == "" {
		return url.Values{"module-path": {t.module}, "serial": {t.serial}}
	}
	return url.Values{"module-path": {t.module}, "token": {t.label}}
}

// connected are the tokens this process is logged in to, each once and until the process ends. Being logged in is a property
// of the process (PKCS #11 v2.40, section 5.6): a second login is not asked for its PIN, and one that is closed, or that fails
// inside the kms module, ends it for every key.
var connected = struct {
	sync.Mutex
	tokens map[token]connection
}{tokens: map[token]connection{}}

type connection struct {
	pin  [sha256.Size]byte // of the PIN that opened it
	keys kms.KeyManager
}

// connect logs the process in to a token, or finds that it is. The PIN is compared each time.
func connect(ctx context.Context, t token, u Unlock) (kms.KeyManager, error) {
	if len(u) == 0 {
		return nil, ErrNoUnlock.Withf("The token needs its PIN.")
	}
	connected.Lock()
	defer connected.Unlock()
	pin := sha256.Sum256(u)
	if c, ok := connected.tokens[t]; ok {
		if subtle.ConstantTimeCompare(c.pin[:], pin[:]) != 1 {
			return nil, ErrToken.Withf("This is not the PIN the token was opened with.")
		}
		return c.keys, nil
	}
	if err := t.try(u); err != nil {
		return nil, err
	}
	m, err := kms.New(ctx, apiv1.Options{Type: apiv1.PKCS11, URI: uri.New("pkcs11", t.attributes()).String(), Pin: string(u)})
	if err != nil {
		return nil, tokenFault(err)
	}
	connected.tokens[t] = connection{pin: pin, keys: m}
	return m, nil
}

// try finds the token and tries the PIN, and leaves the library as it was. When the kms module finds no such token or a wrong
// PIN, it ends the library for the other tokens too; so it is only given what works.
func (t token) try(u Unlock) (err error) {
	p, err := t.load()
	if err != nil {
		return err
	}
	defer p.Destroy()
	switch err := p.Initialize(); {
	case err == nil:
		defer func() { err = errors.Join(err, tokenFault(p.Finalize())) }()
	case !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		return tokenFault(err)
	}
	session, err := t.session(p)
	if err != nil {
		return err
	}
	return tokenFault(errors.Join(p.Login(session, pkcs11.CKU_USER, string(u)), p.CloseSession(session)))
}

func (t token) load() (*pkcs11.Ctx, error) {
	if p := pkcs11.New(t.module); p != nil {
		return p, nil
	}
	return nil, ErrToken.Withf("The library %s cannot be loaded.", t.module)
}

// session opens one on the token.
func (t token) session(p *pkcs11.Ctx) (pkcs11.SessionHandle, error) {
	slots, err := p.GetSlotList(true)
	if err != nil {
		return 0, tokenFault(err)
	}
	for _, slot := range slots {
		info, err := p.GetTokenInfo(slot)
		if err != nil || t.label != "" && info.Label != t.label || t.serial != "" && info.SerialNumber != t.serial {
			continue
		}
		s, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		return s, tokenFault(err)
	}
	return 0, ErrToken.Withf("There is no token with that label or serial number. Is it plugged in?")
}

// createOnToken makes a key on a token that cannot be taken out of it.
func createOnToken(ctx context.Context, address string, req *apiv1.CreateKeyRequest, u Unlock) (crypto.Signer, error) {
	if req.SignatureAlgorithm == apiv1.PureEd25519 {
		return nil, ErrAlgorithm.Withf("Ed25519 keys are not made on tokens. Use P-256.")
	}
	t, _, err := parseToken(address)
	if err != nil {
		return nil, err
	}
	m, err := connect(ctx, t, u)
	if err != nil {
		return nil, err
	}
	made, err := m.CreateKey(req)
	if errors.Is(err, apiv1.AlreadyExistsError{}) {
		return nil, ErrExists.Because(err)
	}
	if err != nil {
		return nil, tokenFault(err)
	}
	s, err := m.CreateSigner(&made.CreateSignerRequest)
	return s, tokenFault(err)
}

// openOnToken finds a key on a token.
func openOnToken(ctx context.Context, address string, u Unlock) (crypto.Signer, error) {
	t, _, err := parseToken(address)
	if err != nil {
		return nil, err
	}
	m, err := connect(ctx, t, u)
	if err != nil {
		return nil, err
	}
	s, err := m.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: address})
	return s, tokenFault(err)
}

// tokenFault returns err as this package's, or nil for none.
func tokenFault(err error) error {
	if err == nil {
		return nil
	}
	return ErrToken.Because(err)
}
