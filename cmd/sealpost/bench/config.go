package bench

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/keys"
)

// How clients show who they are.
const (
	ByToken    = "token"    // a fresh enrolment token each: how a roll-out enrols a company
	ByPassword = "password" // the person's login, which the server tries at the directory
)

// Parts are what can be measured by itself.
var Parts = []string{"enrolments", "archive", "lists", "ocsp", "points", "gal", "pages", "workstations"}

// measures reports whether a part is to be measured.
func (c *Config) measures(part string) bool { return slices.Contains(c.Parts, part) }

// Config says what to measure.
type Config struct {
	Dir          string        // folder for everything; new, empty, or a former run's
	Rounds       int           // how often everything is measured, in turns
	Seconds      float64       // how long each measurement lasts
	Clients      []int         // numbers of clients at the same time
	Keys         []string      // kinds of encryption key: P-256, RSA-3072
	By           string        // ByToken or ByPassword
	Issuer       string        // algorithm of the authorities' keys
	People       int           // in the directory, beside the sample company
	Stored       int           // pairs in the filled database; 0 leaves that measurement out
	Starts       int           // how often the server is started for its start-up time
	Deposits     int           // deposits in a round, for their CPU time; 0 leaves that out
	CasePeople   int           // people in the large recovery case; 0 leaves out what officers and recipients do
	CaseEach     int           // archived keys of each of them
	Entries      []int         // sizes of the revocation lists; rising
	GALEntries   int           // people in the large directory; 0 leaves that out
	Workstations int           // that wake up at once; one for each of the people, several for some if there are more
	Parts        []string      // what is measured: of Parts
	KRA          string        // the program sealpost-kra; empty for the one beside this program
	Profile      string        // file for a CPU profile of the server; empty for none
	Program      []string      // this program, to be run again; followed by a command's name and its flags
	Out          io.Writer     // progress
	patient      time.Duration // how long work behind the answers may take
}

// check returns what is wrong with the configuration.
func (c *Config) check() error {
	c.patient = 2 * time.Minute
	var errs []error
	if c.Rounds < 1 || c.Starts < 1 {
		errs = append(errs, errors.New("--rounds and --starts must be at least 1"))
	}
	if c.Seconds <= 0 {
		errs = append(errs, errors.New("--seconds must be more than 0"))
	}
	for _, n := range c.Clients {
		if n < 1 || n > 512 {
			errs = append(errs, fmt.Errorf("--clients: %d is not between 1 and 512", n))
		}
	}
	for _, k := range c.Keys {
		if k != "P-256" && k != "RSA-3072" {
			errs = append(errs, fmt.Errorf("--keys: %q is neither P-256 nor RSA-3072", k))
		}
	}
	if len(c.Clients) == 0 || len(c.Keys) == 0 {
		errs = append(errs, errors.New("--clients and --keys must name something"))
	}
	if c.By != ByToken && c.By != ByPassword {
		errs = append(errs, fmt.Errorf("--by: %q is neither %s nor %s", c.By, ByToken, ByPassword))
	}
	if k := keys.Algorithm(c.Issuer); k != keys.P256 && k != keys.P384 {
		errs = append(errs, fmt.Errorf("--issuer: %q is neither P-256 nor P-384", c.Issuer))
	}
	if c.People < 2 || c.People > 100_000 {
		errs = append(errs, errors.New("--people must be between 2 and 100000"))
	}
	if c.Stored < 0 || c.Deposits < 0 || c.CasePeople < 0 {
		errs = append(errs, errors.New("--stored, --deposits and --case-people must not be negative"))
	}
	if n := c.CasePeople * c.CaseEach; c.CasePeople > 0 && (c.CaseEach < 1 || n > record.MaxRecords) {
		errs = append(errs, fmt.Errorf("--case-people, --case-keys: a case has 1 to %d keys", record.MaxRecords))
	}
	if c.Workstations < 1 || c.Workstations > 10_000 {
		errs = append(errs, errors.New("--workstations must be between 1 and 10000"))
	}
	if c.GALEntries < 0 || c.GALEntries > 1_000_000 || c.GALEntries > 0 && c.GALEntries < 32*c.Rounds {
		errs = append(errs, errors.New("--gal-entries must be 0, or lie between 32 for each round and 1000000"))
	}
	for n, size := range c.Entries {
		if size < 1 || size > 5_000_000 || n > 0 && size <= c.Entries[n-1] {
			errs = append(errs, errors.New("--list-entries must rise, and lie between 1 and 5000000"))
			break
		}
	}
	for _, part := range c.Parts {
		if !slices.Contains(Parts, part) {
			errs = append(errs, fmt.Errorf("--parts: there is no %q among %s", part, strings.Join(Parts, ", ")))
		}
	}
	if len(c.Parts) == 0 {
		errs = append(errs, errors.New("--parts must name something"))
	}
	errs = append(errs, c.findKRA())
	return errors.Join(errs...)
}

// findKRA looks for the officers' tool, which approves and opens.
func (c *Config) findKRA() error {
	if c.CasePeople == 0 || !c.measures("archive") {
		return nil
	}
	if c.KRA == "" && len(c.Program) > 0 {
		c.KRA = filepath.Join(filepath.Dir(c.Program[0]), "sealpost-kra")
	}
	if _, err := exec.LookPath(c.KRA); err != nil {
		return fmt.Errorf("--kra: the officers' tool is needed (go build -o bin/ ./cmd/...), or --case-people 0: %w", err)
	}
	return nil
}
