package pkcs12

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// encryption is how one bag is encrypted: an AlgorithmIdentifier, and the cipher
// with key and IV that it stands for.
type encryption struct {
	algorithm func(*cryptobyte.Builder)
	block     cipher.Block
	iv        []byte
}

// encrypter hands out the encryption for each bag of a file that is written.
type encrypter struct {
	parameters
	keys *deriver
	salt []byte // of the one derivation of a modern file
}

func newEncrypter(p parameters, passphrase string) *encrypter {
	e := &encrypter{parameters: p, keys: newDeriver(passphrase), salt: make([]byte, p.saltSize)}
	rand.Read(e.salt)
	return e
}

// next returns the encryption for one more bag.
func (e *encrypter) next() (*encryption, error) {
	if e.modern {
		return e.nextPBES2()
	}
	return e.nextPBE3DES()
}

// nextPBES2 is AES-256-CBC with the file's one key and a fresh IV (RFC 8018
// appendix A.4). The optional keyLength is left out, because gpgsm up to 2.4 does
// not read it.
func (e *encrypter) nextPBES2() (*encryption, error) {
	key, err := e.keys.pbkdf2(crypto.SHA256, e.salt, e.iterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv)
	pbkdf2 := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(e.salt)
			b.AddASN1Int64(int64(e.iterations))
			addAlgorithm(b, oidHMACSHA256, addNull)
		})
	}
	pbes2 := func(b *cryptobyte.Builder) {
		addAlgorithm(b, oidPBES2, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addAlgorithm(b, oidPBKDF2, pbkdf2)
				addAlgorithm(b, oidAES256CBC, func(b *cryptobyte.Builder) { b.AddASN1OctetString(iv) })
			})
		})
	}
	return &encryption{algorithm: pbes2, block: block, iv: iv}, nil
}

// nextPBE3DES is 3DES with key and IV from the passphrase (RFC 7292 appendix C).
// Because the IV is derived too, every bag needs a salt of its own.
func (e *encrypter) nextPBE3DES() (*encryption, error) {
	salt := make([]byte, e.saltSize)
	for rand.Read(salt); !readByGPGSM(e.keys.passphrase, salt, e.iterations); {
		rand.Read(salt)
	}
	block, iv, err := e.keys.tripleDES(salt, e.iterations)
	if err != nil {
		return nil, err
	}
	pbe := func(b *cryptobyte.Builder) {
		addAlgorithm(b, oidPBE3DES, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(salt)
				b.AddASN1Int64(int64(e.iterations))
			})
		})
	}
	return &encryption{algorithm: pbe, block: block, iv: iv}, nil
}

// tripleDESKey is the size of its key in bytes.
const tripleDESKey = 24

func (d *deriver) tripleDES(salt []byte, iterations int) (cipher.Block, []byte, error) {
	key, err := d.rfc7292(crypto.SHA1, purposeKey, salt, iterations, tripleDESKey)
	if err != nil {
		return nil, nil, err
	}
	iv, err := d.rfc7292(crypto.SHA1, purposeIV, salt, iterations, des.BlockSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := des.NewTripleDESCipher(key)
	return block, iv, err
}

// encrypt pads and encrypts plain, and clears it.
func (e *encryption) encrypt(plain []byte) []byte {
	size := e.block.BlockSize()
	n := size - len(plain)%size
	out := make([]byte, len(plain)+n)
	copy(out, plain)
	clear(plain)
	for i := len(out) - n; i < len(out); i++ {
		out[i] = byte(n)
	}
	cipher.NewCBCEncrypter(e.block, e.iv).CryptBlocks(out, out)
	return out
}

// decrypt decrypts what an algorithm of a file protects. The caller clears the
// result. The MAC was verified before, so that the padding is no oracle.
func (d *deriver) decrypt(a algorithm, ciphertext []byte) ([]byte, error) {
	block, iv, err := d.cipher(a)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(ciphertext) == 0 || len(ciphertext)%size != 0 {
		return nil, ErrMalformed
	}
	plain := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, ciphertext)
	n := int(plain[len(plain)-1])
	good := n >= 1 && n <= size
	for i := 1; good && i <= n; i++ {
		good = int(plain[len(plain)-i]) == n
	}
	if !good {
		clear(plain)
		return nil, ErrPassphrase
	}
	return plain[:len(plain)-n], nil
}

