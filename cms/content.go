package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The sizes in bytes of what Seal writes.
const (
	contentKeySize = 32
	gcmNonceSize   = 12
	gcmTagSize     = 16
)

// contentCipher is how a content is encrypted, with its parameters.
type contentCipher struct {
	newBlock func(key []byte) (cipher.Block, error)
	keySize  int
	iv       []byte // nonce for GCM
	tagSize  int    // zero for CBC
}

// parseGCM reads the algorithm of AuthEnvelopedData (RFC 5084 §3.2).
func parseGCM(a algorithm) (*contentCipher, error) {
	c := &contentCipher{newBlock: aes.NewCipher}
	switch {
	case a.oid.Equal(oidAES256GCM):
		c.keySize = 32
	case a.oid.Equal(oidAES192GCM):
		c.keySize = 24
	case a.oid.Equal(oidAES128GCM):
		c.keySize = 16
	default:
		return nil, ErrUnsupported.Withf("The content is encrypted with %v, which is not accepted here.", a.oid)
	}
	params := a.params
	var body, nonce cryptobyte.String
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() ||
		!body.ReadASN1(&nonce, cbasn1.OCTET_STRING) {
		return nil, ErrMalformed
	}
	c.tagSize = 12 // DEFAULT
	if !body.Empty() && !body.ReadASN1Integer(&c.tagSize) || !body.Empty() {
		return nil, ErrMalformed
	}
	if len(nonce) != gcmNonceSize || c.tagSize < 12 || c.tagSize > gcmTagSize {
		return nil, ErrUnsupported.Withf("The parameters of AES-GCM are not accepted.")
	}
	c.iv = nonce
	return c, nil
}

// parseCBC reads the algorithm of EnvelopedData (RFC 3565 §4.1, RFC 3370 §5.1).
func parseCBC(a algorithm) (*contentCipher, error) {
	c := &contentCipher{newBlock: aes.NewCipher}
	ivSize := aes.BlockSize
	switch {
	case a.oid.Equal(oidAES256CBC):
		c.keySize = 32
	case a.oid.Equal(oidAES192CBC):
		c.keySize = 24
	case a.oid.Equal(oidAES128CBC):
		c.keySize = 16
	case a.oid.Equal(oid3DESCBC):
		c.keySize, c.newBlock, ivSize = 24, des.NewTripleDESCipher, des.BlockSize
	default:
		return nil, ErrUnsupported.Withf("The content is encrypted with %v, which is not accepted here.", a.oid)
	}
	params := a.params
	var iv cryptobyte.String
	if !params.ReadASN1(&iv, cbasn1.OCTET_STRING) || !params.Empty() || len(iv) != ivSize {
		return nil, ErrMalformed
	}
	c.iv = iv
	return c, nil
}

// openGCM returns the plaintext, or false.
func (c *contentCipher) openGCM(key, ciphertext, tag, aad []byte) ([]byte, bool) {
	block, err := c.newBlock(key)
	if err != nil {
		return nil, false
	}
	gcm, err := cipher.NewGCMWithTagSize(block, c.tagSize)
	if err != nil {
		return nil, false
	}
	sealed := make([]byte, 0, len(ciphertext)+len(tag))
	sealed = append(append(sealed, ciphertext...), tag...)
	plain, err := gcm.Open(sealed[:0], c.iv, sealed, aad)
	return plain, err == nil
}

// openCBC returns the plaintext without its padding, or false. The ciphertext is
// a positive multiple of the block size.
func (c *contentCipher) openCBC(key, ciphertext []byte) ([]byte, bool) {
	block, err := c.newBlock(key)
	if err != nil {
		return nil, false
	}
	plain := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, c.iv).CryptBlocks(plain, ciphertext)
	n, ok := paddingSize(plain, block.BlockSize())
	if !ok {
		clear(plain)
		return nil, false
	}
	return plain[:len(plain)-n], true
}

// paddingSize checks the padding of RFC 5652 §6.3 in time that does not depend
// on where it is wrong.
func paddingSize(plain []byte, blockSize int) (int, bool) {
	last := plain[len(plain)-1]
	n := int(last)
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, blockSize)
	for i := 1; i <= blockSize; i++ {
		inPadding := subtle.ConstantTimeLessOrEq(i, n)
		equal := subtle.ConstantTimeByteEq(plain[len(plain)-i], last)
		good &= subtle.ConstantTimeSelect(inPadding, equal, 1)
	}
	return n, good == 1
}

// sealGCM encrypts with AES-256-GCM; the tag comes apart from the ciphertext.
func sealGCM(key, nonce, content, aad []byte) (ciphertext, tag []byte, err error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, err
	}
	sealed := gcm.Seal(nil, nonce, content, aad)
	n := len(sealed) - gcmTagSize
	return sealed[:n], sealed[n:], nil
}

// sealCBC encrypts with AES-256-CBC.
func sealCBC(key, iv, content []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(content)%aes.BlockSize
	buf := make([]byte, len(content)+n)
	copy(buf, content)
	for i := len(content); i < len(buf); i++ {
		buf[i] = byte(n)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(buf, buf)
	return buf, nil
}
