//go:build cgo

package keys

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"sync"

	"github.com/miekg/pkcs11"
)

// The kms module knows no key agreement, and makes keys that are not allowed it. So this speaks to the token itself.

const (
	coordinate = 32 // bytes on P-256
	maxObjects = 2  // enough to see that a name is not unique
)

var curveP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07} // the OID in DER

// agreement is a P-256 key on a token. The session lasts as long as the process.
type agreement struct {
	mu      sync.Mutex
	ctx     *pkcs11.Ctx
	session pkcs11.SessionHandle
	private pkcs11.ObjectHandle
	public  *ecdsa.PublicKey
}

// Public returns the public key, an *ecdsa.PublicKey.
func (a *agreement) Public() crypto.PublicKey { return a.public }

// Sign makes an ECDSA signature over a digest, as crypto.Signer says.
func (a *agreement) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ctx.SignInit(a.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, a.private); err != nil {
		return nil, tokenFault(err)
	}
	raw, err := a.ctx.Sign(a.session, digest)
	if err != nil {
		return nil, tokenFault(err)
	}
	if len(raw) != 2*coordinate {
		return nil, ErrToken.Withf("The token returned a signature of the wrong length.")
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:coordinate]), new(big.Int).SetBytes(raw[coordinate:])})
}

// ECDH returns the x coordinate of the shared point. The caller clears it.
func (a *agreement) ECDH(remote *ecdh.PublicKey) ([]byte, error) {
	if remote.Curve() != ecdh.P256() {
		return nil, ErrAlgorithm.Withf("This key is on the curve P-256.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	derive := pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, remote.Bytes()))
	secret, err := a.ctx.DeriveKey(a.session, []*pkcs11.Mechanism{derive}, a.private, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, coordinate), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
	})
	if err != nil {
		return nil, tokenFault(err)
	}
	value, err := a.ctx.GetAttributeValue(a.session, secret, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if err = errors.Join(err, a.ctx.DestroyObject(a.session, secret)); err != nil {
		return nil, tokenFault(err)
	}
	if len(value) != 1 || len(value[0].Value) != coordinate {
		return nil, ErrToken.Withf("The token returned a secret of the wrong length.")
	}
	return value[0].Value, nil
}

// tokenKey is the address of a key on a token, taken apart.
type tokenKey struct {
	token
	label string
	id    []byte
}

func parseTokenKey(address string) (tokenKey, error) {
	t, u, err := parseToken(address)
	if err != nil {
		return tokenKey{}, err
	}
	k := tokenKey{t, u.Get("object"), u.GetEncoded("id")}
	if len(k.id) == 0 || k.label == "" {
		return k, ErrURI.Withf("The address of a key on a token needs id (hexadecimal) and object.")
	}
	return k, nil
}

// login opens a session on the token.
func (k tokenKey) login(ctx context.Context, u Unlock) (*agreement, error) {
	if _, err := connect(ctx, k.token, u); err != nil {
		return nil, err
	}
	p, err := k.load()
	if err != nil {
		return nil, err
	}
	session, err := k.session(p)
	if err != nil {
		return nil, err
	}
	return &agreement{ctx: p, session: session}, nil
}

// find returns the handles of the objects of a class under the key's name.
func (a *agreement) find(k tokenKey, class uint) ([]pkcs11.ObjectHandle, error) {
	err := a.ctx.FindObjectsInit(a.session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class),
		pkcs11.NewAttribute(pkcs11.CKA_ID, k.id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label)})
	if err != nil {
		return nil, tokenFault(err)
	}
	found, _, err := a.ctx.FindObjects(a.session, maxObjects)
	if err = errors.Join(err, a.ctx.FindObjectsFinal(a.session)); err != nil {
		return nil, tokenFault(err)
	}
	return found, nil
}

func createAgreement(ctx context.Context, address string, u Unlock) (crypto.Signer, error) {
	k, err := parseTokenKey(address)
	if err != nil {
		return nil, err
	}
	a, err := k.login(ctx, u)
	if err != nil {
		return nil, err
	}
	found, err := a.find(k, pkcs11.CKO_PRIVATE_KEY)
	if err != nil || len(found) > 0 {
		return nil, errors.Join(err, existing(len(found)), a.close())
	}
	public := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true), pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, curveP256),
		pkcs11.NewAttribute(pkcs11.CKA_ID, k.id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label),
	}
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_DERIVE, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ID, k.id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label),
	}
	generate := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)}
	if _, _, err := a.ctx.GenerateKeyPair(a.session, generate, public, private); err != nil {
		return nil, errors.Join(tokenFault(err), a.close())
	}
	return a.open(k)
}

func existing(n int) error {
	if n == 0 {
		return nil
	}
	return ErrExists.Withf("There is a key with this id and name on the token already. It was not touched.")
}

func openAgreement(ctx context.Context, address string, u Unlock) (crypto.Signer, error) {
	k, err := parseTokenKey(address)
	if err != nil {
		return nil, err
	}
	a, err := k.login(ctx, u)
	if err != nil {
		return nil, err
	}
	return a.open(k)
}

// open finds both halves of the key.
func (a *agreement) open(k tokenKey) (crypto.Signer, error) {
	private, err := a.find(k, pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	public, err := a.find(k, pkcs11.CKO_PUBLIC_KEY)
	if err != nil || len(private) != 1 || len(public) != 1 {
		return nil, errors.Join(err, ErrToken.Withf("The token does not hold exactly one key with this id and name."), a.close())
	}
	value, err := a.ctx.GetAttributeValue(a.session, public[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, errors.Join(tokenFault(err), a.close())
	}
	var point []byte
	if _, err := asn1.Unmarshal(value[0].Value, &point); err != nil {
		point = value[0].Value // some tokens leave the OCTET STRING out
	}
	if a.public, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return nil, errors.Join(ErrToken.Withf("The key on the token is not on the curve P-256.").Because(err), a.close())
	}
	a.private = private[0]
	return a, nil
}

func (a *agreement) close() error { return a.ctx.CloseSession(a.session) }
