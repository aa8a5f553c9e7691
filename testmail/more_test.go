package testmail_test

import (
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/testmail"
)

// enrolled gets a pair for somebody of the company.
func (k *kit) enrolled(t *testing.T, login string) program {
	t.Helper()
	return k.enrol(t, k.Actor(t, login), pkitest.NewKey(t, ca.P256), pkitest.NewKey(t, ca.P256))
}

// stranger is somebody with a certificate that openssl made.
func (k *kit) stranger(t *testing.T) program {
	t.Helper()
	p := program{t.TempDir(), "alice@example.test"}
	p.openssl(t, nil, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=<script>alert(1)<\\/script>", "-addext", "subjectAltName=email:alice@example.test",
		"-addext", "keyUsage=digitalSignature", "-keyout", "signing.key", "-out", "signing.pem")
	return p
}

// found puts an answer into the mailbox and returns what is found in it.
func (k *kit) found(t *testing.T, content []byte) []testmail.Finding {
	t.Helper()
	k.Database.Exec(t, `update testmail.test set answers = 0, theirs = false, findings = null, answered_at = null`)
	k.imap.Put(t, "test", content)
	must(t, k.Read(t.Context()))
	return k.newest(t).Findings
}
