// The tests at the root hold the house together: who may import whom, which third party comes in by which door, and
// what a package owes its readers. The tables are in this file, the rules in house_rules_test.go; house_broken_test.go
// shows each rule a house that breaks it. docs/design.md has the picture, docs/decisions/0001-house.md the reasons.
package sealpost_test

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sealpost/sealpost"

// floors says on which floor each room stands. A package imports lower floors only, and its own room; what lies in a
// room's subfolders stands where the room stands.
var floors = map[string]int{
	"internal/fault": -1,
	"internal/ber":   -1,

	"migrations":      0,
	"internal/erase":  0,
	"internal/pg":     0,
	"internal/audit":  0,
	"internal/keyuse": 0,
	"internal/jobs":   0,
	"internal/keys":   0,
	"internal/disk":   0,
	"internal/mail":   0,
	"internal/spnego": 0,
	"internal/jws":    0,
	"cms":             0,
	"pkcs12":          0,
	"api":             0,

	"ca":        1,
	"archive":   1,
	"directory": 1,
	"attest":    1,

	"enroll":   2,
	"recovery": 2,
	"notice":   2,
	"crl":      2,
	"ocsp":     2,
	"gal":      2,
	"testmail": 2,
	"fleet":    2,

	"web": 3,
}

// neighbours are the few imports on one floor, each because the first is built on the second.
var neighbours = map[string][]string{
	"internal/pg":     {"migrations"},
	"internal/jobs":   {"internal/pg"},
	"internal/audit":  {"internal/pg"},
	"internal/keyuse": {"internal/pg"},
}

// support runs servers and makes samples for tests: internal/child and every internal/…test. Tests and support itself
// import it, and of the server only the demo and the bench, this much:
var demoSupport = []string{"internal/child", "internal/pgtest", "internal/slapdtest", "internal/ftptest", "internal/s3test", "internal/pkitest", "internal/audittest"}

// Lists that several entries of listed share.
var (
	clientParts = []string{"internal/fault", "internal/ber", "internal/disk", "internal/jws", "internal/audit/proof", "api", "cms", "pkcs12", "archive/record", "archive/threshold"}
	serverParts = []string{"internal/...", "migrations", "cms/...", "pkcs12", "api", "ca/...", "archive/...", "directory/...", "attest",
		"enroll/...", "recovery/...", "notice/...", "crl/...", "ocsp/...", "gal/...", "testmail", "fleet", "web/..."}
)

// listed stand outside the floors: floor 4, the client side, and the support that demo and bench need. Each says what it may
// import; "x/..." is x and all in it.
var listed = map[string][]string{
	"client":             {"api", "internal/fault"},
	"delivery":           clientParts,
	"agent":              append([]string{"client", "delivery", "internal/spnego"}, clientParts...),
	"cmd/sealpost-agent": append([]string{"client", "agent/...", "delivery"}, clientParts...),
	"kra":                append([]string{"client", "delivery", "internal/keys"}, clientParts...),
	"cmd/sealpost-kra":   append([]string{"client", "kra", "delivery", "internal/keys"}, clientParts...),
	"cmd/sealpost":       append([]string{"cmd/sealpost/...", "client", "agent/...", "kra", "delivery"}, serverParts...),
	"internal/child":     {"internal/fault"},
	"internal/pgtest":    {"internal/child", "internal/pg", "internal/jobs"},
	"internal/slapdtest": {"internal/child", "internal/fault"},
	"internal/ftptest":   {"internal/child"},
	"internal/s3test":    {"internal/child"},
	"internal/audittest": {"internal/audit/proof", "api"},
}

// A door is where a third party comes in.
type door struct {
	prefix string   // of the import path; the longest that fits decides
	rooms  []string // who may import it; "x/..." is x and all in it, "..." is everybody
	tests  bool     // any test may too
}

var withTables = []string{"internal/pg", "internal/audit", "internal/keyuse", "internal/jobs", "internal/pgtest", "ca",
	"archive", "directory", "enroll", "enroll/leaver", "notice", "crl", "ocsp", "gal", "gal/contact", "testmail", "fleet", "web/session"}

