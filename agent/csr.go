package agent

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"unicode/utf8"

	"github.com/sealpost/sealpost/api"
)

// maxCommonName is ub-common-name, RFC 5280 appendix A.1, in characters.
const maxCommonName = 64

// makeCSR returns a certificate request (PKCS#10, RFC 2986) for a person, signed by the key. The names in it are those
// that the policy told us; the server takes them from the directory all the same and refuses a request that names
// others.
func makeCSR(key crypto.Signer, person Person) ([]byte, error) {
	mailboxes, err := normalMailboxes(person.Mailboxes)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.CertificateRequest{}
	if utf8.RuneCountInString(person.Name) <= maxCommonName {
		tmpl.Subject = pkix.Name{CommonName: person.Name}
	}
	if len(mailboxes) > 0 {
		san, err := altNames(mailboxes)
		if err != nil {
			return nil, fmt.Errorf("encode mail addresses: %w", err)
		}
		tmpl.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: san}}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate request: %w", err)
	}
	if len(der) > api.MaxCSR {
		return nil, ErrConfig.Withf("The certificate request would have %d bytes; the server reads %d at most.", len(der), api.MaxCSR)
	}
	return der, nil
}
