package foreign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"slices"
)

// The private key inside a key recovery blob is as the client's cryptographic provider exported it: Windows' older interface
// (CryptoAPI) writes PRIVATEKEYBLOB ([MS-WCCE] 2.2.2.9 and wincrypt.h), its newer one (CNG) the blobs of bcrypt.h. Some
// clients send PKCS #8.
const (
	capiPrivateKey = 0x07
	capiVersion    = 0x02
	capiRSAKeyX    = 0x0000a400 // CALG_RSA_KEYX
	capiRSASign    = 0x00002400 // CALG_RSA_SIGN
	magicRSA2      = 0x32415352 // in both interfaces
	magicRSA3      = 0x33415352 // BCRYPT_RSAFULLPRIVATE_MAGIC
	maxRSABits     = 8192       // as the archive's
)

// curves of BCRYPT_ECCKEY_BLOB by their magics. Those of ECDSA ("ECS2" and so on) are not taken: such keys sign.
var (
	agreeing = map[uint32]elliptic.Curve{0x324b4345: elliptic.P256(), 0x344b4345: elliptic.P384(), 0x364b4345: elliptic.P521()}
	signing  = []uint32{0x32534345, 0x34534345, 0x36534345}
)

// parseKeyBlob returns the private key, PKCS #8. The caller erases it.
func parseKeyBlob(b []byte) ([]byte, error) {
	bad := ErrBlob.Withf("What the recovery agent's key opened is no private key in a form that is known.")
	var key crypto.PrivateKey
	switch {
	case len(b) < 20:
		return nil, bad
	case b[0] == 0x30:
		var err error
		if key, err = x509.ParsePKCS8PrivateKey(b); err != nil {
			return nil, bad // the cause may quote the key
		}
	case b[0] == capiPrivateKey:
		switch algorithm := binary.LittleEndian.Uint32(b[4:]); {
		case algorithm == capiRSASign:
			return nil, ErrUse.Withf("The key was made to sign (AT_SIGNATURE). A key that signs is never archived.")
		case b[1] != capiVersion || algorithm != capiRSAKeyX:
			return nil, bad
		}
		key = capiRSA(b[8:])
	default:
		magic := binary.LittleEndian.Uint32(b)
		if slices.Contains(signing, magic) {
			return nil, ErrUse.Withf("The key was made to sign (ECDSA). A key that signs is never archived.")
		}
		switch curve := agreeing[magic]; {
		case curve != nil:
			key = cngEC(curve, b[4:])
		case magic == magicRSA2 || magic == magicRSA3:
			key = cngRSA(b[4:])
		}
	}
	if key == nil {
		return nil, bad
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, bad
	}
	return pkcs8, nil
}

// capiRSA reads RSAPUBKEY and what follows it, all little-endian: magic, bits, exponent, n, p, q, dp, dq, qInv, d. It returns
// nil for what is none.
func capiRSA(b []byte) crypto.PrivateKey {
	magic, bits, e := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	if magic != magicRSA2 || bits == 0 || bits > maxRSABits || bits%16 != 0 || e > 1<<31-1 {
		return nil
	}
	n, half := int(bits/8), int(bits/16)
	if len(b) != 12+2*n+5*half {
		return nil
	}
	b = b[12:]
	next := func(size int) *big.Int {
		part := bytes.Clone(b[:size])
		defer clear(part)
		slices.Reverse(part)
		b = b[size:]
		return new(big.Int).SetBytes(part)
	}
	modulus, p, q := next(n), next(half), next(half)
	b = b[3*half:] // dp, dq, qInv: they follow from the others
	return rsaKey(modulus, int(e), p, q, next(n))
}

// cngRSA reads BCRYPT_RSAKEY_BLOB after its magic: bits and four lengths, little-endian, then e, n, p and q, big-endian. What
// the full form has behind them follows from these.
func cngRSA(b []byte) crypto.PrivateKey {
	if len(b) < 20 {
		return nil
	}
	var sizes [4]int
	for i := range sizes {
		size := binary.LittleEndian.Uint32(b[4+4*i:])
		if size == 0 || size > maxRSABits/8 {
			return nil
		}
		sizes[i] = int(size)
	}
	b = b[20:]
	var parts [4]*big.Int
	for i, size := range sizes {
		if size > len(b) {
			return nil
		}
		parts[i] = new(big.Int).SetBytes(b[:size])
		b = b[size:]
	}
	e, modulus, p, q := parts[0], parts[1], parts[2], parts[3]
	if e.BitLen() > 31 || p.Sign() == 0 || q.Sign() == 0 {
		return nil
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return nil
	}
	return rsaKey(modulus, int(e.Int64()), p, q, d)
}

// rsaKey returns the key if its numbers agree.
func rsaKey(n *big.Int, e int, p, q, d *big.Int) crypto.PrivateKey {
	if n.BitLen() > maxRSABits || p.Cmp(big.NewInt(1)) <= 0 || q.Cmp(big.NewInt(1)) <= 0 || d.Sign() <= 0 || d.Cmp(n) >= 0 {
		return nil
	}
	k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}, D: d, Primes: []*big.Int{p, q}}
	if k.Validate() != nil {
		return nil
	}
	k.Precompute()
	return k
}

// cngEC reads BCRYPT_ECCKEY_BLOB after its magic: the length of a number, little-endian, then x, y and d, big-endian.
func cngEC(curve elliptic.Curve, b []byte) crypto.PrivateKey {
	size := (curve.Params().BitSize + 7) / 8
	if len(b) != 4+3*size || binary.LittleEndian.Uint32(b) != uint32(size) {
		return nil
	}
	point, d := b[4:4+2*size], b[4+2*size:]
	k, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		return nil
	}
	public, err := k.PublicKey.Bytes()
	if err != nil || !bytes.Equal(public[1:], point) {
		return nil
	}
	return k
}
