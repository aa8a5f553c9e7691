package kdctest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/kdctest"
)

// A realm gives tickets, AES alone, and to a realm that believes it too.
func TestRealm(t *testing.T) {
	t.Parallel()
	other := kdctest.New(t, "OTHER.TEST")
	r := kdctest.New(t, "EXAMPLE.TEST", kdctest.Option{Trust: other})
	r.Add(t, "alice")
	r.Keytab(t, "HTTP/localhost", "")
	cache := r.Kinit(t, "alice")
	r.Ticket(t, cache, "HTTP/localhost")
	cmd := exec.Command("klist", "-e", cache)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "HTTP/localhost@EXAMPLE.TEST") || strings.Contains(string(out), "arcfour") {
		t.Errorf("%v\n%s", err, out)
	}
	other.Add(t, "mallory")
	other.Believe(t, r)
	r.Ticket(t, r.Kinit(t, "mallory@OTHER.TEST"), "HTTP/localhost@EXAMPLE.TEST")
}
