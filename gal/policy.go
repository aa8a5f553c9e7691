package gal

import (
	"errors"
	"fmt"
	"time"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that callers test for.
var (
	ErrFull       = fault.New(fault.Conflict, "gal-entry-full", "The entry holds as many values of others as systems that copy it take.")
	ErrTooLarge   = fault.New(fault.Conflict, "gal-entry-too-large", "The entry holds more than is read in one answer. An administrator of the directory must look at it.")
	ErrNoTarget   = fault.New(fault.NotFound, "unknown-directory", "There is no such directory in which certificates are shown.")
	ErrNotAllowed = fault.New(fault.Denied, "gal-not-allowed", "Only operators and auditors see how the directory differs from what it should show.")
	ErrNotYours   = fault.New(fault.Denied, "gal-sweep-not-allowed", "Only operators have the directory compared and repaired.")
)

// SMIME is what becomes of userSMIMECertificate, which Outlook prefers to userCertificate.
type SMIME string

// The ways.
const (
	Untouched SMIME = "untouched" // it is not even read
	Absent    SMIME = "absent"    // values whose certificates are ours go
	Equal     SMIME = "equal"     // and one with the current certificates and their chain is there
)

// Policy says how the directory is kept as it should be.
type Policy struct {
	// SMIME is what becomes of userSMIMECertificate, which Outlook prefers: a value that was forgotten there hides the
	// certificate in userCertificate. absent (the default): values of which every person's certificate is ours go. equal:
	// besides, there is one with the current certificate and its chain, signed by the person where their program does so. untouched: the attribute is not even read.
	SMIME SMIME `yaml:"smime"`
	// Overlap is for how long after a new certificate the one before it is shown beside it, if it is still valid. 0 means
	// not at all: mail programs that find two take either.
	Overlap time.Duration `yaml:"overlap"`
	// MaxValues is how many values userCertificate may have in one entry: Entra Connect copies none of them if there are
	// more. An entry that others have filled gets no value of ours, and is reported; so is one that is nearly full. 0 means
	// 15.
	MaxValues int `yaml:"max_values"`
	// Every is how often all entries are compared; 0 means 24h.
	Every time.Duration `yaml:"every"`
	// ReportOnly says that what is found is not repaired without an operator's word (`sealpost gal repair --all`).
	ReportOnly bool `yaml:"report_only"`
	// Limit is the part of all people with certificates out of whose entries values may be taken in one sweep. If there are
	// more, nothing is repaired without an operator's word: our own records may be wrong, as after a restored backup. Ten
	// may always. 0 means 0.05.
	Limit float64 `yaml:"limit"`
	// Rate is how many entries are compared in a second at most; 0 means 2000.
	Rate int `yaml:"rate"`
}

// Validate returns every fault of the policy, each with its path, joined.
func (p Policy) Validate() error {
	var errs []error
	if p.SMIME != "" && p.SMIME != Untouched && p.SMIME != Absent && p.SMIME != Equal {
		errs = append(errs, fmt.Errorf("smime: %q is not untouched, absent or equal", p.SMIME))
	}
	if p.Overlap < 0 {
		errs = append(errs, errors.New("overlap: is negative"))
	}
	if p.MaxValues < 0 {
		errs = append(errs, errors.New("max_values: is negative"))
	}
	if p.Every < 0 {
		errs = append(errs, errors.New("every: is negative"))
	}
	if !(p.Limit >= 0 && p.Limit <= 1) {
		errs = append(errs, errors.New("limit: must lie between 0 and 1"))
	}
	if p.Rate < 0 {
		errs = append(errs, errors.New("rate: is negative"))
	}
	return errors.Join(errs...)
}

func (p Policy) orDefaults() Policy {
	if p.SMIME == "" {
		p.SMIME = Absent
	}
	if p.MaxValues == 0 {
		p.MaxValues = 15
	}
	if p.Every == 0 {
		p.Every = 24 * time.Hour
	}
	if p.Limit == 0 {
		p.Limit = 0.05
	}
	if p.Rate == 0 {
		p.Rate = 2000
	}
	return p
}

// near is how many values make an entry nearly full.
func (p Policy) near() int { return p.MaxValues * 4 / 5 }

// attributes returns what is read and written.
func (t *Target) attributes() []directory.Attribute {
	if t.Policy.SMIME == Untouched {
		return []directory.Attribute{directory.UserCertificate}
	}
	return []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate}
}
