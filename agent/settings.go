package agent

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/disk"
)

const (
	settingsFile = "settings.json"
	maxRoots     = 100
)

// Settings are what the first run was told, so that the next ones need not be.
type Settings struct {
	Version     int    `json:"version"`
	Server      string `json:"server"`                 // base URL
	Roots       string `json:"roots"`                  // PEM: the roots that mail certificates must chain to, and the server's TLS certificate
	SystemRoots bool   `json:"system_roots,omitempty"` // the system's roots too are good for the server's TLS certificate

	// For runs that nobody starts.
	Kerberos  bool   `json:"kerberos,omitempty"`   // the ticket of the computer's login says who asks, where no certificate does
	Keytab    string `json:"keytab,omitempty"`     // with Kerberos, the keys in this file in place of a ticket, for who may read it
	Principal string `json:"principal,omitempty"`  // whose keys in Keytab
	TokenFile string `json:"token_file,omitempty"` // or the enrolment token in this file
	Restore   bool   `json:"restore,omitempty"`    // the officers are asked once for older keys
	Stores    Stores `json:"stores,omitzero"`      // to fill from the first enrolment on

	TPM     string `json:"tpm,omitempty"`      // which TPM signing keys may be in, if not the system's own; see package tpm
	Token   string `json:"token,omitempty"`    // which token they may be in; see package token
	PINFile string `json:"pin_file,omitempty"` // file with the PIN of either
}

// LoadSettings reads the settings of an agent's folder; nil where there are none.
func LoadSettings(dir string) (*Settings, error) {
	return load(dir, settingsFile, decodeSettings)
}

// LoadSettingsForAll reads the settings that an administrator made for everybody on the machine; nil where there are none. A file that
// others can change is refused: it says whom to trust.
func LoadSettingsForAll(path string) (*Settings, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, ErrState.Withf("%s cannot be read.", path).Because(err)
	}
	if disk.ChangedByOthers(info) {
		return nil, ErrOpenToOthers.Withf("%s can be changed by others than the administrator, and it says which server and which roots to trust. "+
			"Give it to root and let nobody else write: chown root %s; chmod 644 %s", path, path, path)
	}
	return load(filepath.Dir(path), filepath.Base(path), decodeSettings)
}

func decodeSettings(data []byte) (*Settings, error) {
	s := &Settings{}
	if err := decodeState(data, s); err != nil {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, versionFault(s.Version)
	}
	_, err := s.Anchors()
	return s, err
}

// Save writes the settings, making the folder where it is missing.
func (s Settings) Save(dir string) error {
	s.Version = stateVersion
	if _, err := s.Anchors(); err != nil {
		return err
	}
	if err := makePrivateDir(dir); err != nil {
		return err
	}
	return save(dir, settingsFile, s)
}

// SaveForAll writes the settings for everybody on the machine, who may read them.
func (s Settings) SaveForAll(path string) error {
	data, err := s.ForAll()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return disk.Cannot(err, "The folder of %s cannot be made. Are you the administrator of this machine?", path)
	}
	return disk.Write(path, data, 0o644)
}

// ForAll returns what SaveForAll writes.
func (s Settings) ForAll() ([]byte, error) {
	s.Version = stateVersion
	if _, err := s.Anchors(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the settings for everybody: %w", err)
	}
	return append(data, '\n'), nil
}

// SettingsForAll is where the settings for everybody on a machine are kept, on a system (runtime.GOOS): a place that only
// administrators write to.
func SettingsForAll(system string, env func(string) string) string {
	switch system {
	case "windows": // not ProgramData, where everybody may make folders
		if programs := env("ProgramFiles"); programs != "" {
			return filepath.Join(programs, "Sealpost", "agent.json")
		}
		return `C:\Program Files\Sealpost\agent.json`
	case "darwin":
		return "/Library/Application Support/Sealpost/agent.json"
	}
	return "/etc/sealpost/agent.json"
}

// Anchors parses Roots. There is at least one.
func (s Settings) Anchors() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	rest := []byte(s.Roots)
	for len(out) <= maxRoots {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, ErrConfig.Withf("The file of root certificates holds something else, too: %q.", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ErrConfig.Withf("A root certificate cannot be read.").Because(err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 || len(out) > maxRoots {
		return nil, ErrConfig.Withf("The file of root certificates holds %d certificates in PEM; 1 to %d are needed.", len(out), maxRoots)
	}
	return out, nil
}

// TLSRoots returns what the server's TLS certificate may chain to.
func (s Settings) TLSRoots() (*x509.CertPool, error) {
	anchors, err := s.Anchors()
	if err != nil {
		return nil, err
	}
	if !s.SystemRoots {
		return pool(anchors), nil
	}
	p, err := x509.SystemCertPool()
	if err != nil {
		return nil, ErrConfig.Withf("The system's root certificates cannot be read.").Because(err)
	}
	for _, cert := range anchors {
		p.AddCert(cert)
	}
	return p, nil
}

// DefaultDir returns the agent's folder of a person on a system (runtime.GOOS), below their home: where programs of that system keep
// what stays on the machine.
func DefaultDir(system, home string, env func(string) string) string {
	switch system {
	case "windows": // not AppData\Roaming, which goes to other machines
		if local := env("LOCALAPPDATA"); local != "" {
			return filepath.Join(local, "Sealpost")
		}
		return filepath.Join(home, "AppData", "Local", "Sealpost")
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "Sealpost")
	}
	data := env("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the specification says to ignore others
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "sealpost")
}