// doors is the whole list of third parties: one that is not here does not come in.
var doors = []door{
	{"github.com/jackc/pgx/v5", append([]string{"cmd/sealpost/bench"}, withTables...), true},
	{"github.com/pressly/goose/v3", []string{"internal/pg"}, false},
	{"github.com/riverqueue/river", []string{"internal/jobs"}, false},
	{"github.com/go-ldap/ldap/v3", []string{"directory", "internal/slapdtest"}, false},
	{"github.com/jcmturner/gokrb5/v8", []string{"directory", "internal/spnego", "web/signin", "agent/kerberos"}, true},
	{"github.com/alexbrainman/sspi", []string{"agent/kerberos"}, true},
	{"github.com/jlaffaye/ftp", []string{"crl/ftp"}, false},
	{"github.com/aws/aws-sdk-go-v2", []string{"crl/point"}, false}, // the signature of requests to S3
	{"github.com/wneessen/go-mail", []string{"internal/mail"}, false},
	{"github.com/emersion/go-imap/v2", []string{"testmail"}, false},
	{"github.com/go-chi/chi/v5", []string{"web/..."}, false},
	{"github.com/danielgtaylor/huma/v2", []string{"web/..."}, false},
	{"github.com/prometheus/client_golang", []string{"web/...", "cmd/sealpost"}, false},

	{"github.com/smallstep/certificates", []string{"ca"}, false},
	{"go.step.sm/crypto", []string{"ca", "internal/keys"}, false},
	{"go.step.sm/crypto/kms", []string{"internal/keys"}, false},
	{"github.com/miekg/pkcs11", []string{"internal/keys", "agent/token"}, false}, // kms knows no key agreement on tokens
	{"github.com/google/go-tpm", []string{"agent/tpm", "attest"}, true},
	{"github.com/zmap/zlint/v3", []string{"ca", "crl"}, true},
	{"github.com/zmap/zcrypto", []string{"ca", "crl"}, true},
	{"github.com/cloudflare/circl", []string{"archive/threshold"}, false},
	{"github.com/bwesterb/go-ristretto", []string{"archive/threshold"}, false},
	{"go.mozilla.org/pkcs7", []string{"cms/bundle"}, true},
	{"software.sslmate.com/src/go-pkcs12", []string{"pkcs12"}, true},
	{"golang.org/x/mod/sumdb", []string{"internal/audit/...", "internal/audittest"}, true},

	{"github.com/go-jose/go-jose/v4", []string{"internal/jws"}, true},
	{"github.com/coreos/go-oidc/v3", []string{"web/signin"}, false},
	{"golang.org/x/oauth2", []string{"web/signin"}, false},
	{"github.com/zitadel/oidc/v3", []string{"internal/openidtest"}, true}, // a provider for tests
	{"github.com/spf13/cobra", []string{"cmd/..."}, false},
	{"github.com/schollz/progressbar/v3", []string{"cmd/..."}, false},
	{"go.yaml.in/yaml/v3", []string{"cmd/..."}, true},

	{"github.com/chromedp", nil, true},
	{"github.com/google/go-cmp", nil, true},
	{"github.com/rogpeppe/go-internal", nil, true},
	{"golang.org/x/tools", nil, true},

	{"github.com/google/uuid", []string{"..."}, true},
	{"golang.org/x/crypto", []string{"..."}, true},
	{"golang.org/x/net/idna", []string{"..."}, true},
	{"golang.org/x/sync", []string{"..."}, true},
	{"golang.org/x/sys", []string{"..."}, true},
	{"golang.org/x/term", []string{"cmd/..."}, true},
	{"golang.org/x/text", []string{"..."}, true},
	{"golang.org/x/time", []string{"..."}, true},
}

// pure packages compute and do nothing else: server, clients and their test vectors share them.
var pure = []string{"attest", "archive/threshold", "archive/record", "internal/audit/proof", "crl/list"}

// outside are the packages that run where no server code may: whatever they link is on other people's machines.
var outside = []string{"client", "delivery", "agent", "kra", "cmd/sealpost-agent", "cmd/sealpost-kra"}

// serverOnly must not be linked into them, however indirectly.
var serverOnly = []string{
	module + "/ca/...", module + "/archive", module + "/directory/...", module + "/attest", module + "/enroll/...", module + "/crl/...",
	module + "/ocsp/...", module + "/gal/...", module + "/recovery/...", module + "/notice/...", module + "/testmail", module + "/fleet", module + "/web/...", module + "/migrations", module + "/internal/pg",
	module + "/internal/audit", module + "/internal/jobs", module + "/internal/keyuse", module + "/internal/mail", module + "/internal/pgtest",
	"github.com/jackc/pgx/v5/...", "github.com/pressly/goose/v3/...", "github.com/riverqueue/river/...",
	"github.com/go-ldap/ldap/v3/...", "github.com/go-chi/chi/v5/...", "github.com/danielgtaylor/huma/v2/...",
	"github.com/smallstep/certificates/...", "github.com/zmap/zlint/v3/...", "testing",
}

// noKMS are the clients that keep keys by themselves: an officer's tool may reach a KMS, the agent on every workstation not.
var noKMS = []string{"agent", "cmd/sealpost-agent"}

const kms = "go.step.sm/crypto/kms"

// bannedWords name nothing of the trade.
var bannedWords = []string{"util", "utils", "common", "core", "helper", "helpers", "manager", "impl", "service",
	"services", "dto", "misc"}

func TestHouse(t *testing.T) {
	t.Parallel()
	h := readHouse(t, ".")
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			faults := rule(h)
			slices.Sort(faults)
			for _, fault := range slices.Compact(faults) {
				t.Error(fault)
			}
		})
	}
}

// What a program links is more than what its packages name: the third parties' own imports count too.
func TestClientsLinkNoServerCode(t *testing.T) {
	t.Parallel()
	h := readHouse(t, ".")
	for _, p := range outside {
		if !h.hasCode(p) {
			continue
		}
		out, err := exec.Command("go", "list", "-deps", "./"+p).Output()
		if err != nil {
			t.Errorf("go list -deps ./%s: %v", p, err)
			continue
		}
		linked := strings.Fields(string(out))
		for _, fault := range linksServerCode(p, linked) {
			t.Error(fault)
		}
		if slices.Contains(noKMS, p) && slices.ContainsFunc(linked, func(l string) bool { return strings.HasPrefix(l, kms) }) {
			t.Errorf("%s links %s", p, kms)
		}
	}
}

func TestNoPathOfOneMachine(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(path)
		}
		if path == ".git" { // of a further work tree
			return nil
		}
		for _, fault := range machinePaths(path, readText(t, path)) {
			t.Error(fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
