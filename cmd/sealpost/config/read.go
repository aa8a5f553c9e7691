package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
)

// Duration is a time span as Go writes it: 500ms, 72h.
type Duration time.Duration

// UnmarshalText reads a Duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = errors.New("a negative duration")
	}
	*d = Duration(v)
	return err
}

// MarshalText writes a Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Load reads the file at path. It does not look at the files and servers that it names; Validate and the rooms do.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("config %s is larger than %d bytes", path, maxSize)
	}
	c, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	c.dir = dir
	return c, nil
}

// Decode reads a file's content. A key that is not in the manual, or twice in the file, is an error.
func Decode(b []byte) (*Config, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	c := Config{CRL: CRL{Debounce: Duration(5 * time.Second), DeltaPeriod: Duration(time.Hour)}} // where 0 means something else than the default
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in the file")
	}
	c.setDefaults()
	return &c, nil
}

func (c *Config) setDefaults() {
	if len(c.Enrolment.Plans) == 0 {
		c.Enrolment.Plans = []enroll.Plan{{Name: "smime", Title: "Secure mail", Signing: "smime-signing", Encryption: "smime-encryption"}}
	}
	if c.Enrolment.Issuer == "" && len(c.Issuers) > 0 {
		c.Enrolment.Issuer = c.Issuers[0].ID
	}
	if c.CRL.Period == 0 {
		c.CRL.Period = Duration(12 * time.Hour)
	}
	if c.CRL.Lifetime == 0 {
		c.CRL.Lifetime = Duration(72 * time.Hour)
	}
	if c.CRL.DeltaLifetime == 0 {
		c.CRL.DeltaLifetime = min(4*c.CRL.DeltaPeriod, c.CRL.Lifetime)
	}
	if c.Finding.Burst == 0 {
		c.Finding.Burst = 60
	}
	if c.Finding.Every == 0 {
		c.Finding.Every = Duration(2 * time.Second)
	}
	if c.Log.Level == "" {
		c.Log.Level = "info"
	}
}

// Path returns a path of the file as an absolute one.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

// KeyURI returns a key's URI with the path of a key file made absolute.
func (c *Config) KeyURI(uri string) string {
	if p, ok := strings.CutPrefix(uri, "file:"); ok {
		return "file:" + c.Path(p)
	}
	return uri
}

// AllProfiles returns the profiles that the file describes, those that Sealpost comes with, and one for each issuer's OCSP
// responder; where there are test mails, those of their mailbox too.
func (c *Config) AllProfiles() []ca.ProfileConfig {
	var ids []string
	for _, i := range c.Issuers {
		ids = append(ids, i.ID)
	}
	all := ca.WithDefaults(c.Profiles)
	if c.TestMail.Configured() {
		all = ca.WithTestMailbox(all)
	}
	return ca.WithResponders(all, ids...)
}
