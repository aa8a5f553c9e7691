package directory_test

import (
	"strings"
	"testing"

	"github.com/sealpost/sealpost/directory"
)

// Active Directory tells an account's rights: nothing is sent to find out. Whoever writes by the reading account is told what is
// missing, and nothing is as it was not.
func TestADTry(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	f.User(t, "alice")
	probe := map[directory.Attribute][]byte{directory.UserCertificate: []byte("probe"), directory.UserSMIMECertificate: []byte("probe")}
	what := directory.Tried{Attributes: []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate}, Probe: probe}
	found := func(d *directory.Directory) string {
		var s strings.Builder
		for _, r := range d.Try(t.Context(), what) {
			s.WriteString(string(r.State) + ": " + r.Thing + ": " + r.Says + "\n")
		}
		return s.String()
	}
	if out := found(f.Directory); strings.Contains(out, "fault: ") || strings.Contains(out, "warning: ") || !strings.Contains(out, "good: writing userSMIMECertificate: ") ||
		!strings.Contains(out, "good: finding by objectGUID: ") {
		t.Errorf("as it must be:\n%s", out)
	}
	reading := inUnit(t, f.Unit, func(c *directory.Config) { c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword })
	if out := found(reading.Directory); strings.Count(out, "fault: ") != 2 || !strings.Contains(out, "fault: writing userCertificate: "+f.Unit.Lookup.DN+" may not write userCertificate of CN=alice,") {
		t.Errorf("without rights:\n%s", out)
	}
	named := inUnit(t, f.Unit, func(c *directory.Config) { c.AttributeNames = []string{"userCertificate;binary"} })
	if out := found(named.Directory); !strings.Contains(out, "Set attribute_names: [userCertificate].") {
		t.Errorf("with ;binary:\n%s", out)
	}
}
