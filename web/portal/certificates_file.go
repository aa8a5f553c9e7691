package portal

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strconv"

	"github.com/sealpost/sealpost/cms/bundle"
)

// certificateFile gives a certificate to take along, alone or with those above it. There is nothing secret in it: the private key
// is where it was made, and nowhere here.
func (p *Portal) certificateFile(w http.ResponseWriter, r *http.Request, v *visit) error {
	file := r.PathValue("file")
	media := map[string]string{"certificate.cer": "application/pkix-cert", "certificate.pem": "application/x-pem-file", "chain.pem": "application/x-pem-file",
		"chain.p7b": "application/x-pkcs7-certificates"}[file]
	if media == "" {
		return ErrNoPage
	}
	c, err := p.findOwn(r, v, "certificate-file")
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	chain := []*x509.Certificate{leaf}
	if file == "chain.pem" || file == "chain.p7b" {
		issuer, err := p.Authority.Issuer(c.Issuer)
		if err != nil {
			return err
		}
		chain = append(chain, issuer.Chain()...)
	}
	var out []byte
	switch file {
	case "certificate.cer":
		out = c.DER
	case "chain.p7b":
		if out, err = bundle.Write(chain); err != nil {
			return err
		}
	default:
		for _, c := range chain {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Disposition", `attachment; filename="`+p.useOf(c.Profile)+"-"+c.Serial.String()[:min(8, len(c.Serial.String()))]+"-"+file+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out) // a browser that went away needs no answer
	return nil
}
