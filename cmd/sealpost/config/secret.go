package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sealpost/sealpost/internal/keys"
)

// Passphrase returns the passphrase of the server's key files, from where unlock says. The caller clears it.
func (c *Config) Passphrase() (keys.Unlock, error) {
	if f := c.Unlock.PassphraseFile; f != "" {
		u, err := keys.ReadPassphrase(c.Path(f))
		if err != nil {
			return nil, fmt.Errorf("unlock.passphrase_file: %w", err)
		}
		return u, nil
	}
	v := os.Getenv(c.Unlock.PassphraseEnv)
	if v == "" {
		return nil, fmt.Errorf("unlock.passphrase_env: the environment variable %s is empty", c.Unlock.PassphraseEnv)
	}
	return keys.Unlock(v), nil
}

// Secret returns the first line of a file that others must not be able to read.
func (c *Config) Secret(file string) (string, error) {
	u, err := keys.ReadPassphrase(c.Path(file))
	return string(u), err
}

// DatabaseURL returns the server's way into the database.
func (c *Config) DatabaseURL() (string, error) {
	return c.url("database.url", c.Database.URL, c.Database.URLFile)
}

// AdminURL returns the way in for `sealpost migrate`.
func (c *Config) AdminURL() (string, error) {
	if c.Database.AdminURL == "" && c.Database.AdminURLFile == "" {
		return "", errors.New("database.admin_url: is missing; migrating needs a role that may create roles and schemas")
	}
	return c.url("database.admin_url", c.Database.AdminURL, c.Database.AdminURLFile)
}

func (c *Config) url(path, inline, file string) (string, error) {
	if file == "" {
		return inline, nil
	}
	s, err := c.Secret(file)
	if err != nil {
		return "", fmt.Errorf("%s_file: %w", path, err)
	}
	return strings.TrimSpace(s), nil
}
