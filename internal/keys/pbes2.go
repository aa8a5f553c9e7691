package keys

import (
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxIterations bounds the time that a key file can cost; it is some seconds.
const maxIterations = 10_000_000

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidAES128 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// checkPBES2 checks that an EncryptedPrivateKeyInfo (RFC 5958 §3) is encrypted with PBES2 (RFC 8018 §6.2) and AES-CBC,
// and well formed: pemutil panics on an initialisation vector or a ciphertext of a wrong length.
func checkPBES2(der []byte, mostIterations int) error {
	var info, algorithm, params, kdf, kdfParams, scheme, ciphertext, iv, salt cryptobyte.String
	var id, kdfID, schemeID asn1.ObjectIdentifier
	var iterations int
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) || !in.Empty() ||
		!info.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) || !info.ReadASN1(&ciphertext, cryptobyte_asn1.OCTET_STRING) ||
		!algorithm.ReadASN1ObjectIdentifier(&id) || !algorithm.ReadASN1(&params, cryptobyte_asn1.SEQUENCE) ||
		!params.ReadASN1(&kdf, cryptobyte_asn1.SEQUENCE) || !params.ReadASN1(&scheme, cryptobyte_asn1.SEQUENCE) ||
		!kdf.ReadASN1ObjectIdentifier(&kdfID) || !kdf.ReadASN1(&kdfParams, cryptobyte_asn1.SEQUENCE) ||
		!kdfParams.ReadASN1(&salt, cryptobyte_asn1.OCTET_STRING) || !kdfParams.ReadASN1Integer(&iterations) ||
		!scheme.ReadASN1ObjectIdentifier(&schemeID) || !scheme.ReadASN1(&iv, cryptobyte_asn1.OCTET_STRING) {
		return errors.New("not an EncryptedPrivateKeyInfo with PBES2")
	}
	switch {
	case !id.Equal(oidPBES2) || !kdfID.Equal(oidPBKDF2):
		return fmt.Errorf("encrypted with %s and %s, not PBES2 and PBKDF2", id, kdfID)
	case !schemeID.Equal(oidAES128) && !schemeID.Equal(oidAES256):
		return fmt.Errorf("encrypted with %s, not AES-CBC", schemeID)
	case len(iv) != 16 || len(ciphertext) == 0 || len(ciphertext)%16 != 0:
		return errors.New("the ciphertext is cut off")
	case len(salt) < 8 || iterations < 1 || iterations > mostIterations:
		return fmt.Errorf("%d iterations with a salt of %d bytes", iterations, len(salt))
	}
	return nil
}