// cipher reads an AlgorithmIdentifier of a file and derives its key.
func (d *deriver) cipher(a algorithm) (cipher.Block, []byte, error) {
	params := a.params
	var body cryptobyte.String
	switch {
	case a.oid.Equal(oidPBES2):
		if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() {
			return nil, nil, ErrMalformed
		}
		return d.pbes2Cipher(body)
	case a.oid.Equal(oidPBE3DES), d.foreign && (a.oid.Equal(oidPBERC240) || a.oid.Equal(oidPBERC2128)):
		var salt cryptobyte.String
		var iterations int
		if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() ||
			!body.ReadASN1(&salt, cbasn1.OCTET_STRING) || !body.ReadASN1Integer(&iterations) || !body.Empty() {
			return nil, nil, ErrMalformed
		}
		switch {
		case a.oid.Equal(oidPBERC240):
			return d.rc2(salt, iterations, 40/8)
		case a.oid.Equal(oidPBERC2128):
			return d.rc2(salt, iterations, 128/8)
		}
		return d.tripleDES(salt, iterations)
	case a.oid.Equal(oidPBERC240), a.oid.Equal(oidPBERC2128):
		return nil, nil, ErrUnsupported.Withf("The file is encrypted with RC2. Write it anew with AES or 3DES.")
	}
	return nil, nil, ErrUnsupported.Withf("The file is encrypted with %v, which is not accepted.", a.oid)
}

// pbes2Cipher reads the parameters of PBES2.
func (d *deriver) pbes2Cipher(body cryptobyte.String) (cipher.Block, []byte, error) {
	var kdf, scheme algorithm
	if !readAlgorithm(&body, &kdf) || !readAlgorithm(&body, &scheme) || !body.Empty() {
		return nil, nil, ErrMalformed
	}
	size := aesKeySize(scheme.oid)
	if size == 0 || !kdf.oid.Equal(oidPBKDF2) {
		return nil, nil, ErrUnsupported.Withf("The file is encrypted with %v and %v, which is not accepted.", kdf.oid, scheme.oid)
	}
	var iv cryptobyte.String
	if !scheme.params.ReadASN1(&iv, cbasn1.OCTET_STRING) || !scheme.params.Empty() {
		return nil, nil, ErrMalformed
	}
	key, err := d.pbkdf2Key(kdf.params, size)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	return block, iv, err
}

// pbkdf2Key reads the parameters of PBKDF2 and derives a key of size bytes.
func (d *deriver) pbkdf2Key(params cryptobyte.String, size int) ([]byte, error) {
	var body, salt cryptobyte.String
	var iterations int
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() ||
		!body.ReadASN1(&salt, cbasn1.OCTET_STRING) || !body.ReadASN1Integer(&iterations) {
		return nil, ErrMalformed
	}
	if body.PeekASN1Tag(cbasn1.INTEGER) { // keyLength
		var n int
		if !body.ReadASN1Integer(&n) || n != size {
			return nil, ErrMalformed
		}
	}
	prf := algorithm{oid: oidHMACSHA1} // DEFAULT
	if !body.Empty() && !readAlgorithm(&body, &prf) || !body.Empty() {
		return nil, ErrMalformed
	}
	h, ok := hashOfHMAC(prf.oid)
	if !ok || !prf.plain() {
		return nil, ErrUnsupported.Withf("The file derives its key with %v, which is not accepted.", prf.oid)
	}
	return d.pbkdf2(h, salt, iterations, size)
}

func aesKeySize(oid asn1.ObjectIdentifier) int {
	switch {
	case oid.Equal(oidAES256CBC):
		return 32
	case oid.Equal(oidAES192CBC):
		return 24
	case oid.Equal(oidAES128CBC):
		return 16
	}
	return 0
}

func hashOfHMAC(oid asn1.ObjectIdentifier) (crypto.Hash, bool) {
	switch {
	case oid.Equal(oidHMACSHA1):
		return crypto.SHA1, true
	case oid.Equal(oidHMACSHA256):
		return crypto.SHA256, true
	case oid.Equal(oidHMACSHA384):
		return crypto.SHA384, true
	case oid.Equal(oidHMACSHA512):
		return crypto.SHA512, true
	}
	return 0, false
}
